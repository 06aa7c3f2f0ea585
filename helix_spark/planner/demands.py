"""Presolve: the certain costs of each scenario, and the demands for unchanged results that leave a choice.

In a scenario, a hit node and every node downstream of it get new results. Those that the outputs need are computed in
any case; their unchanged inputs form the frontier. Results are identified by signature, so scenarios of earlier
iterations and other workflows request results in the same way. If the next iteration may have to start Spark, the
session is one more result. It cannot be kept, and results that Spark computes, or that only Spark can load (models),
need it.

Then certain costs are removed and equal demands merged, by three rules. A required result that cannot be loaded is
computed, so its inputs are required. A result that is certain to be kept, and that loads no slower than its last step
computes, is loaded. Parts of a demand that share only such results are separate demands, many of which are equal.

Once the kept results are chosen, meeting a demand is mostly forced: other results are computed, and a kept result that
loads no slower than its last step computes is loaded. Only a kept result whose last step is quicker than its load
leaves a choice, because its inputs may be needed anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from helix_spark.planner.storage import SESSION, Lineage, NodeCosts, PlanningProblem, ResultCosts


@dataclass(frozen=True, slots=True)
class Demand:
    """Results that a later iteration needs together, with the probability that it does.

    Attributes:
        available: upstream results that the iteration has anyway, at no further cost.
    """

    results: frozenset[str]
    probability: float
    available: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Outlook:
    """The expected needs of the next iteration.

    Attributes:
        demands: the frontier of each scenario; after `presolved`, only demands that leave a choice.
        certain_seconds: expected seconds that no decision of this iteration changes.
        hazard: probability that a result of the current version is out of date after the next edit, by signature.
        certain_loads: probability that a result is loaded whatever is decided, by signature.
    """

    results: Lineage
    demands: tuple[Demand, ...]
    certain_seconds: float
    hazard: Mapping[str, float]
    certain_loads: Mapping[str, float] = field(default_factory=dict)


def outlook(problem: PlanningProblem) -> Outlook:
    """Return the frontier of each of a problem's scenarios.

    >>> from helix_spark.planner.storage import Scenario
    >>> rows = NodeCosts("rows", "scanner", "r", (), 5.0, 1.0, 1.0, 10)
    >>> model = NodeCosts("model", "learner", "m", ("rows",), 9.0, 0.1, 0.1, 1)
    >>> edit = Scenario(0.5, frozenset({"model"}), "`model` is edited")
    >>> ahead = outlook(PlanningProblem((rows, model), frozenset({"model"}), scenarios=(edit,)))
    >>> ahead.demands, ahead.certain_seconds, ahead.hazard["m"]
    ((Demand(results=frozenset({'r'}), probability=0.5, available=frozenset()),), 4.5, 0.5)
    """
    hazard, demands, certain = defaultdict[str, float](float), list[Demand](), 0.0
    for scenario in problem.scenarios:
        nodes, outputs = problem.nodes, problem.outputs
        if scenario.version:
            nodes, outputs = scenario.version, scenario.outputs
        lost = set[str]()
        for node in nodes:
            if node.name in scenario.hit or not lost.isdisjoint(node.inputs):
                lost.add(node.name)
        for signature in {node.signature for node in problem.nodes if node.name in lost and not scenario.version}:
            hazard[signature] += scenario.probability
        # Lost nodes that an output needs are computed; their unchanged inputs are the frontier.
        needed, required, computed = set(outputs), set(outputs), list[NodeCosts]()
        for node in reversed(nodes):
            if node.name in needed:
                needed.update(node.inputs)
                if node.name in lost:
                    computed.append(node)
                    required.update(node.inputs)
        frontier = {node.signature for node in nodes if node.name in required and node.name not in lost}
        if problem.later_session_seconds > 0 and any(node.compute_needs_spark for node in computed):
            frontier.add(SESSION)
        certain += scenario.probability * sum(node.compute_seconds for node in computed)
        demands.append(Demand(frozenset(frontier), scenario.probability))
    return Outlook(_results(problem), tuple(demands), certain, hazard)


def upstream(results: Lineage, required: Iterable[str], available: Collection[str] = ()) -> list[str]:
    """Return signatures of the required results and everything upstream, inputs first, without available results."""
    order: list[str] = []
    visited = set(available)
    stack = [(signature, False) for signature in sorted(required, reverse=True)]
    while stack:
        signature, expanded = stack.pop()
        if expanded:
            order.append(signature)
        elif signature not in visited:
            visited.add(signature)
            stack.append((signature, True))
            stack.extend((source, False) for source in reversed(results[signature].inputs) if source not in visited)
    return order


def _results(problem: PlanningProblem) -> Lineage:
    """Return every result that a scenario may need. The current version's costs take precedence."""
    stored_elsewhere = {other.signature for other in problem.others}
    session = (SESSION,) if problem.later_session_seconds > 0 else ()
    results = {name: ResultCosts((), problem.later_session_seconds, 0.0, loadable=False) for name in session}
    for version in (problem.nodes, *(scenario.version for scenario in problem.scenarios if scenario.version)):
        signatures = {node.name: node.signature for node in version}
        for node in version:
            if node.signature in results:
                continue
            inputs = tuple(dict.fromkeys(signatures[name] for name in node.inputs))
            inputs += session if node.compute_needs_spark else ()
            may_be_kept = node.storable and node.keep != "never"
            loadable = may_be_kept if version is problem.nodes else node.signature in stored_elsewhere
            load_inputs = session if node.load_needs_spark and node.compute_needs_spark else ()
            results[node.signature] = ResultCosts(
                inputs, node.compute_seconds, node.load_seconds, loadable and not node.recompute, load_inputs
            )
    return results


MOST_VISITED = 60_000
"""Total of results visited to split demands, the likeliest scenarios first; about a tenth of a second."""


def presolved(view: Outlook, candidates: Collection[str], kept: Collection[str] = frozenset()) -> Outlook:
    """Return an outlook whose demands all leave a choice.

    Args:
        candidates: signatures of results that may be kept.
        kept: signatures of results that are certain to be kept.
    """
    results = {
        name: replace(result, loadable=False) if result.loadable and name not in candidates else result
        for name, result in view.results.items()
    }
    certain, allowance = view.certain_seconds, MOST_VISITED
    loads, merged = defaultdict[str, float](float), defaultdict[tuple[frozenset[str], frozenset[str]], float](float)
    for demand in sorted(view.demands, key=lambda demand: -demand.probability):
        if demand.probability <= 0:
            break
        computed, loaded, required = _without_choice(results, demand.results, kept)
        seconds = sum(results[name].compute_seconds for name in sorted(computed))
        seconds += sum(results[name].load_seconds for name in sorted(loaded))
        certain += demand.probability * seconds
        for name in loaded:
            loads[name] += demand.probability
        if allowance > 0:
            parts, visited = _independent_parts(results, required, computed | loaded)
            allowance -= visited
        else:
            parts = [(frozenset(required), frozenset(computed | loaded))] if required else []
        for part in parts:
            merged[part] += demand.probability
    demands = tuple(Demand(part, weight, available) for (part, available), weight in merged.items())
    return Outlook(results, demands, certain, view.hazard, loads)


def last_steps(view: Outlook) -> Mapping[str, float]:
    """Return the expected seconds that keeping a result saves at least, by signature: its last step minus its load, in
    each demand that needs it. Inputs that only it needs would save more."""
    saved = defaultdict[str, float](float)
    for demand in view.demands:
        _, _, required = _without_choice(view.results, demand.results, ())
        for name in required:
            result = view.results[name]
            saved[name] += demand.probability * max(0.0, result.compute_seconds - result.load_seconds)
    return saved


def _without_choice(
    results: Lineage, required: Iterable[str], kept: Collection[str], may: Collection[str] | None = None,
    forced: Collection[str] = (), available: Collection[str] = (),
) -> tuple[set[str], set[str], set[str]]:
    """Return the results that are computed in any case, those that are loaded in any case, and the open ones.

    Args:
        kept: results to load if that is no slower than their last step.
        may: results that may be loaded; None for all loadable ones.
        forced: results to load however slow that is.
        available: results that cost nothing more.
    """
    computed: set[str] = set()
    loaded: set[str] = set()
    undecided: set[str] = set()
    stack = list(required)
    while stack:
        name = stack.pop()
        if name in computed or name in loaded or name in undecided or name in available:
            continue
        result = results[name]
        if not result.loadable or (may is not None and name not in may):
            computed.add(name)
            stack.extend(result.inputs)
        elif name in forced or (name in kept and result.load_seconds <= result.compute_seconds):
            loaded.add(name)
            stack.extend(result.load_inputs)
        else:
            undecided.add(name)
    return computed, loaded, undecided


def _independent_parts(
    results: Lineage, required: set[str], available: set[str]
) -> tuple[list[tuple[frozenset[str], frozenset[str]]], int]:
    """Split a demand into parts that share only available upstream results. Return the parts, each with the available
    results that it uses, and the number of visited results."""
    stack = sorted(required)
    part = {name: name for name in stack}

    def root(name: str) -> str:
        while part[name] != name:
            part[name] = part[part[name]]
            name = part[name]
        return name

    uses: list[tuple[str, str]] = []
    while stack:
        name = stack.pop()
        for source in results[name].inputs:
            if source in available:
                uses.append((name, source))
                continue
            if source not in part:
                part[source] = source
                stack.append(source)
            part[root(source)] = root(name)
    members: dict[str, tuple[set[str], set[str]]] = {}
    for name in sorted(required):
        members.setdefault(root(name), (set(), set()))[0].add(name)
    for name, source in uses:
        members[root(name)][1].add(source)
    return [(frozenset(names), frozenset(sources)) for names, sources in members.values()], len(part)


_MOST_CHOICES = 8
"""Largest number of open choices that are enumerated (2^8 cases); more are all loaded, which may cost more."""


@dataclass(frozen=True, slots=True)
class Recall:
    """The cheapest way to meet a demand: its seconds, and the results that it loads and computes."""

    seconds: float
    loaded: frozenset[str]
    computed: frozenset[str]


def recall(
    results: Lineage, required: Collection[str], kept: Collection[str], available: Collection[str] = (),
    forced: frozenset[str] = frozenset(),
) -> Recall:
    """Return the cheapest way to get the required results. Those in `kept` may be loaded, those in `forced` must be
    loaded, and those in `available` cost nothing.

    >>> from helix_spark.planner.storage import ResultCosts
    >>> rows = ResultCosts((), 5.0, 1.0, True)
    >>> model = ResultCosts(("r",), 2.0, 4.0, True)
    >>> recall({"r": rows, "m": model}, ["m"], {"r", "m"}).seconds    # load rows, compute the model
    3.0
    """
    computed, loaded, undecided = _without_choice(results, required, kept, kept, forced, available)
    while quick := {name for name in undecided if computed.union(loaded, available).issuperset(results[name].inputs)}:
        computed |= quick
        undecided -= quick
    if not undecided or len(undecided) > _MOST_CHOICES:
        loaded |= undecided
        computed.update(source for name in undecided for source in results[name].load_inputs if source not in available)
        seconds = sum(results[name].load_seconds for name in sorted(loaded))
        seconds += sum(results[name].compute_seconds for name in sorted(computed))
        return Recall(seconds, frozenset(loaded), frozenset(computed))
    first = min(undecided)
    options = (
        recall(results, required, kept, available, forced | {first}),
        recall(results, required, frozenset(kept) - {first}, available, forced),
    )
    return min(options, key=lambda option: option.seconds)
