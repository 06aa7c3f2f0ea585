"""Costs that make no sense, put right and named: a plan is made whatever the figures are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem, Scenario

LARGEST = 1e9
"""Seconds, thirty years. Beyond it a figure is a mistake, and would drown the others in the solver's arithmetic."""

_SECONDS = ("compute_seconds", "load_seconds", "write_seconds")


@dataclass(frozen=True, slots=True)
class Sane:
    """A problem without absurd figures, and in words which were replaced."""

    problem: PlanningProblem
    replaced: tuple[str, ...] = ()


def sane(problem: PlanningProblem) -> Sane:
    """Replace seconds that are not numbers, negative or beyond `LARGEST` by the median of the others of their sort.

    Sizes below zero count as zero, probabilities that are no probabilities as impossible.

    >>> rows = NodeCosts("rows", "scanner", "r", (), float("nan"), 1.0, 1.0, 10)
    >>> what = sane(PlanningProblem((rows,), frozenset({"rows"})))
    >>> what.replaced, what.problem.nodes[0].compute_seconds
    (('the compute seconds of `rows` (nan)',), 1.0)
    """
    replaced: list[str] = []
    nodes = _nodes(problem.nodes, replaced)
    others = tuple(_sane_other(other, replaced) for other in problem.others)
    scenarios = tuple(_scenario(scenario, replaced) for scenario in problem.scenarios)
    horizon, session, price = problem.horizon, problem.session_seconds, problem.start_price
    fresh = problem.fresh_process
    if not math.isfinite(horizon) or horizon < 0:
        replaced.append(f"the horizon ({horizon})")
        horizon = 1.0
    if _absurd(session):
        replaced.append(f"the seconds that needing Spark costs ({session})")
        session = 0.0
    if _absurd(price):
        replaced.append(f"the seconds that starting Spark takes ({price})")
        price = 0.0
    if not (math.isfinite(fresh) and 0 <= fresh <= 1):
        replaced.append(f"the probability of a new process ({fresh})")
        fresh = 0.0
    if not replaced:
        return Sane(problem)
    cleaned = replace(
        problem, nodes=nodes, others=others, scenarios=scenarios, horizon=horizon, session_seconds=session,
        start_price=price, fresh_process=fresh,
    )
    return Sane(cleaned, tuple(replaced))


def _absurd(seconds: float) -> bool:
    return not (math.isfinite(seconds) and 0 <= seconds <= LARGEST)


def _nodes(nodes: Sequence[NodeCosts], replaced: list[str]) -> tuple[NodeCosts, ...]:
    usual = {name: _usual(getattr(node, name) for node in nodes) for name in _SECONDS}
    return tuple(_node(node, usual, replaced) for node in nodes)


def _usual(seconds: Iterable[float]) -> float:
    known = [value for value in seconds if not _absurd(value)]
    return median(known) if known else 1.0


def _node(node: NodeCosts, usual: dict[str, float], replaced: list[str]) -> NodeCosts:
    wrong = {name: usual[name] for name in _SECONDS if _absurd(getattr(node, name))}
    replaced.extend(f"the {name.replace('_', ' ')} of `{node.name}` ({getattr(node, name)})" for name in wrong)
    if node.bytes < 0:
        replaced.append(f"the bytes of `{node.name}` ({node.bytes})")
    if not wrong and node.bytes >= 0:
        return node
    costs = {name: wrong.get(name, getattr(node, name)) for name in _SECONDS}
    return replace(node, **costs, bytes=max(0, node.bytes))


def _sane_other(other: OtherArtifact, replaced: list[str]) -> OtherArtifact:
    if not (_absurd(other.load_seconds) or _absurd(other.seconds_again) or other.bytes < 0):
        return other
    replaced.append(f"the figures of the stored `{other.node}` of {other.workflow}")
    # Nothing is known of what it saves, so it is worth nothing beyond the room that is left.
    return replace(other, load_seconds=0.0, compute_seconds=0.0, marginal_seconds=None, bytes=max(0, other.bytes))


def _scenario(scenario: Scenario, replaced: list[str]) -> Scenario:
    possible = math.isfinite(scenario.probability) and scenario.probability >= 0
    if not possible:
        replaced.append(f"the probability of {scenario.label!r} ({scenario.probability})")
    version = _nodes(scenario.version, replaced)
    if possible and version == scenario.version:
        return scenario
    return replace(scenario, probability=scenario.probability if possible else 0.0, version=version)
