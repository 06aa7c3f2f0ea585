"""One 0/1 program through PuLP: HiGHS where it is installed, else CBC from PuLP's own wheel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from helix_spark.errors import SetupError

_SOLVERS = ("HiGHS", "PULP_CBC_CMD", "COIN_CMD")


@dataclass(slots=True)
class Program:
    """A minimisation over 0/1 variables, known by their index in `costs`. Rows are (terms, bound).

    Names are made from indices only: PuLP folds names such as "a-b" and "a_b" into one.
    """

    costs: list[float]
    rows_at_most: list[tuple[Mapping[int, float], float]] = field(default_factory=list)
    rows_equal: list[tuple[Mapping[int, float], float]] = field(default_factory=list)

    def at_most(self, terms: Mapping[int, float], bound: float) -> None:
        """Adds the row: sum of coefficient x variable <= bound."""
        self.rows_at_most.append((terms, bound))

    def equal(self, terms: Mapping[int, float], bound: float) -> None:
        """Adds the row: sum of coefficient x variable = bound."""
        self.rows_equal.append((terms, bound))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a solver found: a value per variable, or None; its status, its name, the best bound it proved."""

    values: tuple[float, ...] | None
    status: str
    solver: str
    objective: float = 0.0


def solve(program: Program, *, relaxed: bool = False, time_limit: float | None = None, gap: float | None = None) -> Answer:
    """Solves a program.

    Args:
        relaxed: let variables take any value between 0 and 1.
        time_limit: seconds, after which the best solution found so far is returned.
        gap: relative; stop when the solution is known to be this close to the best.

    Raises:
        SetupError: if no solver is installed.
    """
    import pulp

    problem = pulp.LpProblem("helix", pulp.LpMinimize)
    category = pulp.LpContinuous if relaxed else pulp.LpBinary
    variables = [pulp.LpVariable(f"x{index}", 0, 1, category) for index in range(len(program.costs))]
    problem += pulp.LpAffineExpression(zip(variables, program.costs, strict=True))
    for rows, sense in ((program.rows_at_most, pulp.LpConstraintLE), (program.rows_equal, pulp.LpConstraintEQ)):
        for terms, bound in rows:
            expression = pulp.LpAffineExpression([(variables[index], value) for index, value in terms.items()])
            problem += pulp.LpConstraint(expression, sense, rhs=bound)
    solver = _solver(time_limit, gap)
    problem.solve(solver)
    status = pulp.LpSolution[problem.sol_status]
    if problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return Answer(None, status, solver.name)
    values = tuple(float(variable.varValue or 0.0) for variable in variables)
    return Answer(values, status, solver.name, float(pulp.value(problem.objective) or 0.0))


@lru_cache(maxsize=1)
def available_solvers() -> tuple[str, ...]:
    """Names of the installed solvers that we use, best first. `pulp.listSolvers` would start every solver it knows."""
    import pulp

    usable = [name for name in _SOLVERS if hasattr(pulp, name) and getattr(pulp, name)(msg=False).available()]
    return tuple(usable)


def _solver(time_limit: float | None, gap: float | None) -> Any:
    import pulp

    if not available_solvers():
        raise SetupError("no solver is installed", remedy="pip install highspy")
    # One thread: equal input must give an equal plan, and these programs are small.
    options: dict[str, Any] = {"msg": False, "threads": 1, "timeLimit": time_limit, "gapRel": gap}
    return getattr(pulp, available_solvers()[0])(**{key: v for key, v in options.items() if v is not None})
