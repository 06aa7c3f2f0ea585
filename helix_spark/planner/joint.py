"""The policies. `Joint` decides states and storage by one program. `NEVER` and `ALWAYS` are simple rules; `ALWAYS` also
decides if the program has no solution in time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from helix_spark.errors import ParameterError, nearest
from helix_spark.planner.candidates import TIE, Candidate, candidates, capacity, certain, grant_room, storable_now
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
)
from helix_spark.sizes import format_size, seconds_text
from helix_spark.workflow.operators import Kind

LARGE, LARGE_GAP = 500, 0.004
"""Number of variables of a large program, and the relative gap at which the solver stops for it. Costs are not known to
half a percent, and closing the gap further takes most of the time."""

SMALL = 16 << 20
"""Default total of bytes of an iteration's smallest results, which are kept without being weighed."""


@dataclass(frozen=True, slots=True)
class FirstCome:
    """A policy that keeps stored results and adds computed ones, inputs first, while the budget lasts.

    Attributes:
        stores_all: True to store every computed result, False to store only those with ``keep="always"``.
    """

    name: str
    stores_all: bool

    def decide(self, problem: PlanningProblem) -> Decision:
        start = time.perf_counter()
        solution = problem.done or plan_execution(execution_problem(problem))
        available, room = storable_now(problem, solution), capacity(problem)

        def is_new(node: NodeCosts) -> bool:
            return node.storable and node.signature in available and (self.stores_all or node.keep == "always")

        current = [node for node in problem.nodes if node.keep != "never" and (node.stored or is_new(node))]
        sizes = {node.signature: node.bytes for node in current if node.stored}
        sizes |= {other.signature: other.bytes for other in problem.others}
        sizes |= {node.signature: node.bytes for node in current if not node.stored}
        keep = set(grant_room(problem, sizes, room))
        used = sum(sizes[signature] for signature in keep)
        for signature, size in sizes.items():
            if signature not in keep and (room is None or used + size <= room):
                keep.add(signature)
                used += size
        evict = problem.stored - keep
        reasons = dict.fromkeys(sorted(evict), "evicted: the budget is used up")
        reasons |= {node.signature: _rule_text(node, keep) for node in problem.nodes if node in current or node.stored}
        certificate = replace(solution.certificate, solver_seconds=time.perf_counter() - start)
        kept = frozenset(node.signature for node in current if node.signature in keep)
        return Decision(solution, kept, evict, certificate, reasons)


def _rule_text(node: NodeCosts, keep: set[str]) -> str:
    if node.signature in keep:
        new = "you asked for it" if node.keep == "always" else "the policy stores everything"
        return f"kept: {'it is stored already' if node.stored else new}"
    why = "you asked not to keep it" if node.keep == "never" else "the budget is used up"
    return f"{'evicted' if node.stored else 'not kept'}: {why}"


NEVER = FirstCome("never", stores_all=False)
"""Store only results with ``keep="always"``, and evict nothing."""

ALWAYS = FirstCome("always", stores_all=True)


@dataclass(frozen=True, slots=True)
class Joint:
    """A policy that decides states and storage by one program (see `joint_program`).

    Attributes:
        time_limit: seconds for the solver; then the best plan so far applies, or that of `ALWAYS` if there is none.
        small: total of bytes of a version's smallest results, which are kept without being weighed.
    """

    time_limit: float = 10.0
    small: int = 0
    name: str = "joint"

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`. Without a plan in time it falls back to `ALWAYS`, and the certificate says so."""
        start = time.perf_counter()
        ahead = outlook(problem)
        chosen = candidates(problem, ahead.hazard, self.small)
        kept = certain(problem, ahead, chosen)
        view = presolved(ahead, chosen.keys(), kept)
        forced = _without_choice(problem, chosen, kept)
        plan = forced or self._solve(problem, build(problem, view, chosen, kept), chosen)
        if not isinstance(plan, str):
            return _decision(problem, view, chosen, plan, start)
        decision = ALWAYS.decide(problem)
        notice = f"{plan}; every result is kept instead, while the budget lasts"
        cost = total_seconds(decision.solution.chosen.values())
        return replace(decision, certificate=Certificate(
            "fallback", cost, 0.0, 1.0 if cost else 0.0, "none", time.perf_counter() - start, notice,
            len(problem.scenarios),
        ))

    def _solve(
        self, problem: PlanningProblem, program: JointProgram, chosen: Mapping[str, Candidate]
    ) -> _ChosenPlan | str:
        """Return the program's plan, or the reason why there is none."""
        room = capacity(problem)
        gap = LARGE_GAP if len(program.program.costs) > LARGE else None
        answer = solve(program.program, time_limit=self.time_limit, gap=gap)
        if answer.values is None:
            return f"the solver found no plan in {self.time_limit:g} s ({answer.status})"
        picked = [name for name, index in program.keep.items() if answer.values[index] > 0.5]
        keep = program.settled.union(picked)
        if room is not None and sum(chosen[name].bytes for name in keep) > room:
            return "the kept results exceed the budget by a rounding error"
        derivations = [item for item, index in program.derivations.items() if answer.values[index] > 0.5]
        ties = sum(STATE_TIE[item.state] for item in derivations) + sum(chosen[name].tie for name in picked)
        solution = problem.done or Solution.optimal({item.node: item for item in derivations}, answer.solver)
        return _ChosenPlan(solution, keep, answer.solver, answer.bound - ties)


@dataclass(frozen=True, slots=True)
class _ChosenPlan:
    """States and kept results, with a lower bound on the cost of any plan; `bound` is None if this plan is optimal."""

    solution: Solution
    keep: frozenset[str]
    solver: str
    bound: float | None = None


def _without_choice(
    problem: PlanningProblem, chosen: Mapping[str, Candidate], kept: frozenset[str]
) -> _ChosenPlan | None:
    """Return the plan if the states leave no choice and every candidate is certain to be kept, or is stored and fits.

    The best states of this iteration are then the best overall: all of their results are kept, and to compute more now
    could only save a later iteration the same cost. The exception is a later process that pays more for a session.
    """
    solution = problem.done
    if solution is None:
        forced = without_choice(execution_problem(problem))
        if forced is None:
            return None
        solution = Solution.optimal(forced, "none needed")
    available = storable_now(problem, solution)
    keep = frozenset(name for name, candidate in chosen.items() if candidate.stored or name in available)
    room = capacity(problem)
    is_full = room is not None and sum(chosen[name].bytes for name in keep) > room
    if is_full or any(not chosen[name].stored and name not in kept for name in keep):
        return None
    more_may_pay = len(keep) < len(chosen) and problem.later_session_seconds > problem.session_seconds
    return None if problem.done is None and more_may_pay else _ChosenPlan(solution, keep, "none needed")


def _decision(
    problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], plan: _ChosenPlan, start: float
) -> Decision:
    current, solution = {node.signature for node in problem.nodes}, plan.solution
    recalls = [recall(view.results, demand.results, plan.keep, demand.available) for demand in view.demands]
    # Seconds now, the writes' share of this iteration, and the expected seconds of the next one.
    objective = total_seconds(solution.chosen.values()) + view.certain_seconds
    objective += sum(item.seconds if name in plan.keep else item.worth for name, item in chosen.items())
    objective += sum(demand.probability * item.seconds for demand, item in zip(view.demands, recalls, strict=True))
    bound = objective if plan.bound is None else min(objective, max(0.0, plan.bound))
    gap = (objective - bound) / objective if objective > 0 else 0.0
    optimal = objective - bound <= max(1e-6 * objective, TIE)  # the precision of the solver
    certificate = Certificate(
        "optimal" if optimal else "feasible", objective, objective if optimal else bound, 0.0 if optimal else gap,
        plan.solver, time.perf_counter() - start, "" if optimal else f"not proven best, by at most {gap:.1%}",
        len(problem.scenarios),
    )
    solution = Solution(solution.chosen, certificate) if problem.done is None else solution
    reasons = _StorageReasons(problem, view, chosen, solution, plan.keep, recalls).by_signature()
    return Decision(solution, plan.keep & current, problem.stored - plan.keep, certificate, reasons)


_UNLIKELY = 0.005
"""Half a percent; smaller probabilities are shown as 0 %."""


class _StorageReasons:
    """Sentences that say why each result is kept, not kept or evicted.

    Attributes:
        loaded, computed: probability that the next iteration loads or computes a result, by signature.
        available: signatures of results that this iteration could store.
        best: the largest kept result, which uses most of a budget; empty if no result takes room.
    """

    def __init__(
        self, problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], solution: Solution,
        keep: frozenset[str], recalls: Sequence[Recall],
    ) -> None:
        self.problem, self.view, self.chosen, self.keep = problem, view, chosen, keep
        self.loaded = defaultdict[str, float](float, view.certain_loads)
        self.computed = defaultdict[str, float](float)
        for demand, needs in zip(view.demands, recalls, strict=True):
            for uses, names in ((self.loaded, needs.loaded), (self.computed, needs.computed)):
                for name in names:
                    uses[name] += demand.probability
        self.available = storable_now(problem, solution)
        kept = (node for node in problem.nodes if node.signature in keep)
        largest = max(kept, key=lambda node: node.bytes, default=None)
        self.best = f"`{largest.name}`" if largest is not None and largest.bytes else ""

    def by_signature(self) -> dict[str, str]:
        """Return a sentence for every node of the current version and every stored result."""
        return {
            **{node.signature: self._why_node(node) for node in self.problem.nodes},
            **{other.signature: self._why_other(other) for other in self.problem.others},
        }

    def _seconds_again(self, node: NodeCosts) -> float:
        """Return the seconds to compute a result again from the other kept results."""
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
                return "it may differ each time, so it cannot be reused"
            return "it is read from its own files" if node.kind == Kind.SOURCE else "it cannot be stored by itself"
        if node.keep == "never":
            return "you asked not to keep it"
        if room is not None and node.bytes > room:
            return f"its {format_size(node.bytes)} are more than the whole budget"
        if not node.stored and node.signature not in self.available:
            return "this iteration did not need it"
        if node.recompute:
            return "you asked for it to be computed in every run"
        again, is_loadable = self._seconds_again(node), self.view.results[node.signature].loadable
        chance = self.computed.get(node.signature, 0.0)
        if is_loadable and chance < _UNLIKELY:
            return "with the other kept results, the next edit hardly ever needs it"
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
            return f"kept: {chance:.0%} likely to be reused ({whose}); takes {size}"
        used = f"last used {other.age} iterations ago" if other.age > 0 else "its current result"
        return f"kept: there is room for {whose}, {used}; takes {size}"


POLICIES: dict[str, Policy] = {policy.name: policy for policy in (NEVER, ALWAYS, Joint(small=SMALL))}
"""Policies by their names on the command line."""


def policy_named(name: str, small: int | None = None) -> Policy:
    """Return a policy by name. `small` is for `Joint`; None keeps `SMALL`. Raises ParameterError for an unknown name.

    >>> policy_named("never").name
    'never'
    """
    if name not in POLICIES:
        raise ParameterError(f"there is no policy {name!r}", remedy=nearest(name, POLICIES))
    policy = POLICIES[name]
    return replace(policy, small=small) if small is not None and isinstance(policy, Joint) else policy
