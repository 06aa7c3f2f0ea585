"""From measured forced steps to seconds per node.

Spark is lazy: a table's time means nothing until something forces it. Each forced step's wall time is divided among
the nodes that were fused into it, so that the parts add up to what was measured: what functions took in Python workers
is known and is their nodes', and the rest is divided by predicted costs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

from helix_spark.dag.node import Dag

_COMPILES_WHILE_WARM = 0.2
_SECONDS_PER_COMPILING = 0.5
_SLOWEST = 4.0
"""What a JVM's first work takes longer, told by the time that its compiler takes meanwhile. Of the forced steps of
three jobs (one-hot fits, joins, logistic regressions, word2vec; two cores) the first runs took 1.4 to 5.7 times as long
as the fourth ones. Reckoned so, the very first step is still two to four times as long and what follows 0.8 to 1.2
times, in a JVM of our own as in spark-submit's, whose compiler is busy all the time but has a core of its own. Work
that does nothing new compiles up to a fifth of its time."""


@dataclass(frozen=True, slots=True)
class Step:
    """A forced step: the nodes it was for, and when it ran, in seconds of one monotonic clock.

    Attributes:
        compiling: seconds that the compiler threads of the driver's JVM took meanwhile, all together.
    """

    names: tuple[str, ...]
    start: float
    end: float
    compiling: float = 0.0

    @property
    def warm_share(self) -> float:
        """The part of its seconds that it would take where the JVM has done the like before.

        >>> Step(("a",), 0.0, 10.0, compiling=2.0).warm_share, Step(("a",), 0.0, 10.0, compiling=8.0).warm_share
        (1.0, 0.7)
        """
        seconds = self.end - self.start
        return self._without(_SECONDS_PER_COMPILING * max(0.0, self.compiling - _COMPILES_WHILE_WARM * seconds))

    @property
    def reading_share(self) -> float | None:
        """The same of a load. It does little but read, so that all of the compiling was for what it does not do again.
        None where next to nothing is left: then its size tells more.

        >>> Step(("a",), 0.0, 10.0, compiling=2.0).reading_share
        0.8
        """
        share = self._without(self.compiling)
        return share if share > 1 / _SLOWEST else None

    def _without(self, lost: float) -> float:
        seconds = self.end - self.start
        return max(1 / _SLOWEST, 1.0 - lost / seconds) if seconds > 0 else 1.0


def exclusive_seconds(steps: Sequence[Step]) -> list[float]:
    """Each step's share of the time in which it ran: where steps overlap, they share it equally.

    >>> exclusive_seconds([Step(("a",), 0, 2), Step(("b",), 1, 3)])
    [1.5, 1.5]
    """
    change: Counter[float] = Counter()
    for step in steps:
        change[step.start] += 1
        change[step.end] -= 1
    edges = sorted(change)
    passed = dict.fromkeys(edges[:1], 0.0)  # by then, for each step that runs all the while
    running = 0
    for left, right in pairwise(edges):
        running += change[left]
        passed[right] = passed[left] + ((right - left) / running if running else 0.0)
    return [passed[step.end] - passed[step.start] for step in steps]


Share = tuple[Step, Mapping[str, float]]
"""A step, and the seconds of it that each node is given."""


def attribute(shared: Iterable[Share]) -> dict[str, float]:
    """Seconds per node."""
    return _added(parts for _, parts in shared)


def warm_seconds(shared: Iterable[Share], loaded: Collection[str]) -> dict[str, float]:
    """Seconds per node without what a young JVM takes longer; of loads only where they can be told from that.

    Whatever comes first in a process is slow, be it loaded or computed: costs that held that against it would make each
    plan prefer what the one before did not do.

    Args:
        loaded: names of the nodes that were loaded.
    """
    def warm(step: Step, parts: Mapping[str, float]) -> dict[str, float]:
        of_each = {name: step.reading_share if name in loaded else step.warm_share for name in parts}
        return {name: parts[name] * share for name, share in of_each.items() if share is not None}

    return _added(warm(step, parts) for step, parts in shared)


def load_seconds(shared: Iterable[Share], loaded: Collection[str]) -> dict[str, float]:
    """What loads took in steps in which nothing is computed, without what a young JVM takes longer.

    Of a step that computes something a load has what the plan expected it to take, in proportion: of a reader that was
    slow for once, so would the load be, and a plan that believes that does not load again, nor finds out ever.

    What a loaded result was made from does not run for it, though it may wait for a step as well: all of the seconds
    are the load's.
    """
    names = set(loaded)
    alone = (
        (step, dict.fromkeys(step.names, sum(parts.values()) / len(step.names)))
        for step, parts in shared if names.issuperset(step.names)
    )
    return warm_seconds(alone, loaded)


def _added(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for of_step in parts:
        for name, part in of_step.items():
            seconds[name] = seconds.get(name, 0.0) + part
    return seconds


def starts(dag: Dag, shared: Iterable[Share]) -> dict[str, float]:
    """When each node first ran, by the steps' clock. Nodes fused into one step are laid one after the other, inputs
    first, as long as their shares of it: Spark does not tell them apart."""
    begun: dict[str, float] = {}
    for step, parts in shared:
        at = step.start
        for node in dag.nodes:
            if node.name in parts:
                begun[node.name] = min(at, begun.get(node.name, at))
                at += parts[node.name] if node.name not in step.names else 0.0
    return begun


@dataclass(frozen=True, slots=True)
class InWorkers:
    """What functions of nodes took in a Python worker, in one task of Spark's.

    Attributes:
        names: of the nodes; several where one worker called their functions in turn.
        task: its number. Several workers may serve one, as where functions of rows follow each other.
        start, end: when they were at hand, by the steps' clock.
        seconds: how long they ran, without waiting for rows.
    """

    names: tuple[str, ...]
    task: int
    start: float
    end: float
    seconds: float


def shares(
    dag: Dag, steps: Sequence[Step], weights: Mapping[str, float], lazy: Iterable[str], pinned: Iterable[str],
    in_workers: Iterable[InWorkers] = (),
) -> Iterator[Share]:
    """The steps' shares, by the order in which they ended.

    Args:
        weights: predicted seconds of each node that ran or was loaded.
        lazy: nodes without a step of their own: they run inside the steps that read them.
        pinned: lazy nodes that run once, in the first step that reads them; later steps read the pin.
        in_workers: what is known of functions in Python workers.
    """
    waiting, kept = set(lazy), set(pinned)
    done: set[str] = set()
    ordered = sorted(zip(steps, exclusive_seconds(steps), strict=True), key=lambda pair: pair[0].end)
    tasks = sorted(in_workers, key=_middle)
    for step, share in ordered:
        fused = dag.upstream_within(step.names, waiting - done)
        done |= fused & kept
        nodes = {*fused, *step.names}
        meanwhile = tasks[bisect_left(tasks, step.start, key=_middle):bisect_right(tasks, step.end, key=_middle)]
        known = measured_shares(nodes, meanwhile, weights)
        whole = step.end - step.start
        part = share / whole if whole > 0 else 0.0
        yield step, divided(share, nodes, weights, {name: seconds * part for name, seconds in known.items()})


def _middle(task: InWorkers) -> float:
    return (task.start + task.end) / 2


def divided(
    seconds: float, names: Iterable[str], weights: Mapping[str, float], known: Mapping[str, float]
) -> dict[str, float]:
    """Seconds, divided among nodes: what is known of each is its own, the rest is divided by what is predicted of each
    beyond that.

    Args:
        known: seconds by name. Together they may be a little more than there are, as clocks of two processes differ.

    >>> divided(6.0, ["scan", "udf"], {"scan": 2.0, "udf": 1.0}, {})
    {'scan': 4.0, 'udf': 2.0}
    >>> divided(6.0, ["scan", "udf"], {"scan": 2.0, "udf": 1.0}, {"udf": 5.0})["udf"] > 5.0
    True
    """
    ordered = sorted(names)
    together = sum(known.values())
    fitting = min(1.0, seconds / together) if together else 1.0
    own = {name: known.get(name, 0.0) * fitting for name in ordered}
    left = max(0.0, seconds - together)
    expected = {name: max(weights.get(name, 0.0) - own[name], 1e-3) for name in ordered}
    total = sum(expected.values())
    return {name: own[name] + left * expected[name] / total for name in ordered}


def measured_shares(
    names: Set[str], tasks: Iterable[InWorkers], weights: Mapping[str, float]
) -> dict[str, float]:
    """Seconds of a step in which functions of its nodes ran in workers, by name. Tasks at the same time share it, as
    steps do; so do workers that serve one task, by what they took.

    Args:
        names: of the step's nodes; of other tasks nothing is told.
        weights: what functions that one worker called in turn share their seconds by.

    >>> two = [InWorkers(("a",), task, 0.0, 4.0, 3.0) for task in (1, 2)]
    >>> measured_shares({"a", "b"}, two, {})
    {'a': 3.0}
    """
    served: dict[int, list[InWorkers]] = {}
    for one in tasks:
        if not names.isdisjoint(one.names):
            served.setdefault(one.task, []).append(one)
    spans = [Step((), min(one.start for one in some), max(one.end for one in some)) for some in served.values()]
    found: dict[str, float] = {}
    for some, span, own in zip(served.values(), spans, exclusive_seconds(spans), strict=True):
        longest = max(span.end - span.start, sum(one.seconds for one in some))
        for one in some:
            parts = divided(one.seconds * own / longest if longest else 0.0, names & set(one.names), weights, {})
            for name, seconds in parts.items():
                found[name] = found.get(name, 0.0) + seconds
    return found
