"""What the forecast learns from a workflow's past."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_spark.costs.forecast import Edit, Prospect, edits, forecast
from helix_spark.planner.storage import NodeCosts, scenarios

KINDS = {"data": "source", "rows": "scanner", "age": "extractor", "model": "learner", "accuracy": "reducer"}


def chances(prospects: tuple[Prospect, ...]) -> dict[str, float]:
    return {prospect.label: prospect.probability for prospect in prospects}


def test_beforehand_each_phase_is_as_likely_as_any_other() -> None:
    found = chances(forecast(KINDS))
    preparation = found["`data` is edited"] + found["`rows` is edited"] + found["`age` is edited"]
    assert preparation == pytest.approx(found["`model` is edited"])
    assert preparation == pytest.approx(found["`accuracy` is edited"])


def test_a_node_that_is_edited_again_and_again_is_expected_to_be() -> None:
    found = chances(forecast(KINDS, [Edit(frozenset({"model"}))] * 10))
    assert found["`model` is edited"] > 0.7
    assert found["`rows` is edited"] < 0.05


def test_what_happened_lately_counts_for_more() -> None:
    model, rows = Edit(frozenset({"model"})), Edit(frozenset({"rows"}))
    found = chances(forecast(KINDS, [rows] * 10 + [model] * 10))
    assert found["`model` is edited"] > found["`rows` is edited"]


def test_nodes_hit_together_are_expected_together() -> None:
    found = chances(forecast(KINDS, [Edit(frozenset({"model", "accuracy"}))] * 3))
    assert found["`accuracy` and `model` are edited"] > 0.3


def test_going_back_needs_somewhere_to_go() -> None:
    assert not any(prospect.back_to for prospect in forecast(KINDS))
    found = [prospect for prospect in forecast(KINDS, best=2, previous=4) if prospect.back_to]
    assert sorted(prospect.back_to or 0 for prospect in found) == [2, 4]


def test_going_back_is_to_the_nodes_of_then() -> None:
    nodes = (NodeCosts("rows", "scanner", "r", (), 1.0, 1.0, 1.0, 1),)
    then = (nodes, frozenset({"rows"}))
    found = scenarios(forecast(KINDS, best=2, previous=4), {2: then, 4: then})
    assert [(one.version, one.outputs) for one in found if one.version] == [then, then]


def test_new_data_is_told_from_an_edit_by_what_it_hits() -> None:
    first = {"data": ("d1", ()), "rows": ("r1", ("data",))}
    second = {"data": ("d2", ()), "rows": ("r2", ("data",))}
    assert edits([first, second], KINDS) == (Edit(frozenset({"data"}), grew=True),)


HISTORY = st.lists(
    st.builds(Edit, st.frozensets(st.sampled_from([*KINDS, "gone"]), max_size=3), st.booleans(), st.booleans()),
    max_size=30,
)


@given(HISTORY, st.none() | st.integers(1, 5), st.none() | st.integers(1, 5))
def test_probabilities_sum_to_one(history: list[Edit], best: int | None, previous: int | None) -> None:
    prospects = forecast(KINDS, history, best=best, previous=previous)
    assert sum(prospect.probability for prospect in prospects) == pytest.approx(1.0)
    assert all(0 < prospect.probability <= 1 for prospect in prospects)
