"""Presolve: what each scenario computes whatever is kept, and the demands for unchanged results that it leaves.

In a scenario, a node that is hit, and every node downstream of it, gets a new result. Those that the outputs need are
computed in any case; beyond them lies the frontier of unchanged results. A result is known by its signature, so that an
earlier iteration's or another workflow's scenario asks for results like any other. Where the next iteration may have to
start Spark, the session is one more result: nobody can keep it, and whatever is computed with Spark is made from it, as
is what only Spark can load (a model).

Then all that is certain is taken out, and equal demands become one. Three things leave no choice. A required result
that cannot be loaded is computed, so its inputs are required. One that is certain to be kept, and loads no slower than
its last step computes, is loaded. And parts of a demand that share nothing but what is computed or loaded in any case
are had one by one, which makes many of them equal.

With the choice made, meeting a demand is mostly forced: what is not kept is computed, what is kept and loads no slower
than its last step computes is loaded. Only a kept result whose last step is quicker than its load leaves a choice (its
inputs may be needed anyway).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from helix_spark.planner.storage import SESSION, Lineage, NodeCosts, PlanningProblem, ResultCosts


@dataclass(frozen=True, slots=True)
class Demand:
    """Results that a later iteration needs all at once, with the probability that it does.

    Attributes:
        given: results that it has in any case, and from which these can be made at no further cost.
    """

    results: frozenset[str]
    probability: float
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of the next iteration.

    Attributes:
        demands: of each scenario its frontier; once presolved, what leaves a choice.
        certain_seconds: expected seconds that no decision of today changes.
        hazard: by signature of the current version, how likely its result is out of date after the next edit.
        certain_loads: by signature, the probability that it is loaded whatever is decided, being certain to be kept.
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
    >>> what = outlook(PlanningProblem((rows, model), frozenset({"model"}), scenarios=(edit,)))
    >>> what.demands, what.certain_seconds, what.hazard["m"]
    ((Demand(results=frozenset({'r'}), probability=0.5, given=frozenset()),), 4.5, 0.5)
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
        # Of what is lost each that an output needs is computed; what that needs and is unchanged is the frontier.
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


def upstream(results: Lineage, required: Iterable[str], given: Collection[str] = ()) -> list[str]:
    """Return signatures of the required results and of all they are made from, inputs first; nothing that is given."""
    order: list[str] = []
    seen = set(given)
    stack = [(signature, False) for signature in sorted(required, reverse=True)]
    while stack:
        signature, expanded = stack.pop()
        if expanded:
            order.append(signature)
        elif signature not in seen:
            seen.add(signature)
            stack.append((signature, True))
            stack.extend((source, False) for source in reversed(results[signature].inputs) if source not in seen)
    return order


def _results(problem: PlanningProblem) -> Lineage:
    """Return every result that a scenario may ask for. The current version's figures go before those of other
    versions."""
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
            there = may_be_kept if version is problem.nodes else node.signature in stored_elsewhere
            loading = session if node.load_needs_spark and node.compute_needs_spark else ()
            results[node.signature] = ResultCosts(
                inputs, node.compute_seconds, node.load_seconds, there and not node.recompute, loading
            )
    return results


# Demands

WALKED = 60_000
"""Results that are visited in all to part demands; about a tenth of a second. The likeliest scenarios come first."""


def presolved(view: Outlook, candidates: Collection[str], kept: Collection[str] = frozenset()) -> Outlook:
    """Return an outlook without what leaves no choice.

    Args:
        candidates: signatures of what may be kept.
        kept: of what is certain to be kept.
    """
    results = {
        name: replace(result, loadable=False) if result.loadable and name not in candidates else result
        for name, result in view.results.items()
    }
    certain, left = view.certain_seconds, WALKED
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
        if left > 0:
            parts, walked = _independent(results, required, computed | loaded)
            left -= walked
        else:
            parts = [(frozenset(required), frozenset(computed | loaded))] if required else []
        for part in parts:
            merged[part] += demand.probability
    demands = tuple(Demand(part, weight, given) for (part, given), weight in merged.items())
    return Outlook(results, demands, certain, view.hazard, loads)


def last_steps(view: Outlook) -> Mapping[str, float]:
    """Return the expected seconds that keeping a result alone surely saves: its last step less its load, wherever it is
    needed in any case. Keeping it saves its inputs, too, where nothing else needs them; that is not counted."""
    saved = defaultdict[str, float](float)
    for demand in view.demands:
        _, _, required = _without_choice(view.results, demand.results, ())
        for name in required:
            result = view.results[name]
            saved[name] += demand.probability * max(0.0, result.compute_seconds - result.load_seconds)
    return saved


def _without_choice(
    results: Lineage, required: Iterable[str], kept: Collection[str], may: Collection[str] | None = None,
    forced: Collection[str] = (), given: Collection[str] = (),
) -> tuple[set[str], set[str], set[str]]:
    """Return what is computed in any case, what is loaded in any case, and the rest.

    Args:
        kept: what is loaded where that is no slower than its last step.
        may: what may be loaded; None for all that is loadable.
        forced: what is loaded however slow that is.
        given: what is there.
    """
    computed: set[str] = set()
    loaded: set[str] = set()
    left: set[str] = set()
    waiting = list(required)
    while waiting:
        name = waiting.pop()
        if name in computed or name in loaded or name in left or name in given:
            continue
        result = results[name]
        if not result.loadable or (may is not None and name not in may):
            computed.add(name)
            waiting.extend(result.inputs)
        elif name in forced or (name in kept and result.load_seconds <= result.compute_seconds):
            loaded.add(name)
            waiting.extend(result.load_inputs)
        else:
            left.add(name)
    return computed, loaded, left


def _independent(
    results: Lineage, required: set[str], given: set[str]
) -> tuple[list[tuple[frozenset[str], frozenset[str]]], int]:
    """Return the parts of a demand that share nothing they are made from but what is given, with what each takes of
    that; and how many results were visited."""
    waiting = sorted(required)
    part = {name: name for name in waiting}

    def root(name: str) -> str:
        while part[name] != name:
            part[name] = part[part[name]]
            name = part[name]
        return name

    taken: list[tuple[str, str]] = []
    while waiting:
        name = waiting.pop()
        for source in results[name].inputs:
            if source in given:
                taken.append((name, source))
                continue
            if source not in part:
                part[source] = source
                waiting.append(source)
            part[root(source)] = root(name)
    members: dict[str, tuple[set[str], set[str]]] = {}
    for name in sorted(required):
        members.setdefault(root(name), (set(), set()))[0].add(name)
    for name, source in taken:
        members[root(name)][1].add(source)
    return [(frozenset(names), frozenset(sources)) for names, sources in members.values()], len(part)


# The cheapest way to meet a demand, given what is kept

_BRANCHED = 8
"""Open choices that are enumerated (2^8 at most); with more of them, all are loaded, which may cost more."""


@dataclass(frozen=True, slots=True)
class Recall:
    """What it takes to have some results: seconds, and which are loaded and which are computed."""

    seconds: float
    loaded: frozenset[str]
    computed: frozenset[str]


def recall(
    results: Lineage, required: Collection[str], kept: Collection[str], given: Collection[str] = (),
    forced: frozenset[str] = frozenset(),
) -> Recall:
    """Return the cheapest way to have the required results when those in `kept` may be loaded, those in `forced` are
    loaded, and those in `given` are there.

    >>> from helix_spark.planner.storage import ResultCosts
    >>> rows = ResultCosts((), 5.0, 1.0, True)
    >>> model = ResultCosts(("r",), 2.0, 4.0, True)
    >>> recall({"r": rows, "m": model}, ["m"], {"r", "m"}).seconds    # load rows, compute the model
    3.0
    """
    computed, loaded, left = _without_choice(results, required, kept, kept, forced, given)
    while quick := {name for name in left if computed.union(loaded, given).issuperset(results[name].inputs)}:
        computed |= quick
        left -= quick
    if not left or len(left) > _BRANCHED:
        loaded |= left
        computed.update(source for name in left for source in results[name].load_inputs if source not in given)
        seconds = sum(results[name].load_seconds for name in sorted(loaded))
        seconds += sum(results[name].compute_seconds for name in sorted(computed))
        return Recall(seconds, frozenset(loaded), frozenset(computed))
    first = min(left)
    options = (
        recall(results, required, kept, given, forced | {first}),
        recall(results, required, frozenset(kept) - {first}, given, forced),
    )
    return min(options, key=lambda option: option.seconds)
