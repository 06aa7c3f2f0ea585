"""The joint program: one 0/1 program decides the states of this iteration and the results to keep after it.

    min   sum_d seconds_d x_d  +  sum_r (w_r / L_r) new_r  +  sum_s p_s * (what scenario s costs with m kept)
          +  sum_o worth_o (1 - m_o), over stored results o that no scenario asks for
    s.t.  the rows of the execution program for x;
          m_r <= stored_r + (r is computed now, or held in memory);   new_r = m_r for what is not stored yet;
          the rows of each demand (below);
          sum_r bytes_r m_r <= budget, over everything stored, also of older iterations and other workflows.

x_d: derivation d is used now; m_r: result r is kept. L_r is the expected number of iterations for which r stays valid
(see `candidates.lifetime`). With m fixed, each demand's part is totally unimodular (as in `problem`), so only x_d and
m_r need to be integer.

A demand has, for each required result r and each r upstream of one, a_r = r is available and x_r = r is computed:

    a_r = 1 if r is required, else a_r >= x_k for each reader k of r, or a_k if loading k needs r, too;
    x_r >= a_r - m_r if r may be kept, else x_r = a_r;       cost: l_r (a_r - x_r) + c_r x_r.

Many of these are no variables: a_r is x_k if r has one reader k only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from helix_spark.planner.candidates import Candidate, capacity, has_room_for_all
from helix_spark.planner.demands import Demand, Outlook, upstream
from helix_spark.planner.problem import Derivation, State, add_execution, total_seconds
from helix_spark.planner.solver import LinearProgram
from helix_spark.planner.storage import SESSION, Lineage, PlanningProblem, execution_problem

ALLOWANCE = 4_000
"""Results of demands in one program, each with one or two variables; about a second for HiGHS. Beyond it, the least
likely demands count only their last steps. This needs no variable and underestimates them, so the bound stays valid."""


@dataclass(frozen=True, slots=True)
class JointProgram:
    """A program and its variables.

    Attributes:
        derivations: the variable of each derivation of this iteration; empty if the states are decided already.
        keep: the variable of each candidate that leaves a choice or that a demand needs, by signature.
        settled: signatures of other kept results, which take no room from others and which no demand needs.
    """

    program: LinearProgram
    derivations: dict[Derivation, int]
    keep: dict[str, int]
    settled: frozenset[str]


def build(
    problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], kept: frozenset[str]
) -> JointProgram:
    """Return the program of a problem. `kept` has signatures that are certainly kept (`candidates.certain`)."""
    program = LinearProgram()
    derivations = {} if problem.done is not None else add_execution(execution_problem(problem), program)
    likely, unlikely = _split_by_allowance(view, ALLOWANCE)
    requested = {name for _, names in likely for name in names}.union(*(demand.results for demand in unlikely))
    useful = {name for name in requested if view.results[name].loadable}
    is_roomy = has_room_for_all(problem, chosen)
    settled = frozenset(
        name for name, candidate in chosen.items()
        if name not in useful and (name in kept or candidate.stored) and (is_roomy or not candidate.bytes)
    )
    keep: dict[str, int] = {}
    for name, candidate in chosen.items():
        if name not in settled and (candidate.stored or candidate.claim or name in useful):
            keep[name] = program.variable(candidate.seconds - candidate.worth + candidate.tie)
            if name in kept:
                program.equal({keep[name]: 1.0}, 1.0)
    if problem.done is None:
        _add_availability(problem, program, chosen, keep, derivations)
    constant = view.certain_seconds + sum(candidate.worth for candidate in chosen.values())
    constant += sum(chosen[name].seconds - chosen[name].worth for name in sorted(settled))
    constant += 0.0 if problem.done is None else total_seconds(problem.done.chosen.values())
    program.costs[program.constant] += constant
    for demand, names in likely:
        add_demand(program, view.results, demand, names, keep)
    for demand in unlikely:  # at least each result's last step, or its load if that is cheaper and the result is kept
        for name in sorted(demand.results):
            result = view.results[name]
            program.costs[program.constant] += demand.probability * result.compute_seconds
            if name in keep:
                program.costs[keep[name]] -= demand.probability * max(0.0, result.compute_seconds - result.load_seconds)
    if not is_roomy:
        # Thousandths of the budget, because plain bytes are too large for the solver's tolerances.
        room = capacity(problem) or 0
        unit = max(1.0, room / 1000)
        program.at_most({index: chosen[name].bytes / unit for name, index in keep.items()}, room / unit)
    return JointProgram(program, derivations, keep, settled)


def _add_availability(
    problem: PlanningProblem, program: LinearProgram, chosen: Mapping[str, Candidate], keep: Mapping[str, int],
    derivations: Mapping[Derivation, int],
) -> None:
    """Add rows so that a new result can be kept only if it is computed now or loaded from memory."""
    in_memory = {node.name for node in problem.nodes if node.in_memory}
    signatures = {node.name: node.signature for node in problem.nodes}
    sources: dict[str, list[int]] = {}
    for derivation, index in derivations.items():
        if derivation.node == SESSION:
            continue
        if derivation.state is State.COMPUTE or derivation.node in in_memory:
            sources.setdefault(signatures[derivation.node], []).append(index)
    for name, index in keep.items():
        candidate = chosen[name]
        if candidate.stored:
            continue
        program.at_most({index: 1.0, **dict.fromkeys(sources[name], -1.0)}, 0.0)
        if candidate.claim:
            for source in sources[name]:
                program.at_most({source: 1.0, index: -1.0}, 0.0)


def _split_by_allowance(view: Outlook, allowance: int) -> tuple[list[tuple[Demand, list[str]]], list[Demand]]:
    """Return the likeliest demands within the allowance, each with its upstream results, and the other demands."""
    likely: list[tuple[Demand, list[str]]] = []
    unlikely: list[Demand] = []
    for demand in sorted(view.demands, key=lambda demand: -demand.probability):
        names = upstream(view.results, demand.results, demand.available) if allowance > 0 else []
        allowance -= len(names)
        if allowance > 0:
            likely.append((demand, names))
        else:
            unlikely.append(demand)
    return likely, unlikely


def add_demand(
    program: LinearProgram, results: Lineage, demand: Demand, names: list[str], keep: Mapping[str, int]
) -> None:
    """Add the cost of one demand to a program.

    Args:
        names: signatures of the required results and of everything upstream, inputs first.
        keep: the variables of kept results, by signature.
    """
    readers_of: dict[str, dict[int, None]] = {}
    for name in reversed(names):
        result, readers = results[name], readers_of.get(name, {})
        if name in demand.results or program.constant in readers:
            available = program.constant
        elif len(readers) == 1:
            (available,) = readers
        else:
            available = program.variable(0.0, integer=False)
            for reader in readers:
                program.at_most({reader: 1.0, available: -1.0}, 0.0)
        computed = available
        if not result.loadable or name not in keep:
            program.costs[available] += demand.probability * result.compute_seconds
        else:
            program.costs[available] += demand.probability * result.load_seconds
            extra = result.compute_seconds - result.load_seconds
            computed = program.variable(demand.probability * extra, integer=False)
            program.at_most({available: 1.0, computed: -1.0, keep[name]: -1.0}, 0.0)
            if extra < 0:
                program.at_most({computed: 1.0, available: -1.0}, 0.0)
        for source in result.inputs:
            if source not in demand.available:
                readers_of.setdefault(source, {})[available if source in result.load_inputs else computed] = None
