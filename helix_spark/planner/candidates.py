"""Results that may be kept, with the cost and worth of each, in seconds and bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from helix_spark.planner.demands import Outlook, last_steps
from helix_spark.planner.problem import Solution, State
from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem

RETURN, FADING = 0.05, 0.8
"""Probability that a result one iteration out of date is requested again, and its factor for each further iteration.
People sometimes go back to an earlier iteration (an undo, the best one), but seldom far."""

WRITE_WEIGHT = 1.0
"""Cost of a second of writing against a second of waiting. Writes follow the answer, but a batch job waits for them at
its end, and they keep the machine busy, so both count the same."""

TIE = 1e-4
"""Seconds that break ties in favour of keeping stored results and against writing new ones. Below any measured time,
above the solver's tolerances; not part of the reported objective."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A result that may be kept.

    Attributes:
        seconds: seconds to store it, divided by its expected number of valid iterations; 0 if it is stored.
        worth: seconds saved per iteration, for results outside all scenarios.
        claim: why it is kept without being weighed, see `claims`; empty if it is weighed.
        tie: seconds that break ties (see `TIE`).
    """

    bytes: int
    stored: bool
    seconds: float = 0.0
    worth: float = 0.0
    claim: str = ""
    tie: float = TIE


def lifetime(hazard: float, horizon: float) -> float:
    """Return the expected number of the next `horizon` iterations in which a result is still valid.

    It survives each edit with probability 1 - hazard: 1 + (1 - q) + (1 - q)^2 + ..., horizon terms. The cost of a write
    is divided by it: a result that every edit changes is written each time, an unaffected one only once.

    >>> lifetime(0.5, 2), lifetime(0.0, 8), lifetime(1.0, 8)
    (1.5, 8.0, 1.0)
    """
    hazard = min(1.0, max(0.0, hazard))
    horizon = float(max(1.0, horizon))
    if hazard * horizon < 1e-9:
        return horizon
    return float((1 - (1 - hazard) ** horizon) / hazard)


def afterlife(age: int) -> float:
    """Return the probability that the next iteration requests a result outside all scenarios.

    >>> afterlife(1), round(afterlife(3), 3)
    (0.05, 0.032)
    """
    return RETURN * float(FADING ** max(0, age - 1))


def candidates(problem: PlanningProblem, hazard: Mapping[str, float], small: int = 0) -> dict[str, Candidate]:
    """Return the results that may be kept, by signature, in the order of the nodes; nothing larger than the budget."""
    room = capacity(problem)
    results: dict[str, Candidate] = {}
    available = None if problem.done is None else storable_now(problem, problem.done)
    for node in problem.nodes:
        if node.signature in results or not node.storable or node.keep == "never":
            continue
        if not node.stored and available is not None and node.signature not in available:
            continue
        if room is not None and node.bytes > room:
            continue
        life = lifetime(hazard.get(node.signature, 0.0), problem.horizon)
        seconds = 0.0 if node.stored else WRITE_WEIGHT * node.write_seconds / life
        results[node.signature] = Candidate(node.bytes, node.stored, seconds)
    in_scenarios = {node.signature for scenario in problem.scenarios for node in scenario.version}
    for other in problem.others:
        if other.signature in results or (room is not None and other.bytes > room):
            continue
        probability = 0.0 if other.signature in in_scenarios else afterlife(other.age)
        worth = probability * max(0.0, other.seconds_again - other.load_seconds)
        results[other.signature] = Candidate(other.bytes, stored=True, worth=worth)
    granted = grant_room(problem, results, room, small)
    # Ties are broken by rank: the current version's results come first, inputs before others.
    ranks = {name: rank / len(results) for rank, name in enumerate(results)}
    return {
        name: replace(item, claim=granted.get(name, ""), tie=TIE * (ranks[name] + (-2 if item.stored else 1)) / 2)
        for name, item in results.items()
    }


def grant_room(problem: PlanningProblem, among: Collection[str], room: int | None, small: int = 0) -> dict[str, str]:
    """Return why results are kept unweighed, by signature, within `room` bytes if not None; pinned ones always are."""
    kept, taken = dict[str, str](), 0
    for result, why in claims(problem, small):
        has_room = result.pinned or room is None or taken + result.bytes <= room
        if has_room and result.signature in among and result.signature not in kept:
            kept[result.signature] = why
            taken += result.bytes
    return kept


def claims(problem: PlanningProblem, small: int = 0) -> list[tuple[NodeCosts | OtherArtifact, str]]:
    """Return the results that are kept without being weighed, each with the reason, in order of precedence.

    Pinned results come first, then stored random results of this version. Results that other workflows keep are next,
    since this run would evict them for its own, and this version's ``keep="always"``. Random results of the past cannot
    be computed again, but earlier in the order they could fill the budget and displace the newest one. Last are results
    that people look at, instances, whose loss would change everything downstream, and small results.

    Args:
        small: total of bytes of the current version's smallest results.
    """
    nodes = [node for node in problem.nodes if node.storable]
    always = [node for node in nodes if node.keep == "always"]
    claimable: list[NodeCosts | OtherArtifact] = [*always, *problem.others]
    past = sorted((other for other in problem.others if other.fixed), key=lambda other: other.age)
    shown = [node for node in nodes if node.shown and node.keep != "never"]
    instances = [node for node in nodes if node.fixed and node.keep != "never"]
    smallest, taken = list[NodeCosts](), 0
    for node in sorted(nodes, key=lambda node: node.bytes):
        taken += node.bytes
        # A result that takes longer to write may be computed again instead.
        if taken <= small and node.keep != "never" and (node.stored or node.write_seconds <= 0.5):
            smallest.append(node)
    return [
        *((result, result.kept_for) for result in claimable if result.pinned),
        *((node, "you asked for it") for node in always if node.fixed and node.stored),
        *((result, result.kept_for) for result in claimable if result.kept_for),
        *((node, "you asked for it") for node in always),
        *((other, "it is random and cannot be computed again") for other in past),
        *((node, "it is an output or a model") for node in shown),
        *((other, other.shown) for other in problem.others if other.shown),
        *((node, "another of its right answers would change its descendants") for node in instances),
        *((node, "it is small") for node in smallest),
    ]


def capacity(problem: PlanningProblem) -> int | None:
    """Return the bytes that artifacts may take, or None for no limit. Pinned results always have room."""
    if problem.budget is None:
        return None
    pinned = {node.signature: node.bytes for node in problem.nodes if node.pinned}
    pinned |= {other.signature: other.bytes for other in problem.others if other.pinned}
    return max(0, problem.budget - problem.overhead, sum(pinned.values()))


def storable_now(problem: PlanningProblem, solution: Solution) -> frozenset[str]:
    """Return signatures of the results that this iteration can store: it computes them or has them in memory."""
    return frozenset(
        node.signature for node in problem.nodes
        if solution.state(node.name) is State.COMPUTE or (node.in_memory and node.name in solution.chosen)
    )


def has_room_for_all(problem: PlanningProblem, chosen: Mapping[str, Candidate]) -> bool:
    room = capacity(problem)
    return room is None or sum(candidate.bytes for candidate in chosen.values()) <= room


def certain(problem: PlanningProblem, ahead: Outlook, chosen: Mapping[str, Candidate]) -> frozenset[str]:
    """Return signatures of the results that every plan keeps: stored, or computed in every plan, and with a claim. A
    result without a claim must save more by its last step alone than it costs, and take no room from others."""
    available = {name for name, candidate in chosen.items() if candidate.stored}
    if problem.done is not None:
        available |= storable_now(problem, problem.done)
    else:  # every plan computes back from the outputs to the first stored results
        needed = set(problem.outputs)
        for node in reversed(problem.nodes):
            if node.name in needed and (node.recompute or not (node.stored or node.in_memory)):
                available.add(node.signature)
                needed.update(node.inputs)
    saved, is_roomy = last_steps(ahead), has_room_for_all(problem, chosen)

    def is_sure(name: str, candidate: Candidate) -> bool:
        pays = saved.get(name, 0.0) + candidate.worth > candidate.seconds + candidate.tie
        return bool(candidate.claim) or (pays and (is_roomy or not candidate.bytes))

    return frozenset(name for name, candidate in chosen.items() if name in available and is_sure(name, candidate))
