"""Runs that only part of the steps have filled in."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import helix_spark as hx
from helix_spark.catalog.records import IterationRecord
from helix_spark.dag.node import Dag
from helix_spark.engine.execution.outcome import Chance
from helix_spark.planner.planning import Situation
from helix_spark.planner.storage import PlanningProblem
from helix_spark.run.run import Run, Tools


def make_tools(**given: Any) -> Tools:
    """Return an observer that is silent, a cut-off of half a second, and the given tools; all others are None."""
    none = dict.fromkeys(one.name for one in fields(Tools))
    return Tools(**{**none, "observer": hx.Silent(), "cut_off": 0.5, **given})


def make_run(tools: Tools | None = None, *, number: int = 4, dag: Dag | None = None, **given: Any) -> Run:
    """Return a run that has the given attributes, a record and nothing nondeterministic.

    Args:
        dag: the graph of a run of whose situation nothing else is known.
    """
    record = IterationRecord("run", "w", number, "running", 0.0)
    known: dict[str, Any] = {"record": record, "chance": Chance({}, {}, {}), "leases": None}
    if dag is not None:
        known["situation"] = Situation(dag, (), number, PlanningProblem((), frozenset(), None))
    if "situation" in given:
        known["described"] = {one.name: one.described for one in given["situation"].nodes}
    return Run(hx.Workflow("w"), tools or make_tools(), "run", 0.0, **{**known, **given})
