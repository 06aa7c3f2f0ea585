"""The joint program: one 0/1 program decides the states now and what is kept after them.

    min   sum_d seconds_d x_d  +  sum_r (w_r / L_r) new_r  +  sum_s p_s * (what scenario s costs with m kept)
          +  sum_o worth_o (1 - m_o), over stored results o that no scenario asks for
    s.t.  the rows of the execution program for x;
          m_r <= stored_r + (r is computed now, or held in memory);   new_r = m_r for what is not stored yet;
          the rows of each demand (below);
          sum_r bytes_r m_r <= budget, over everything stored, also of older iterations and other workflows.

x_d: derivation d is used now; m_r: result r is kept. L_r is how many iterations r is expected to stay valid
(see `candidates.lifetime`). With m fixed, each demand's part is totally unimodular (as in `problem`), so only x_d and
m_r need to be integer.

A demand has, for each result r that is required or that a required one is made from, a_r = r is had, x_r = computed:

    a_r = 1 if r is required, else a_r >= x_k for each k that r is made into, or a_k where loading k takes r, too;
    x_r >= a_r - m_r if r may be kept, else x_r = a_r;       cost: l_r (a_r - x_r) + c_r x_r.

Many of these are no variables: a_r is x_k where r is made into one k only.
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
"""Results of demands, each a variable or two; about a second for HiGHS. Beyond it the least likely demands are
underestimated by their last steps alone, which needs no variable and leaves the bound a bound."""


@dataclass(frozen=True, slots=True)
class JointProgram:
    """A program and what its variables mean.

    Attributes:
        ways: the variable of each derivation of this iteration; empty where the states are given.
        keep: the variable of each candidate that leaves a choice or that a demand asks for, by signature.
        settled: signatures of what is kept besides, as it takes no room from others and no demand needs it.
    """

    program: LinearProgram
    ways: dict[Derivation, int]
    keep: dict[str, int]
    settled: frozenset[str]


def build(
    problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], kept: frozenset[str]
) -> JointProgram:
    """Return the program of a problem.

    Args:
        kept: signatures of what is certain to be kept (see `candidates.certain`).
    """
    program = LinearProgram()
    ways = {} if problem.done is not None else add_execution(execution_problem(problem), program)
    whole, rest = _within(view, ALLOWANCE)
    asked = {name for _, names in whole for name in names}.union(*(demand.results for demand in rest))
    useful = {name for name in asked if view.results[name].loadable}
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
        _add_had(problem, program, chosen, keep, ways)
    constant = view.certain_seconds + sum(candidate.worth for candidate in chosen.values())
    constant += sum(chosen[name].seconds - chosen[name].worth for name in sorted(settled))
    constant += 0.0 if problem.done is None else total_seconds(problem.done.chosen.values())
    program.costs[program.constant] += constant
    for demand, names in whole:
        add_demand(program, view.results, demand, names, keep)
    for demand in rest:  # the least that it costs: each result's last step, or its load if that is less and it is kept
        for name in sorted(demand.results):
            result = view.results[name]
            program.costs[program.constant] += demand.probability * result.compute_seconds
            if name in keep:
                program.costs[keep[name]] -= demand.probability * max(0.0, result.compute_seconds - result.load_seconds)
    if not is_roomy:
        # In thousandths of the budget: bytes as they are would drown the solver's tolerances.
        room = capacity(problem) or 0
        unit = max(1.0, room / 1000)
        program.at_most({index: chosen[name].bytes / unit for name, index in keep.items()}, room / unit)
    return JointProgram(program, ways, keep, settled)


def _add_had(
    problem: PlanningProblem, program: LinearProgram, chosen: Mapping[str, Candidate], keep: Mapping[str, int],
    ways: Mapping[Derivation, int],
) -> None:
    """Only what is computed now, or held and fetched from memory, can be newly kept."""
    held = {node.name for node in problem.nodes if node.in_memory}
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
        if candidate.claim:
            for source in sources[name]:
                program.at_most({source: 1.0, index: -1.0}, 0.0)


def _within(view: Outlook, allowance: int) -> tuple[list[tuple[Demand, list[str]]], list[Demand]]:
    """Return the likeliest demands, each with all that it is made from, as far as the allowance goes; and the rest."""
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


def add_demand(
    program: LinearProgram, results: Lineage, demand: Demand, names: list[str], keep: Mapping[str, int]
) -> None:
    """Add to a program what one demand costs, given what is kept.

    Args:
        names: signatures of what the demand requires and all that is made from, inputs first.
        keep: the variable that says whether a result is kept, by signature.
    """
    made_into: dict[str, dict[int, None]] = {}
    for name in reversed(names):
        result, readers = results[name], made_into.get(name, {})
        if name in demand.results or program.constant in readers:
            had = program.constant
        elif len(readers) == 1:
            (had,) = readers
        else:
            had = program.variable(0.0, integer=False)
            for reader in readers:
                program.at_most({reader: 1.0, had: -1.0}, 0.0)
        computed = had
        if not result.loadable or name not in keep:
            program.costs[had] += demand.probability * result.compute_seconds
        else:
            program.costs[had] += demand.probability * result.load_seconds
            more = result.compute_seconds - result.load_seconds
            computed = program.variable(demand.probability * more, integer=False)
            program.at_most({had: 1.0, computed: -1.0, keep[name]: -1.0}, 0.0)
            if more < 0:
                program.at_most({computed: 1.0, had: -1.0}, 0.0)
        for source in result.inputs:
            if source not in demand.given:
                made_into.setdefault(source, {})[had if source in result.load_inputs else computed] = None
