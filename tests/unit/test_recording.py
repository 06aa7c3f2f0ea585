"""What a run records of results: what it measured, and nothing where it measured nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from helix_spark.catalog.records import ResultRecord
from helix_spark.engine.execution.outcome import Outcome, Step, times_by_node
from helix_spark.engine.results.node_results import ValueResult
from helix_spark.planner.joint import policy_named
from helix_spark.planner.planning import make_plan
from helix_spark.planner.problem import State
from helix_spark.run.node_records import result_records
from helix_spark.run.workflow_results import WorkflowResults
from tests.fakes.doubled import workflow
from tests.fakes.run import make_run
from tests.fakes.situation import situation, with_nodes

INSIDE = [Step(("total",), 0.0, 60.0)]
"""`rows` has no step of its own."""

APART = [Step(("rows",), 0.0, 1.0), Step(("total",), 1.0, 3.0)]


def recorded(steps: Sequence[Step], rows: State, held: bool = False, random: str = "") -> dict[str, ResultRecord]:
    """By node, what a run of `rows` and `total` recorded.

    Args:
        rows: what it did about `rows`; `held` if it had that in memory.
        random: why `rows` differs each time.
    """
    now = situation(workflow())
    states: Mapping[str, State] = {"rows": rows, "total": State.COMPUTE}
    made = make_plan(now, policy_named("never"))
    made = replace(made, nodes=tuple(
        replace(
            node, state=states.get(node.name, State.PRUNE), held=held and node.name == "rows",
            predicted_seconds={"rows": 1.0, "total": 2.0}.get(node.name, 0.0),
        )
        for node in made.nodes
    ))
    outcome = Outcome(results={name: ValueResult(0) for name in states}, steps=list(steps))
    now = with_nodes(now, "rows", described=replace(now["rows"].described, random=(random,) if random else ()))
    run = make_run(
        number=7, situation=now, plan=made, outcome=outcome, times=times_by_node(now.dag, made, outcome),
    )
    run = replace(run, results=WorkflowResults(run))
    found = result_records(run, {})
    return {record.node: record for record in found}


def test_a_load_in_a_step_of_its_own_is_measured() -> None:
    found = recorded(APART, State.LOAD)
    assert found["rows"].load_seconds == pytest.approx(1.0)
    assert found["rows"].compute_seconds is None
    assert found["total"].compute_seconds == pytest.approx(2.0)


def test_a_load_inside_of_what_reads_it_is_not_measured_and_has_no_record() -> None:
    found = recorded(INSIDE, State.LOAD)
    assert set(found) == {"total"}
    assert found["total"].compute_seconds == pytest.approx(40.0)


@pytest.mark.parametrize("random", ["", "`rows` calls random.random"])
def test_what_was_held_has_no_record(random: str) -> None:
    assert set(recorded(APART, State.LOAD, held=True, random=random)) == {"total"}


def test_why_a_result_varies_is_recorded_once_with_the_draw() -> None:
    why = "`rows` calls random.random"
    assert recorded(INSIDE, State.COMPUTE, random=why)["rows"].random == why
    assert set(recorded(INSIDE, State.LOAD, random=why)) == {"total"}
