"""The outcome of a run, complete or not: results, times, and why results are nondeterministic or not covered.

Spark is lazy: a table has no time of its own until a job forces it. Each forced step's wall time is divided by
predicted costs among the nodes that were fused into it, so that the parts add up to the measured time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from helix_spark.dag.node import Dag
from helix_spark.engine.lowering.watcher import Notes
from helix_spark.engine.results.agreement import drawn_by_partition
from helix_spark.engine.results.node_results import ColumnResult, ModelResult, NodeResult, TableResult
from helix_spark.identity.code import Description
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State

_COMPILES_WHILE_WARM = 0.2
_SECONDS_PER_COMPILING = 0.5
_SLOWEST = 4.0
"""The extra time of a JVM's first work, estimated from the time of its compiler. Of the forced steps of three jobs (two
cores) the first runs took 1.4 to 5.7 times as long as the fourth; with this correction the very first step two to four
times as long, later ones 0.8 to 1.2 times. Repeated work compiles up to a fifth of its time."""


@dataclass(frozen=True, slots=True)
class Step:
    """A forced step: its nodes, and its start and end in seconds of one monotonic clock; `compiling` are the seconds of
    all compiler threads of the driver's JVM meanwhile."""

    names: tuple[str, ...]
    start: float
    end: float
    compiling: float = 0.0

    @property
    def warm_share(self) -> float:
        """The part of its seconds that it would take in a warm JVM.

        >>> Step(("a",), 0.0, 10.0, compiling=2.0).warm_share, Step(("a",), 0.0, 10.0, compiling=8.0).warm_share
        (1.0, 0.7)
        """
        seconds = self.end - self.start
        return self._share_without(_SECONDS_PER_COMPILING * max(0.0, self.compiling - _COMPILES_WHILE_WARM * seconds))

    @property
    def reading_share(self) -> float | None:
        """The same of a load, for which a warm JVM compiles nothing. None if its size is the better estimate.

        >>> Step(("a",), 0.0, 10.0, compiling=2.0).reading_share
        0.8
        """
        share = self._share_without(self.compiling)
        return share if share > 1 / _SLOWEST else None

    def _share_without(self, lost: float) -> float:
        seconds = self.end - self.start
        return max(1 / _SLOWEST, 1.0 - lost / seconds) if seconds > 0 else 1.0


def exclusive_seconds(steps: Sequence[Step]) -> list[float]:
    """Return each step's share of the time in which it ran: where steps overlap, they share it equally.

    >>> exclusive_seconds([Step(("a",), 0, 2), Step(("b",), 1, 3)])
    [1.5, 1.5]
    """
    change: Counter[float] = Counter()
    for step in steps:
        change[step.start] += 1
        change[step.end] -= 1
    edges = sorted(change)
    passed = dict.fromkeys(edges[:1], 0.0)  # up to each edge, for a step that runs all the time
    running = 0
    for left, right in pairwise(edges):
        running += change[left]
        passed[right] = passed[left] + ((right - left) / running if running else 0.0)
    return [passed[step.end] - passed[step.start] for step in steps]


@dataclass(slots=True)
class Outcome(Notes):
    """The outcome of a run, complete or not.

    Attributes:
        rows: numbers of rows of the counted tables.
        pinned: names of the persisted tables; at the end, only of those whose rows are all in memory.
        filled: names of the tables whose rows are all in memory.
        contents: digests of the compared results (see `agreement`), by name.
        equal: signatures of earlier results that computed ones equal, by name, noticed during the run: the remaining
            nodes are planned again.
    """

    results: dict[str, NodeResult] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    pinned: frozenset[str] = frozenset()
    filled: set[str] = field(default_factory=set)
    failure: BaseException | None = None
    contents: dict[str, str] = field(default_factory=dict)
    equal: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class NodeTime:
    """The times of a node; None if not measured.

    Attributes:
        seconds: its own, or its part of the steps that it was fused into.
        warm_seconds: the same without the extra time of a young JVM, else each plan would prefer nodes that the last
            one did not run. None for a load without a usable measurement.
        load_seconds: the same of steps that compute nothing; in others a load's part is a guess.
    """

    started: float | None = None
    seconds: float | None = None
    warm_seconds: float | None = None
    load_seconds: float | None = None


def node_times(
    dag: Dag, steps: Sequence[Step], weights: Mapping[str, float], *, lazy: Iterable[str], pinned: Collection[str],
    loaded: Collection[str],
) -> dict[str, NodeTime]:
    """Divide the seconds of steps among nodes, by name, in proportion to their predicted `weights`.

    Nodes fused into one step start one after the other, inputs first: Spark does not measure them separately. Those in
    `lazy` have no step of their own: they run inside the steps that read them. The `pinned` ones run only in the first
    such step; later steps read the pin.
    """
    waiting, times = set(lazy), dict[str, NodeTime]()
    for step, seconds in sorted(zip(steps, exclusive_seconds(steps), strict=True), key=lambda pair: pair[0].end):
        names = dag.upstream_within(step.names, waiting).union(step.names)
        waiting -= names & set(pinned)
        expected = {node.name: max(weights.get(node.name, 0.0), 1e-3) for node in dag.nodes if node.name in names}
        total, at = sum(expected.values()), step.start
        for name, part in expected.items():
            own, took = times.setdefault(name, NodeTime()), seconds * part / total
            own.started = at if own.started is None else min(own.started, at)
            own.seconds = (own.seconds or 0.0) + took
            if (share := step.reading_share if name in loaded else step.warm_share) is not None:
                own.warm_seconds = (own.warm_seconds or 0.0) + took * share
            at += took if name not in step.names else 0.0
        if all(name in loaded for name in step.names) and (share := step.reading_share) is not None:
            # A load's own inputs do not run for it, though they may wait for a step as well.
            for name in step.names:
                times[name].load_seconds = (times[name].load_seconds or 0.0) + seconds / len(step.names) * share
    return times


def times_by_node(dag: Dag, plan: Plan, outcome: Outcome) -> dict[str, NodeTime]:
    forced = {name for step in outcome.steps for name in step.names}
    return node_times(
        dag, outcome.steps, {node.name: node.predicted_seconds for node in plan.nodes},
        lazy=[name for name in outcome.results if name not in forced and not plan[name].held], pinned=outcome.pinned,
        loaded={node.name for node in plan.nodes if node.state is State.LOAD},
    )


def lasting(outcome: Outcome) -> dict[str, NodeResult]:
    """Return the results that outlive this run's plans: all but columns."""
    return {name: result for name, result in outcome.results.items() if not isinstance(result, ColumnResult)}


@dataclass(frozen=True, slots=True)
class Chance:
    """Reasons why results of a run are nondeterministic, by node name.

    Attributes:
        found: nodes whose own result differs in each run, without those that only inherit it. A reason is empty where
            Spark computed the rows of an instance more than once, so that its readers may belong to several.
        drawn: the same of nodes that their author fixed, whose results are reused.
        choices: nodes whose result is one of several right ones.
    """

    found: Mapping[str, str]
    drawn: Mapping[str, str]
    choices: Mapping[str, str]

    @property
    def instances(self) -> frozenset[str]:
        """Names of the nodes whose results are instances."""
        return frozenset(self.drawn.keys() | self.choices.keys())


def found_random(dag: Dag, plan: Plan, outcome: Outcome, described: Mapping[str, Description]) -> Chance:
    """Return which results of a run are nondeterministic, and why."""
    found, drawn, choices = dict[str, str](), dict[str, str](), dict[str, str]()
    inheriting = set[str]()
    for node in dag.nodes:
        name = node.name
        if not inheriting.isdisjoint(node.inputs):
            inheriting.add(name)
        result = outcome.results.get(name)
        if result is None or plan[name].state is not State.COMPUTE or plan[name].random or name in inheriting:
            continue
        why = outcome.differs.get(name)
        if why is None and (calls := outcome.called.get(name)) and not node.wishes.depends_on:
            why = _unseen_call(calls, name, dag, described)
        if why is not None:
            (drawn if node.wishes.fixed else found)[name] = f"`{name}` {why}"
            inheriting.update(() if node.wishes.fixed else (name,))
        elif choice := _choice(name, result, outcome, described[name]):
            choices[name] = choice
    several = _made_of_several(dag, plan, outcome, drawn.keys() | choices.keys())
    return Chance({**dict.fromkeys(several - inheriting, ""), **found}, drawn, choices)


def _choice(name: str, result: NodeResult, outcome: Outcome, described: Description) -> str:
    """Return the reason why a result is one of several right ones; empty if it is not."""
    if name in outcome.choices:
        return f"`{name}` {outcome.choices[name]}"
    if isinstance(result, ModelResult) and (kind := drawn_by_partition(result.model)):
        return f"`{name}` is a {kind}, which samples its rows by partition"
    return next(iter(described.choices), "")


def _made_of_several(dag: Dag, plan: Plan, outcome: Outcome, instances: Collection[str]) -> frozenset[str]:
    """Return the nodes that read an instance whose rows Spark computed more than once: they were not kept."""
    unsettled, settled = unsettled_nodes(plan, outcome), set[str]()
    computations = Counter[str]()
    for step in outcome.steps:
        first = [name for name in step.names if name not in settled]
        computations.update(dag.upstream_within(first, unsettled).union(unsettled.intersection(first)))
        settled.update(name for name in first if name not in unsettled)
    return dag.descendants([name for name in instances if computations[name] > 1])


def unsettled_nodes(plan: Plan, outcome: Outcome) -> frozenset[str]:
    """Return the computed nodes whose rows Spark has not kept: reading them computes them again."""
    return frozenset(
        name for name, result in outcome.results.items() if plan[name].state is State.COMPUTE and (
            isinstance(result, ColumnResult)
            or (isinstance(result, TableResult) and result.through_frame and name not in outcome.pinned)
        )
    )


def _unseen_call(calls: Iterable[str], node: str, dag: Dag, described: Mapping[str, Description]) -> str | None:
    """Return the problem of calls of functions of the session, in words; None if signatures cover them."""
    # Signatures cover the functions that nodes reach, and those that they register themselves.
    descriptions = [described[name] for name in (node, *dag.ancestors[node])]
    words = {word for item in descriptions for word in (*item.registers, *(part.label for part in item.parts))}
    covered = {word.rpartition(".")[2].lower() for word in words}  # as in SQL
    unseen = next((name for name in sorted(calls) if name not in covered), None)
    return f"calls {unseen}, registered with the session (name its function in depends_on=)" if unseen else None
