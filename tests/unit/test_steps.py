"""The way of a run is a list that can be read; what is planned, run and audited goes through the same steps."""

from __future__ import annotations

from typing import Any

import pytest
from doubled import workflow

from helix_spark.run.run import Run, RunStep, through
from helix_spark.run.steps import ANSWERING, LOOKING, PLANNING, SHOWING


def started() -> Run:
    nothing: Any = None
    return Run(workflow(), nothing, "run", 0.0, nothing)


@pytest.mark.parametrize("further", [PLANNING, SHOWING, ANSWERING])
def test_whoever_goes_further_goes_through_all_that_looks_and_plans(further: tuple[RunStep, ...]) -> None:
    begins = further.index(LOOKING[0])
    assert further[begins:begins + len(LOOKING)] == LOOKING
    if further is not PLANNING:
        assert further[begins:begins + len(PLANNING)] == PLANNING


def test_a_step_out_of_its_turn_says_so() -> None:
    with pytest.raises(AttributeError, match="no step of this run has made what 'failure' is asked of"):
        through(ANSWERING[-1:], started())
