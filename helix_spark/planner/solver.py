"""One 0/1 program through HiGHS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from helix_spark.errors import SetupError

EXACT = 1e-9
"""The gap, relative and absolute, that counts as none. The solver's own, 1e-4 and 1e-6, would leave ties and small
costs to chance."""


@dataclass(slots=True)
class LinearProgram:
    """A minimisation over variables between 0 and 1, known by their index in `costs`. Rows are (least, terms, most).

    Attributes:
        integer: indices that must be 0 or 1; None for all. Leave out those that come out so: it is much faster.
    """

    costs: list[float]
    rows: list[tuple[float, Mapping[int, float], float]] = field(default_factory=list)
    integer: frozenset[int] | None = None
    _one: int | None = None

    def at_most(self, terms: Mapping[int, float], bound: float) -> None:
        """Add the row: sum of coefficient x variable <= bound."""
        self.rows.append((-inf, terms, bound))

    def equal(self, terms: Mapping[int, float], bound: float) -> None:
        """Add the row: sum of coefficient x variable = bound."""
        self.rows.append((bound, terms, bound))

    def variable(self, cost: float) -> int:
        self.costs.append(cost)
        return len(self.costs) - 1

    @property
    def one(self) -> int:
        """The variable that is always 1, for constants."""
        if self._one is None:
            self._one = self.variable(0.0)
            self.equal({self._one: 1.0}, 1.0)
        return self._one


@dataclass(frozen=True, slots=True)
class Answer:
    """What the solver found: a value per variable, or None and why; its name, and the bound below which it proved that
    no solution is."""

    values: tuple[float, ...] | None
    status: str
    solver: str
    objective: float = 0.0
    bound: float = -inf


def solve(program: LinearProgram, *, time_limit: float | None = None, gap: float | None = None) -> Answer:
    """Solve a program.

    Args:
        time_limit: seconds, after which the best solution found so far is returned.
        gap: relative; stop when the solution is known to be this close to the best.

    Raises:
        SetupError: if no solver is installed.
    """
    if not program.costs:
        return Answer((), "", "none needed", 0.0, 0.0)
    if not is_available():
        raise SetupError("no solver is installed", remedy="pip install highspy")
    import highspy

    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    # One thread: equal input must give an equal plan, and these programs are small.
    options: dict[str, Any] = {
        "output_flag": False, "threads": 1, "mip_rel_gap": EXACT if gap is None else gap, "mip_abs_gap": EXACT,
        "time_limit": inf if time_limit is None else time_limit,
    }
    for name, value in options.items():
        highs.setOptionValue(name, value)
    for cost in program.costs:
        highs.addCol(cost, 0.0, 1.0, 0, [], [])
    integer = range(len(program.costs)) if program.integer is None else program.integer
    for index in integer:
        highs.changeColIntegrality(index, highspy.HighsVarType.kInteger)
    for least, terms, most in program.rows:
        highs.addRow(least, most, len(terms), list(terms), list(terms.values()))
    highs.run()
    info = highs.getInfo()
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        infeasible = highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible
        exists = highs.getModelStatus() not in infeasible
        return Answer(None, "No Solution Found" if exists else "No Solution Exists", "HiGHS")
    objective = info.objective_function_value
    # HiGHS has no bound of a linear program but its optimum.
    bound = min(info.mip_dual_bound, objective) if integer else objective
    return Answer(tuple(highs.getSolution().col_value), "", "HiGHS", objective, bound)


def is_available() -> bool:
    try:
        import highspy  # noqa: F401
    except ImportError:
        return False
    return True
