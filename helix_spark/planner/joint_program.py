"""The joint program: one 0/1 program decides the states now and what is kept after them.

    min   sum_d seconds_d x_d  +  sum_r (w_r / L_r) new_r  +  sum_s p_s * (what scenario s costs with m kept)
          +  sum_o worth_o (1 - m_o), over stored results o that no scenario asks for
    s.t.  the rows of the execution program for x;
          m_r <= stored_r + (r is computed now, or held in memory);   new_r = m_r for what is not stored yet;
          the rows of each demand (below);
          sum_r bytes_r m_r <= budget, over everything stored, also of older iterations and other workflows.

x_d: derivation d is used now; m_r: result r is kept. L_r is how many iterations r is expected to stay valid
(see `candidates.lifetime`). With m fixed, each demand's part is totally unimodular (as in `problem`), so only x_d and
m_r need to be integer.

A demand has, for each result r that is required or that a required one is made from, a_r = r is had, x_r = computed:

    a_r = 1 if r is required, else a_r >= x_k for each k that r is made into, or a_k where loading k takes r, too;
    x_r >= a_r - m_r if r may be kept, else x_r = a_r;       cost: l_r (a_r - x_r) + c_r x_r.

Most of these are no variables. x_r is 1 - m_r for what is required, a_r is x_k where r is made into one k only; so
they are kept as affine terms of other variables, and a program of half the size is built. Where loading takes longer
than the last step (l_r > c_r), r may also be computed though it is kept, and the load is the variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from helix_spark.planner.candidates import Candidate, capacity, has_room_for_all
from helix_spark.planner.demands import Demand, Outlook, upstream
from helix_spark.planner.problem import Derivation, State, add_execution
from helix_spark.planner.solver import LinearProgram
from helix_spark.planner.storage import SESSION, Lineage, PlanningProblem, ResultCosts, execution_problem

ALLOWANCE = 12_000
"""Variables that demands may have in all; about a second for HiGHS. Beyond it the least likely demands are
underestimated by their last steps alone, which needs no variable and leaves the bound a bound."""


@dataclass(frozen=True, slots=True)
class JointProgram:
    """A program and what its variables mean.

    Attributes:
        ways: the variable of each derivation of this iteration; empty where the states are given.
        keep: the variable of each candidate that leaves a choice or that a demand asks for, by signature.
        settled: signatures of what is kept besides, as it takes no room from others and no demand needs it.
        underestimate: constant seconds that the program's objective leaves out.
    """

    program: LinearProgram
    ways: dict[Derivation, int]
    keep: dict[str, int]
    settled: frozenset[str] = frozenset()
    underestimate: float = 0.0


def build(
    problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], kept: frozenset[str]
) -> JointProgram:
    """Return the program of a problem.

    Args:
        kept: signatures of what is certain to be kept (see `candidates.certain`).
    """
    program = LinearProgram(costs=[])
    ways = {} if problem.done is not None else add_execution(execution_problem(problem), program)
    states = frozenset(ways.values())
    whole, rest = _within(view, ALLOWANCE)
    asked = {name for _, names in whole for name in names}.union(*(demand.results for demand in rest))
    useful = {name for name in asked if view.results[name].loadable}
    is_roomy = has_room_for_all(problem, chosen)
    settled = frozenset(
        name for name, candidate in chosen.items()
        if name not in useful and (name in kept or candidate.stored) and (is_roomy or not candidate.bytes)
    )
    keep: dict[str, int] = {}
    for name, candidate in chosen.items():
        if name not in settled and (candidate.stored or candidate.insisted or name in useful):
            keep[name] = program.variable(candidate.seconds - candidate.worth + candidate.tie)
            if name in kept:
                program.equal({keep[name]: 1.0}, 1.0)
    if problem.done is None:
        _add_had(problem, program, chosen, keep, ways)
    underestimate = sum(chosen[name].seconds - chosen[name].worth for name in sorted(settled))
    underestimate += sum(add_demand(program, view.results, demand, names, keep) for demand, names in whole)
    underestimate += sum(_add_last_steps(program, view.results, demand, keep) for demand in rest)
    program.integer = states | frozenset(keep.values())
    if not is_roomy:
        # In thousandths of the budget: bytes as they are would drown the solver's tolerances.
        room = capacity(problem) or 0
        unit = max(1.0, room / 1000)
        program.at_most({index: chosen[name].bytes / unit for name, index in keep.items()}, room / unit)
    return JointProgram(program, ways, keep, settled, underestimate)


def _add_had(
    problem: PlanningProblem, program: LinearProgram, chosen: Mapping[str, Candidate], keep: Mapping[str, int],
    ways: Mapping[Derivation, int],
) -> None:
    """Only what is computed now, or held and fetched from memory, can be newly kept."""
    held = {node.name for node in problem.nodes if node.held}
    signatures = {node.name: node.signature for node in problem.nodes}
    sources: dict[str, list[int]] = {}
    for way, index in ways.items():
        if way.node == SESSION:
            continue
        if way.state is State.COMPUTE or way.node in held:
            sources.setdefault(signatures[way.node], []).append(index)
    for name, index in keep.items():
        candidate = chosen[name]
        if candidate.stored:
            continue
        program.at_most({index: 1.0, **dict.fromkeys(sources[name], -1.0)}, 0.0)
        if candidate.insisted:
            for source in sources[name]:
                program.at_most({source: 1.0, index: -1.0}, 0.0)


def _within(view: Outlook, allowance: int) -> tuple[list[tuple[Demand, list[str]]], list[Demand]]:
    """Return the likeliest demands, each with all that it is made from, as far as the allowance goes; and the rest."""
    whole: list[tuple[Demand, list[str]]] = []
    rest: list[Demand] = []
    for demand in sorted(view.demands, key=lambda demand: -demand.probability):
        names = upstream(view.results, demand.results, demand.given) if allowance > 0 else []
        allowance -= len(names)
        if allowance > 0:
            whole.append((demand, names))
        else:
            rest.append(demand)
    return whole, rest


def _add_last_steps(program: LinearProgram, results: Lineage, demand: Demand, keep: Mapping[str, int]) -> float:
    """Return the least that a demand costs: each required result's last step, or its load if less and it is kept."""
    seconds = 0.0
    for name in demand.results:
        result = results[name]
        seconds += demand.probability * result.compute_seconds
        if name in keep:
            program.costs[keep[name]] -= demand.probability * max(0.0, result.compute_seconds - result.load_seconds)
    return seconds


# One demand: what it costs to have its results again, given what is kept


@dataclass(frozen=True, slots=True)
class _Affine:
    """A constant plus coefficients of variables."""

    constant: float
    terms: Mapping[int, float] = field(default_factory=dict)

    def minus(self, variable: int) -> _Affine:
        """Return this, minus a variable."""
        return _Affine(self.constant, {**self.terms, variable: self.terms.get(variable, 0.0) - 1.0})


_ALWAYS = _Affine(1.0)


@dataclass(slots=True)
class _Rows:
    """The program as one demand is added to it, and the constant seconds that come with it."""

    program: LinearProgram
    probability: float
    seconds: float = 0.0

    def charge(self, amount: _Affine, seconds: float) -> None:
        """Add to the objective: seconds, as often as `amount` says."""
        weight = self.probability * seconds
        self.seconds += weight * amount.constant
        for variable, coefficient in amount.terms.items():
            self.program.costs[variable] += weight * coefficient

    def at_most(self, smaller: _Affine, larger: int, *more: int) -> None:
        """Add the row: smaller <= larger + more."""
        terms = dict(smaller.terms)
        for variable in (larger, *more):
            terms[variable] = terms.get(variable, 0.0) - 1.0
        self.program.at_most(terms, -smaller.constant)

    def is_had(self, computed: list[_Affine]) -> _Affine:
        """Return whether a result is had that others are made from, given whether each of these is computed."""
        if _ALWAYS in computed:
            return _ALWAYS
        distinct = [amount for index, amount in enumerate(computed) if amount not in computed[:index]]
        if len(distinct) == 1:
            return distinct[0]
        variable = self.program.variable(0.0)
        for amount in distinct:
            self.at_most(amount, variable)
        return _Affine(0.0, {variable: 1.0})

    def computed(self, result: ResultCosts, had: _Affine, kept: int | None) -> _Affine:
        """Return whether it is computed, given whether it is had, and the variable that says whether it is kept."""
        if kept is None:
            self.charge(had, result.compute_seconds)
            return had
        more = result.compute_seconds - result.load_seconds
        if more >= 0:
            self.charge(had, result.load_seconds)
            if had == _ALWAYS:
                computed = had.minus(kept)
                self.charge(computed, more)
                return computed
            variable = self.program.variable(self.probability * more)
            self.at_most(had, variable, kept)
            return _Affine(0.0, {variable: 1.0})
        self.charge(had, result.compute_seconds)
        loaded = self.program.variable(self.probability * -more)
        self.program.at_most({loaded: 1.0, kept: -1.0}, 0.0)
        if had != _ALWAYS:
            self.program.at_most({loaded: 1.0, **{index: -value for index, value in had.terms.items()}}, had.constant)
        return had.minus(loaded)


def add_demand(
    program: LinearProgram, results: Lineage, demand: Demand, names: list[str], keep: Mapping[str, int]
) -> float:
    """Add one demand to a program.

    Args:
        names: signatures of what the demand requires and all that is made from, inputs first.
        keep: the variable that says whether a result is kept, by signature.

    Returns:
        The constant seconds that the program's objective leaves out.
    """
    rows = _Rows(program, demand.probability)
    made_into: dict[str, list[_Affine]] = {}
    for name in reversed(names):
        result = results[name]
        had = _ALWAYS if name in demand.results else rows.is_had(made_into[name])
        computed = rows.computed(result, had, keep.get(name) if result.loadable else None)
        for source in result.inputs:
            if source not in demand.given:
                made_into.setdefault(source, []).append(had if source in result.load_inputs else computed)
    return rows.seconds
