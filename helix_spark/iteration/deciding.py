"""From what is known to a plan."""

from __future__ import annotations

from dataclasses import replace

from helix_spark.iteration.preparation import look_up
from helix_spark.iteration.run import Run
from helix_spark.planner.planning import make_plan


def decide(run: Run) -> Run:
    """What to load, to compute and to store.

    Raises:
        PlanError: an output cannot be had.
    """
    return replace(run, plan=make_plan(run.situation, run.tools.policy))


def plan_again(run: Run) -> Run:
    """Looked up once more, and planned: others stored something, or the run found something out."""
    return decide(look_up(run))
