"""The online rule of Helix: store n when C(n) > 2 l(n), first come (PVLDB 12(4), section 5.3 and algorithm 2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from helix_spark.planner.joint import ALWAYS
from helix_spark.planner.problem import Solution, plan_execution
from helix_spark.planner.storage import SESSION, Decision, PlanningProblem, execution_problem


@dataclass(frozen=True, slots=True)
class Rule:
    """Keeps what is stored, and adds what took more than two loads, inputs first, while the budget lasts.

    Attributes:
        purge: evict what the current version no longer has, before anything new is stored; not what another workflow
            insists on, nor draws, which the paper knows nothing of.
    """

    name: str
    purge: bool = False

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`."""
        solution = problem.done or plan_execution(execution_problem(problem))
        spent = cumulative_seconds(problem, solution)
        nodes = tuple(
            replace(node, storable=node.storable and (
                node.stored or node.keep == "always" or spent.get(node.name, 0.0) > 2 * node.load_seconds
            ))
            for node in problem.nodes
        )
        others = [one for one in problem.others if not self.purge or one.kept_for or one.fixed]
        purged = {one.signature for one in problem.others}.difference(one.signature for one in others)
        decision = ALWAYS.decide(replace(problem, nodes=nodes, others=tuple(others), done=solution))
        return replace(decision, evict=decision.evict | purged)


RULE, RULE_PURGE = Rule("rule"), Rule("rule_purge", purge=True)
RULES = {one.name: one for one in (RULE, RULE_PURGE)}


def cumulative_seconds(problem: PlanningProblem, solution: Solution) -> dict[str, float]:
    """C(n): what this iteration spends on each node that it has and on everything it has that node from.

    Each ancestor counts once.
    """
    sources: dict[str, frozenset[str]] = {}
    spent: dict[str, float] = {}
    for node in problem.nodes:
        way = solution.chosen.get(node.name)
        if way is None:
            continue
        sources[node.name] = frozenset({node.name}).union(*(sources[need] for need in way.needs if need != SESSION))
        spent[node.name] = sum(solution.chosen[name].seconds for name in sources[node.name])
    return spent
