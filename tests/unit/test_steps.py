"""The way of a run is a list that can be read; what is planned, run and audited goes through the same steps."""

from __future__ import annotations

import pytest

from helix_spark.run.run import RunStep
from helix_spark.run.steps import ANSWERING, LOOKING, PLANNING, SHOWING


@pytest.mark.parametrize("further", [PLANNING, SHOWING, ANSWERING])
def test_whoever_goes_further_goes_through_all_that_looks_and_plans(further: tuple[RunStep, ...]) -> None:
    begins = further.index(LOOKING[0])
    assert further[begins:begins + len(LOOKING)] == LOOKING
    if further is not PLANNING:
        assert further[begins:begins + len(PLANNING)] == PLANNING
