"""One 0/1 program through PuLP and HiGHS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from helix_spark.errors import SetupError

EXACT = 1e-9
"""The gap, relative and absolute, that counts as none. The solver's own, 1e-4 and 1e-6, would leave ties and small
costs to chance."""


@dataclass(slots=True)
class LinearProgram:
    """A minimisation over variables between 0 and 1, known by their index in `costs`. Rows are (terms, bound).

    Names are made from indices only: PuLP folds names such as "a-b" and "a_b" into one.

    Attributes:
        integer: indices that must be 0 or 1; None for all. Leave out those that come out so: it is much faster.
    """

    costs: list[float]
    rows_at_most: list[tuple[Mapping[int, float], float]] = field(default_factory=list)
    rows_equal: list[tuple[Mapping[int, float], float]] = field(default_factory=list)
    integer: frozenset[int] | None = None
    _one: int | None = None

    def at_most(self, terms: Mapping[int, float], bound: float) -> None:
        """Add the row: sum of coefficient x variable <= bound."""
        self.rows_at_most.append((terms, bound))

    def equal(self, terms: Mapping[int, float], bound: float) -> None:
        """Add the row: sum of coefficient x variable = bound."""
        self.rows_equal.append((terms, bound))

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
    """What the solver found: a value per variable, or None; its status, its name, and the bound below which it proved
    that no solution is."""

    values: tuple[float, ...] | None
    status: str
    solver: str
    objective: float = 0.0
    bound: float = float("-inf")


def solve(program: LinearProgram, *, time_limit: float | None = None, gap: float | None = None) -> Answer:
    """Solve a program.

    Args:
        time_limit: seconds, after which the best solution found so far is returned.
        gap: relative; stop when the solution is known to be this close to the best.

    Raises:
        SetupError: if no solver is installed.
    """
    import pulp

    if not program.costs:
        return Answer((), "Optimal Solution Found", "none needed", 0.0, 0.0)
    problem = _model(program)
    if not is_available():
        raise SetupError("no solver is installed", remedy="pip install highspy")
    # One thread: equal input must give an equal plan, and these programs are small.
    solver = pulp.HiGHS(
        msg=False, threads=1, timeLimit=time_limit, gapRel=EXACT if gap is None else gap, gapAbs=EXACT
    )
    try:
        problem.solve(solver)
    except pulp.PulpSolverError as failure:
        return Answer(None, f"the solver failed: {failure}", solver.name)
    status = pulp.LpSolution[problem.sol_status]
    if problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return Answer(None, status, solver.name)
    values = tuple(float(variable.varValue or 0.0) for variable in problem.helix_variables)
    objective = float(pulp.value(problem.objective) or 0.0)
    # HiGHS has no bound of a linear program but its optimum.
    bound = min(float(problem.solverModel.getInfo().mip_dual_bound), objective) if problem.isMIP() else objective
    return Answer(values, status, solver.name, objective, bound)


def _model(program: LinearProgram) -> Any:
    """Return the program in PuLP's terms; its variables, in order, as `helix_variables`."""
    import pulp

    problem = pulp.LpProblem("helix", pulp.LpMinimize)
    everything = range(len(program.costs))
    category = dict.fromkeys(everything if program.integer is None else program.integer, pulp.LpInteger)
    variables = [
        problem.add_variable(f"x{index}", 0, 1, category.get(index, pulp.LpContinuous)) for index in everything
    ]
    problem.helix_variables = variables
    problem += pulp.LpAffineExpression(list(zip(variables, program.costs, strict=True)))
    for rows, sense in ((program.rows_at_most, pulp.LpConstraintLE), (program.rows_equal, pulp.LpConstraintEQ)):
        for terms, bound in rows:
            expression = pulp.LpAffineExpression([(variables[index], value) for index, value in terms.items()])
            problem += pulp.LpConstraint(expression, sense, rhs=bound)
    return problem


@cache
def is_available() -> bool:
    import pulp

    return bool(pulp.HiGHS(msg=False).available())
