"""What any policy must take that does not know the edits to come: a lower bound on its expected time.

The oracle's time is such a bound, but a loose one: much of what it saves is luck that nobody can plan. The bound is
tightened by charging for foreknowledge (Brown, Smith and Sun, "Information Relaxations and Duality in Stochastic
Dynamic Programs", Operations Research 58(4), 2010): whoever knows the script may choose what to keep by it, but pays,
in place of what the next iteration takes, what it takes *on average over all that may come next*, by the true
frequencies. For a policy that does not know the script, both are the same in the mean, so no such policy takes less in
the mean than the best of these choices.

The bound is lower than need be, for speed: results of a version are written without being computed. The truth lies
between it and what the policies reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from helix_spark.planner.candidates import WRITE_WEIGHT
from helix_spark.planner.demands import Outlook, outlook, presolved, recall, upstream
from helix_spark.planner.joint_program import add_demand
from helix_spark.planner.solver import LinearProgram, solve
from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem
from tests.simulation.forecasters import true
from tests.simulation.work import Work


def limit(work: Work, budget: int | None, *, time_limit: float = 20.0, gap: float = 2e-3) -> float:
    """The bound, for the course of events that the work's script is. In seconds of the whole script.

    Args:
        time_limit, gap: of the solver; where it stops early, the bound it has proved counts.

    Raises:
        AssertionError: if the solver finds no answer.
    """
    program = LinearProgram()
    seconds = _first_seconds(work)
    known: dict[str, NodeCosts] = {}
    kept: dict[str, int] = {}
    for number in range(len(work.script) - 1):
        current = _storable(work, number)
        known |= current
        kept = _add_kept(program, known, current, kept, budget)
        view = _expected(work, number, known)
        seconds += view.certain_seconds
        for demand in view.demands:
            names = upstream(view.results, demand.results, demand.available)
            add_demand(program, view.results, demand, names, kept)
    answer = solve(program, time_limit=time_limit, gap=gap)
    assert answer.values is not None, answer.status
    return seconds + answer.bound


def expected_seconds(work: Work, kept: Sequence[frozenset[str]]) -> float:
    """What a policy's choices take, where each next iteration counts by its mean over all that may come next. It is
    never less than `limit`, and its mean over scripts is that of what the policy really takes, but for what it
    computes for no other reason than to store it.

    Args:
        kept: signatures of what is stored after each iteration.
    """
    seconds = _first_seconds(work)
    known: dict[str, NodeCosts] = {}
    before: frozenset[str] = frozenset()
    for number, after in enumerate(kept[:-1]):
        known |= _storable(work, number)
        seconds += sum(WRITE_WEIGHT * known[name].write_seconds for name in sorted(after - before))
        view = _expected(work, number, known)
        plans = [recall(view.results, demand.results, after, demand.available) for demand in view.demands]
        seconds += view.certain_seconds
        seconds += sum(demand.probability * plan.seconds for demand, plan in zip(view.demands, plans, strict=True))
        before = after
    return seconds


def _first_seconds(work: Work) -> float:
    """Nothing is stored at first, and every node of these works is needed by an output."""
    return sum(node.compute_seconds for node in work.nodes)


def _storable(work: Work, number: int) -> dict[str, NodeCosts]:
    return {node.signature: node for node in work.version(number).nodes if node.storable}


def _add_kept(
    program: LinearProgram, known: Mapping[str, NodeCosts], current: Mapping[str, NodeCosts], before: Mapping[str, int],
    budget: int | None,
) -> dict[str, int]:
    """Whether each result is kept after an iteration; what was not kept before is written, if the version has it."""
    kept: dict[str, int] = {}
    for name, node in known.items():
        if (name not in before and name not in current) or (budget is not None and node.bytes > budget):
            continue
        kept[name] = program.variable(0.0)
        terms = {kept[name]: 1.0}
        if name in before:
            terms[before[name]] = -1.0
        if name in current:
            terms[program.variable(WRITE_WEIGHT * node.write_seconds, integer=False)] = -1.0
        program.at_most(terms, 0.0)
    if budget is not None:
        # In thousandths of the budget: bytes as they are would drown the solver's tolerances.
        unit = max(1.0, budget / 1000)
        program.at_most({index: known[name].bytes / unit for name, index in kept.items()}, budget / unit)
    return kept


def _expected(work: Work, number: int, known: Mapping[str, NodeCosts]) -> Outlook:
    """What may be asked for after an iteration, where any of the known results may be kept."""
    version = work.version(number)
    current = {node.signature for node in version.nodes}
    others = tuple(
        OtherArtifact(name, "simulated", node.name, node.bytes, node.load_seconds, 0.0, 1)
        for name, node in known.items() if name not in current
    )
    problem = PlanningProblem(version.nodes, version.outputs, None, 0, others, true(work, number))
    return presolved(outlook(problem), known.keys())
