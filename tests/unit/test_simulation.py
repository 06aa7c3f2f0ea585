"""The simulation's lower bound is one: no choices are below it, and choices are charged what they really take."""

from __future__ import annotations

import pytest

from benchmarks.simulation import forecasters
from benchmarks.simulation.limit import expected_seconds, limit
from benchmarks.simulation.replay import replay
from benchmarks.simulation.work import draw
from helix_spark.planner.joint import Joint
from helix_spark.planner.policies import Always, Never, Rule
from helix_spark.planner.storage import Policy


@pytest.mark.parametrize("seed", [0, 1, 7])
@pytest.mark.parametrize("share", [0.3, None])
@pytest.mark.parametrize("policy", [Joint(), Always(), Never(), Rule(purge=True)], ids=lambda policy: policy.name)
def test_no_policy_is_below_the_limit(seed: int, share: float | None, policy: Policy) -> None:
    work = draw(seed)
    budget = None if share is None else int(share * work.version_bytes)
    forecaster = forecasters.true if policy.name == "joint" else forecasters.none
    course = replay(work, budget, policy, forecaster)
    assert limit(work, budget) <= expected_seconds(work, course.kept) * (1 + 1e-6)


def test_with_room_for_nothing_the_limit_is_to_compute_everything() -> None:
    work = draw(3)
    nothing = (frozenset[str](),) * len(work.script)
    assert limit(work, 0) == pytest.approx(expected_seconds(work, nothing))


def test_choices_are_charged_what_they_take_in_the_mean() -> None:
    taken, charged = [], []
    for seed in range(4000, 4100):
        work = draw(seed)
        course = replay(work, None, Always(), forecasters.none)
        scale = sum(node.compute_seconds for node in work.nodes)
        taken.append(course.seconds / scale)
        charged.append(expected_seconds(work, course.kept) / scale)
    # The standard error of their difference is 2 %: a script is seldom an average one.
    assert sum(taken) == pytest.approx(sum(charged), rel=0.05)
