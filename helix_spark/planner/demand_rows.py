"""The variables and rows of one demand: what it costs to have its results again, given what is kept.

For each result r that is required or that a required one is made from, with a_r = r is had, x_r = r is computed:

    a_r = 1 if r is required, else a_r >= x_k for each k that r is made into, or a_k where loading k takes r, too;
    x_r >= a_r - m_r if r may be kept, else x_r = a_r;       cost: l_r (a_r - x_r) + c_r x_r.

Most of these are no variables. x_r is 1 - m_r for what is required, a_r is x_k where r is made into one k only; so
they are kept as affine terms of other variables, and a program of half the size is built. Where loading takes longer
than the last step (l_r > c_r), r may also be computed though it is kept, and the load is the variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from helix_spark.planner.demands import Demand
from helix_spark.planner.frontiers import ResultCosts, Results
from helix_spark.planner.solver import LinearProgram


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
    program: LinearProgram, results: Results, demand: Demand, names: list[str], keep: Mapping[str, int]
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
