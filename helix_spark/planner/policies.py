"""The simple policies: never and always. The second decides, too, where the joint program finds nothing in time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from helix_spark.planner.candidates import capacity, grant_room, had_now
from helix_spark.planner.problem import plan_execution
from helix_spark.planner.storage import Decision, NodeCosts, PlanningProblem, execution_problem


@dataclass(frozen=True, slots=True)
class FirstCome:
    """Keeps what is stored, and adds computed results, inputs first, while the budget lasts.

    Attributes:
        stores_all: whether it stores every computed result, not only those that an author insists on.
    """

    name: str
    stores_all: bool

    def decide(self, problem: PlanningProblem) -> Decision:
        start = time.perf_counter()
        solution = problem.done or plan_execution(execution_problem(problem))
        had, room = had_now(problem, solution), capacity(problem)

        def is_wanted(node: NodeCosts) -> bool:
            return node.storable and node.signature in had and (self.stores_all or node.keep == "always")

        current = [node for node in problem.nodes if node.keep != "never" and (node.stored or is_wanted(node))]
        stored, new = ([node for node in current if node.stored is known] for known in (True, False))
        claims = {node.signature: node.bytes for node in stored}
        claims |= {other.signature: other.bytes for other in problem.others}
        claims |= {node.signature: node.bytes for node in new}
        keep = set(grant_room(problem, claims, room))
        used = sum(claims[signature] for signature in keep)
        for signature, size in claims.items():
            if signature not in keep and (room is None or used + size <= room):
                keep.add(signature)
                used += size
        there = {one.signature for one in problem.others} | {node.signature for node in problem.nodes if node.stored}
        reasons = dict.fromkeys(sorted(there - keep), "evicted: the budget is used up")
        reasons |= {node.signature: _reason(node, keep) for node in problem.nodes if node in current or node.stored}
        certificate = replace(solution.certificate, solver_seconds=time.perf_counter() - start)
        mine = frozenset(node.signature for node in current)
        return Decision(solution, mine & keep, frozenset(there - keep), certificate, reasons)


def _reason(node: NodeCosts, keep: set[str]) -> str:
    if node.signature in keep:
        asked = "you asked for it" if node.keep == "always" else "the policy stores everything"
        return f"kept: {'it is stored already' if node.stored else asked}"
    why = "you asked not to keep it" if node.keep == "never" else "the budget is used up"
    return f"{'evicted' if node.stored else 'not kept'}: {why}"


NEVER = FirstCome("never", stores_all=False)
"""Stores nothing that the author does not insist on, and evicts nothing that is there."""

ALWAYS = FirstCome("always", stores_all=True)
