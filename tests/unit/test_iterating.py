"""What the comparison of systems makes of what it measured, and the small things that jobs do in plain Python."""

from __future__ import annotations

import doctest
import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.iterating import agreement, experiment, summary
from benchmarks.iterating.agreement import disagreements
from benchmarks.iterating.measured import bytes_below, resident
from benchmarks.iterating.report import markdown, plot, plot_all
from benchmarks.iterating.steps import steps_of
from benchmarks.iterating.systems import ROOT, write_texts
from benchmarks.scripts import NAMES, workload_named
from benchmarks.scripts.edit import Version, versions


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
    plot_all([report(), {**report(), "budget": 0.3}], tmp_path / "all.svg")
    assert "budget 0.3" in (tmp_path / "all.svg").read_text()


def test_the_summary_compares_with_and_without_the_first_run_and_names_what_differs() -> None:
    text = summary.summary([report(), {**report(), "budget": 0.3, "script": 1, "disagreements": ["stale"]}])
    assert "## session mode\n" in text
    assert "## session mode, budget 0.3 of one version's bytes" in text
    assert "| census | 1 | 2.00 | 3.00 |  |  |  | 3.00 (plain, script 0) | 0 of 0 |" in text
    assert "- census 1 session: stale" in text


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

    return [agreement, experiment, summary, jobs.extraction, jobs.genomics]


@pytest.mark.parametrize("module", modules(), ids=lambda module: str(module.__name__))
def test_examples_in_docstrings(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


PLAIN_TEXT = '''
from jobs.census import SCHEMA
REG, BINS = 0.1, 2
TIMES = 3

def rows(spark):
    return spark.read(SCHEMA, TIMES)

def fitted(table):
    return table.fit(REG)

def answer(spark, keep):
    def assembled():
        folder = "there"
        first = keep("first", lambda: rows(spark, folder))
        return first.more()

    last = keep("last", lambda: fitted(keep("middle", assembled)))
    return {"a": last.count()}
'''


def test_a_plain_job_is_cut_into_steps_with_all_that_they_reach() -> None:
    first, middle, last, answer = steps_of(PLAIN_TEXT)
    assert [(one.name, one.inputs) for one in (first, middle, last, answer)] == [
        ("first", ()), ("middle", ("first",)), ("last", ("middle",)), ("answer", ("last",)),
    ]
    assert "import SCHEMA" in first.body
    assert "TIMES = 3" in first.body
    assert first.body.endswith("folder = 'there'\nreturn rows(spark, folder)")
    assert "REG" not in first.body
    assert middle.body == "folder = 'there'\nreturn first_kept.more()"
    assert "REG, BINS" in last.body
    assert "TIMES" not in last.body
    assert answer.body == "return {'a': last_kept.count()}"


@pytest.mark.parametrize("workload", NAMES)
def test_an_edit_of_the_plain_job_touches_the_steps_that_a_careful_person_would_name(workload: str) -> None:
    """Those that say so are checked by their text; what follows a step runs again by what it reads."""
    known = workload_named(workload)
    texts = [(ROOT / "jobs" / f"{workload}.py").read_text(),
             (ROOT / "benchmarks" / "plain" / f"plain_{workload}.py").read_text()]
    before = {step.name: step for step in steps_of(texts[1])}
    for edit in known.pool:
        alone = replace(known, pool=(edit,), main=(edit.name,))
        after = {step.name: step for step in steps_of(list(versions(alone, 0, *texts))[1].plain)}
        touched = {name for name in after if after[name].body != before[name].body}
        for name, step in after.items():  # inputs come first
            touched |= {name} if touched & set(step.inputs) else set()
        assert touched - {"answer"} == set(edit.stale), edit.name
