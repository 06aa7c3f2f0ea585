"""What a policy is told of the future: the true frequencies, what can be learned from the past, or nothing."""

from __future__ import annotations

from collections.abc import Callable

from helix_spark.costs.forecast import Prospect, forecast
from helix_spark.planner.storage import Scenario, scenarios
from tests.simulation.work import BACK, GROWTH, RERUN, Work, targets

Forecaster = Callable[[Work, int], tuple[Scenario, ...]]
"""Of a work and the number of its current iteration."""


def true(work: Work, number: int) -> tuple[Scenario, ...]:
    """The frequencies that the script was drawn from."""
    back = [target for target in targets(work.script[: number + 1]) if target is not None]
    prospects = [Prospect(RERUN, frozenset(), "nothing is edited")]
    sources = frozenset(node.name for node in work.nodes if node.kind == "source")
    prospects.append(Prospect(GROWTH, sources, "the data grows"))
    prospects += [Prospect(BACK / len(back), frozenset(), f"back to {target}", target) for target in back]
    left = 1 - RERUN - GROWTH - (BACK if back else 0)
    prospects += [
        Prospect(left * share, frozenset({name}), f"`{name}` is edited") for name, share in work.frequencies.items()
    ]
    return _scenarios(work, prospects)


def learned(work: Work, number: int) -> tuple[Scenario, ...]:
    """Priors by kind, and the edits so far."""
    past = work.script[: number + 1]
    best, previous = targets(past)
    history = [iteration.edit for iteration in past[1:]]
    kinds = {node.name: node.kind for node in work.nodes}
    return _scenarios(work, forecast(kinds, history, best=best, previous=previous))


def even(work: Work, number: int) -> tuple[Scenario, ...]:
    """Every node is as likely as any other to be edited next, and nothing else happens."""
    share = 1 / len(work.nodes)
    return _scenarios(work, [
        Prospect(share, frozenset({node.name}), f"`{node.name}` is edited") for node in work.nodes
    ])


def none(work: Work, number: int) -> tuple[Scenario, ...]:
    """For policies that do not look ahead."""
    return ()


def _scenarios(work: Work, prospects: list[Prospect] | tuple[Prospect, ...]) -> tuple[Scenario, ...]:
    versions = {}
    for prospect in prospects:
        if prospect.back_to is not None:
            version = work.version(prospect.back_to)
            versions[prospect.back_to] = (version.nodes, version.outputs)
    return scenarios(prospects, versions)
