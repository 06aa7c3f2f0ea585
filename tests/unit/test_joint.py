"""The joint program against brute force over every state and every set that may be kept."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace

import pytest

from helix_spark.planner.candidates import TIE, afterlife, candidates, lifetime
from helix_spark.planner.joint import Joint
from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem, Scenario


def random_nodes(rng: random.Random, count: int, version: str = "") -> tuple[NodeCosts, ...]:
    nodes: list[NodeCosts] = []
    for index in range(count):
        inputs = tuple(node.name for node in rng.sample(nodes, rng.randint(0, min(index, 3))))
        nodes.append(NodeCosts(
            f"n{index}", rng.choice(["scanner", "extractor", "learner", "reducer"]), f"s{index}{version}", inputs,
            compute_seconds=rng.uniform(0, 10), load_seconds=rng.uniform(0, 4), write_seconds=rng.uniform(0, 2),
            bytes=rng.randint(0, 40), stored=not version and rng.random() < 0.3, storable=rng.random() < 0.85,
            keep=rng.choice(["auto"] * 10 + ["never", "always"]), recompute=rng.random() < 0.05,
        ))
    return tuple(replace(node, stored=node.stored and node.storable) for node in nodes)


def random_problem(seed: int) -> PlanningProblem:
    rng = random.Random(seed)
    nodes = random_nodes(rng, rng.randint(1, 6))
    names = [node.name for node in nodes]
    outputs = frozenset(rng.sample(names, rng.randint(1, min(2, len(names)))))
    weights = [rng.random() for _ in range(len(names) + 2)]
    scenarios = [
        Scenario(weight / sum(weights), frozenset({name}), name) for name, weight in zip(names, weights, strict=False)
    ]
    scenarios.append(Scenario(weights[-2] / sum(weights), frozenset(), "nothing is edited"))
    # An earlier version: the last nodes have other signatures, some of which are stored.
    split = rng.randrange(len(nodes))
    older = tuple(
        replace(node, signature=node.signature + "old", stored=False) if index >= split else node
        for index, node in enumerate(nodes)
    )
    scenarios.append(Scenario(weights[-1] / sum(weights), frozenset(), "back", older, outputs))
    others = tuple(
        OtherArtifact(node.signature, "w", node.name, node.bytes, node.load_seconds, 5.0, 1)
        for node in older[split:] if node.storable and rng.random() < 0.5
    )
    foreign = (OtherArtifact("f", "elsewhere", "rows", rng.randint(1, 40), 1.0, rng.uniform(0, 9), rng.randint(0, 2)),)
    budget = rng.choice([None, 0, rng.randint(1, 30), rng.randint(30, 120)])
    return PlanningProblem(nodes, outputs, budget, 0, others + foreign, tuple(scenarios), rng.uniform(1, 9), None, "w")


def cheapest(nodes: tuple[NodeCosts, ...], outputs: frozenset[str], loadable: set[str]) -> float:
    """Over all sets of computed nodes; the names in `loadable` may be loaded."""
    best = math.inf
    for computed in itertools.product([False, True], repeat=len(nodes)):
        picked = {node.name for node, pick in zip(nodes, computed, strict=True) if pick}
        needed = set(outputs) | {name for node in nodes if node.name in picked for name in node.inputs}
        loaded = needed - picked
        if loaded <= loadable:
            seconds = sum(
                node.compute_seconds if node.name in picked else node.load_seconds
                for node in nodes if node.name in picked | loaded
            )
            best = min(best, seconds)
    return best


def next_seconds(problem: PlanningProblem, kept: frozenset[str]) -> float:
    total = 0.0
    for scenario in problem.scenarios:
        nodes = scenario.version or problem.nodes
        lost: set[str] = set()
        for node in nodes:
            if node.name in scenario.hit or lost & set(node.inputs):
                lost.add(node.name)
        loadable = {node.name for node in nodes
                    if node.signature in kept and node.name not in lost and not node.recompute}
        outputs = scenario.outputs if scenario.version else problem.outputs
        total += scenario.probability * cheapest(nodes, outputs, loadable)
    return total


def kept_cost(problem: PlanningProblem, kept: frozenset[str]) -> tuple[float, float]:
    """Seconds of the writes' shares, less what results of no scenario are worth; and the ties."""
    seconds = 0.0
    ties = sum(candidate.tie for name, candidate in candidates(problem, {}, 1.0).items() if name in kept)
    for node in problem.nodes:
        if node.signature in kept:
            lost = [s.probability for s in problem.scenarios if not s.version and node.name in below(problem, s.hit)]
            seconds += 0.0 if node.stored else node.write_seconds / lifetime(sum(lost), problem.horizon)
    in_scenarios = {node.signature for scenario in problem.scenarios for node in scenario.version}
    for other in problem.others:
        if other.signature in kept and other.signature not in in_scenarios:
            chance = afterlife(other.workflow != problem.workflow, other.age)
            seconds -= chance * max(0.0, other.compute_seconds - other.load_seconds)
    return seconds, ties


def below(problem: PlanningProblem, hit: frozenset[str]) -> set[str]:
    lost: set[str] = set()
    for node in problem.nodes:
        if node.name in hit or lost & set(node.inputs):
            lost.add(node.name)
    return lost


def states_now(problem: PlanningProblem) -> list[tuple[float, frozenset[str]]]:
    """Seconds, and which signatures are computed, of every valid combination of states."""
    found = []
    stored = {node.name for node in problem.nodes if node.stored and not node.recompute}
    for choice in itertools.product("cl-", repeat=len(problem.nodes)):
        state = {node.name: pick for node, pick in zip(problem.nodes, choice, strict=True)}
        had = {name for name, pick in state.items() if pick != "-"}
        if not problem.outputs <= had or not {name for name in had if state[name] == "l"} <= stored:
            continue
        if any(state[node.name] == "c" and not set(node.inputs) <= had for node in problem.nodes):
            continue
        seconds = sum(
            node.compute_seconds if state[node.name] == "c" else node.load_seconds
            for node in problem.nodes if node.name in had
        )
        found.append((seconds, frozenset(node.signature for node in problem.nodes if state[node.name] == "c")))
    cheapest_by_set: dict[frozenset[str], float] = {}
    for seconds, computed in found:
        cheapest_by_set[computed] = min(seconds, cheapest_by_set.get(computed, math.inf))
    return [(seconds, computed) for computed, seconds in cheapest_by_set.items()]


def brute_force(problem: PlanningProblem) -> tuple[float, frozenset[str]]:
    """The best objective, and the best set to keep by objective and ties."""
    sizes = {node.signature: node.bytes for node in problem.nodes}
    sizes |= {other.signature: other.bytes for other in problem.others}
    stored = {node.signature for node in problem.nodes if node.stored} | {other.signature for other in problem.others}
    wishes = {node.signature: node.keep for node in problem.nodes}
    insisted: set[str] = set()
    for node in problem.nodes:
        room = math.inf if problem.budget is None else problem.budget
        if node.keep == "always" and node.storable and sum(sizes[name] for name in insisted) + node.bytes <= room:
            insisted.add(node.signature)
    states = states_now(problem)
    names = [name for name in sizes if wishes.get(name) != "never"
             and (name in stored or next(n for n in problem.nodes if n.signature == name).storable)]
    best = (math.inf, math.inf, frozenset[str]())
    for picks in itertools.product([False, True], repeat=len(names)):
        kept = frozenset(name for name, pick in zip(names, picks, strict=True) if pick)
        if problem.budget is not None and sum(sizes[name] for name in kept) > problem.budget:
            continue
        future = next_seconds(problem, kept)
        cost, ties = kept_cost(problem, kept)
        for seconds, computed in states:
            must = insisted & (stored | computed)
            if kept - stored <= computed and must <= kept:
                best = min(best, (future + cost + seconds + ties, future + cost + seconds, kept),
                           key=lambda option: option[0])
    return best[1], best[2]


@pytest.mark.parametrize("block", range(15))
def test_kept_set_and_objective_equal_brute_force(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        problem = random_problem(seed)
        objective, kept = brute_force(problem)
        decision = Joint().decide(problem)
        proof = decision.certificate
        assert proof.status == "optimal", (seed, proof)
        assert proof.objective == pytest.approx(objective, abs=5 * TIE), seed
        others = {other.signature for other in problem.others}
        assert decision.keep | (others - decision.evict) == kept, seed
