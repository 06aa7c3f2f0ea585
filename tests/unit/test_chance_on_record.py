"""What differs each time and is on record: it gives nobody a second chance who has not fixed it, and is drawn once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag
from helix_spark.engine.execution.outcome import Outcome, Step, found_random
from helix_spark.engine.results.node_results import NodeResult, TableResult, ValueResult
from helix_spark.identity.code import Description
from helix_spark.planner.joint import policy_named
from helix_spark.planner.planning import make_plan
from helix_spark.planner.problem import State
from helix_spark.run.workflow_results import WorkflowResults
from tests.fakes.node_work import Frame, lazy
from tests.fakes.plan import FakePlan
from tests.fakes.run import make_run
from tests.fakes.situation import situation


def drawing(*fixed: str) -> hx.Workflow:
    """data -> drawn -> later -> size."""
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))

    @wf.scanner(fixed="drawn" in fixed)
    def drawn(data: DataFrame) -> DataFrame:
        return data

    @wf.scanner(fixed="later" in fixed)
    def later(drawn: DataFrame) -> DataFrame:
        return drawn

    @wf.reducer(output=True)
    def size(later: DataFrame) -> int:
        return 1

    return wf


# What a run tells of it


def chance(wf: hx.Workflow, *suspects: str, choices: Mapping[str, str] = MappingProxyType({}), jobs: int = 1) -> Any:
    """Return what a run tells that Spark made all rows of in so many jobs."""
    dag = compile_workflow(wf)
    outcome = Outcome(
        results={node.name: lazy() for node in dag.nodes}, differs=dict.fromkeys(suspects, "asks the clock"),
        choices=dict(choices), steps=[Step(("later",), float(at), at + 1.0) for at in range(jobs)],
    )
    outcome.results["size"] = ValueResult(1)
    described = {node.name: Description() for node in dag.nodes}
    plan: Any = FakePlan(dag, {})
    return found_random(dag, plan, outcome, described)


def test_what_differs_is_chance_and_no_more_is_said_of_what_is_made_of_it() -> None:
    told = chance(drawing(), "drawn", "later")
    assert (told.found, told.drawn, told.choices) == ({"drawn": "`drawn` asks the clock"}, {}, {})


def test_a_fixed_draw_and_one_of_several_right_results_are_instances() -> None:
    told = chance(drawing("drawn"), "drawn", choices={"later": "uses limit"})
    assert told.drawn == {"drawn": "`drawn` asks the clock"}
    assert told.choices == {"later": "`later` uses limit"}
    assert told.found == {}


def test_what_is_made_of_an_instance_that_spark_made_twice_belongs_to_none() -> None:
    for wf, differs, choices in ((drawing("drawn"), ("drawn",), {}), (drawing(), (), {"drawn": "uses limit"})):
        assert chance(wf, *differs, choices=choices).found == {}
        assert chance(wf, *differs, choices=choices, jobs=2).found == {"later": "", "size": ""}


# What is kept of it


def storable(dag: Dag, results: dict[str, NodeResult], pinned: Collection[str] = ()) -> WorkflowResults:
    now = situation(drawing("drawn")).on(dag)
    plan = make_plan(now, policy_named("always"))
    assert plan["drawn"].state is State.COMPUTE
    outcome = Outcome(results=results, pinned=frozenset(pinned))
    return WorkflowResults(make_run(
        number=1, plan=plan, outcome=outcome, situation=now,
    ))


def test_rows_that_only_a_draw_of_their_own_would_give_are_neither_written_nor_held() -> None:
    dag = compile_workflow(drawing("drawn"))
    collected = lazy()
    collected._arrow = object()
    keeps = storable(dag, {"drawn": collected})
    assert keeps.drawn_once == {"drawn"}
    assert keeps.writable == set()
    for kept in (storable(dag, {"drawn": lazy()}, ["drawn"]), storable(dag, {"drawn": in_this_process()})):
        assert kept.drawn_once == frozenset()
        assert kept.writable == {"drawn"}


def in_this_process() -> TableResult:
    made = TableResult(lambda: Frame(), lambda: None)  # type: ignore[arg-type, return-value]  # stand for tables
    made._arrow = object()
    return made
