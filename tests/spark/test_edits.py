"""The short version of `python -m benchmarks.reuse edits`: an edit of each kind, in a warm session and from scratch."""

from __future__ import annotations

import pytest

from benchmarks.harness import Row
from benchmarks.reuse.edits import cases, judge_edits

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]

CHOSEN = (
    "comment", "renamed local", "reordered imports", "reg", "reducer", "source file rewritten, same size and time",
    "helper in another module", "class attribute", "helper that a UDF calls", "back to an earlier text: reg",
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    chosen = [case for case in cases() if case.name in CHOSEN]
    return {row.name: row for row in judge_edits(chosen, tmp_path_factory.mktemp("edits"))}


@pytest.mark.parametrize("name", CHOSEN)
def test_reuses_what_it_may_and_runs_what_it_must(rows: dict[str, Row], name: str) -> None:
    row = rows[name]
    assert row.cells["verdict"] == "right", row.cells["why"]
    assert row.cells["ran"] == row.details["must run"]


def test_there_are_enough_edits() -> None:
    assert len(cases()) >= 30
