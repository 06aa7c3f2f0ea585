"""Every policy through every drawn work at every budget, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from helix_spark.planner.joint import ALWAYS, NEVER, Joint
from helix_spark.planner.storage import Policy
from tests.simulation import forecasters
from tests.simulation.forecasters import Forecaster
from tests.simulation.limit import expected_seconds, limit
from tests.simulation.oracle import Oracle, foresee
from tests.simulation.recreation import Recreation
from tests.simulation.replay import Beliefs, exact, replay, wrong
from tests.simulation.rule import RULE, RULE_PURGE
from tests.simulation.work import Work, draw

BUDGETS: tuple[float | None, ...] = (0.1, 0.3, 1.0, None)
"""Shares of one version's bytes; None for no limit."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A policy, what it is told of the future, and what it believes of costs (given the work's seed)."""

    policy: Policy
    forecaster: Forecaster = forecasters.none
    believed: Callable[[int], Beliefs] = lambda seed: exact


ENTRANTS: dict[str, Entrant] = {
    "joint": Entrant(Joint(), forecasters.true),
    "joint_learned": Entrant(Joint(), forecasters.learned),
    "joint_uniform": Entrant(Joint(), forecasters.even),
    "joint_wrong": Entrant(Joint(), forecasters.even, wrong),
    "rule": Entrant(RULE),
    "rule_purge": Entrant(RULE_PURGE),
    "always": Entrant(ALWAYS),
    "never": Entrant(NEVER),
    "recreation": Entrant(Recreation()),
}
"""By name. `joint` knows the true edit frequencies, `joint_wrong` takes costs for up to 3x more or less."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Cumulative seconds of one policy on one work with one budget, and of the oracle (with the bound it proved)."""

    seed: int
    shape: str
    budget: float | None
    policy: str
    seconds: float
    planning_seconds: float
    oracle_seconds: float
    oracle_bound: float

    @property
    def regret(self) -> float:
        """Cumulative time over the oracle's."""
        return self.seconds / self.oracle_seconds


def outcomes(seed: int, names: Sequence[str] = tuple(ENTRANTS)) -> list[Outcome]:
    """All policies on the work that a seed stands for, at every budget."""
    work = draw(seed)
    found: list[Outcome] = []
    for share in BUDGETS:
        budget = None if share is None else int(share * work.version_bytes)
        best, bound = _oracle(work, budget)
        for name in names:
            entrant = ENTRANTS[name]
            course = replay(work, budget, entrant.policy, entrant.forecaster, entrant.believed(seed))
            found.append(
                Outcome(seed, work.shape, share, name, course.seconds, course.planning_seconds, best, bound)
            )
    return found


@dataclass(frozen=True, slots=True)
class Standing:
    """How near one work's `joint`, with true frequencies, is to what no policy can beat without knowing the script.

    Attributes:
        seconds: what it took.
        expected_seconds, limit_seconds: see `tests.simulation.limit`.
        oracle_seconds: what the oracle took.
        scale: seconds of one whole version: what makes works comparable, whatever their script.
    """

    seed: int
    budget: float | None
    seconds: float
    expected_seconds: float
    limit_seconds: float
    oracle_seconds: float
    scale: float


def standings(seed: int) -> list[Standing]:
    """`joint` against the limit, on the work that a seed stands for, at every budget."""
    work = draw(seed)
    scale = sum(node.compute_seconds for node in work.nodes)
    found: list[Standing] = []
    for share in BUDGETS:
        budget = None if share is None else int(share * work.version_bytes)
        entrant = ENTRANTS["joint"]
        course = replay(work, budget, entrant.policy, entrant.forecaster)
        expected = expected_seconds(work, course.kept)
        best, _ = _oracle(work, budget)
        found.append(Standing(seed, share, course.seconds, expected, limit(work, budget), best, scale))
    return found


def _oracle(work: Work, budget: int | None) -> tuple[float, float]:
    """The oracle's seconds, by replay as for any other policy, and its bound."""
    foresight = foresee([work.version(number) for number in range(len(work.script))], budget)
    return replay(work, budget, Oracle(foresight), forecasters.none).seconds, foresight.bound


def geometric_mean(values: Iterable[float]) -> float:
    """
    >>> geometric_mean([1.0, 4.0])
    2.0
    """
    listed = list(values)
    return math.exp(sum(math.log(value) for value in listed) / len(listed))


def select(found: Iterable[Outcome], budget: float | None, policy: str) -> list[Outcome]:
    """The outcomes of one policy at one budget, in the order of seeds."""
    return sorted(
        (outcome for outcome in found if (outcome.budget, outcome.policy) == (budget, policy)),
        key=lambda outcome: outcome.seed,
    )


def faster(found: Sequence[Outcome], budget: float | None, policy: str, than: str) -> float:
    """Geometric mean of how many times less time one policy takes than another, over the same works."""
    pairs = zip(select(found, budget, than), select(found, budget, policy), strict=True)
    return geometric_mean(slow.seconds / quick.seconds for slow, quick in pairs)
