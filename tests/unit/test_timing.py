"""Seconds per node: every second of a forced step is given to exactly one node, and to nobody twice."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag
from helix_spark.engine.execution.timing import (
    InWorkers,
    Step,
    attribute,
    exclusive_seconds,
    load_seconds,
    shares,
    starts,
    warm_seconds,
)
from helix_spark.run.workflow_results import seconds_to_have_again


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


def test_what_a_step_forces_shares_its_seconds_by_expected_seconds() -> None:
    shared = shares(fan(), [Step(("left",), 0, 4)], {"data": 1.0, "rows": 2.0, "left": 1.0}, ["data", "rows"], [])
    seconds = attribute(shared)
    assert seconds == pytest.approx({"data": 1.0, "rows": 2.0, "left": 1.0})


FUSED = ["data", "rows"]


def test_what_functions_took_in_workers_is_their_nodes_and_only_the_rest_is_divided() -> None:
    weights = {"data": 1.0, "rows": 0.1, "left": 0.0}
    in_workers = [InWorkers(("rows",), task, 0.5, 9.5, 8.0) for task in (1, 2)]
    seconds = attribute(shares(fan(), [Step(("left",), 0, 10)], weights, FUSED, [], in_workers))
    assert seconds["rows"] == pytest.approx(8.0, abs=0.01)
    assert seconds["data"] == pytest.approx(2.0, abs=0.01)


def test_workers_that_serve_one_task_share_its_time_by_what_they_took() -> None:
    in_workers = [InWorkers(("data",), 1, 0, 10, 1.0), InWorkers(("rows",), 1, 0, 10, 8.0)]
    seconds = attribute(shares(fan(), [Step(("left",), 0, 10)], {"left": 1.0}, FUSED, [], in_workers))
    assert seconds == pytest.approx({"data": 1.0, "rows": 8.0, "left": 1.0}, abs=0.01)


def test_functions_that_one_worker_calls_in_turn_share_their_seconds_by_expected_seconds() -> None:
    in_workers = [InWorkers(("data", "rows"), 1, 0, 10, 9.0)]
    weights = {"data": 2.0, "rows": 1.0, "left": 1.0}
    seconds = attribute(shares(fan(), [Step(("left",), 0, 10)], weights, FUSED, [], in_workers))
    assert seconds == pytest.approx({"data": 6.0, "rows": 3.0, "left": 1.0}, abs=0.01)


def test_workers_count_in_the_steps_in_which_they_ran_and_that_read_their_nodes() -> None:
    steps, weights = [Step(("left",), 0, 10), Step(("right",), 10, 20)], {"left": 1.0, "right": 1.0}
    in_workers = [InWorkers(("rows",), 1, 10, 20, 9.0), InWorkers(("total",), 2, 0, 10, 9.0)]
    first, second = (parts for _, parts in shares(fan(), steps, weights, FUSED, [], in_workers))
    assert first["left"] > 9.5
    assert second["rows"] == pytest.approx(9.0, abs=0.01)


def test_steps_at_the_same_time_share_what_workers_took() -> None:
    steps = [Step(("left",), 0, 10), Step(("right",), 0, 10)]
    in_workers = [InWorkers(("rows",), 1, 0, 10, 9.0)]
    seconds = attribute(shares(fan(), steps, {"left": 1.0, "right": 1.0}, ["rows"], [], in_workers))
    assert seconds["rows"] == pytest.approx(9.0, abs=0.01)
    assert sum(seconds.values()) == pytest.approx(10.0)


def test_what_is_fused_into_a_step_begins_one_after_the_other() -> None:
    shared = shares(fan(), [Step(("left",), 10, 14)], {"data": 1.0, "rows": 2.0, "left": 1.0}, ["data", "rows"], [])
    begun = starts(fan(), shared)
    assert begun == pytest.approx({"data": 10.0, "rows": 11.0, "left": 13.0})


def test_a_node_begins_with_the_first_step_that_runs_it() -> None:
    steps = [Step(("right",), 5, 7), Step(("left",), 0, 2)]
    weights = {"data": 1.0, "left": 1.0, "right": 1.0}
    begun = starts(fan(), shares(fan(), steps, weights, ["data", "rows"], []))
    assert begun["data"] == 0
    assert begun["right"] > 5


def test_an_unpinned_table_runs_in_each_step_that_reads_it() -> None:
    steps = [Step(("left",), 0, 2), Step(("right",), 2, 4)]
    weights = dict.fromkeys(("data", "rows", "left", "right"), 1.0)
    seconds = attribute(shares(fan(), steps, weights, ["data", "rows"], []))
    assert seconds["rows"] == pytest.approx(4 / 3)


def test_a_pinned_table_runs_in_the_first_step_that_reads_it() -> None:
    steps = [Step(("left",), 0, 3), Step(("right",), 3, 4)]
    weights = dict.fromkeys(("data", "rows", "left", "right"), 1.0)
    seconds = attribute(shares(fan(), steps, weights, ["data", "rows"], ["rows"]))
    assert seconds["rows"] == pytest.approx(1.0)
    assert seconds["right"] <= 1.0


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
    seconds = attribute(shares(fan(), [Step(("left",), 0, 1)], {"rows": 1.0}, ["data", "rows"], []))
    assert 0 < seconds["left"] < 0.01


INTERVAL = st.tuples(st.floats(0, 100), st.floats(0, 50)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(
    st.lists(st.tuples(st.sampled_from(["left", "right", "total"]), INTERVAL), max_size=6),
    st.sets(st.sampled_from(["data", "rows"])), st.dictionaries(st.sampled_from(["data", "rows", "left"]),
                                                               st.floats(0, 10)),
    st.lists(st.tuples(st.floats(0, 1), INTERVAL), max_size=4),
)
def test_parts_add_up_to_the_time_in_which_something_ran(
    drawn: list[tuple[str, tuple[float, float]]], pinned: set[str], weights: dict[str, float],
    ran: list[tuple[float, tuple[float, float]]],
) -> None:
    steps = [Step((name,), start, end) for name, (start, end) in drawn]
    in_workers = [
        InWorkers(("rows",), task, start, end, share * (end - start)) for task, (share, (start, end)) in enumerate(ran)
    ]
    seconds = attribute(shares(fan(), steps, weights, FUSED, pinned, in_workers))
    edges = sorted({edge for step in steps for edge in (step.start, step.end)})
    covered = sum(
        right - left for left, right in pairwise(edges)
        if any(step.start <= left and step.end >= right for step in steps)
    )
    assert sum(seconds.values()) == pytest.approx(covered)
    assert all(value >= 0 for value in seconds.values())


def test_what_is_stored_late_is_had_again_as_far_as_nothing_is_at_hand() -> None:
    seconds = {"data": 1.0, "rows": 2.0, "left": 3.0, "total": 4.0}
    assert seconds_to_have_again(fan(), seconds, {"left", "total"}) == {"data": 1.0, "rows": 3.0}
    assert seconds_to_have_again(fan(), seconds, {"rows", "left", "total"}) == {"data": 1.0}


def test_a_table_that_columns_extend_is_made_once_for_all_of_them() -> None:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.csv("a.csv"))
    columns = [wf.extractor(f"of_{name}", hx.Fields(name), on=data) for name in ("a", "b", "c")]
    wf.synthesizer("examples", data, features=columns, label="a", output=True)
    seconds = {"data": 100.0, "of_a": 1.0, "of_b": 1.0, "of_c": 1.0, "examples": 5.0}
    again = seconds_to_have_again(compile_workflow(wf), seconds, set())
    assert again["examples"] == 108.0


def test_what_a_young_jvm_takes_longer_is_no_cost_of_the_node_that_comes_first() -> None:
    weights, lazy = {"data": 1.0, "rows": 2.0, "left": 1.0}, ["data", "rows"]
    steps = [Step(("left",), 0, 4, compiling=2.4), Step(("right",), 4, 6, compiling=0.4)]
    seconds = attribute(shares(fan(), steps, weights, lazy, ["data", "rows"]))
    assert seconds == pytest.approx({"data": 1.0, "rows": 2.0, "left": 1.0, "right": 2.0})
    warm = warm_seconds(shares(fan(), steps, weights, lazy, ["data", "rows"]), {"data"})
    assert warm == pytest.approx({"data": 0.4, "rows": 1.6, "left": 0.8, "right": 2.0})


def test_a_load_that_was_nearly_all_compiling_tells_nothing() -> None:
    weights, lazy = {"data": 1.0, "rows": 2.0, "left": 1.0}, ["data", "rows"]
    warm = warm_seconds(shares(fan(), [Step(("left",), 0, 4, compiling=3.6)], weights, lazy, []), {"data"})
    assert warm == pytest.approx({"rows": 1.3, "left": 0.65})


def test_a_slow_reader_makes_no_load_slow() -> None:
    shared = list(shares(fan(), [Step(("left",), 0, 60)], {"rows": 0.3, "left": 2.0}, ["rows"], []))
    assert warm_seconds(shared, {"rows"})["rows"] > 5
    assert load_seconds(shared, {"rows"}) == {}


def test_a_load_is_measured_by_the_step_that_does_nothing_else() -> None:
    steps = [Step(("rows",), 0, 1, compiling=0.2), Step(("left",), 1, 61)]
    shared = list(shares(fan(), steps, {"rows": 0.3, "left": 2.0}, [], []))
    assert load_seconds(shared, {"rows"}) == pytest.approx({"rows": 0.8})


def test_what_a_load_was_made_from_takes_none_of_its_seconds() -> None:
    shared = list(shares(fan(), [Step(("rows",), 0, 1)], {"data": 9.0, "rows": 0.3}, ["data"], []))
    assert load_seconds(shared, {"rows"}) == pytest.approx({"rows": 1.0})
    assert load_seconds(shared, {"data", "rows"}) == pytest.approx({"rows": 1.0})


def test_a_step_that_does_nothing_but_compile_still_costs_something() -> None:
    assert Step(("left",), 0, 2, compiling=40.0).warm_share == 0.25
    assert Step(("left",), 3, 3, compiling=0.0).warm_share == 1.0
