"""What each policy keeps and evicts, and how they compare on simulated work."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from helix_spark.planner.joint import ALWAYS, NEVER, Joint
from helix_spark.planner.problem import State
from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem, Policy
from tests.simulation.rule import RULE, RULE_PURGE

ROWS = NodeCosts("rows", "scanner", "s-rows", (), 40.0, 2.0, 3.0, 100)
COUNTS = NodeCosts("counts", "extractor", "s-counts", ("rows",), 1.0, 30.0, 3.0, 50)
MODEL = NodeCosts("model", "learner", "s-model", ("rows", "counts"), 10.0, 0.1, 0.2, 10)
PROBLEM = PlanningProblem((ROWS, COUNTS, MODEL), frozenset({"model"}))
PAST = OtherArtifact("s-past", "w", "rows", 100, 1.0, 0.5, 3)
POLICIES: tuple[Policy, ...] = (Joint(), NEVER, ALWAYS, RULE, RULE_PURGE)


def test_never_stores_nothing_and_evicts_nothing() -> None:
    decision = NEVER.decide(replace(PROBLEM, others=(PAST,)))
    assert (decision.keep, decision.evict) == (set(), set())


def test_always_stores_in_the_order_of_the_graph_while_the_budget_lasts() -> None:
    assert ALWAYS.decide(replace(PROBLEM, budget=120)).keep == {"s-rows", "s-model"}


def test_the_rule_stores_what_costs_more_than_two_loads() -> None:
    assert RULE.decide(PROBLEM).keep == {"s-rows", "s-model"}


@pytest.mark.parametrize(("purge", "evicted"), [(False, set()), (True, {"s-past"})])
def test_only_the_purging_rule_evicts_what_the_version_no_longer_has(purge: bool, evicted: set[str]) -> None:
    decision = (RULE_PURGE if purge else RULE).decide(replace(PROBLEM, others=(PAST,)))
    assert decision.evict == evicted


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("budget", [0, 1, 60, 110, 200])
def test_no_policy_exceeds_the_budget(policy: Policy, budget: int) -> None:
    stored = (replace(ROWS, stored=True), COUNTS, MODEL)
    decision = policy.decide(replace(PROBLEM, nodes=stored, others=(PAST,), budget=budget))
    sizes = {node.signature: node.bytes for node in stored} | {PAST.signature: PAST.bytes}
    left = decision.keep | ({"s-past"} - decision.evict)
    assert sum(sizes[name] for name in left) <= budget
    assert ("s-rows" in decision.keep) is not ("s-rows" in decision.evict)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_every_policy_heeds_the_authors_wishes(policy: Policy) -> None:
    nodes = (replace(ROWS, stored=True, keep="never"), replace(COUNTS, keep="always"), replace(MODEL, storable=False))
    decision = policy.decide(replace(PROBLEM, nodes=nodes))
    assert decision.solution.state("rows") is State.LOAD
    assert decision.keep == {"s-counts"}
    assert decision.evict == {"s-rows"}


THEIRS = replace(PAST, signature="s-theirs", workflow="theirs", kept_for="theirs")
DRAW = replace(PAST, signature="s-draw", fixed=True)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_no_policy_makes_room_of_what_another_workflow_insists_on(policy: Policy) -> None:
    nodes = (replace(ROWS, stored=True), COUNTS, replace(MODEL, keep="always"))
    decision = policy.decide(replace(PROBLEM, nodes=nodes, others=(PAST, THEIRS), budget=115))
    assert decision.keep == {"s-model"}
    assert decision.evict == {"s-past", "s-rows"}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize(("wish", "evicted"), [("auto", "s-rows"), ("always", "s-draw")])
def test_a_draw_of_the_past_goes_for_nothing_but_a_wish(
    policy: Policy, wish: Literal["auto", "always"], evicted: str
) -> None:
    nodes = (replace(ROWS, stored=True, keep=wish), replace(COUNTS, keep="never"), replace(MODEL, keep="never"))
    decision = policy.decide(replace(PROBLEM, nodes=nodes, others=(DRAW,), budget=115))
    assert decision.evict == {evicted}
