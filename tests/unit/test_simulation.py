"""The simulation's lower bound is one: no choices are below it, and choices are charged what they really take. And its
oracle knows what comes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from helix_spark.planner.joint import ALWAYS, NEVER, Joint
from helix_spark.planner.problem import State
from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem, Policy
from tests.simulation import forecasters
from tests.simulation.limit import expected_seconds, limit
from tests.simulation.oracle import Oracle, Version, foresee
from tests.simulation.recreation import Recreation
from tests.simulation.replay import replay
from tests.simulation.rule import RULE_PURGE
from tests.simulation.work import draw


@cache
def lower_bound(seed: int, budget: int | None) -> float:
    return limit(draw(seed), budget)


@pytest.mark.parametrize("seed", [0, 1, 7])
@pytest.mark.parametrize("share", [0.3, None])
@pytest.mark.parametrize("policy", [Joint(), ALWAYS, NEVER, RULE_PURGE], ids=lambda policy: policy.name)
def test_no_policy_is_below_the_limit(seed: int, share: float | None, policy: Policy) -> None:
    work = draw(seed)
    budget = None if share is None else int(share * work.version_bytes)
    forecaster = forecasters.true if policy.name == "joint" else forecasters.none
    course = replay(work, budget, policy, forecaster)
    assert lower_bound(seed, budget) <= expected_seconds(work, course.kept) * (1 + 1e-6)


def test_with_room_for_nothing_the_limit_is_to_compute_everything() -> None:
    work = draw(3)
    nothing = (frozenset[str](),) * len(work.script)
    assert limit(work, 0) == pytest.approx(expected_seconds(work, nothing))


def test_choices_are_charged_what_they_take_in_the_mean() -> None:
    taken, charged = [], []
    for seed in range(4000, 4100):
        work = draw(seed)
        course = replay(work, None, ALWAYS, forecasters.none)
        scale = sum(node.compute_seconds for node in work.nodes)
        taken.append(course.seconds / scale)
        charged.append(expected_seconds(work, course.kept) / scale)
    # The standard error of their difference is 2 %: a script is seldom an average one.
    assert sum(taken) == pytest.approx(sum(charged), rel=0.05)


ROWS = NodeCosts("rows", "scanner", "s-rows", (), 40.0, 2.0, 3.0, 100)
COUNTS = NodeCosts("counts", "extractor", "s-counts", ("rows",), 1.0, 30.0, 3.0, 50)
MODEL = NodeCosts("model", "learner", "s-model", ("rows", "counts"), 10.0, 0.1, 0.2, 10)
PAST = OtherArtifact("s-past", "w", "rows", 100, 1.0, 0.5, 3)


def test_the_oracle_stores_only_what_a_later_iteration_needs() -> None:
    edited = replace(MODEL, signature="s-model-2")
    script = [Version((ROWS, COUNTS, model), frozenset({"model"})) for model in (MODEL, edited, MODEL)]
    foresight = foresee(script, None)
    first, second, third = (kept for _, kept in foresight.steps)
    assert first == {"s-rows", "s-model"}
    assert second == {"s-model"}
    assert third == set()
    # rows, counts, model and two writes; then load rows, counts, model; then the first model again.
    assert foresight.seconds == pytest.approx((40 + 1 + 10 + 3 + 0.2) + (2 + 1 + 10) + 0.1)
    assert foresight.bound <= foresight.seconds


def test_the_oracle_keeps_to_the_budget() -> None:
    edited = replace(MODEL, signature="s-model-2")
    script = [Version((ROWS, COUNTS, model), frozenset({"model"})) for model in (MODEL, edited, MODEL)]
    foresight = foresee(script, 100)
    assert all(sum({"s-rows": 100, "s-model": 10}[name] for name in kept) <= 100 for _, kept in foresight.steps)
    problem = PlanningProblem(script[1].nodes, script[1].outputs)
    assert Oracle(foresight).at(1).decide(problem).solution.state("rows") is State.LOAD


@pytest.mark.parametrize(("budget", "kept"), [
    (120, {"s-rows", "s-model"}),
    (100, {"s-model", "s-counts"}),
])
def test_recreation_keeps_what_saves_most_per_byte(budget: int, kept: set[str]) -> None:
    problem = PlanningProblem((ROWS, COUNTS, MODEL), frozenset({"model"}), budget=budget, others=(PAST,))
    decision = Recreation().decide(problem)
    assert decision.keep == kept
    assert decision.evict == {"s-past"}


def test_recreation_says_why() -> None:
    nodes = (replace(ROWS, compute_seconds=400.0), COUNTS, MODEL)
    problem = PlanningProblem(nodes, frozenset({"model"}), others=(PAST,))
    reasons = Recreation().decide(problem).reasons
    assert reasons["s-rows"] == "kept: it saves 6.6 min when it is needed again"
    assert reasons["s-past"] == "evicted: recreating it is no slower than loading it"
