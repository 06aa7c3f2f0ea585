"""What the next iteration will ask for: scenarios turned into demands for results, with what is certain taken out.

In a scenario, a node that is hit, and every node downstream of it, gets a new result. Those that the outputs need are
computed whatever is stored, so their seconds are a constant; what remains is a demand for the unchanged results that
they read. Scenarios with equal demands are one. A result is known by its signature, so that an earlier iteration's or
another workflow's scenario is a demand like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from helix_spark.planner.storage import NodeCosts, PlanningProblem


@dataclass(frozen=True, slots=True)
class ResultCosts:
    """A result as later iterations see it: seconds to compute from its inputs, and to load if it is kept.

    Attributes:
        inputs: signatures.
        loadable: whether keeping it can ever help.
    """

    signature: str
    inputs: tuple[str, ...]
    compute_seconds: float
    load_seconds: float
    loadable: bool


Results = Mapping[str, ResultCosts]
"""By signature, each after its inputs."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Results that a later iteration needs all at once, with the probability that it does.

    Attributes:
        given: results that it computes in any case, and from which these can be made at no further cost.
    """

    results: frozenset[str]
    probability: float
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of the next iteration.

    Attributes:
        certain_seconds: expected seconds that no decision of today changes.
        hazard: by signature of the current version, how likely its result is out of date after the next edit.
        scenarios: how many there were.
    """

    results: Results
    demands: tuple[Demand, ...]
    certain_seconds: float
    hazard: Mapping[str, float] = field(default_factory=dict)
    scenarios: int = 0


def outlook(problem: PlanningProblem) -> Outlook:
    """The demands of a problem's scenarios, presolved.

    >>> rows = NodeCosts("rows", "scanner", "r", (), 5.0, 1.0, 1.0, 10)
    >>> model = NodeCosts("model", "learner", "m", ("rows",), 9.0, 0.1, 0.1, 1)
    >>> from helix_spark.planner.storage import Scenario
    >>> next_edit = Scenario(1.0, frozenset({"model"}), "`model` is edited")
    >>> what = outlook(PlanningProblem((rows, model), frozenset({"model"}), scenarios=(next_edit,)))
    >>> what.certain_seconds, what.demands
    (9.0, (Demand(results=frozenset({'r'}), probability=1.0, given=frozenset()),))
    """
    results = _results(problem)
    certain = 0.0
    merged: dict[tuple[frozenset[str], frozenset[str]], float] = {}
    hazard = dict.fromkeys((node.signature for node in problem.nodes), 0.0)
    for scenario in problem.scenarios:
        nodes = scenario.version or problem.nodes
        lost = downstream(nodes, scenario.hit)
        if not scenario.version:
            for node in nodes:
                if node.name in lost:
                    hazard[node.signature] += scenario.probability
        seconds, required = _frontier(nodes, scenario.outputs if scenario.version else problem.outputs, lost)
        computed, required = _without_choice(results, required)
        more = sum(results[name].compute_seconds for name in sorted(computed))
        certain += scenario.probability * (seconds + more)
        for part in _independent(results, required, computed):
            merged[part] = merged.get(part, 0.0) + scenario.probability
    demands = tuple(Demand(part, weight, given) for (part, given), weight in merged.items() if weight > 0)
    return Outlook(results, demands, certain, hazard, len(problem.scenarios))


def downstream(nodes: Iterable[NodeCosts], hit: frozenset[str]) -> frozenset[str]:
    """Names of the nodes in `hit` and of all that depend on them; nodes come inputs first."""
    lost: set[str] = set()
    for node in nodes:
        if node.name in hit or not lost.isdisjoint(node.inputs):
            lost.add(node.name)
    return frozenset(lost)


def upstream(results: Results, required: Iterable[str], given: Collection[str] = ()) -> list[str]:
    """Signatures of the required results and of all they are made from, inputs first; nothing that is given."""
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


def _results(problem: PlanningProblem) -> Results:
    """Every result that a scenario may ask for. The current version's figures go before those of other versions."""
    stored_elsewhere = {other.signature for other in problem.others}
    results: dict[str, ResultCosts] = {}
    anew: dict[str, float] = {}
    everything: dict[str, frozenset[str]] = {}
    versions = [problem.nodes, *(scenario.version for scenario in problem.scenarios if scenario.version)]
    for version in versions:
        current = version is problem.nodes
        signatures = {node.name: node.signature for node in version}
        for node in version:
            if node.signature in results:
                continue
            inputs = tuple(dict.fromkeys(signatures[name] for name in node.inputs))
            everything[node.signature] = frozenset({node.signature}).union(*(everything[name] for name in inputs))
            anew[node.signature] = node.compute_seconds
            scratch = sum(anew[name] for name in everything[node.signature])
            may = keepable(node) if current else node.signature in stored_elsewhere and not node.recompute
            # Loading that takes as long as computing it and all it is made from never pays.
            loadable = may and node.load_seconds < scratch
            results[node.signature] = ResultCosts(
                node.signature, inputs, node.compute_seconds, node.load_seconds, loadable
            )
    return results


def keepable(node: NodeCosts) -> bool:
    """Whether a later iteration may load it, if it is kept."""
    return node.storable and node.keep != "never" and not node.recompute


def _frontier(
    nodes: tuple[NodeCosts, ...], outputs: frozenset[str], lost: frozenset[str]
) -> tuple[float, frozenset[str]]:
    """Seconds of the lost nodes that must be computed, and signatures of the unchanged results that they read."""
    needed = set(outputs)
    seconds = 0.0
    required: set[str] = set()
    for node in reversed(nodes):
        if node.name not in needed:
            continue
        if node.name in lost:
            seconds += node.compute_seconds
            needed.update(node.inputs)
        else:
            required.add(node.signature)
    return seconds, frozenset(required)


def _without_choice(results: Results, required: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """A required result that cannot be loaded is computed, so its inputs are required: what is computed, what is left.
    """
    computed: set[str] = set()
    left: set[str] = set()
    waiting = list(required)
    while waiting:
        signature = waiting.pop()
        if signature in computed or signature in left:
            continue
        if results[signature].loadable:
            left.add(signature)
        else:
            computed.add(signature)
            waiting.extend(results[signature].inputs)
    return frozenset(computed), frozenset(left)


def _independent(
    results: Results, required: frozenset[str], computed: frozenset[str]
) -> list[tuple[frozenset[str], frozenset[str]]]:
    """The parts of a demand that share nothing they are made from, but for what is computed in any case; with the
    latter's share in each. Each part can be had on its own.
    """
    parts: list[tuple[set[str], set[str]]] = []
    for signature in sorted(required):
        members, made_from = {signature}, set(upstream(results, [signature], computed))
        apart = []
        for other_members, other_made_from in parts:
            if made_from.isdisjoint(other_made_from):
                apart.append((other_members, other_made_from))
            else:
                members |= other_members
                made_from |= other_made_from
        parts = [*apart, (members, made_from)]
    return [
        (frozenset(members), computed & {source for name in made_from for source in results[name].inputs})
        for members, made_from in parts
    ]
