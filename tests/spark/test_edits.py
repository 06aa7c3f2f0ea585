"""The short version of `benchmarks/edits.py`: one edit of each sort, with a warm session and one from scratch."""

from __future__ import annotations

import pytest

from benchmarks.edit_cases.verdicts import Verdict
from benchmarks.edits import cases, run_cases

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]

CHOSEN = (
    "comment", "renamed local", "reordered imports", "reg", "reducer", "source file rewritten, same size and time",
    "helper in another module", "class attribute", "helper that a UDF calls", "back to an earlier text: reg",
)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    chosen = [case for case in cases() if case.name in CHOSEN]
    return {verdict.case.name: verdict for verdict in run_cases(chosen, tmp_path_factory.mktemp("edits"), full=False)}


@pytest.mark.parametrize("name", CHOSEN)
def test_reuses_what_it_may_and_runs_what_it_must(verdicts: dict[str, Verdict], name: str) -> None:
    verdict = verdicts[name]
    assert not verdict.error
    assert verdict.ran == verdict.case.must_run
    assert not verdict.wrong
    assert not verdict.back
    assert not verdict.suspicious


def test_there_are_enough_edits() -> None:
    assert len(cases()) >= 30
