"""What each scenario computes whatever is kept, and the unchanged results that it reads: its frontier.

In a scenario, a node that is hit, and every node downstream of it, gets a new result. Those that the outputs need are
computed in any case; beyond them lie results that are as they were. A result is known by its signature, so that an
earlier iteration's or another workflow's scenario asks for results like any other.

Where the next iteration may have to start Spark, the session is one more result: nobody can keep it, and whatever is
computed with Spark is made from it, as is what only Spark can load (a model). So what keeps Spark from starting at all
is worth what that takes. And what Spark does there takes longer at first than the costs on record say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from helix_spark.costs.starts import with_warm_up
from helix_spark.planner.storage import SESSION, Lineage, NodeCosts, PlanningProblem, ResultCosts


@dataclass(frozen=True, slots=True)
class Frontier:
    """One scenario: seconds of what it computes in any case, and signatures of the unchanged results that it needs."""

    probability: float
    seconds: float
    required: frozenset[str]


@dataclass(frozen=True, slots=True)
class Frontiers:
    """Those of all scenarios.

    Attributes:
        hazard: by signature of the current version, how likely its result is out of date after the next edit.
    """

    results: Lineage
    scenarios: tuple[Frontier, ...]
    hazard: Mapping[str, float]


def frontiers(problem: PlanningProblem) -> Frontiers:
    """Return the frontier of each of a problem's scenarios.

    >>> from helix_spark.planner.storage import Scenario
    >>> rows = NodeCosts("rows", "scanner", "r", (), 5.0, 1.0, 1.0, 10)
    >>> model = NodeCosts("model", "learner", "m", ("rows",), 9.0, 0.1, 0.1, 1)
    >>> edit = Scenario(1.0, frozenset({"model"}), "`model` is edited")
    >>> what = frontiers(PlanningProblem((rows, model), frozenset({"model"}), scenarios=(edit,)))
    >>> what.scenarios, what.hazard["m"]
    ((Frontier(probability=1.0, seconds=9.0, required=frozenset({'r'})),), 1.0)
    """
    problem = _in_next_process(problem)
    current = _Version(problem.nodes, problem.outputs)
    hazard = [0.0] * len(problem.nodes)
    found = []
    for scenario in problem.scenarios:
        version = _Version(scenario.version, scenario.outputs) if scenario.version else current
        lost = version.downstream(scenario.hit)
        if version is current:
            for index in _members(lost):
                hazard[index] += scenario.probability
        found.append(Frontier(scenario.probability, *version.frontier(lost, problem.later_session_seconds > 0)))
    by_signature: dict[str, float] = {}
    for node, probability in zip(problem.nodes, hazard, strict=True):
        by_signature[node.signature] = max(probability, by_signature.get(node.signature, 0.0))
    return Frontiers(_results(problem), tuple(found), by_signature)


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


class _Version:
    """A version's nodes by position; sets of them are the bits of an integer, so that thousands of nodes are quick."""

    def __init__(self, nodes: tuple[NodeCosts, ...], outputs: frozenset[str]) -> None:
        self.nodes = nodes
        self._position = {node.name: index for index, node in enumerate(nodes)}
        self._inputs = [self._bits(node.inputs) for node in nodes]
        self._below = [1 << index for index in range(len(nodes))]
        for index in reversed(range(len(nodes))):
            for source in _members(self._inputs[index]):
                self._below[source] |= self._below[index]
        self._outputs = self._bits(outputs)
        self._needed = self._outputs
        for index in reversed(range(len(nodes))):
            if self._needed >> index & 1:
                self._needed |= self._inputs[index]

    def _bits(self, names: Iterable[str]) -> int:
        bits = 0
        for name in names:
            bits |= 1 << self._position[name]
        return bits

    def downstream(self, hit: Iterable[str]) -> int:
        """Return the nodes that are hit, and all that depend on them."""
        lost = 0
        for name in hit:
            lost |= self._below[self._position[name]]
        return lost

    def frontier(self, lost: int, starts: bool) -> tuple[float, frozenset[str]]:
        """Return every lost node that an output needs is computed: whatever is downstream of a lost one is lost, too.

        Args:
            starts: whether what needs Spark requires a session to be started.
        """
        seconds, required, session = 0.0, self._outputs, False
        for index in _members(lost & self._needed):
            seconds += self.nodes[index].compute_seconds
            required |= self._inputs[index]
            session = session or (starts and self.nodes[index].compute_needs_spark)
        found = [self.nodes[index].signature for index in _members(required & ~lost)]
        return seconds, frozenset([*found, SESSION] if session else found)


def _members(bits: int) -> Iterator[int]:
    """Yield positions of the ones.

    >>> list(_members(0b1010))
    [1, 3]
    """
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _in_next_process(problem: PlanningProblem) -> PlanningProblem:
    """Return the problem with what its results are expected to take in the next iteration."""
    fresh = problem.fresh_process
    if fresh <= 0:
        return problem

    def later(node: NodeCosts) -> NodeCosts:
        compute, load = node.compute_seconds, node.load_seconds
        return replace(
            node, compute_seconds=with_warm_up(compute, fresh) if node.compute_needs_spark else compute,
            load_seconds=with_warm_up(load, fresh) if node.load_needs_spark else load,
        )

    scenarios = tuple(
        replace(scenario, version=tuple(map(later, scenario.version))) if scenario.version else scenario
        for scenario in problem.scenarios
    )
    return replace(problem, nodes=tuple(map(later, problem.nodes)), scenarios=scenarios)


def _results(problem: PlanningProblem) -> Lineage:
    """Return every result that a scenario may ask for. The current version's figures go before those of other
    versions."""
    stored_elsewhere = {other.signature for other in problem.others}
    results: dict[str, ResultCosts] = {}
    made_from: dict[str, int] = {}
    own: list[float] = []
    session = (SESSION,) if problem.later_session_seconds > 0 else ()
    for name in session:
        made_from[name] = 1 << len(own)
        own.append(problem.later_session_seconds)
        results[name] = ResultCosts((), problem.later_session_seconds, 0.0, False)
    for version in (problem.nodes, *(scenario.version for scenario in problem.scenarios if scenario.version)):
        signatures = {node.name: node.signature for node in version}
        for node in version:
            if node.signature in results:
                continue
            inputs = tuple(dict.fromkeys(signatures[name] for name in node.inputs))
            inputs += session if node.compute_needs_spark else ()
            made_from[node.signature] = 1 << len(own)
            own.append(node.compute_seconds)
            for name in inputs:
                made_from[node.signature] |= made_from[name]
            may = keepable(node) if version is problem.nodes else _still_there(node, stored_elsewhere)
            loading = session if node.load_needs_spark and node.compute_needs_spark else ()
            # Loading that takes as long as computing it and all it is made from never pays.
            spared = made_from[node.signature] & ~sum(made_from[name] for name in loading)
            loadable = may and _exceeds((own[index] for index in _members(spared)), node.load_seconds)
            results[node.signature] = ResultCosts(inputs, node.compute_seconds, node.load_seconds, loadable, loading)
    return results


def _exceeds(seconds: Iterable[float], limit: float) -> bool:
    """Return whether a sum is larger than a limit, without adding up more than it takes to tell."""
    total = 0.0
    for value in seconds:
        total += value
        if total > limit:
            return True
    return False


def keepable(node: NodeCosts) -> bool:
    """Return whether a later iteration may load it, if it is kept."""
    return node.storable and node.keep != "never" and not node.recompute


def _still_there(node: NodeCosts, stored: Collection[str]) -> bool:
    return node.signature in stored and not node.recompute
