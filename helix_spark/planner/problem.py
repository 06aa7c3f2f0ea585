"""The execution problem and its solution, as frozen data (DAG of derivations, seconds)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from helix_spark.since_python_311 import StrEnum


class State(StrEnum):
    """What happens to a node in this iteration (Helix, PVLDB 12(4), section 4.1)."""

    LOAD = "load"
    COMPUTE = "compute"
    PRUNE = "prune"


@dataclass(frozen=True, slots=True)
class Derivation:
    """One way to have a node's result.

    Attributes:
        node: whose result.
        state: LOAD or COMPUTE.
        needs: the nodes whose results it takes.
        seconds: what it costs, given those.
    """

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
        """Return a solution than which none costs less."""
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
    """Return the seconds of a set of derivations."""
    return sum(derivation.seconds for derivation in derivations)
