"""Which results may be kept, and what each takes and is worth by itself. Frozen data; seconds and bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from helix_spark.planner.demands import Outlook, last_steps
from helix_spark.planner.problem import Solution, State
from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem

RETURN, FADING = 0.05, 0.8
"""Probability that a result which is out of date by one iteration is asked for again, and how it falls with each
further one. People go back to an earlier iteration now and then (an undo, the best one), seldom far."""

WRITE_WEIGHT = 1.0
"""What a second of writing counts against a second of waiting. Writes follow the answer, so nobody waits for them while
they think, but at the end of a batch job somebody does, and the machine is busy: a second is a second."""

TIE = 1e-4
"""Seconds by which keeping what is stored is preferred, and writing what is not is disliked, where all else is equal.
Below anything that is measured, above the solvers' tolerances; not part of the reported objective."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A result that may be kept: what it takes, whether it is stored, and what the author wants.

    Attributes:
        seconds: to store it, spread over the iterations for which it is expected to be valid; 0 where it is stored.
        worth: seconds saved per iteration that no demand speaks of (results of no known scenario).
        claim: why it is kept without being weighed, see `claims`; empty if it is weighed.
        tie: seconds that tell equal plans apart (see `TIE`).
    """

    bytes: int
    stored: bool
    seconds: float = 0.0
    worth: float = 0.0
    claim: str = ""
    tie: float = TIE


def lifetime(hazard: float, horizon: float) -> float:
    """Return the expected number of the next `horizon` iterations in which a result is still valid.

    It survives each edit with probability 1 - hazard: 1 + (1 - q) + (1 - q)^2 + ..., horizon terms. A write is spread
    over it, because a result that has to be written anew after each edit pays for its write each time, and one that
    nobody's edits touch pays once.

    >>> lifetime(0.5, 2), lifetime(0.0, 8), lifetime(1.0, 8)
    (1.5, 8.0, 1.0)
    """
    hazard = min(1.0, max(0.0, hazard))
    horizon = float(max(1.0, horizon))
    if hazard * horizon < 1e-9:
        return horizon
    return float((1 - (1 - hazard) ** horizon) / hazard)


def afterlife(age: int) -> float:
    """Return the probability that a result of no known scenario is asked for in the next iteration.

    >>> afterlife(1), round(afterlife(3), 3)
    (0.05, 0.032)
    """
    return RETURN * float(FADING ** max(0, age - 1))


def candidates(problem: PlanningProblem, hazard: Mapping[str, float], small: int = 0) -> dict[str, Candidate]:
    """Return what may be kept, by signature, in the order of the nodes; nothing larger than the budget."""
    room = capacity(problem)
    found: dict[str, Candidate] = {}
    had = None if problem.done is None else had_now(problem, problem.done)
    for node in problem.nodes:
        if node.signature in found or not node.storable or node.keep == "never":
            continue
        if not node.stored and had is not None and node.signature not in had:
            continue
        if room is not None and node.bytes > room:
            continue
        life = lifetime(hazard.get(node.signature, 0.0), problem.horizon)
        seconds = 0.0 if node.stored else WRITE_WEIGHT * node.write_seconds / life
        found[node.signature] = Candidate(node.bytes, node.stored, seconds)
    in_scenarios = {node.signature for scenario in problem.scenarios for node in scenario.version}
    for other in problem.others:
        if other.signature in found or (room is not None and other.bytes > room):
            continue
        chance = 0.0 if other.signature in in_scenarios else afterlife(other.age)
        worth = chance * max(0.0, other.seconds_again - other.load_seconds)
        found[other.signature] = Candidate(other.bytes, stored=True, worth=worth)
    granted = grant_room(problem, found, room, small)
    # Ties are broken by rank: the current version's results come first, inputs before others.
    ranks = {name: rank / len(found) for rank, name in enumerate(found)}
    return {
        name: replace(one, claim=granted.get(name, ""), tie=TIE * (ranks[name] + (-2 if one.stored else 1)) / 2)
        for name, one in found.items()
    }


def grant_room(problem: PlanningProblem, among: Collection[str], room: int | None, small: int = 0) -> dict[str, str]:
    """Return why results are kept without being weighed, by signature, as far as these bytes of room suffice (None: no
    limit). What is pinned has room in any case."""
    kept, taken = dict[str, str](), 0
    for one, why in claims(problem, small):
        has_room = one.pinned or room is None or taken + one.bytes <= room
        if has_room and one.signature in among and one.signature not in kept:
            kept[one.signature] = why
            taken += one.bytes
    return kept


def claims(problem: PlanningProblem, small: int = 0) -> list[tuple[NodeCosts | OtherArtifact, str]]:
    """Return the results that are kept without being weighed, each with a sentence that says why. Those that come first
    take the room.

    What is pinned comes first, then what other workflows insist on, or this run would evict it for its own; only a
    stored draw of this version comes before that. Draws of past versions come behind what somebody wishes today: to
    lose another result costs seconds, but a draw could not be had again, so it goes for nothing else. But draws would
    fill a budget, and then not even the newest would be kept. Then come what people were shown, instances, without
    which all that is made of them would be computed anew, and what is small.

    Args:
        small: bytes of the smallest results of the current version that are kept.
    """
    nodes = [node for node in problem.nodes if node.storable]
    wished = [node for node in nodes if node.keep == "always"]
    there: list[NodeCosts | OtherArtifact] = [*wished, *problem.others]
    past = sorted((other for other in problem.others if other.fixed), key=lambda other: other.age)
    shown = [node for node in nodes if node.shown and node.keep != "never"]
    instances = [node for node in nodes if node.fixed and node.keep != "never"]
    smallest, taken = list[NodeCosts](), 0
    for node in sorted(nodes, key=lambda node: node.bytes):
        taken += node.bytes
        # What takes longer to write may be computed once more instead.
        if taken <= small and node.keep != "never" and (node.stored or node.write_seconds <= 0.5):
            smallest.append(node)
    return [
        *((one, one.kept_for) for one in there if one.pinned),
        *((node, "you asked for it") for node in wished if node.fixed and node.stored),
        *((one, one.kept_for) for one in there if one.kept_for),
        *((node, "you asked for it") for node in wished),
        *((other, "it is a draw that could not be had again") for other in past),
        *((node, "it is an output or a model") for node in shown),
        *((other, other.shown) for other in problem.others if other.shown),
        *((node, "another of its right answers would not do for what is made of it") for node in instances),
        *((node, "it is small") for node in smallest),
    ]


def capacity(problem: PlanningProblem) -> int | None:
    """Return the bytes that artifacts may take, or None for no limit. What is pinned has room in any case."""
    if problem.budget is None:
        return None
    pinned = {node.signature: node.bytes for node in problem.nodes if node.pinned}
    pinned |= {other.signature: other.bytes for other in problem.others if other.pinned}
    return max(0, problem.budget - problem.overhead, sum(pinned.values()))


def had_now(problem: PlanningProblem, solution: Solution) -> frozenset[str]:
    """Return signatures of the results that this iteration computes, or still holds in memory: what can be written."""
    return frozenset(
        node.signature for node in problem.nodes
        if solution.state(node.name) is State.COMPUTE or (node.in_memory and node.name in solution.chosen)
    )


def has_room_for_all(problem: PlanningProblem, found: Mapping[str, Candidate]) -> bool:
    room = capacity(problem)
    return room is None or sum(candidate.bytes for candidate in found.values()) <= room


def certain(problem: PlanningProblem, ahead: Outlook, found: Mapping[str, Candidate]) -> frozenset[str]:
    """Return signatures of what is kept without a choice, of what is stored or is computed in every plan: what an
    author insists on, and what saves more by its last step alone than it takes, where it takes no room from others."""
    there = {name for name, candidate in found.items() if candidate.stored}
    if problem.done is not None:
        there |= had_now(problem, problem.done)
    else:  # every plan computes back from the outputs while nothing is stored
        needed = set(problem.outputs)
        for node in reversed(problem.nodes):
            if node.name in needed and (node.recompute or not (node.stored or node.in_memory)):
                there.add(node.signature)
                needed.update(node.inputs)
    saved, is_roomy = last_steps(ahead), has_room_for_all(problem, found)

    def is_sure(name: str, candidate: Candidate) -> bool:
        pays = saved.get(name, 0.0) + candidate.worth > candidate.seconds + candidate.tie
        return bool(candidate.claim) or (pays and (is_roomy or not candidate.bytes))

    return frozenset(name for name, candidate in found.items() if name in there and is_sure(name, candidate))
