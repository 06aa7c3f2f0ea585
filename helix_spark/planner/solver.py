"""One 0/1 program through PuLP and HiGHS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from helix_spark.errors import SetupError

EXACT = 1e-9
"""The relative and absolute gap that counts as none. HiGHS's defaults, 1e-4 and 1e-6, would decide ties and small costs
arbitrarily."""


class LinearProgram:
    """A PuLP minimisation over variables between 0 and 1, identified by their index in `costs`.

    Variables are named by index because PuLP takes names such as "a-b" and "a_b" for the same.
    """

    def __init__(self) -> None:
        import pulp

        self.problem: Any = pulp.LpProblem("helix", pulp.LpMinimize)
        self.variables, self.costs = list[Any](), list[float]()

    def at_most(self, terms: Mapping[int, float], bound: float) -> None:
        """Add the row: sum of coefficient x variable <= bound."""
        self.problem += self._sum(terms) <= bound

    def equal(self, terms: Mapping[int, float], bound: float) -> None:
        """Add the row: sum of coefficient x variable = bound."""
        self.problem += self._sum(terms) == bound

    def variable(self, cost: float, *, integer: bool = True) -> int:
        """Add a variable, 0 or 1 if `integer`. Where the optimum is integer anyway, False is much faster."""
        kind = "Integer" if integer else "Continuous"
        self.variables.append(self.problem.add_variable(f"x{len(self.costs)}", 0, 1, kind))
        self.costs.append(cost)
        return len(self.costs) - 1

    @cached_property
    def constant(self) -> int:
        """The variable that is always 1; its cost is the constant of the objective."""
        index = self.variable(0.0, integer=False)
        self.equal({index: 1.0}, 1.0)
        return index

    def _sum(self, terms: Mapping[int, float]) -> Any:
        import pulp

        return pulp.LpAffineExpression([(self.variables[index], value) for index, value in terms.items()])


@dataclass(frozen=True, slots=True)
class Answer:
    """The solver's answer: a value per variable or None, its status and name, the objective and its lower bound."""

    values: tuple[float, ...] | None
    status: str
    solver: str
    objective: float = 0.0
    bound: float = float("-inf")


def solve(program: LinearProgram, *, time_limit: float | None = None, gap: float | None = None) -> Answer:
    """Solve a program. Raises SetupError if no solver is installed.

    Args:
        time_limit: seconds, after which the best solution found so far is returned.
        gap: relative gap at which to stop.
    """
    import pulp

    if not is_available():
        raise SetupError("no solver is installed", remedy="pip install highspy")
    # One thread, because equal input must give an equal plan, and these programs are small.
    solver = pulp.HiGHS(msg=False, threads=1, timeLimit=time_limit, gapRel=EXACT if gap is None else gap, gapAbs=EXACT)
    problem = program.problem
    problem.setObjective(pulp.LpAffineExpression(list(zip(program.variables, program.costs, strict=True))))
    try:
        problem.solve(solver)
    except pulp.PulpSolverError as failure:
        return Answer(None, f"the solver failed: {failure}", solver.name)
    status = pulp.LpSolution[problem.sol_status]
    if problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return Answer(None, status, solver.name)
    values = tuple(float(variable.varValue or 0.0) for variable in program.variables)
    objective = float(pulp.value(problem.objective) or 0.0)
    # For a linear program HiGHS has no bound other than its optimum.
    bound = min(float(problem.solverModel.getInfo().mip_dual_bound), objective) if problem.isMIP() else objective
    return Answer(values, status, solver.name, objective, bound)


@cache
def is_available() -> bool:
    import pulp

    return bool(pulp.HiGHS(msg=False).available())
