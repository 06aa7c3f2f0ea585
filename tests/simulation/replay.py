"""Runs a policy through a script of edits, by true costs, whatever the policy believes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from helix_spark.costs.forecast import horizon
from helix_spark.planner.candidates import WRITE_WEIGHT
from helix_spark.planner.problem import State
from helix_spark.planner.storage import Decision, NodeCosts, OtherArtifact, PlanningProblem, Policy
from tests.simulation.forecasters import Forecaster
from tests.simulation.oracle import Oracle, Version
from tests.simulation.work import Work

Beliefs = Callable[[NodeCosts], NodeCosts]
"""What a policy takes a node's costs to be."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """An artifact, and when the workflow last had its result."""

    node: NodeCosts
    recreation_seconds: float
    had: int


@dataclass(frozen=True, slots=True)
class Course:
    """What a policy's iterations took in all.

    Attributes:
        seconds: of loads, computations and writes.
        planning_seconds: of the policy itself.
        bytes_written: of all results it stored.
        kept: signatures of what was stored after each iteration.
    """

    seconds: float
    planning_seconds: float
    bytes_written: int
    kept: tuple[frozenset[str], ...] = ()


def exact(node: NodeCosts) -> NodeCosts:
    """Costs as they are."""
    return node


def wrong(seed: int, factor: float = 3.0) -> Beliefs:
    """Each node's compute, load and write seconds wrong by a factor of its own, log-uniform, and never corrected."""
    def believed(node: NodeCosts) -> NodeCosts:
        rng = random.Random(f"{seed} {node.name}")
        errors = [factor ** rng.uniform(-1, 1) for _ in range(3)]
        return replace(
            node, compute_seconds=node.compute_seconds * errors[0], load_seconds=node.load_seconds * errors[1],
            write_seconds=node.write_seconds * errors[2],
        )
    return believed


def replay(
    work: Work, budget: int | None, policy: Policy, forecaster: Forecaster, believed: Beliefs = exact
) -> Course:
    """The whole script under one policy, beginning with nothing stored.

    Raises:
        AssertionError: if the policy loads what is not stored, keeps what was not had, or exceeds the budget.
    """
    store: dict[str, _Stored] = {}
    seconds = planning = 0.0
    written = 0
    kept: list[frozenset[str]] = []
    for number in range(len(work.script)):
        version = work.version(number)
        problem = _problem(work, number, version, store, budget, forecaster, believed)
        decision = (policy.at(number) if isinstance(policy, Oracle) else policy).decide(problem)
        planning += decision.certificate.solver_seconds
        new = decision.keep - store.keys()
        _check(version, decision, store)
        seconds += _true_seconds(version, decision, new)
        store = _store_after(version, decision, store, number)
        written += sum(store[signature].node.bytes for signature in new)
        assert budget is None or sum(stored.node.bytes for stored in store.values()) <= budget
        kept.append(frozenset(store))
    return Course(seconds, planning, written, tuple(kept))


def _problem(
    work: Work, number: int, version: Version, store: dict[str, _Stored], budget: int | None, forecaster: Forecaster,
    believed: Beliefs,
) -> PlanningProblem:
    nodes = tuple(replace(believed(node), stored=node.signature in store) for node in version.nodes)
    current = {node.signature for node in nodes}
    others = tuple(
        OtherArtifact(
            signature, "simulated", stored.node.name, stored.node.bytes, believed(stored.node).load_seconds,
            stored.recreation_seconds, number - stored.had,
        )
        for signature, stored in store.items() if signature not in current
    )
    scenarios = tuple(
        replace(scenario, version=tuple(believed(node) for node in scenario.version))
        for scenario in forecaster(work, number)
    )
    return PlanningProblem(nodes, version.outputs, budget, 0, others, scenarios, horizon(number + 1))


def _check(version: Version, decision: Decision, store: dict[str, _Stored]) -> None:
    signatures = {node.name: node.signature for node in version.nodes}
    computed = set()
    for way in decision.solution.chosen.values():
        assert way.state is State.COMPUTE or signatures[way.node] in store
        assert all(need in decision.solution.chosen for need in way.needs)
        if way.state is State.COMPUTE:
            computed.add(signatures[way.node])
    assert version.outputs <= decision.solution.chosen.keys()
    assert decision.keep <= computed | store.keys()


def _true_seconds(version: Version, decision: Decision, new: frozenset[str]) -> float:
    total = 0.0
    for node in version.nodes:
        state = decision.solution.state(node.name)
        total += node.compute_seconds if state is State.COMPUTE else 0.0
        total += node.load_seconds if state is State.LOAD else 0.0
        total += WRITE_WEIGHT * node.write_seconds if node.signature in new else 0.0
    return total


def _store_after(
    version: Version, decision: Decision, store: dict[str, _Stored], number: int
) -> dict[str, _Stored]:
    after = {signature: stored for signature, stored in store.items() if signature not in decision.evict}
    made_from: dict[str, frozenset[str]] = {}
    own = {node.name: node.compute_seconds for node in version.nodes}
    for node in version.nodes:
        made_from[node.name] = frozenset({node.name}).union(*(made_from[name] for name in node.inputs))
        if node.signature in decision.keep:
            anew = sum(own[name] for name in made_from[node.name])
            after[node.signature] = _Stored(node, anew, number)
    return after
