"""The joint policy: states now and what is kept, from one program."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from helix_spark.errors import ParameterError, nearest
from helix_spark.planner.candidates import TIE, Candidate, candidates, capacity, certain, had_now
from helix_spark.planner.demands import Outlook, Recall, frontiers, outlook, recalls
from helix_spark.planner.joint_program import JointProgram, build
from helix_spark.planner.policies import ALWAYS, NEVER
from helix_spark.planner.problem import STATE_TIE, Certificate, Solution, total_seconds, without_choice
from helix_spark.planner.solver import solve
from helix_spark.planner.storage import (
    Decision,
    PlanningProblem,
    Policy,
    default_scenarios,
    execution_problem,
)
from helix_spark.planner.storage_reasons import explain

LARGE, LARGE_GAP = 500, 0.004
"""Variables from which a program counts as large, and the gap that is good enough for it: costs are not known to half a
percent, and proving the last of it takes most of the time."""

_PROVEN = 1e-6
"""A relative gap below which a solution counts as optimal."""


@dataclass(frozen=True, slots=True)
class Joint:
    """States now and what to keep, evict and write, by one program (see `joint_program`).

    Attributes:
        time_limit: seconds for the solver; then the best plan found so far is taken, or else that of `ALWAYS`.
        gap: relative; the solver stops when no plan can be better by more. None for none where the program is small,
            else `LARGE_GAP`.
    """

    time_limit: float = 10.0
    gap: float | None = None
    name: str = "joint"

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`. Without a plan in time, it falls back and says so."""
        start = time.perf_counter()
        if not problem.scenarios:
            problem = replace(problem, scenarios=default_scenarios(problem))
        ahead = frontiers(problem)
        chosen = candidates(problem, ahead.hazard)
        kept = certain(problem, ahead, chosen)
        view = outlook(ahead, chosen.keys(), kept)
        forced = _without_choice(problem, chosen, kept)
        found = forced or self._solved(problem, build(problem, view, chosen, kept), chosen)
        if isinstance(found, str):
            return _fallback(problem, found, start)
        return _decision(problem, view, chosen, found, start)

    def _solved(
        self, problem: PlanningProblem, program: JointProgram, chosen: Mapping[str, Candidate]
    ) -> _ChosenPlan | str:
        """Return the program's plan, or in words why there is none."""
        room = capacity(problem)
        gap = LARGE_GAP if self.gap is None and len(program.program.costs) > LARGE else self.gap
        answer = solve(program.program, time_limit=self.time_limit, gap=gap)
        if answer.values is None:
            return f"the solver found no plan in {self.time_limit:g} s ({answer.status})"
        picked = [name for name, index in program.keep.items() if answer.values[index] > 0.5]
        keep = program.settled.union(picked)
        if room is not None and sum(chosen[name].bytes for name in keep) > room:
            return "the kept results exceed the budget by a rounding error"
        ways = [way for way, index in program.ways.items() if answer.values[index] > 0.5]
        ties = sum(STATE_TIE[way.state] for way in ways) + sum(chosen[name].tie for name in picked)
        return _ChosenPlan(
            problem.done or Solution.optimal({way.node: way for way in ways}, answer.solver), keep, answer.solver,
            answer.bound - ties,
        )


@dataclass(frozen=True, slots=True)
class _ChosenPlan:
    """States and what is kept.

    Attributes:
        bound: no plan costs less, constant parts of the objective aside; None where this plan is the best.
    """

    solution: Solution
    keep: frozenset[str]
    solver: str
    bound: float | None = None


def _without_choice(
    problem: PlanningProblem, chosen: Mapping[str, Candidate], kept: frozenset[str]
) -> _ChosenPlan | None:
    """Return the plan, where the states leave no choice, and all that could be kept is certain to be, or stored with
    room.

    The best states for now are the best at all when all they bring is kept, and the next iteration would compute more
    at no higher price, and only perhaps. One in another process may pay more than this one, for a session.
    """
    solution = problem.done
    if solution is None:
        forced = without_choice(execution_problem(problem))
        if forced is None:
            return None
        solution = Solution.optimal(forced, "none needed")
    had = had_now(problem, solution)
    keep = frozenset(name for name, candidate in chosen.items() if candidate.stored or name in had)
    room = capacity(problem)
    is_full = room is not None and sum(chosen[name].bytes for name in keep) > room
    if is_full or any(not chosen[name].stored and name not in kept for name in keep):
        return None
    more_may_pay = len(keep) < len(chosen) and problem.later_session_seconds > problem.session_seconds
    return None if problem.done is None and more_may_pay else _ChosenPlan(solution, keep, "none needed")


def _decision(
    problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], found: _ChosenPlan, start: float
) -> Decision:
    current = {node.signature for node in problem.nodes}
    stored = {node.signature for node in problem.nodes if node.stored} | {other.signature for other in problem.others}
    solution = found.solution
    ahead = recalls(view, found.keep)
    objective = _objective(view, chosen, found.keep, solution, ahead)
    bound = objective
    if found.bound is not None:
        bound = min(objective, max(0.0, found.bound + _constant_seconds(problem, view, chosen)))
    gap = (objective - bound) / objective if objective > 0 else 0.0
    optimal = objective - bound <= max(_PROVEN * objective, TIE)
    certificate = Certificate(
        "optimal" if optimal else "feasible", objective, objective if optimal else bound, 0.0 if optimal else gap,
        found.solver, time.perf_counter() - start, "" if optimal else f"not proven best, by at most {gap:.1%}",
        len(problem.scenarios),
    )
    solution = Solution(solution.chosen, certificate) if problem.done is None else solution
    reasons = explain(problem, view, chosen, solution, found.keep, ahead)
    return Decision(solution, found.keep & current, frozenset(stored - found.keep), certificate, reasons)


def _constant_seconds(problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate]) -> float:
    """Return seconds that the program's own objective leaves out, whatever the plan."""
    done = total_seconds(problem.done.chosen.values()) if problem.done is not None else 0.0
    return done + sum(candidate.worth for candidate in chosen.values()) + view.certain_seconds


def _objective(
    view: Outlook, chosen: Mapping[str, Candidate], keep: frozenset[str], solution: Solution, ahead: Sequence[Recall]
) -> float:
    """Return seconds now, the writes' share of this iteration, and the expected seconds of the next one."""
    kept = sum(chosen[name].seconds for name in sorted(keep))
    missed = sum(candidate.worth for name, candidate in chosen.items() if name not in keep)
    return total_seconds(solution.chosen.values()) + kept + missed + view.certain_seconds + _expected(view, ahead)


def _expected(view: Outlook, ahead: Sequence[Recall]) -> float:
    """Return seconds that the demands take."""
    return sum(demand.probability * plan.seconds for demand, plan in zip(view.demands, ahead, strict=True))


def _fallback(problem: PlanningProblem, why: str, start: float) -> Decision:
    decision = ALWAYS.decide(problem)
    notice = f"{why}; every result is kept instead, while the budget lasts"
    cost = total_seconds(decision.solution.chosen.values())
    certificate = Certificate(
        "fallback", cost, 0.0, 1.0 if cost else 0.0, "none", time.perf_counter() - start, notice,
        len(problem.scenarios),
    )
    return replace(decision, certificate=certificate)


POLICIES: dict[str, Policy] = {policy.name: policy for policy in (NEVER, ALWAYS, Joint())}
"""By the names that they have on the command line."""


def policy_named(name: str) -> Policy:
    """Return the policy of a name.

    Raises:
        ParameterError: there is none, with the nearest name.

    >>> policy_named("never").name
    'never'
    """
    if name not in POLICIES:
        raise ParameterError(f"there is no policy {name!r}", remedy=nearest(name, POLICIES))
    return POLICIES[name]
