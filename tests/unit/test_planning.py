"""From a signed graph, costs and a catalog to a plan: states, reasons, what may be stored, what is warned of."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pytest
from pyspark.ml.clustering import KMeans
from pyspark.ml.regression import LinearRegression
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.cli.schema import plan_json
from helix_spark.errors import ParameterError, WorkflowError
from helix_spark.planner.joint import POLICIES, policy_named
from helix_spark.planner.plan import Plan
from helix_spark.planner.planning import Situation, make_plan
from helix_spark.planner.problem import State
from helix_spark.run.recording import plan_summary
from helix_spark.views.node_row import planned_row
from helix_spark.views.notebook_views import plan_html
from tests.fakes.situation import situation, with_nodes


@dataclass(frozen=True)
class Artifact:
    """What the planner knows of a stored result."""

    signature: str
    node: str
    workflow: str = "w"
    iteration: int = 3
    bytes: int = 1000
    attempt: str = "attempt"
    insisting: frozenset[str] = frozenset()
    shared: str = ""


def build(factor: int = 1, digits: int = 2, **wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))

    @wf.scanner(**wishes)
    def rows(data: DataFrame) -> DataFrame:
        return data.withColumn("a", data.a * factor)

    @wf.reducer(output=True)
    def mean(rows: pd.DataFrame) -> float:
        return round(float(rows.a.mean()), digits)

    @wf.reducer
    def unused(rows: pd.DataFrame) -> float:
        return 0.0

    return wf


def storing(now: Situation, *names: str, **fields: Any) -> Situation:
    for name in names:
        now = with_nodes(now, name, artifact=Artifact(now[name].signature, name, **fields))
    return now


def after(before: Situation, now: Situation) -> Situation:
    """`now`, with `before` as the previous iteration."""
    past = {one.name: one.signed.parts for one in before.nodes}
    return replace(now, nodes=tuple(replace(one, before=past.get(one.name)) for one in now.nodes))


def plan(now: Situation, policy: str = "always") -> Plan:
    return make_plan(now, policy_named(policy))


def reasons(made: Plan) -> Mapping[str, str]:
    return {node.name: node.reason for node in made.nodes}


def test_the_first_time_everything_is_computed() -> None:
    made = plan(situation(build()))
    assert made.in_state(State.COMPUTE) == ("data", "rows", "mean")
    assert set(reasons(made).values()) == {"never run before"}
    assert made.guess == ", guessed for 3 of 3 nodes that never ran"
    assert made.dropped == ("unused",)
    assert made.iteration == 4


def test_a_stored_answer_is_loaded_and_nothing_else_is_needed() -> None:
    now = situation(build())
    made = plan(storing(now, "mean"))
    assert made.in_state(State.LOAD) == ("mean",)
    assert made.guess == ""
    assert reasons(made) == {
        "data": "not needed: nothing that runs reads it (`rows`: not needed either)",
        "rows": "not needed: `mean` is loaded",
        "mean": "stored by iteration 3",
    }


def test_outputs_that_are_on_record_start_no_spark() -> None:
    def declared(digits: int = 2, **wishes: Any) -> hx.Workflow:
        wf = hx.Workflow("w")
        data = wf.source("data", hx.csv(__file__, schema="a string"))

        @wf.scanner(output=True, **wishes)
        def rows(data: DataFrame) -> DataFrame:
            return data.where("a > 2")

        @wf.reducer(output=True)
        def mean(rows: pd.DataFrame) -> float:
            return round(len(rows), digits)

        assert data.name == "data"
        return wf

    now = situation(declared(), session_runs=False, recorded={"rows": 3, "mean": 3})
    kept = plan(storing(now, "mean"))
    assert (kept.in_state(State.LOAD), kept.in_state(State.COMPUTE)) == (("mean",), ())
    assert kept["rows"].reason == "unchanged: iteration 3 recorded it; it is computed when you ask for it"
    for lacking in ({"rows": 3}, {"mean": 3}, {}):
        made = plan(replace(now, recorded=lacking))
        assert made.in_state(State.COMPUTE) == ("data", "rows", "mean")
    assert plan(replace(now, session_runs=True)).in_state(State.COMPUTE) == ("data", "rows", "mean")


def test_who_stored_it_under_which_name_is_said() -> None:
    made = plan(storing(situation(build()), "mean", workflow="other"))
    assert made["mean"].reason == "stored by iteration 3 of workflow `other`"
    now = situation(build())
    made = plan(with_nodes(now, "mean", artifact=Artifact(now["mean"].signature, "average")))
    assert made["mean"].reason == "stored by iteration 3 as `average`"


def test_an_edit_names_what_changed_where_and_what_follows_from_it() -> None:
    before, now = situation(build(factor=1)), situation(build(factor=2))
    made = plan(after(before, now))
    assert "factor" in made["rows"].reason
    assert made["rows"].reason.endswith("1 -> 2")
    assert made["mean"].reason == "input `rows` changed"
    assert made["data"].reason == "unchanged, but its result was not stored"


def test_what_is_gone_says_why() -> None:
    now = situation(build())
    now = with_nodes(after(now, now), "rows", ended="evicted: the budget is used up")
    assert plan(now)["rows"].reason == "unchanged, but its result is gone: evicted: the budget is used up"


def test_held_in_memory_is_as_good_as_stored() -> None:
    now = situation(build())
    made = plan(with_nodes(now, "mean", held=True))
    assert made.in_state(State.LOAD) == ("mean",)
    assert made["mean"].reason == "held in memory"
    assert made["mean"].held


def test_recompute_is_obeyed_although_it_is_stored() -> None:
    now = situation(build(recompute=True))
    made = plan(storing(now, "rows"))
    assert made["rows"].state is State.COMPUTE
    assert made["rows"].reason == "you asked for it to be computed in every run"


def test_a_random_node_is_blamed_by_itself_and_its_heirs() -> None:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))
    wf.learner("clusters", KMeans, on=data, k=2, fresh=True)

    @wf.reducer(output=True)
    def cost(clusters: Any) -> float:
        return 0.0

    made = plan(situation(wf), "always")
    assert made["clusters"].reason == (
        "its result may differ each time: you asked for a new draw of `clusters` in each run (fresh=True)"
    )
    assert made["cost"].reason == "reads `clusters`, whose result may differ each time"
    assert not made["clusters"].keep
    assert not made["cost"].keep
    told = plan(situation(wf), "joint")
    for name in ("clusters", "cost"):
        assert told[name].storage_reason == "not kept: it may differ each time, so it cannot be reused"
    assert told["data"].storage_reason == "not kept: it is read from its own files"


def sampled(*, learned: bool) -> hx.Workflow:
    """A sample, a model of it, and of a column that is drawn besides."""
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.where(F.lit(time.time()) > 0)

    @wf.extractor
    def noise(rows: DataFrame) -> Column:
        return F.lit(time.time())

    examples = wf.synthesizer("examples", rows, features=[noise])
    wf.output(wf.learner("m", LinearRegression, on=examples if learned else rows))
    return wf


@pytest.mark.parametrize(
    ("fixed", "learned", "said"),
    [
        ("m", False, "`m` is fixed, but it reads `rows`, which may differ: hx.fixed(rows)"),
        ("examples", True, "`examples` is fixed, but it reads `rows`, `noise`, which may differ: hx.fixed(rows), "
                           "make `noise` in a scanner, and fix that"),
        ("rows", False, None),
    ],
)
def test_what_is_fixed_downstream_of_what_differs_is_said(fixed: str, learned: bool, said: str | None) -> None:
    wf = sampled(learned=learned)
    hx.fixed(hx.NodeRef(wf, fixed))
    assert plan(situation(wf)).warnings == ((said,) if said else ())


def test_what_is_fixed_is_not_computed_in_every_run_and_that_is_said() -> None:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))

    @wf.scanner(fixed=True, recompute=True, output=True)
    def drawn(data: pd.DataFrame) -> pd.DataFrame:
        return data

    now = situation(wf)
    first = plan(now)
    assert first.warnings == ("`drawn` is fixed: it keeps its first result, and recompute=True has no effect",)
    assert first["drawn"].reason == "never run before"
    assert plan(with_nodes(now, "drawn", held=True))["drawn"].state is State.LOAD


def test_a_column_that_is_fixed_is_said_to_be_drawn_all_the_same() -> None:
    wf = sampled(learned=True)
    for name in ("rows", "noise"):
        hx.fixed(hx.NodeRef(wf, name))
    assert plan(situation(wf)).warnings == (
        "`noise` is fixed, but it is a column, never stored by itself: make `noise` in a scanner, and fix that",
    )


# What is kept


def test_policies() -> None:
    assert not any(node.keep for node in plan(situation(build()), "never").nodes)
    always = plan(situation(build()), "always")
    assert {node.name for node in always.nodes if node.keep} == {"rows", "mean"}


def test_a_table_in_memory_is_not_stored_again() -> None:
    assert not plan(situation(build()), "always")["data"].keep


def test_the_authors_wish_outranks_the_policy() -> None:
    assert plan(situation(build(keep="always")), "never")["rows"].keep
    assert not plan(situation(build(keep="never")), "always")["rows"].keep


def test_what_another_workflow_insists_on_is_kept_whatever_is_wished_here() -> None:
    now = situation(build(keep="never"), budget=10**9)
    theirs = storing(now, "rows", workflow="theirs", insisting=frozenset({"theirs"}))
    for policy in POLICIES:
        made = plan(theirs, policy)
        assert made["rows"].keep, policy
        assert made.evict == {}, policy
    assert plan(theirs, "joint")["rows"].storage_reason.startswith("kept: workflow `theirs` asked for it")
    ours = plan(storing(now, "rows", insisting=frozenset({"w"})), "joint")
    assert ours.evict.keys() == {now["rows"].signature}, "of its own results a workflow says today what it wants"


def test_a_budget_of_nothing_keeps_only_what_takes_nothing() -> None:
    made = plan(situation(build(), budget=0), "always")
    assert {node.name for node in made.nodes if node.keep} == {"mean"}
    assert made["rows"].storage_reason == "not kept: the budget is used up"


def test_the_saving_is_against_computing_everything() -> None:
    made = plan(storing(situation(build()), "mean"))
    assert made.predicted_seconds < made.run_all_seconds


# What Spark takes


def test_what_spark_takes_before_the_first_node_is_in_the_plan_and_said() -> None:
    made = plan(situation(build(), session_runs=False, session_worked=False))
    of_nodes = sum(node.predicted_seconds for node in made.nodes)
    assert made.session_seconds == pytest.approx(5.5)
    assert made.predicted_seconds == made.run_all_seconds == pytest.approx(5.5 + of_nodes)
    assert "Spark's start and first work: ~5.5 s of these" in str(made).splitlines()
    assert plan_json(made)["plan"]["session_seconds"] == made.session_seconds


def test_a_session_that_has_done_nothing_yet_is_still_to_do_its_first_work() -> None:
    made = plan(situation(build(), session_worked=False))
    assert made.session_seconds == pytest.approx(3.0)
    assert "Spark's first work: ~3.0 s of these" in str(made).splitlines()
    warm = plan(situation(build()))
    assert warm.session_seconds == 0
    assert "Spark's" not in str(warm)


def test_a_plan_that_needs_no_spark_pays_for_none_and_saves_it() -> None:
    now = situation(build(), session_runs=False, session_worked=False)
    made = plan(storing(now, "mean"))
    assert (made.session_seconds, made.predicted_seconds) == (0.0, 0.0)
    assert made.saved_seconds == plan(now).run_all_seconds
    assert "Spark's" not in str(made)


def test_what_costs_more_than_it_saves_is_said_to_save_nothing() -> None:
    made = replace(plan(situation(build())), run_all_seconds=0.01)
    assert "; saves 0.00 s of 0.01 s" in str(made)


# What is told of a plan


def test_a_record_of_a_plan_has_all_that_a_run_prints_of_it() -> None:
    made = plan(situation(build(), session_runs=False, session_worked=False), "joint")
    printed = plan_json(made)["plan"]
    assert plan_summary(made).items() >= printed.items()
    assert printed["session_seconds"] > 0


def test_how_many_iterations_were_weighed_is_told_by_who_weighed_them() -> None:
    now = situation(build())
    weighed = [plan_json(plan(now, policy))["plan"]["scenarios"] for policy in ("joint", "always")]
    assert weighed[0] > weighed[1] == 0


def test_an_unknown_policy_is_refused_with_the_nearest() -> None:
    with pytest.raises(ParameterError, match="no policy 'allways'") as caught:
        policy_named("allways")
    assert "did you mean 'always'?" in str(caught.value)


def test_a_plan_knows_its_nodes_by_each_of_their_names() -> None:
    wf = build()

    @wf.scanner
    def again(data: DataFrame) -> DataFrame:
        return data

    @wf.scanner
    def same(data: DataFrame) -> DataFrame:
        return data

    wf.output(again, same)
    made = plan(situation(wf))
    assert made["same"] is made["again"]
    with pytest.raises(WorkflowError, match="did you mean 'rows'"):
        made["row"]


def test_a_plan_says_what_is_to_change_of_what_is_stored() -> None:
    now = situation(build(keep="never"))
    dear = replace(next(one.costs for one in now.nodes if one.name == "rows"), compute_seconds=9.0)
    made = plan(storing(with_nodes(now, "rows", costs=dear), "rows"))
    assert "stored by iteration 3; unproven; to be evicted" in " ".join(str(made).split())
    assert "to be evicted" in plan_html(made)
    total = planned_row(replace(made["mean"], keep=True, bytes=14_000_000), made)
    assert total.why_and_kept == "never run before; to be stored (14 MB)"


def test_the_plan_prints_every_node_with_its_reason_within_the_width_of_a_terminal() -> None:
    text = str(plan(storing(situation(build()), "mean")))
    assert "not needed: `mean` is loaded" in text
    assert "unused" in text
    assert max(map(len, text.splitlines())) <= 100
