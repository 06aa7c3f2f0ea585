"""The joint program: one 0/1 program decides the states now and what is kept after them.

    min   sum_d seconds_d x_d  +  sum_r (w_r / L_r) new_r  +  sum_s p_s * (what scenario s costs with m kept)
          +  sum_o worth_o (1 - m_o), over stored results o that no scenario asks for
    s.t.  the rows of the execution program for x;
          m_r <= stored_r + (r is computed now, or held in memory);   new_r = m_r for what is not stored yet;
          the rows of each demand (see `demand_rows`);
          sum_r bytes_r m_r <= budget, over everything stored, also of older iterations and other workflows.

x_d: derivation d is used now; m_r: result r is kept. L_r is how many iterations r is expected to stay valid
(see `candidates.lifetime`). With m fixed, each demand's part is totally unimodular (as in `execution`), so only x_d and
m_r need to be integer. What is small and certain to pay has m_r = 1, and is not counted in the last row: no plan within
the budget is better than the program's, and that one is within it where it leaves room for them (else see `joint`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from helix_spark.planner.candidates import Candidate, capacity
from helix_spark.planner.demand_rows import add_demand
from helix_spark.planner.demands import Demand, Outlook
from helix_spark.planner.execution import add_execution
from helix_spark.planner.frontiers import Results, upstream
from helix_spark.planner.problem import Derivation, State
from helix_spark.planner.solver import LinearProgram
from helix_spark.planner.storage import SESSION, PlanningProblem, execution_problem

ALLOWANCE = 12_000
"""Variables that demands may have in all; about a second for HiGHS. Beyond it the least likely demands are
underestimated by their last steps alone, which needs no variable and leaves the bound a bound."""


@dataclass(frozen=True, slots=True)
class JointProgram:
    """A program and what its variables mean.

    Attributes:
        ways: the variable of each derivation of this iteration; empty where the states are given.
        keep: the variable of each candidate that leaves a choice or that a demand asks for, by signature.
        settled: signatures of what is kept besides.
        budget_row: index of the budget's row in `program.rows_at_most`, or None.
        unit: bytes in which that row counts.
        spared: bytes of what is kept without a choice and does not count in that row.
        underestimate: constant seconds that the program's objective leaves out.
    """

    program: LinearProgram
    ways: dict[Derivation, int]
    keep: dict[str, int]
    settled: frozenset[str] = frozenset()
    budget_row: int | None = None
    unit: float = 1.0
    spared: int = 0
    underestimate: float = 0.0


def build(
    problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], kept: frozenset[str]
) -> JointProgram:
    """The program of a problem.

    Args:
        kept: signatures of what is certain to be kept (see `candidates.certain`).
    """
    program = LinearProgram(costs=[])
    ways = {} if problem.done is not None else add_execution(execution_problem(problem), program)
    states = frozenset(ways.values())
    whole, rest = _within(view, ALLOWANCE)
    asked = {name for _, names in whole for name in names}.union(*(demand.results for demand in rest))
    useful = {name for name in asked if view.results[name].loadable}
    settled = _settled(problem, chosen, kept, useful)
    keep: dict[str, int] = {}
    for name, candidate in chosen.items():
        if name not in settled and (candidate.stored or candidate.insisted or name in useful):
            keep[name] = program.variable(candidate.seconds - candidate.worth + candidate.tie)
            if name in kept:
                program.equal({keep[name]: 1.0}, 1.0)
    if problem.done is None:
        _add_had(problem, program, chosen, keep, ways)
    underestimate = sum(chosen[name].seconds - chosen[name].worth for name in sorted(settled))
    underestimate += sum(add_demand(program, view.results, demand, names, keep) for demand, names in whole)
    underestimate += sum(_add_last_steps(program, view.results, demand, keep) for demand in rest)
    program.integer = states | frozenset(keep.values())
    small = frozenset(name for name in kept if not chosen[name].insisted)
    row, unit, spared = _add_budget(problem, program, chosen, keep, settled, small)
    return JointProgram(program, ways, keep, settled, row, unit, spared, underestimate)


def _settled(
    problem: PlanningProblem, chosen: Mapping[str, Candidate], kept: Collection[str], useful: Collection[str]
) -> frozenset[str]:
    """Return signatures of what is kept in any case and no demand needs: certain, or stored where there is room."""
    room = capacity(problem)
    most = sum(
        candidate.bytes for name, candidate in chosen.items()
        if candidate.stored or candidate.insisted or name in useful or name in kept
    )
    tight = room is not None and most > room
    return frozenset(
        name for name, candidate in chosen.items()
        if name not in useful and (name in kept or (candidate.stored and not (tight and candidate.bytes)))
    )


def _add_budget(
    problem: PlanningProblem, program: LinearProgram, chosen: Mapping[str, Candidate], keep: Mapping[str, int],
    settled: Collection[str], small: Collection[str],
) -> tuple[int | None, float, int]:
    """The budget's row, its unit in bytes, and the bytes that it does not count; no row where everything fits.

    Args:
        small: signatures of what is kept without a choice because it is small, among `keep` and `settled`.
    """
    room = capacity(problem)
    if room is None or sum(chosen[name].bytes for name in (*settled, *keep)) <= room:
        return None, 1.0, 0
    # In thousandths of the budget: bytes as they are would drown the solver's tolerances.
    unit = max(1.0, room / 1000)
    counted = {name: chosen[name].bytes for name in (*settled, *keep) if chosen[name].bytes and name not in small}
    taken = sum(size for name, size in counted.items() if name in settled)
    program.at_most({keep[name]: size / unit for name, size in counted.items() if name in keep}, (room - taken) / unit)
    return len(program.rows_at_most) - 1, unit, sum(chosen[name].bytes for name in small)


def _add_had(
    problem: PlanningProblem, program: LinearProgram, chosen: Mapping[str, Candidate], keep: Mapping[str, int],
    ways: Mapping[Derivation, int],
) -> None:
    """Only what is computed now, or held and fetched from memory, can be newly kept."""
    held = {node.name for node in problem.nodes if node.held}
    signatures = {node.name: node.signature for node in problem.nodes}
    sources: dict[str, list[int]] = {}
    for way, index in ways.items():
        if way.node == SESSION:
            continue
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


def _within(view: Outlook, allowance: int) -> tuple[list[tuple[Demand, list[str]]], list[Demand]]:
    """The likeliest demands, each with all that it is made from, as far as the allowance goes; and the rest."""
    whole: list[tuple[Demand, list[str]]] = []
    rest: list[Demand] = []
    for demand in sorted(view.demands, key=lambda demand: -demand.probability):
        names = upstream(view.results, demand.results, demand.given) if allowance > 0 else []
        allowance -= len(names)
        if allowance > 0:
            whole.append((demand, names))
        else:
            rest.append(demand)
    return whole, rest


def _add_last_steps(program: LinearProgram, results: Results, demand: Demand, keep: Mapping[str, int]) -> float:
    """Return the least that a demand costs: each required result's last step, or its load if less and it is kept."""
    seconds = 0.0
    for name in demand.results:
        result = results[name]
        seconds += demand.probability * result.compute_seconds
        if name in keep:
            program.costs[keep[name]] -= demand.probability * max(0.0, result.compute_seconds - result.load_seconds)
    return seconds


