"""The exact execution program: for each node, load, compute or prune, so that the outputs cost least.

With x_d = derivation d is used and a_i = the sum of x_d over node i's derivations:

    min  sum_d seconds_d x_d    subject to  x_d <= a_j for each need j of d,  a_i <= 1,  a_o = 1 for outputs o.

With one LOAD and one COMPUTE derivation a node this is the program of Helix (PVLDB 12(4), section 5.2, solved there by
a minimum cut); its matrix is totally unimodular, so the linear relaxation is integral.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from helix_spark.errors import HelixError
from helix_spark.planner.solver import LinearProgram, solve
from helix_spark.since_python_311 import StrEnum


class State(StrEnum):
    """What happens to a node in this iteration (Helix, PVLDB 12(4), section 4.1)."""

    LOAD = "load"
    COMPUTE = "compute"
    PRUNE = "prune"


@dataclass(frozen=True, slots=True)
class Derivation:
    """A way to obtain a node's result from the results of the nodes that it needs, with its cost."""

    node: str
    state: State
    needs: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ExecutionProblem:
    """Nodes (inputs first), their derivations, and the required outputs."""

    nodes: tuple[str, ...]
    derivations: tuple[Derivation, ...]
    outputs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Certificate:
    """The proven quality of a solution.

    Attributes:
        status: optimal, feasible (stopped at a time limit) or fallback (decided by a rule, not a solver).
        objective: seconds that the chosen derivations cost.
        bound: a lower bound on the cost of any plan.
        gap: (objective - bound) / objective; 0 when optimal.
        solver: the solver's name, or "none needed".
        solver_seconds: time spent in building and solving the program.
        notice: a sentence if something other than the program decided, or empty.
        scenarios: number of next iterations that were weighed.
    """

    status: str
    objective: float
    bound: float
    gap: float
    solver: str
    solver_seconds: float
    notice: str = ""
    scenarios: int = 0


@dataclass(frozen=True, slots=True)
class Solution:
    """The chosen derivations by node; nodes without one are pruned."""

    chosen: Mapping[str, Derivation]
    certificate: Certificate

    @classmethod
    def optimal(cls, chosen: Mapping[str, Derivation], solver: str, solver_seconds: float = 0.0) -> Solution:
        cost = total_seconds(chosen.values())
        return cls(chosen, Certificate("optimal", cost, cost, 0.0, solver, solver_seconds))

    def state(self, name: str) -> State:
        """Return the node's state.

        >>> proof = Certificate("optimal", 0, 0, 0, "none needed", 0)
        >>> Solution({}, proof).state("rows")
        <State.PRUNE: 'prune'>
        """
        return self.chosen[name].state if name in self.chosen else State.PRUNE


def total_seconds(derivations: Iterable[Derivation]) -> float:
    return sum(derivation.seconds for derivation in derivations)


STATE_TIE = {State.LOAD: 1e-7, State.COMPUTE: 1e-6}
"""Seconds added to a derivation to break ties: fewer nodes first, then loads before computes. Smaller than any measured
time; not part of the reported objective."""


def plan_execution(problem: ExecutionProblem) -> Solution:
    """Return the cheapest solution. Raises HelixError if an output can be neither loaded nor computed."""
    start = time.perf_counter()
    forced = without_choice(problem)
    if forced is not None:
        return Solution.optimal(forced, "none needed", time.perf_counter() - start)
    program = LinearProgram()
    variables = add_execution(problem, program)
    answer = solve(program)
    if answer.values is None:
        raise HelixError(f"the execution program has no solution: {answer.status}")
    chosen = {derivation.node: derivation for derivation, index in variables.items() if answer.values[index] > 0.5}
    return Solution.optimal(chosen, answer.solver, time.perf_counter() - start)


def without_choice(problem: ExecutionProblem) -> dict[str, Derivation] | None:
    """Return the best derivations if no choice could change the cost, else None.

    A derivation that needs nothing and costs no more than the others is always among the best, so it is no choice. Some
    nodes have one derivation without needs, such as a session. A plan that avoids such a node is best if it costs no
    more than that node alone.
    """
    chosen = _chosen_without_choice(problem)
    if chosen is not None:
        return chosen
    counts = Counter(derivation.node for derivation in problem.derivations)
    starts = [derivation for derivation in problem.derivations if counts[derivation.node] == 1 and not derivation.needs]
    if not starts:
        return None
    start = max(starts, key=lambda derivation: derivation.seconds)
    without = tuple(item for item in problem.derivations if item != start and start.node not in item.needs)
    chosen = _chosen_without_choice(ExecutionProblem(problem.nodes, without, problem.outputs))
    return chosen if chosen is not None and total_seconds(chosen.values()) <= start.seconds else None


def _chosen_without_choice(problem: ExecutionProblem) -> dict[str, Derivation] | None:
    derivations: dict[str, list[Derivation]] = {name: [] for name in problem.nodes}
    for derivation in problem.derivations:
        derivations[derivation.node].append(derivation)
    chosen: dict[str, Derivation] = {}
    stack = sorted(problem.outputs)
    while stack:
        name = stack.pop()
        if name in chosen:
            continue
        options = derivations[name]
        cheapest = min((option.seconds for option in options), default=0.0)
        best = [option for option in options if len(options) == 1 or (not option.needs and option.seconds <= cheapest)]
        if not best:
            return None
        chosen[name] = min(best, key=lambda option: STATE_TIE[option.state])
        stack.extend(chosen[name].needs)
    return chosen


def add_execution(problem: ExecutionProblem, program: LinearProgram) -> dict[Derivation, int]:
    """Add an iteration's states to a program; return the derivations' variables. Raises HelixError without any."""
    variables = {
        derivation: program.variable(derivation.seconds + STATE_TIE[derivation.state])
        for derivation in problem.derivations
    }
    node_variables: dict[str, list[int]] = {name: [] for name in problem.nodes}
    for derivation, index in variables.items():
        node_variables[derivation.node].append(index)
    for name in problem.nodes:
        terms = dict.fromkeys(node_variables[name], 1.0)
        if name in problem.outputs:
            if not terms:
                raise HelixError(f"output {name!r} can be neither loaded nor computed")
            program.equal(terms, 1.0)
        elif len(terms) > 1:
            program.at_most(terms, 1.0)
    for derivation, index in variables.items():
        for need in dict.fromkeys(derivation.needs):
            program.at_most({index: 1.0, **dict.fromkeys(node_variables[need], -1.0)}, 0.0)
    return variables
