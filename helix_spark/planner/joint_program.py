"""The joint program: one 0/1 program decides the states now and what is kept after them.

    min   sum_d seconds_d x_d  +  sum_r (w_r / L_r) new_r  +  sum_s p_s * (what scenario s costs with m kept)
    s.t.  the rows of the execution program for x;
          m_r <= stored_r + (r is computed now, or held in memory);   new_r = m_r for what is not stored yet;
          for each demand: y_r + x_r >= 1 for what it requires, x_r <= y_j + x_j for inputs j, y_r <= m_r;
          sum_r bytes_r m_r <= budget, over everything stored, also of older iterations and other workflows.

x, y: computed, loaded; m: kept. L_r is how many iterations r's result is expected to stay valid
(see `candidates.lifetime`).
With m fixed, each demand's part is totally unimodular (as in `execution`), so only x_d and m_r need to be integer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from helix_spark.planner.candidates import Candidate, capacity
from helix_spark.planner.demands import Demand, Outlook, Results, upstream
from helix_spark.planner.execution import add_execution
from helix_spark.planner.problem import Derivation, State
from helix_spark.planner.solver import Program
from helix_spark.planner.storage import PlanningProblem, execution_problem


@dataclass(frozen=True, slots=True)
class JointProgram:
    """A program and what its variables mean.

    Attributes:
        ways: the variable of each derivation of this iteration; empty where the states are given.
        keep: the variable of each candidate, by signature.
        budget_row: index of the budget's row in `program.rows_at_most`, or None.
    """

    program: Program
    ways: dict[Derivation, int]
    keep: dict[str, int]
    budget_row: int | None = None
    unit: float = 1.0


@dataclass(slots=True)
class _Demanded:
    """Variables of one demand, by signature."""

    loaded: dict[str, int] = field(default_factory=dict)
    computed: dict[str, int] = field(default_factory=dict)


def build(problem: PlanningProblem, outlook: Outlook, chosen: Mapping[str, Candidate]) -> JointProgram:
    """The program of a problem."""
    program = Program(costs=[])
    ways = {} if problem.done is not None else add_execution(execution_problem(problem), program)
    states = frozenset(ways.values())
    keep: dict[str, int] = {}
    demanded = {name for demand in outlook.demands for name in upstream(outlook.results, demand.results, demand.given)}
    for name, candidate in chosen.items():
        useful = name in demanded and outlook.results[name].loadable
        if candidate.stored or candidate.insisted or useful:
            keep[name] = program.variable(candidate.seconds - candidate.worth + candidate.tie)
            if candidate.insisted and (candidate.stored or problem.done is not None):
                program.at_most({keep[name]: -1.0}, -1.0)
    if problem.done is None:
        _add_had(problem, program, chosen, keep, ways)
    for demand in outlook.demands:
        _add_demand(program, outlook.results, demand, keep)
    program.integer = states | frozenset(keep.values())
    room = capacity(problem)
    if room is None or sum(chosen[name].bytes for name in keep) <= room:
        return JointProgram(program, ways, keep)
    # In thousandths of the budget: bytes as they are would drown the solver's tolerances.
    unit = max(1.0, room / 1000)
    sizes = {index: chosen[name].bytes / unit for name, index in keep.items() if chosen[name].bytes}
    program.at_most(sizes, room / unit)
    return JointProgram(program, ways, keep, len(program.rows_at_most) - 1, unit)


def _add_had(
    problem: PlanningProblem, program: Program, chosen: Mapping[str, Candidate], keep: Mapping[str, int],
    ways: Mapping[Derivation, int],
) -> None:
    """Only what is computed now, or held and fetched from memory, can be newly kept."""
    held = {node.name for node in problem.nodes if node.held}
    signatures = {node.name: node.signature for node in problem.nodes}
    sources: dict[str, list[int]] = {}
    for way, index in ways.items():
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


def _add_demand(program: Program, results: Results, demand: Demand, keep: Mapping[str, int]) -> None:
    """One demand's variables and rows. A required result needs no variable of its own where it is loaded if kept."""
    weight = demand.probability
    variables = _Demanded()
    for name in upstream(results, demand.results, demand.given):
        result = results[name]
        kept = keep.get(name) if result.loadable else None
        required = name in demand.results
        load, compute = weight * result.load_seconds, weight * result.compute_seconds
        if required and kept is not None and result.load_seconds <= result.compute_seconds:
            variables.loaded[name] = kept
            program.costs[kept] += load
        elif kept is not None:
            variables.loaded[name] = program.variable(load)
            program.at_most({variables.loaded[name]: 1.0, kept: -1.0}, 0.0)
        computed = variables.computed[name] = program.variable(compute)
        if required:
            terms = {computed: -1.0}
            if name in variables.loaded:
                terms[variables.loaded[name]] = -1.0
            program.at_most(terms, -1.0)
        for source in result.inputs:
            if source in demand.given:
                continue
            terms = {computed: 1.0, variables.computed[source]: -1.0}
            if source in variables.loaded:
                terms[variables.loaded[source]] = -1.0
            program.at_most(terms, 0.0)


