"""What a plan expects to come next, from iterations on record."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType

import pytest

from helix_spark.catalog.records import ArtifactRecord, IterationRecord, ResultRecord
from helix_spark.catalog.view import CatalogView, PastIteration, PastNode
from helix_spark.costs.starting import start_price
from helix_spark.engine.foresight import foresee
from helix_spark.planner.storage import NodeCosts

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
        PastNode(name, kind, inputs, own[name], own[name], name == "auc") for name, (kind, inputs) in CHAIN.items()
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
    assert same.fresh_process < 0.1 < 0.9 < fresh.fresh_process


def test_that_this_process_is_another_one_than_the_last_counts() -> None:
    same, fresh = (foresee(current(), (), view(past(1)), {}, writer=writer) for writer in ('{"pid": 1}', '{"pid": 2}'))
    assert (same.fresh_process, fresh.fresh_process) == (0.25, 0.75)


@pytest.mark.parametrize(("one_run", "expected"), [(True, 0.9), (False, 0.1), (None, 0.5)])
def test_what_the_process_is_for_tells_how_the_next_iteration_begins(one_run: bool | None, expected: float) -> None:
    assert foresee(current(), (), view(), {}, one_run=one_run).fresh_process == expected


def test_the_latest_starts_of_spark_tell_what_the_next_one_costs() -> None:
    def started(number: int, seconds: float | None) -> PastIteration:
        return replace(past(number), record=replace(past(number).record, start_seconds=seconds))

    def price(*iterations: PastIteration) -> float:
        return start_price(foresee(current(), (), view(*iterations), {}).starts)

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
