"""The policies. The joint one decides states now and what is kept by one program; never and always are simple rules, of
which the second decides, too, where the program finds nothing in time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from helix_spark.costs.forecast import forecast
from helix_spark.errors import ParameterError, nearest
from helix_spark.planner.candidates import TIE, Candidate, candidates, capacity, certain, grant_room, had_now
from helix_spark.planner.demands import Outlook, Recall, outlook, presolved, recall
from helix_spark.planner.joint_program import JointProgram, build
from helix_spark.planner.problem import STATE_TIE, Certificate, Solution, plan_execution, total_seconds, without_choice
from helix_spark.planner.solver import solve
from helix_spark.planner.storage import (
    Decision,
    NodeCosts,
    OtherArtifact,
    PlanningProblem,
    Policy,
    execution_problem,
    scenarios,
)
from helix_spark.sizes import format_size, seconds_text
from helix_spark.workflow.operators import Kind

LARGE, LARGE_GAP = 500, 0.004
"""Variables from which a program counts as large, and the relative gap at which the solver stops for it: costs are not
known to half a percent, and proving the last of it takes most of the time."""

SMALL = 16 << 20
"""Bytes of an iteration's smallest results that are kept without being weighed, unless a setting says otherwise."""


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
        evict = problem.stored - keep
        reasons = dict.fromkeys(sorted(evict), "evicted: the budget is used up")
        reasons |= {node.signature: _rule_text(node, keep) for node in problem.nodes if node in current or node.stored}
        certificate = replace(solution.certificate, solver_seconds=time.perf_counter() - start)
        mine = frozenset(node.signature for node in current)
        return Decision(solution, mine & keep, evict, certificate, reasons)


def _rule_text(node: NodeCosts, keep: set[str]) -> str:
    if node.signature in keep:
        asked = "you asked for it" if node.keep == "always" else "the policy stores everything"
        return f"kept: {'it is stored already' if node.stored else asked}"
    why = "you asked not to keep it" if node.keep == "never" else "the budget is used up"
    return f"{'evicted' if node.stored else 'not kept'}: {why}"


NEVER = FirstCome("never", stores_all=False)
"""Stores nothing that the author does not insist on, and evicts nothing that is there."""

ALWAYS = FirstCome("always", stores_all=True)


@dataclass(frozen=True, slots=True)
class Joint:
    """States now and what to keep, evict and write, by one program (see `joint_program`).

    Attributes:
        time_limit: seconds for the solver; then the best plan found so far is taken, or else that of `ALWAYS`.
        small: bytes of the smallest results of a version that are kept without being weighed.
    """

    time_limit: float = 10.0
    small: int = 0
    name: str = "joint"

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`. Without a plan in time, it falls back and says so."""
        start = time.perf_counter()
        if not problem.scenarios:  # nothing but the kinds of nodes tells what may come next
            kinds = {node.name: node.kind for node in problem.nodes}
            problem = replace(problem, scenarios=scenarios(forecast(kinds), {}))
        ahead = outlook(problem)
        chosen = candidates(problem, ahead.hazard, self.small)
        kept = certain(problem, ahead, chosen)
        view = presolved(ahead, chosen.keys(), kept)
        forced = _without_choice(problem, chosen, kept)
        found = forced or self._solved(problem, build(problem, view, chosen, kept), chosen)
        if not isinstance(found, str):
            return _decision(problem, view, chosen, found, start)
        decision = ALWAYS.decide(problem)
        notice = f"{found}; every result is kept instead, while the budget lasts"
        cost = total_seconds(decision.solution.chosen.values())
        return replace(decision, certificate=Certificate(
            "fallback", cost, 0.0, 1.0 if cost else 0.0, "none", time.perf_counter() - start, notice,
            len(problem.scenarios),
        ))

    def _solved(
        self, problem: PlanningProblem, program: JointProgram, chosen: Mapping[str, Candidate]
    ) -> _ChosenPlan | str:
        """Return the program's plan, or in words why there is none."""
        room = capacity(problem)
        gap = LARGE_GAP if len(program.program.costs) > LARGE else None
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
        bound: no plan costs less; None where this plan is the best.
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
    current, solution = {node.signature for node in problem.nodes}, found.solution
    ahead = [recall(view.results, demand.results, found.keep, demand.given) for demand in view.demands]
    # Seconds now, the writes' share of this iteration, and the expected seconds of the next one.
    objective = total_seconds(solution.chosen.values()) + view.certain_seconds
    objective += sum(one.seconds if name in found.keep else one.worth for name, one in chosen.items())
    objective += sum(demand.probability * plan.seconds for demand, plan in zip(view.demands, ahead, strict=True))
    bound = objective if found.bound is None else min(objective, max(0.0, found.bound))
    gap = (objective - bound) / objective if objective > 0 else 0.0
    optimal = objective - bound <= max(1e-6 * objective, TIE)  # nearer than that the solver's own arithmetic is not
    certificate = Certificate(
        "optimal" if optimal else "feasible", objective, objective if optimal else bound, 0.0 if optimal else gap,
        found.solver, time.perf_counter() - start, "" if optimal else f"not proven best, by at most {gap:.1%}",
        len(problem.scenarios),
    )
    solution = Solution(solution.chosen, certificate) if problem.done is None else solution
    reasons = _Decided(problem, view, chosen, solution, found.keep, ahead).reasons()
    return Decision(solution, found.keep & current, problem.stored - found.keep, certificate, reasons)


# Why each result is kept, not kept or evicted

_UNLIKELY = 0.005
"""Below half a percent a probability reads as 0 %."""


class _Decided:
    """What was decided on storage.

    Attributes:
        loaded, computed: how likely the next iteration does so, by signature.
        had: signatures of what this iteration could have stored.
        best: the largest kept result, on which a budget is spent; empty if none takes room.
    """

    def __init__(
        self, problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], solution: Solution,
        keep: frozenset[str], ahead: Sequence[Recall],
    ) -> None:
        self.problem, self.view, self.chosen, self.keep = problem, view, chosen, keep
        self.loaded = defaultdict[str, float](float, view.certain_loads)
        self.computed = defaultdict[str, float](float)
        for demand, plan in zip(view.demands, ahead, strict=True):
            for uses, names in ((self.loaded, plan.loaded), (self.computed, plan.computed)):
                for name in names:
                    uses[name] += demand.probability
        self.had = had_now(problem, solution)
        kept = (node for node in problem.nodes if node.signature in keep)
        largest = max(kept, key=lambda node: node.bytes, default=None)
        self.best = f"`{largest.name}`" if largest is not None and largest.bytes else ""

    def reasons(self) -> dict[str, str]:
        """Return one sentence for every node of the current version and every stored result, by signature."""
        return {
            **{node.signature: self._why_node(node) for node in self.problem.nodes},
            **{other.signature: self._why_other(other) for other in self.problem.others},
        }

    def _seconds_again(self, node: NodeCosts) -> float:
        """Return seconds to have a result again without keeping it, with all else that is kept."""
        return recall(self.view.results, [node.signature], self.keep - {node.signature}).seconds

    def _why_node(self, node: NodeCosts) -> str:
        if node.signature not in self.keep:
            return f"{'evicted' if node.stored else 'not kept'}: {self._why_not(node)}"
        chance, size = self.loaded.get(node.signature, 0.0), format_size(node.bytes)
        price = f"takes {size}" if node.stored else f"costs {seconds_text(node.write_seconds)} and {size}"
        if claim := self.chosen[node.signature].claim:
            return f"kept: {claim}; {price}"
        if chance < _UNLIKELY:
            return f"kept: it is stored and there is room; {price}"
        return (
            f"kept: {seconds_text(self._seconds_again(node))} to recompute, {seconds_text(node.load_seconds)} to load, "
            f"{chance:.0%} likely to be reused; {price}"
        )

    def _why_not(self, node: NodeCosts) -> str:
        room = capacity(self.problem)
        if not node.storable:
            if node.differs:
                return "it may differ each time, so nobody could use it"
            return "it is read from where it lies" if node.kind == Kind.SOURCE else "it cannot be stored by itself"
        if node.keep == "never":
            return "you asked not to keep it"
        if room is not None and node.bytes > room:
            return f"its {format_size(node.bytes)} are more than the whole budget"
        if not node.stored and node.signature not in self.had:
            return "this iteration did not need it"
        if node.recompute:
            return "you want it computed each time"
        again, is_loadable = self._seconds_again(node), self.view.results[node.signature].loadable
        chance = self.computed.get(node.signature, 0.0)
        if is_loadable and chance < _UNLIKELY:
            return "with what is kept, the next edit hardly ever asks for it"
        if not is_loadable or again <= node.load_seconds:
            return f"{seconds_text(again)} to recompute is no more than {seconds_text(node.load_seconds)} to load"
        if node.stored or chance * (again - node.load_seconds) > node.write_seconds:
            return f"the budget is better spent on {self.best or 'other results'}"
        return (
            f"{seconds_text(again)} to recompute and {chance:.0%} likely to be needed again, "
            f"not worth {seconds_text(node.write_seconds)} to write and {format_size(node.bytes)}"
        )

    def _why_other(self, other: OtherArtifact) -> str:
        whose, size = f"`{other.node}` of {other.workflow}", format_size(other.bytes)
        candidate = self.chosen.get(other.signature)
        if candidate is None:
            return f"evicted: its {size} are more than the whole budget"
        if other.signature not in self.keep:
            return f"evicted: the budget is better spent on {self.best or 'newer results'} than on {whose}"
        if candidate.claim:
            return f"kept: {candidate.claim} ({whose}); takes {size}"
        chance = self.loaded.get(other.signature, 0.0)
        if chance >= _UNLIKELY:
            return f"kept: {chance:.0%} likely to be asked for again ({whose}); takes {size}"
        used = f"last used {other.age} iterations ago" if other.age > 0 else "its current result"
        return f"kept: there is room for {whose}, {used}; takes {size}"


POLICIES: dict[str, Policy] = {policy.name: policy for policy in (NEVER, ALWAYS, Joint(small=SMALL))}
"""By the names that they have on the command line."""


def policy_named(name: str, small: int | None = None) -> Policy:
    """Return the policy of a name, `small` as of `Joint`; None for `SMALL`. Raises ParameterError with the nearest name
    if there is none.

    >>> policy_named("never").name
    'never'
    """
    if name not in POLICIES:
        raise ParameterError(f"there is no policy {name!r}", remedy=nearest(name, POLICIES))
    policy = POLICIES[name]
    return replace(policy, small=small) if small is not None and isinstance(policy, Joint) else policy
