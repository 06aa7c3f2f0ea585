"""Forecasts in the planner's terms: prospects become scenarios."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from helix_spark.costs.forecast import Prospect, forecast
from helix_spark.planner.storage import NodeCosts, PlanningProblem, Scenario

Version = tuple[tuple[NodeCosts, ...], frozenset[str]]
"""Nodes (inputs first) and outputs of an iteration."""


def scenarios(prospects: Iterable[Prospect], versions: Mapping[int, Version] | None = None) -> tuple[Scenario, ...]:
    """One scenario a prospect. Going back to an iteration that is not in `versions` cannot be planned for; its
    probability goes to the others.

    Args:
        versions: earlier iterations by number.
    """
    known = versions or {}
    kept = [prospect for prospect in prospects if prospect.back_to is None or prospect.back_to in known]
    total = sum(prospect.probability for prospect in kept) or 1.0
    return tuple(_scenario(prospect, total, known) for prospect in kept)


def default_scenarios(problem: PlanningProblem) -> tuple[Scenario, ...]:
    """Return what may come next when only the kinds of the nodes are known."""
    return scenarios(forecast({node.name: node.kind for node in problem.nodes}))


def _scenario(prospect: Prospect, total: float, versions: Mapping[int, Version]) -> Scenario:
    probability = prospect.probability / total
    if prospect.back_to is None:
        return Scenario(probability, prospect.hit, prospect.label)
    nodes, outputs = versions[prospect.back_to]
    return Scenario(probability, prospect.hit, prospect.label, nodes, outputs)
