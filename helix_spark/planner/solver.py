"""Small 0/1 programs, solved by HiGHS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from helix_spark.errors import SetupError

EXACT = 1e-9
"""The gap, relative and absolute, that counts as none. The solver's own, 1e-4 and 1e-6, would leave ties and small
costs to chance."""

NAME = "HiGHS"
_FEASIBLE = 2
"""The status of a solution that satisfies all rows (`kSolutionStatusFeasible`)."""


@dataclass(slots=True)
class LinearProgram:
    """A minimisation over variables between 0 and 1, known by their index in `costs`. Rows are (terms, bound).

    Attributes:
        integer: indices that must be 0 or 1; None for all. Leave out those that come out so: it is much faster.
    """

    costs: list[float]
    rows_at_most: list[tuple[Mapping[int, float], float]] = field(default_factory=list)
    rows_equal: list[tuple[Mapping[int, float], float]] = field(default_factory=list)
    integer: frozenset[int] | None = None

    def at_most(self, terms: Mapping[int, float], bound: float) -> None:
        """Add the row: sum of coefficient x variable <= bound."""
        self.rows_at_most.append((terms, bound))

    def equal(self, terms: Mapping[int, float], bound: float) -> None:
        """Add the row: sum of coefficient x variable = bound."""
        self.rows_equal.append((terms, bound))

    def variable(self, cost: float) -> int:
        """Add a variable and return its index."""
        self.costs.append(cost)
        return len(self.costs) - 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What the solver found: a value per variable, or None; its status, its name, the best bound it proved.

    Attributes:
        bound: no solution costs less, as far as the solver tells; minus infinity where it does not.
    """

    values: tuple[float, ...] | None
    status: str
    solver: str
    objective: float = 0.0
    bound: float = float("-inf")


def load_solver() -> Any:
    """Return the solver's module.

    Raises:
        SetupError: it is not installed.
    """
    try:
        import highspy
    except ImportError as error:
        raise SetupError("no solver is installed", remedy="pip install highspy") from error
    return highspy


def solve(program: LinearProgram, *, time_limit: float | None = None, gap: float | None = None) -> Answer:
    """Solve a program.

    Args:
        time_limit: seconds, after which the best solution found so far is returned.
        gap: relative; stop when the solution is known to be this close to the best.

    Raises:
        SetupError: if no solver is installed.
    """
    if not program.costs:
        return Answer((), "Optimal", "none needed", 0.0, 0.0)
    highspy = load_solver()
    highs = highspy.Highs()
    # One thread: equal input must give an equal plan, and these programs are small.
    options = {"output_flag": False, "threads": 1, "mip_rel_gap": EXACT if gap is None else gap, "mip_abs_gap": EXACT}
    for name, value in (options if time_limit is None else options | {"time_limit": float(time_limit)}).items():
        highs.setOptionValue(name, value)
    integer = _load(program, highs, highspy)
    highs.run()
    status, info = highs.getModelStatus(), highs.getInfo()
    if info.primal_solution_status != _FEASIBLE:
        return Answer(None, highs.modelStatusToString(status), NAME)
    objective = float(info.objective_function_value)
    bound = min(float(info.mip_dual_bound), objective) if integer else objective
    if not integer and status != highspy.HighsModelStatus.kOptimal:
        bound = float("-inf")
    return Answer(tuple(highs.getSolution().col_value), highs.modelStatusToString(status), NAME, objective, bound)


def _load(program: LinearProgram, highs: Any, highspy: Any) -> bool:
    """Give a program to the solver; return whether a variable of it must be 0 or 1."""
    for index, cost in enumerate(program.costs):
        highs.addCol(cost, 0.0, 1.0, 0, [], [])
        if program.integer is None or index in program.integer:
            highs.changeColIntegrality(index, highspy.HighsVarType.kInteger)
    rows = [(-highspy.kHighsInf, terms, bound) for terms, bound in program.rows_at_most]
    for least, terms, most in (*rows, *((bound, terms, bound) for terms, bound in program.rows_equal)):
        given = {index: value for index, value in terms.items() if value}
        highs.addRow(least, most, len(given), list(given), list(given.values()))
    return program.integer is None or bool(program.integer)
