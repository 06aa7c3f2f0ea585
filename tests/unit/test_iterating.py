"""What the comparison of systems makes of what it measured, and the small things that jobs do in plain Python."""

from __future__ import annotations

import doctest
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.iterating import agreement
from benchmarks.iterating.agreement import disagreements
from benchmarks.iterating.measured import bytes_below, resident
from benchmarks.iterating.report import markdown, plot
from benchmarks.iterating.systems import write_texts
from benchmarks.scripts.edit import Version


def report() -> dict[str, Any]:
    def system(*seconds: float) -> dict[str, Any]:
        return {
            "answer_seconds": list(seconds), "busy_seconds": [2 * one for one in seconds],
            "stored_bytes": [0, 5_000_000], "peak_rss_bytes": 10**9, "outputs": [{"auc": 0.9}, {"auc": 0.91}],
        }

    return {
        "workload": "census", "script": 0, "mode": "session", "kinds": ["first", "learning"],
        "edits": ["as it is", "reg"],
        "systems": {"helix": system(2.0, 1.0), "plain": system(3.0, 3.0)}, "disagreements": [],
    }


def test_the_table_has_a_row_a_system_and_says_how_much_faster() -> None:
    text = markdown(report())
    assert "| helix | 3.0 | 6.0 | 2.00 | 0.0 | 1.0 | 0.0 | 0.0 | 5.0 | 1000 |" in text
    assert text.endswith("All systems gave the same answers.")
    assert "DIFFERENT ANSWERS: stale" in markdown({**report(), "disagreements": ["stale"]})


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot(report(), tmp_path / "plot.svg")
    assert "cumulative seconds" in (tmp_path / "plot.svg").read_text()


def test_a_missing_output_is_a_disagreement() -> None:
    found = disagreements({"a": [{"x": 1.0}], "b": [{"x": 1.0, "y": 2}]}, ["first"])
    assert found == ["after 'first', b has y = 2 where a has None"]


def test_memory_and_bytes_are_seen(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(b"123")
    assert bytes_below(tmp_path) == 3
    assert bytes_below(tmp_path / "none") == 0
    assert resident(os.getpid()) > 10**7


def test_a_plain_job_gets_the_settings_of_the_job(tmp_path: Path) -> None:
    version = Version("", "first", "", "SHARE = 100\nREG = 0.01\n", {}, {"share": "20"})
    _, plain = write_texts("extraction", version, tmp_path)
    assert plain.read_text() == "SHARE = 20\nREG = 0.01\n"


def modules() -> list[ModuleType]:
    import jobs.extraction
    import jobs.genomics

    return [agreement, jobs.extraction, jobs.genomics]


@pytest.mark.parametrize("module", modules(), ids=lambda module: str(module.__name__))
def test_examples_in_docstrings(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
