"""The simple policies: never, always, and the online rule of Helix."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from helix_spark.planner.execution import plan_execution
from helix_spark.planner.problem import Solution, State
from helix_spark.planner.storage import (
    Decision,
    NodeCosts,
    OtherArtifact,
    PlanningProblem,
    RoomPriority,
    cumulative_seconds,
    execution_problem,
)
from helix_spark.sizes import seconds_text

Wanted = Callable[[NodeCosts, float], str | None]
"""Given a computed node and its C(n): why it is to be kept, or None."""


@dataclass(frozen=True, slots=True)
class FirstCome:
    """Keeps what is stored, and adds what it wants of the computed results, inputs first, while the budget lasts.

    Attributes:
        purge: evict what the current version no longer has, before anything new is stored; not what another workflow
            insists on, nor draws (see `RoomPriority`), which the paper knows nothing of.
    """

    name: str
    wanted: Wanted
    purge: bool = False

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`."""
        start = time.perf_counter()
        solution = problem.done or plan_execution(execution_problem(problem))
        others = [one for one in problem.others if not self.purge or one.priority is not RoomPriority.WEIGHED]
        purged = {one.signature for one in problem.others}.difference(one.signature for one in others)
        reasons = dict.fromkeys(sorted(purged), "the current version no longer has it")
        crowded = dict.fromkeys(_crowded_out(problem, others), "evicted: the budget is used up")
        reasons, evict = {**reasons, **crowded}, {*purged, *crowded}
        used = problem.overhead + sum(other.bytes for other in others if other.signature not in evict)
        keep: set[str] = set()
        spent = cumulative_seconds(problem, solution)
        for node in sorted(problem.nodes, key=lambda node: (not node.stored, node.stored and node.keep != "always")):
            why = _verdict(node, solution, spent.get(node.name, 0.0), self.wanted)
            if node.stored and node.keep == "never":
                evict.add(node.signature)
                reasons[node.signature] = "evicted: you asked not to keep it"
            if node.signature in keep or why is None:
                continue
            if problem.budget is not None and used + node.bytes > problem.budget:
                reasons[node.signature] = f"{'evicted' if node.stored else 'not kept'}: the budget is used up"
                if node.stored:
                    evict.add(node.signature)
                continue
            keep.add(node.signature)
            used += node.bytes
            reasons[node.signature] = f"kept: {why}"
        certificate = replace(solution.certificate, solver_seconds=time.perf_counter() - start)
        return Decision(solution, frozenset(keep), frozenset(evict), certificate, reasons)


def _worth_two_loads(node: NodeCosts, spent: float) -> str | None:
    if spent <= 2 * node.load_seconds:
        return None
    return f"{seconds_text(spent)} to recompute is more than twice {seconds_text(node.load_seconds)} to load"


NEVER = FirstCome("never", lambda node, spent: None)
"""Stores nothing that the author does not insist on, and evicts nothing that is there."""

ALWAYS = FirstCome("always", lambda node, spent: "the policy stores everything")

RULE = FirstCome("rule", _worth_two_loads)
"""Helix's online rule: store n when C(n) > 2 l(n), first come, never evict (PVLDB 12(4), algorithm 2)."""

RULE_PURGE = FirstCome("rule_purge", _worth_two_loads, purge=True)


def _crowded_out(problem: PlanningProblem, others: Iterable[OtherArtifact]) -> Iterator[str]:
    """Yield signatures of other versions' results to evict where the budget has shrunk below what is stored.

    Results that are not weighed go only where what this version's author insists on leaves them no room.
    """
    if problem.budget is None:
        return
    stored = [node for node in problem.nodes if node.stored]
    used = problem.overhead + sum(node.bytes for node in stored if node.priority is RoomPriority.INSISTED)
    not_asked_for = sum(node.bytes for node in stored if node.priority is RoomPriority.WEIGHED)
    for other in sorted(others, key=lambda other: other.priority):
        beside = not_asked_for if other.priority is RoomPriority.WEIGHED else 0
        if used + beside + other.bytes > problem.budget:
            yield other.signature
        else:
            used += other.bytes


def _verdict(node: NodeCosts, solution: Solution, spent: float, wanted: Wanted) -> str | None:
    if node.stored and node.keep != "never":
        return "it is stored already"
    computed = solution.state(node.name) is State.COMPUTE or (node.held and node.name in solution.chosen)
    if not node.storable or not computed or node.keep == "never":
        return None
    return "you asked for it" if node.keep == "always" else wanted(node, spent)
