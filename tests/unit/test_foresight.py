"""What a plan expects to come next, from iterations on record."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from helix_spark.catalog.catalog_reader import CatalogView
from helix_spark.catalog.history import PastIteration, PastNode
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, ResultRecord
from helix_spark.costs.model import LOAD
from helix_spark.history.source_rows import call_of
from helix_spark.planner.storage import Lineage, NodeCosts, OtherArtifact, PlanningProblem
from helix_spark.run import foresight
from helix_spark.run.foresight import RecordsRead, may_come_back


def foresee(
    nodes: Sequence[NodeCosts], random: Collection[str], view: CatalogView, measured: Mapping[str, ResultRecord],
    **more: Any,
) -> PlanningProblem:
    return foresight.foresee(PlanningProblem(tuple(nodes), frozenset()), random, RecordsRead(view, measured), **more)


def past_lineage(
    nodes: Sequence[NodeCosts], view: CatalogView, measured: Mapping[str, ResultRecord]
) -> Lineage:
    return foresight.past_lineage(nodes, RecordsRead(view, measured))


CHAIN = {"rows": ("scanner", ()), "model": ("learner", ("rows",)), "auc": ("reducer", ("model",))}


def signatures(**edited: str) -> dict[str, str]:
    """Signatures of the chain's nodes: what is edited, and everything below it, gets others."""
    found: dict[str, str] = {}
    suffix = ""
    for name in CHAIN:
        suffix += edited.get(name, "")
        found[name] = name + suffix
    return found


def past(number: int, auc: float | None = None, pid: int = 1, **edited: str) -> PastIteration:
    own = signatures(**edited)
    record = IterationRecord(
        f"{number:032x}", "w", number, "done", 0.0, outputs=json.dumps({"auc": auc} if auc is not None else {}),
        writer=json.dumps({"pid": pid}),
    )
    return PastIteration(record, tuple(
        PastNode(name, kind, inputs, own[name], name == "auc") for name, (kind, inputs) in CHAIN.items()
    ))


def current(**edited: str) -> tuple[NodeCosts, ...]:
    own = signatures(**edited)
    return tuple(
        NodeCosts(name, kind, own[name], inputs, 5.0, 1.0, 1.0, 100) for name, (kind, inputs) in CHAIN.items()
    )


def view(*iterations: PastIteration, stored: tuple[str, ...] = ()) -> CatalogView:
    artifacts = {
        name: ArtifactRecord(name, "a" * 32, "table", "published", "w", "rows", 1, 0.0, bytes=7) for name in stored
    }
    return CatalogView(
        "w", MappingProxyType(artifacts), (), iterations[-1].record if iterations else None, (), iterations,
        len(iterations) + 1, 0,
    )


def likely(scenarios: object) -> dict[str, float]:
    return {scenario.label: scenario.probability for scenario in scenarios}  # type: ignore[attr-defined]


def test_without_a_past_every_phase_is_as_likely() -> None:
    found = foresee(current(), (), view(), {})
    chances = likely(found.scenarios)
    assert chances["`model` is edited"] == pytest.approx(chances["`rows` is edited"])
    assert (found.horizon, found.fresh_process) == (8.0, 0.5)


def test_what_was_edited_before_is_likely_to_be_edited_again() -> None:
    history = [past(number, model="x" * number) for number in range(1, 8)]
    chances = likely(foresee(current(model="x" * 8), (), view(*history), {}).scenarios)
    assert chances["`model` is edited"] > 4 * chances["`rows` is edited"]


def test_the_edit_that_led_to_the_current_version_counts() -> None:
    history = [past(1)]
    before, after = (
        likely(foresee(current(**edited), (), view(*history), {}).scenarios)["`auc` is edited"]
        for edited in ({"model": "x"}, {"auc": "x"})
    )
    assert after > before


def test_an_edit_of_a_call_hits_all_that_the_call_asked() -> None:
    fits = [("model: Fit", 5.0), ("model: Fit #2", 5.0), ("size", 1.0)]
    nodes = tuple(NodeCosts(name, "learner", name, (), seconds, 1.0, 1.0, 100) for name, seconds in fits)
    hits = {one.label: one.hit for one in foresee(nodes, (), view(), {}, call_of=call_of).scenarios}
    assert hits["`model: Fit` is edited"] == {"model: Fit", "model: Fit #2"}
    assert hits["`size` is edited"] == {"size"}


def test_an_earlier_versions_answers_of_a_program_are_recorded_and_take_nothing() -> None:
    record = IterationRecord("1" * 32, "w", 1, "done", 0.0)
    before = PastIteration(record, (
        PastNode("model", "learner", (), "older model", True), PastNode("size", "answer", ("model",), "older", True),
    ))
    nodes = (
        NodeCosts("model", "learner", "model", (), 5.0, 1.0, 1.0, 100),
        NodeCosts("size", "reducer", "size", ("model",), 1.0, 0.0, 0.0, 0, stored=True),
    )
    (back,) = [one for one in foresee(nodes, (), view(before), {}).scenarios if one.version]
    assert {node.signature: node.stored for node in back.version} == {"older model": False, "older": True}


def test_a_node_that_differs_each_time_was_not_edited() -> None:
    history = [past(number, model=str(number)) for number in range(1, 8)]
    nodes = current(model="8")
    chances = likely(foresee(nodes, {"model", "auc"}, view(*history), {}).scenarios)
    assert chances["`model` is edited"] == pytest.approx(chances["`rows` is edited"])


def test_going_back_is_to_the_iteration_before_and_to_the_best() -> None:
    history = [past(1, 0.7), past(2, 0.9, model="x"), past(3, 0.8, model="y")]
    found = foresee(current(model="z"), (), view(*history, stored=("modelx",)), {
        "modelx": ResultRecord("modelx", "modelx", "w", "model", "learner", 2, compute_seconds=42.0)
    })
    back = {scenario.label: scenario for scenario in found.scenarios if scenario.version}
    assert set(back) == {"back to the best iteration (2)", "back to the iteration before (3)"}
    best = {node.name: node for node in back["back to the best iteration (2)"].version}
    assert (best["model"].signature, best["model"].compute_seconds, best["model"].stored) == ("modelx", 42.0, True)
    assert best["auc"].compute_seconds == 5.0, "not on record: as today's node of that name"
    assert back["back to the best iteration (2)"].outputs == {"auc"}


def test_the_current_version_is_nothing_to_go_back_to() -> None:
    found = foresee(current(), (), view(past(1, 0.9), past(2, 0.9)), {})
    assert not [scenario for scenario in found.scenarios if scenario.version]


def test_processes_of_their_own_are_expected_again() -> None:
    same = foresee(current(), (), view(*(past(number) for number in range(1, 11))), {}, writer='{"pid": 1}')
    fresh = foresee(
        current(), (), view(*(past(number, pid=number) for number in range(1, 11))), {}, writer='{"pid": 11}'
    )
    assert same.fresh_process < 0.15 < 0.85 < fresh.fresh_process


def test_a_change_of_habit_is_followed_within_a_few_iterations() -> None:
    apart = [past(number, pid=number) for number in range(1, 11)]
    together = [past(number, pid=11) for number in range(11, 15)]
    now = foresee(current(), (), view(*apart, *together), {}, writer='{"pid": 11}', one_run=False)
    assert now.fresh_process < 0.25


def test_after_a_process_for_one_run_the_next_iteration_is_in_another_whatever_was_before() -> None:
    together = [past(number) for number in range(1, 11)]
    assert foresee(current(), (), view(*together), {}, writer='{"pid": 1}', one_run=True).fresh_process == 1.0


def test_that_this_process_is_another_one_than_the_last_counts() -> None:
    same, fresh = (foresee(current(), (), view(past(1)), {}, writer=writer) for writer in ('{"pid": 1}', '{"pid": 2}'))
    assert (same.fresh_process, fresh.fresh_process) == (0.25, 0.75)


@pytest.mark.parametrize(("one_run", "expected"), [(True, 1.0), (False, 0.1), (None, 0.5)])
def test_what_the_process_is_for_tells_how_the_next_iteration_begins(one_run: bool | None, expected: float) -> None:
    assert foresee(current(), (), view(), {}, one_run=one_run).fresh_process == expected


def test_the_latest_starts_of_spark_tell_what_the_next_one_costs() -> None:
    def started(number: int, seconds: float | None) -> PastIteration:
        return replace(past(number), record=replace(past(number).record, start_seconds=seconds))

    def price(*iterations: PastIteration) -> float:
        return foresee(current(), (), view(*iterations), {}).start_price

    slow = [started(number, 60.0) for number in range(1, 4)]
    quick = [started(number, 1.0) for number in range(4, 9)]
    assert price(*slow, *quick, started(9, None)) < price(started(1, None))
    assert price(*slow) > 60


def test_iterations_whose_nodes_are_unknown_are_passed_over() -> None:
    died = replace(past(2), nodes=())
    chances = likely(foresee(current(model="x"), (), view(past(1), died), {}).scenarios)
    assert chances["`model` is edited"] > chances["`auc` is edited"]


def test_an_output_too_large_for_a_float_is_no_metric() -> None:
    huge = replace(past(1), record=replace(past(1).record, outputs=json.dumps({"auc": 10**400})))
    assert foresee(current(model="x"), (), view(huge), {}).scenarios


# What else is stored


def stored(signature: str, node: str, iteration: int, workflow: str = "w", seconds: float = 50.0) -> ArtifactRecord:
    return ArtifactRecord(
        signature, signature, "table", "published", workflow, node, iteration, 0.0, bytes=7, recompute_seconds=seconds
    )


def others(
    live: list[ArtifactRecord], seen: CatalogView, measured: Mapping[str, ResultRecord] = MappingProxyType({})
) -> dict[str, OtherArtifact]:
    """What is stored beside the results of the chain as it is without an edit."""
    problem = PlanningProblem(current(), frozenset(), budget=10**9)
    found = foresight.others_among(live, problem, RecordsRead(seen, measured))
    return {one.signature: one for one in found}


def test_a_result_is_as_old_as_the_newest_iteration_that_had_it() -> None:
    seen = view(past(1, model="x"), past(2, model="y"), past(3, model="x"), past(4))
    found = others([stored("modelx", "model", 1), stored("modely", "model", 2), stored("modelz", "model", 2)], seen)
    assert {name: one.age for name, one in found.items()} == {"modelx": 2, "modely": 3, "modelz": 3}


def test_what_the_current_version_has_is_no_other_result() -> None:
    assert others([stored("model", "model", 1), stored("modelx", "model", 1)], view(past(1))).keys() == {"modelx"}


def test_another_workflows_newest_result_of_a_node_is_its_current_one() -> None:
    theirs = [stored(f"theirs{number}", "rows", number, "theirs") for number in (2, 5, 9)]
    found = others([*theirs, stored("auc-theirs", "auc", 3, "theirs")], view(past(1)))
    assert {name: one.age for name, one in found.items()} == {
        "theirs2": 8, "theirs5": 5, "theirs9": 1, "auc-theirs": 1,
    }


def test_another_workflows_older_result_that_this_one_had_is_as_old_as_that() -> None:
    theirs = [stored("modelx", "model", 2, "theirs"), stored("newer", "model", 90, "theirs")]
    assert others(theirs, view(past(1, model="x"), past(2)))["modelx"].age == 2


def test_what_another_workflow_insists_on_is_told_and_draws_whose_ever_they_are() -> None:
    theirs = replace(stored("theirs", "model", 1, "theirs"), insisted=True)
    ours = replace(stored("x", "model", 1), insisted=True)
    shared = replace(stored("shared", "model", 1), insisted=True, insisted_by=("theirs",))
    draws = [replace(stored(f"draw-{own}", "rows", 1, own), fixed=True) for own in ("w", "theirs")]
    found = others([theirs, ours, shared, *draws], view(past(1)))
    assert {name: (bool(one.kept_for), one.fixed) for name, one in found.items()} == {
        "theirs": (True, False), "x": (False, False), "shared": (True, False),
        "draw-w": (False, True), "draw-theirs": (False, True),
    }
    assert {found[name].kept_for for name in ("theirs", "shared")} == {"workflow `theirs` asked for it"}


def test_what_is_made_from_a_stored_result_costs_no_more_to_have_again_than_from_there() -> None:
    seen = view(past(1, model="x"), past(2, rows="y"), stored=("rows",))
    measured = {"modelx": ResultRecord("modelx", "modelx", "w", "model", "learner", 1, compute_seconds=42.0)}
    live = [stored("rows", "rows", 1), stored("modelx", "model", 1), stored("aucy", "auc", 2)]
    found = others(live, seen, measured)
    load = LOAD["table"].seconds(7)
    assert past_lineage(current(), seen, measured)["rows"].load_seconds == 1.0, "today's figures count first"
    assert found["modelx"].seconds_again == pytest.approx(42.0 + 1.0)
    assert found["aucy"].seconds_again == pytest.approx(15.0), "not on record: as today's namesakes"
    assert found["modelx"].load_seconds == load


def test_what_nobody_knows_the_making_of_costs_what_its_record_says() -> None:
    foreign = stored("theirs", "rows", 3, "theirs")
    assert others([foreign], view(past(1)))["theirs"].seconds_again == 50.0
    gone = PastIteration(past(1).record, (PastNode("old", "scanner", (), "old", True),))
    assert "old" not in past_lineage(current(), view(gone), {})


def test_the_costs_of_what_may_come_back_are_looked_up() -> None:
    history = [past(1, 0.9, model="a"), past(2, 0.7, model="b"), past(3, 0.8, model="c"), past(4, 0.8, model="c")]
    asked = may_come_back(view(*history))
    assert {"modela", "modelb"} <= asked, "the best one, and the newest that differs from the one before"
    best_again = may_come_back(view(past(1, 0.8, model="a"), past(2, 0.7, model="b"), past(3, 0.9, model="c")))
    assert {"modela", "modelb"} <= best_again, "if the next one is as the last and best, the second best"
    assert may_come_back(view()) == set()
