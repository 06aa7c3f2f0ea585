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
    """One way to have a node's result: what that costs, given the results of the nodes that it needs."""

    node: str
    state: State
    needs: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ExecutionProblem:
    """Which nodes there are (inputs first), how each can be had, and which must be had."""

    nodes: tuple[str, ...]
    derivations: tuple[Derivation, ...]
    outputs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Certificate:
    """How good a solution is known to be.

    Attributes:
        status: optimal, feasible (stopped at a time limit) or fallback (a rule's answer, not a solver's).
        objective: seconds the chosen derivations cost.
        bound: no plan costs less.
        gap: (objective - bound) / objective; 0 when optimal.
        solver: which one, or "none needed".
        solver_seconds: time spent in building and solving the program.
        notice: in words, where something other than the program decided.
        scenarios: how many possible next iterations it weighed.
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
    """The chosen derivation of each node that is to be had; nodes without one are pruned."""

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
"""Seconds added to a derivation so that equal plans are told apart: fewer nodes first, then loads before computes.
Below anything that is measured; not part of the reported objective."""


def plan_execution(problem: ExecutionProblem) -> Solution:
    """Return the cheapest way to have the outputs. Raises HelixError if one of them cannot be had."""
    start = time.perf_counter()
    forced = without_choice(problem)
    if forced is not None:
        return Solution.optimal(forced, "none needed", time.perf_counter() - start)
    program = LinearProgram()
    variables = add_execution(problem, program)
    answer = solve(program)
    if answer.values is None:
        raise HelixError(f"the execution program has no solution: {answer.status}")
    chosen = {way.node: way for way, index in variables.items() if answer.values[index] > 0.5}
    return Solution.optimal(chosen, answer.solver, time.perf_counter() - start)


def without_choice(problem: ExecutionProblem) -> dict[str, Derivation] | None:
    """Return the plan, where walking back from the outputs never meets a choice that could matter; else None.

    A way that needs nothing and costs no more than any other is always among the best, so it is no choice. And a plan
    that does without something that can be had in one way only (a session, which has to be started) is best where all
    of it costs no more than that alone.
    """
    chosen = _walked(problem)
    if chosen is not None:
        return chosen
    ways = Counter(way.node for way in problem.derivations)
    starts = [way for way in problem.derivations if ways[way.node] == 1 and not way.needs]
    if not starts:
        return None
    start = max(starts, key=lambda way: way.seconds)
    left = tuple(way for way in problem.derivations if way != start and start.node not in way.needs)
    chosen = _walked(ExecutionProblem(problem.nodes, left, problem.outputs))
    return chosen if chosen is not None and total_seconds(chosen.values()) <= start.seconds else None


def _walked(problem: ExecutionProblem) -> dict[str, Derivation] | None:
    ways: dict[str, list[Derivation]] = {name: [] for name in problem.nodes}
    for derivation in problem.derivations:
        ways[derivation.node].append(derivation)
    chosen: dict[str, Derivation] = {}
    waiting = sorted(problem.outputs)
    while waiting:
        name = waiting.pop()
        if name in chosen:
            continue
        cheapest = min((way.seconds for way in ways[name]), default=0.0)
        best = [way for way in ways[name] if len(ways[name]) == 1 or (not way.needs and way.seconds <= cheapest)]
        if not best:
            return None
        chosen[name] = min(best, key=lambda way: STATE_TIE[way.state])
        waiting.extend(chosen[name].needs)
    return chosen


def add_execution(problem: ExecutionProblem, program: LinearProgram) -> dict[Derivation, int]:
    """Add the variables and rows of this iteration's states to a program; return the variable of each derivation.
    Raises HelixError if an output has none."""
    variables = {way: program.variable(way.seconds + STATE_TIE[way.state]) for way in problem.derivations}
    ways: dict[str, list[int]] = {name: [] for name in problem.nodes}
    for derivation, index in variables.items():
        ways[derivation.node].append(index)
    for name in problem.nodes:
        terms = dict.fromkeys(ways[name], 1.0)
        if name in problem.outputs:
            if not terms:
                raise HelixError(f"output {name!r} can be neither loaded nor computed")
            program.equal(terms, 1.0)
        elif len(terms) > 1:
            program.at_most(terms, 1.0)
    for derivation, index in variables.items():
        for need in dict.fromkeys(derivation.needs):
            program.at_most({index: 1.0, **dict.fromkeys(ways[need], -1.0)}, 0.0)
    return variables
