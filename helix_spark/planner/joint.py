"""The joint policy: states now and what is kept, from one program; the rule's answer where the program has none."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from helix_spark.errors import ParameterError, nearest
from helix_spark.planner.candidates import TIE, Candidate, candidates, capacity, certain, had_now
from helix_spark.planner.demands import Outlook, Recall, outlook, recalls
from helix_spark.planner.execution import STATE_TIE, without_choice
from helix_spark.planner.frontiers import Frontiers, frontiers
from helix_spark.planner.joint_program import JointProgram, build
from helix_spark.planner.policies import ALWAYS, NEVER, RULE, RULE_PURGE
from helix_spark.planner.problem import Certificate, Solution, State, total_seconds
from helix_spark.planner.solver import Answer, solve
from helix_spark.planner.storage import (
    Decision,
    PlanningProblem,
    Policy,
    default_scenarios,
    execution_problem,
    seconds_now,
)
from helix_spark.planner.storage_reasons import explain

LARGE, LARGE_GAP = 2_000, 0.004
"""Variables from which a program counts as large, and the gap that is good enough for it: costs are not known to half a
percent, and proving the last of it takes most of the time."""

CROWD = 50
"""Small results from which `LARGE_GAP` is good enough as well, where there is no room for all of them: they are much
alike, so that proving which of them to keep takes long and saves next to nothing."""

_REPAIRS = 3
"""How often the program is solved again when rounding let the kept results exceed the budget by a few bytes."""

_PROVEN = 1e-6
"""A relative gap below which a solution counts as optimal."""


@dataclass(frozen=True, slots=True)
class Joint:
    """States now and what to keep, evict and write, by one program (see `joint_program`).

    Attributes:
        time_limit: seconds for the solver; then the best plan found so far is taken, or else the rule's.
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
        view, found = self._find_plan(problem, ahead, chosen)
        if isinstance(found, str):
            return _fallback(problem, found, start)
        return _decision(problem, view, chosen, found, start)

    def _find_plan(
        self, problem: PlanningProblem, ahead: Frontiers, chosen: Mapping[str, Candidate]
    ) -> tuple[Outlook, _ChosenPlan | str]:
        """Return the plan, or in words why there is none; with the outlook that it looks at.

        At first what is small and pays is kept without a choice, as if it took no room. A plan that has room for it all
        the same is the best; else small results are a choice like others, and a plan is looked for anew.
        """
        sure = certain(problem, ahead, chosen)
        small = sure.small
        while True:
            kept = sure.insisted | small
            view = outlook(ahead, chosen.keys(), kept)
            found: _ChosenPlan | str | None = _without_choice(problem, view, chosen, kept)
            if found is None:
                crowded = len(sure.small) - len(small) > CROWD
                found = self._solved(problem, build(problem, view, chosen, kept), chosen, crowded=crowded)
            if found is not None:
                return view, found
            small = frozenset(name for name in small if not chosen[name].bytes)

    def _solved(
        self, problem: PlanningProblem, program: JointProgram, chosen: Mapping[str, Candidate], *, crowded: bool
    ) -> _ChosenPlan | str | None:
        """Return a plan within the budget, or in words why there is none; None where the best one has no room for what
        the program spares (see `JointProgram.spared`)."""
        bound = None
        room = capacity(problem)
        gap = self.gap
        if gap is None and (crowded or len(program.program.costs) > LARGE):
            gap = LARGE_GAP
        for _ in range(_REPAIRS):
            answer = solve(program.program, time_limit=self.time_limit, gap=gap)
            if answer.values is None:
                return f"the solver found no plan in {self.time_limit:g} s ({answer.status})"
            bound = answer.bound if bound is None else bound
            picked = frozenset(name for name, index in program.keep.items() if answer.values[index] > 0.5)
            keep = picked | program.settled
            used = sum(chosen[name].bytes for name in keep)
            if room is None or used <= room or program.budget_row is None:
                states = problem.done or _states(program, answer)
                offset = program.underestimate - _ties(program, answer, chosen, picked)
                return _ChosenPlan(states, keep, answer.solver, bound + offset)
            if program.spared:
                return None
            terms, limit = program.program.rows_at_most[program.budget_row]
            program.program.rows_at_most[program.budget_row] = (terms, limit - (used - room + 1) / program.unit)
        return "the kept results exceed the budget by a rounding error that could not be removed"


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
    problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], kept: frozenset[str]
) -> _ChosenPlan | None:
    """Return the plan, where the states leave no choice, and all that could be kept is certain to be, or stored with
    room.

    The best states for now are the best at all when all they bring is kept, and to compute more, in order to keep it,
    does not pay.
    """
    solution = problem.done
    if solution is None:
        asked = execution_problem(problem)
        forced = without_choice(asked)
        if forced is None:
            return None
        solution = Solution.optimal(forced, "none needed")
    had = had_now(problem, solution)
    keep = frozenset(name for name, candidate in chosen.items() if candidate.stored or name in had)
    used = sum(chosen[name].bytes for name in keep)
    room = capacity(problem)
    if (room is not None and used > room) or any(not chosen[name].stored and name not in kept for name in keep):
        return None
    if problem.done is None and _more_may_pay(problem, view, chosen, solution, keep):
        return None
    return _ChosenPlan(solution, keep, "none needed")


def _more_may_pay(
    problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], solution: Solution, keep: frozenset[str]
) -> bool:
    """Return whether computing more than the states need, in order to keep it, may save more than it takes.

    It never does while the next iteration would compute it at no higher price, and only perhaps. An iteration in
    another process may pay more than this one: for a session, and for work in a young JVM. Even then what could be
    kept besides saves no more than the next iteration takes longer without all of it, and no set of which one member
    takes as much now for its last step alone can pay; what is left without those saves less, and so on. A step that
    needs a session which the states do without takes, besides, the session beyond all that the states take.
    """
    more = chosen.keys() - keep
    no_dearer = problem.later_session_seconds <= problem.session_seconds
    if not more or (no_dearer and (problem.young or problem.fresh_process <= 0)):
        return False
    session = max(0.0, problem.session_seconds - total_seconds(solution.chosen.values()))
    takes = _last_steps(problem, more, session)
    without, left = _expected(view, recalls(view, keep)), set(more)
    while left:
        gain = without - _expected(view, recalls(view, keep | left))
        fewer = {signature for signature in left if takes[signature] < gain}
        if fewer == left:
            return True
        left = fewer
    return False


def _last_steps(problem: PlanningProblem, signatures: Collection[str], session: float) -> dict[str, float]:
    """Return seconds of the last step to have each result now, by signature; none where memory holds it."""
    takes: dict[str, float] = {}
    for node in problem.nodes:
        if node.signature in signatures:
            own = seconds_now(problem, node, State.COMPUTE) + (session if node.compute_needs_spark else 0.0)
            takes[node.signature] = min(0.0 if node.held else own, takes.get(node.signature, own))
    return takes


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


def _ties(
    program: JointProgram, answer: Answer, chosen: Mapping[str, Candidate], keep: frozenset[str]
) -> float:
    """Return seconds in the program's objective that only tell equal plans apart."""
    values = answer.values or ()
    states = sum(STATE_TIE[way.state] for way, index in program.ways.items() if values[index] > 0.5)
    return states + sum(chosen[name].tie for name in sorted(keep))


def _states(program: JointProgram, answer: Answer) -> Solution:
    values = answer.values or ()
    ways = {way.node: way for way, index in program.ways.items() if values[index] > 0.5}
    return Solution.optimal(ways, answer.solver)


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
    """Decide by the rule."""
    decision = RULE.decide(problem)
    notice = f"{why}; what to keep was decided by Helix's rule instead"
    cost = total_seconds(decision.solution.chosen.values())
    certificate = Certificate(
        "fallback", cost, 0.0, 1.0 if cost else 0.0, "none", time.perf_counter() - start, notice,
        len(problem.scenarios),
    )
    return replace(decision, certificate=certificate)


POLICIES: dict[str, Policy] = {policy.name: policy for policy in (NEVER, ALWAYS, RULE, RULE_PURGE, Joint())}
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
