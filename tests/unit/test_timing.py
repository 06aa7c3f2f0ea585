"""Seconds per node: every second of a forced step is given to exactly one node, and to nobody twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag
from helix_spark.engine.execution.outcome import NodeTime, Step, exclusive_seconds, node_times
from helix_spark.run.workflow_results import seconds_to_write


def fan() -> Dag:
    """data -> rows -> left, right (values), both -> sum (a value)."""
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("a.csv"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data

    @wf.reducer
    def left(rows: DataFrame) -> int:
        return 1

    @wf.reducer
    def right(rows: DataFrame) -> int:
        return 2

    @wf.reducer(output=True)
    def total(left: int, right: int) -> int:
        return left + right

    return compile_workflow(wf)


def times(
    steps: Sequence[Step], weights: Mapping[str, float], lazy: Collection[str] = ("data", "rows"),
    pinned: Collection[str] = (), loaded: Collection[str] = (),
) -> dict[str, NodeTime]:
    return node_times(fan(), steps, weights, lazy=lazy, pinned=pinned, loaded=loaded)


def seconds(
    steps: Sequence[Step], weights: Mapping[str, float], pinned: Collection[str] = ()
) -> dict[str, float | None]:
    return {name: one.seconds for name, one in times(steps, weights, pinned=pinned).items()}


def started(steps: Sequence[Step], weights: Mapping[str, float]) -> dict[str, float | None]:
    return {name: one.started for name, one in times(steps, weights).items()}


def warm(
    steps: Sequence[Step], weights: Mapping[str, float], *, pinned: Collection[str] = (), loaded: Collection[str] = ()
) -> dict[str, float]:
    found = times(steps, weights, pinned=pinned, loaded=loaded)
    return {name: one.warm_seconds for name, one in found.items() if one.warm_seconds is not None}


def loads(
    steps: Sequence[Step], weights: Mapping[str, float], lazy: Collection[str], loaded: Collection[str]
) -> dict[str, float]:
    found = times(steps, weights, lazy, loaded=loaded)
    return {name: one.load_seconds for name, one in found.items() if one.load_seconds is not None}


def test_what_a_step_forces_shares_its_seconds_by_expected_seconds() -> None:
    took = seconds([Step(("left",), 0, 4)], {"data": 1.0, "rows": 2.0, "left": 1.0})
    assert took == pytest.approx({"data": 1.0, "rows": 2.0, "left": 1.0})


def test_what_is_fused_into_a_step_begins_one_after_the_other() -> None:
    begun = started([Step(("left",), 10, 14)], {"data": 1.0, "rows": 2.0, "left": 1.0})
    assert begun == pytest.approx({"data": 10.0, "rows": 11.0, "left": 13.0})


def test_a_node_begins_with_the_first_step_that_runs_it() -> None:
    steps = [Step(("right",), 5, 7), Step(("left",), 0, 2)]
    weights = {"data": 1.0, "left": 1.0, "right": 1.0}
    begun = started(steps, weights)
    assert begun["data"] == 0
    assert (begun["right"] or 0.0) > 5


def test_an_unpinned_table_runs_in_each_step_that_reads_it() -> None:
    steps = [Step(("left",), 0, 2), Step(("right",), 2, 4)]
    weights = dict.fromkeys(("data", "rows", "left", "right"), 1.0)
    assert seconds(steps, weights)["rows"] == pytest.approx(4 / 3)


def test_a_pinned_table_runs_in_the_first_step_that_reads_it() -> None:
    steps = [Step(("left",), 0, 3), Step(("right",), 3, 4)]
    weights = dict.fromkeys(("data", "rows", "left", "right"), 1.0)
    took = seconds(steps, weights, pinned=["rows"])
    assert took["rows"] == pytest.approx(1.0)
    assert (took["right"] or 0.0) <= 1.0


def test_steps_at_the_same_time_share_it() -> None:
    assert exclusive_seconds([Step(("a",), 0, 4), Step(("b",), 1, 2), Step(("c",), 1, 2)]) == pytest.approx(
        [1 + 1 / 3 + 2, 1 / 3, 1 / 3]
    )


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), max_size=8))
def test_each_moment_is_shared_by_the_steps_that_run_then(drawn: list[tuple[float, float]]) -> None:
    steps = [Step(("a",), start, start + length) for start, length in drawn]
    edges = sorted({edge for step in steps for edge in (step.start, step.end)})
    expected = [0.0] * len(steps)
    for left, right in pairwise(edges):
        running = [index for index, step in enumerate(steps) if step.start <= left and step.end >= right]
        for index in running:
            expected[index] += (right - left) / len(running)
    assert exclusive_seconds(steps) == pytest.approx(expected)


def test_a_node_without_an_expectation_gets_a_little() -> None:
    assert 0 < (seconds([Step(("left",), 0, 1)], {"rows": 1.0})["left"] or 0.0) < 0.01


INTERVAL = st.tuples(st.floats(0, 100), st.floats(0, 50)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(
    st.lists(st.tuples(st.sampled_from(["left", "right", "total"]), INTERVAL), max_size=6),
    st.sets(st.sampled_from(["data", "rows"])), st.dictionaries(st.sampled_from(["data", "rows", "left"]),
                                                               st.floats(0, 10)),
)
def test_parts_add_up_to_the_time_in_which_something_ran(
    drawn: list[tuple[str, tuple[float, float]]], pinned: set[str], weights: dict[str, float]
) -> None:
    steps = [Step((name,), start, end) for name, (start, end) in drawn]
    took = [one or 0.0 for one in seconds(steps, weights, pinned).values()]
    edges = sorted({edge for step in steps for edge in (step.start, step.end)})
    covered = sum(
        right - left for left, right in pairwise(edges)
        if any(step.start <= left and step.end >= right for step in steps)
    )
    assert sum(took) == pytest.approx(covered)
    assert all(one >= 0 for one in took)


def test_what_is_stored_late_is_had_again_as_far_as_nothing_is_at_hand() -> None:
    took = {"data": 1.0, "rows": 2.0, "left": 3.0, "total": 4.0}
    assert seconds_to_write(fan(), took, {"left", "total"}) == {"data": 1.0, "rows": 3.0}
    assert seconds_to_write(fan(), took, {"rows", "left", "total"}) == {"data": 1.0}


def test_a_table_that_columns_extend_is_made_once_for_all_of_them() -> None:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.csv("a.csv"))
    columns = [wf.extractor(f"of_{name}", hx.Fields(name), on=data) for name in ("a", "b", "c")]
    wf.synthesizer("examples", data, features=columns, label="a", output=True)
    took = {"data": 100.0, "of_a": 1.0, "of_b": 1.0, "of_c": 1.0, "examples": 5.0}
    again = seconds_to_write(compile_workflow(wf), took, set())
    assert again["examples"] == 108.0


def test_what_a_young_jvm_takes_longer_is_no_cost_of_the_node_that_comes_first() -> None:
    weights = {"data": 1.0, "rows": 2.0, "left": 1.0}
    steps = [Step(("left",), 0, 4, compiling=2.4), Step(("right",), 4, 6, compiling=0.4)]
    pinned = ["data", "rows"]
    assert seconds(steps, weights, pinned) == pytest.approx({"data": 1.0, "rows": 2.0, "left": 1.0, "right": 2.0})
    assert warm(steps, weights, pinned=pinned, loaded=["data"]) == pytest.approx(
        {"data": 0.4, "rows": 1.6, "left": 0.8, "right": 2.0}
    )


def test_a_load_that_was_nearly_all_compiling_tells_nothing() -> None:
    weights = {"data": 1.0, "rows": 2.0, "left": 1.0}
    steps = [Step(("left",), 0, 4, compiling=3.6)]
    assert warm(steps, weights, loaded=["data"]) == pytest.approx({"rows": 1.3, "left": 0.65})


def test_a_slow_reader_makes_no_load_slow() -> None:
    steps, weights = [Step(("left",), 0, 60)], {"rows": 0.3, "left": 2.0}
    assert (times(steps, weights, ["rows"], loaded=["rows"])["rows"].warm_seconds or 0.0) > 5
    assert loads(steps, weights, ["rows"], ["rows"]) == {}


def test_a_load_is_measured_by_the_step_that_does_nothing_else() -> None:
    steps = [Step(("rows",), 0, 1, compiling=0.2), Step(("left",), 1, 61)]
    assert loads(steps, {"rows": 0.3, "left": 2.0}, [], ["rows"]) == pytest.approx({"rows": 0.8})


def test_what_a_load_was_made_from_takes_none_of_its_seconds() -> None:
    steps, weights = [Step(("rows",), 0, 1)], {"data": 9.0, "rows": 0.3}
    assert loads(steps, weights, ["data"], ["rows"]) == pytest.approx({"rows": 1.0})
    assert loads(steps, weights, ["data"], ["data", "rows"]) == pytest.approx({"rows": 1.0})


def test_a_step_that_does_nothing_but_compile_still_costs_something() -> None:
    assert Step(("left",), 0, 2, compiling=40.0).warm_share == 0.25
    assert Step(("left",), 3, 3, compiling=0.0).warm_share == 1.0
