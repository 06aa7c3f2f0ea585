"""The way of a run is a list that can be read; what is planned, run and audited goes through the same steps."""

from __future__ import annotations

import pytest

from helix_spark.run.run import RunStep
from helix_spark.run.steps import ANSWERING, PLANNING, SHOWING


@pytest.mark.parametrize("further", [SHOWING, ANSWERING])
def test_runs_and_shown_plans_go_through_all_that_plans(further: tuple[RunStep, ...]) -> None:
    begins = further.index(PLANNING[0])
    assert further[begins:begins + len(PLANNING)] == PLANNING
