"""Store what costs more to recreate than to load, best per byte first: the way of Collaborative Optimizer.

Derakhshan et al., "Optimizing Machine Learning Workloads in Collaborative Environments" (SIGMOD 2020), section 5:
artifacts are ranked by what they save per byte, those that load slower than they are recreated are never stored, and
the budget is filled in that order, over all that is stored and all that was just computed. It forecasts nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from helix_spark.planner.candidates import capacity, storable_now
from helix_spark.planner.problem import Solution, plan_execution
from helix_spark.planner.storage import Decision, NodeCosts, PlanningProblem, execution_problem
from helix_spark.sizes import seconds_text

_INSISTED, _DRAWN, _WEIGHED = range(3)
"""Who is given room first."""


@dataclass(frozen=True, slots=True)
class _Option:
    """One result that may be kept. What it saves: seconds to recreate it with all it needs, less the load."""

    signature: str
    bytes: int
    saved_seconds: float
    stored: bool
    priority: int

    def rank(self) -> tuple[int, float, str]:
        """Wishes first, then benefit per byte."""
        return (self.priority, -self.saved_seconds / max(1, self.bytes), self.signature)


@dataclass(frozen=True, slots=True)
class Recreation:
    """Keeps, of everything stored and computed, what saves most per byte, until the budget is full."""

    name: str = "recreation"

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`."""
        start = time.perf_counter()
        solution = problem.done or plan_execution(execution_problem(problem))
        room = capacity(problem)
        used = 0
        kept: set[str] = set()
        reasons: dict[str, str] = {}
        for option in sorted(_options(problem, solution), key=_Option.rank):
            if option.signature in kept:
                continue
            verb = "evicted" if option.stored else "not kept"
            if option.saved_seconds <= 0 and option.priority == _WEIGHED:
                reasons[option.signature] = f"{verb}: recreating it is no slower than loading it"
            elif room is not None and used + option.bytes > room:
                reasons[option.signature] = f"{verb}: others save more seconds per byte"
            else:
                kept.add(option.signature)
                used += option.bytes
                saved = seconds_text(max(0.0, option.saved_seconds))
                reasons[option.signature] = f"kept: it saves {saved} when it is needed again"
        current = {node.signature for node in problem.nodes}
        stored = {node.signature for node in problem.nodes if node.stored}
        stored |= {other.signature for other in problem.others}
        certificate = replace(solution.certificate, solver_seconds=time.perf_counter() - start)
        return Decision(solution, frozenset(kept & current), frozenset(stored - kept), certificate, reasons)


def _options(problem: PlanningProblem, solution: Solution) -> list[_Option]:
    had = storable_now(problem, solution)
    anew = _recreation_seconds(problem.nodes)
    options = [
        _Option(
            node.signature, node.bytes, anew[node.name] - node.load_seconds, node.stored,
            _INSISTED if node.keep == "always" else _WEIGHED,
        )
        for node in problem.nodes
        if node.storable and node.keep != "never" and (node.stored or node.signature in had)
    ]
    options += [
        _Option(
            other.signature, other.bytes, other.seconds_again - other.load_seconds, True,
            _INSISTED if other.kept_for else _DRAWN if other.fixed else _WEIGHED,
        )
        for other in problem.others
    ]
    return options


def _recreation_seconds(nodes: tuple[NodeCosts, ...]) -> dict[str, float]:
    """To compute each node and everything it is made from, once each."""
    own = {node.name: node.compute_seconds for node in nodes}
    made_from: dict[str, frozenset[str]] = {}
    for node in nodes:
        made_from[node.name] = frozenset({node.name}).union(*(made_from[name] for name in node.inputs))
    return {name: sum(own[source] for source in sources) for name, sources in made_from.items()}
