"""What may come next, told from the iterations on record: scenarios for the planner, and what else is stored that may
be asked for again. No Spark, nothing is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from helix_spark.catalog.catalog_reader import CatalogReader, CatalogView
from helix_spark.catalog.history import PastIteration, PastNode
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, ResultRecord
from helix_spark.costs.forecast import Signed, edits, forecast, horizon
from helix_spark.costs.model import LOAD, Throughput, fresh_process, session_seconds
from helix_spark.history.metrics import metrics_of
from helix_spark.planner.planning import kept_for
from helix_spark.planner.storage import (
    Lineage,
    NodeCosts,
    OtherArtifact,
    PlanningProblem,
    ResultCosts,
    lineage_of,
    scenarios,
    seconds_again,
)
from helix_spark.workflow.operators import Kind

_RECORDED_KINDS = ("answer", "write")
"""Of questions of programs whose answers are recorded, which takes no room."""


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """Records of a catalog as they were read for one run. `loads` is load throughput by kind of artifact, for each
    catalog that has stored results, by its name in the settings, empty for the own one; `usual` where there is none.
    For `shown` see `shown_results`."""

    view: CatalogView
    measured: Mapping[str, ResultRecord]
    usual: Mapping[str, Throughput] = field(default_factory=lambda: LOAD)
    shown: Mapping[str, str] = field(default_factory=dict)
    loads: Mapping[str, Mapping[str, Throughput]] = field(default_factory=dict)

    def compute_seconds(self, signature: str) -> float | None:
        record = self.measured.get(signature)
        return None if record is None else record.compute_seconds

    def load_seconds(self, artifact: ArtifactRecord) -> float:
        return self.loads.get(artifact.shared, self.usual)[artifact.kind].seconds(artifact.bytes)


def foresee(
    problem: PlanningProblem, random: Collection[str], records: RecordsRead, *, writer: str = "",
    one_run: bool | None = None, line: Callable[[str], str] = str,
) -> PlanningProblem:
    """Return a problem with what else is stored, and with what is expected of the iterations to come, from its version
    and the past. The signatures of `random` nodes are new in each run, edited or not; `line` returns what people edit,
    by the name of a node of it: an edit hits all of its nodes."""
    nodes, past = problem.nodes, [iteration for iteration in records.view.past if iteration.nodes]
    all_nodes: list[Sequence[PastNode | NodeCosts]] = [*(iteration.nodes for iteration in past), nodes]
    versions: list[Signed] = [
        {node.name: (node.signature, node.inputs) for node in version if node.name not in random}
        for version in all_nodes
    ]
    kinds, today = {node.name: node.kind for node in nodes}, {node.name: node for node in nodes}
    earlier = [one for one, version in zip(past, versions, strict=False) if version != versions[-1]]
    previous, best = earlier[-1] if earlier else None, _best(earlier)
    lines = defaultdict[str, set[str]](set)
    for name in kinds:
        lines[line(name)].add(name)
    history = [replace(one, hit=frozenset(map(line, one.hit))) for one in edits(versions, kinds)]
    found = (
        replace(one, hit=frozenset[str]().union(*(lines[hit] for hit in one.hit)))
        for one in forecast(
            {line(name): kind for name, kind in kinds.items()}, history, best=best.record.number if best else None,
            previous=previous.record.number if previous else None,
        )
    )
    again = {
        one.record.number: (
            tuple(_past_costs(node, today, records) for node in one.nodes),
            frozenset(node.name for node in one.nodes if node.output),
        )
        for one in (previous, best) if one is not None
    }
    had = [one.record for one in records.view.past]
    return replace(
        problem, scenarios=scenarios(found, again), horizon=horizon(len(had) + 1),
        others=others_among(records.view.own_artifacts.values(), problem, records),
        start_price=session_seconds(starts_of(records.view)),
        fresh_process=fresh_process([*(record.writer for record in had), writer], one_run),
    )


def starts_of(view: CatalogView) -> tuple[float, ...]:
    """Return the seconds that the starts of Spark on record took, oldest first."""
    return tuple(one.record.start_seconds for one in view.past if one.record.start_seconds)


def may_come_back(view: CatalogView) -> set[str]:
    """Return signatures that a plan may expect to come back: of the last iteration, the last that differs, and the
    best."""
    past = [iteration for iteration in view.past if iteration.nodes]
    signatures = [frozenset(node.signature for node in one.nodes) for one in past]
    differs = [one for one, own in zip(past, signatures, strict=True) if own != signatures[-1]]
    found = [*differs[-1:], *(best for best in (_best(past), _best(differs)) if best is not None)]
    return {node.signature for node in view.nodes} | {node.signature for one in found for node in one.nodes}


def past_lineage(nodes: Sequence[NodeCosts], records: RecordsRead) -> Lineage:
    """Return what the results of this version and of recorded iterations are made of, where their costs are known."""
    found, today = lineage_of(nodes), {node.name: node for node in nodes}
    for iteration in reversed(records.view.past):
        signatures = {node.name: node.signature for node in iteration.nodes}
        for node in iteration.nodes:
            is_costed = node.name in today or records.compute_seconds(node.signature) is not None
            if node.signature not in found and is_costed:
                costs = _past_costs(node, today, records)
                inputs = tuple(signatures[name] for name in costs.inputs)
                found[node.signature] = ResultCosts(inputs, costs.compute_seconds, costs.load_seconds)
    return found


def others_among(
    live: Collection[ArtifactRecord], problem: PlanningProblem, records: RecordsRead
) -> tuple[OtherArtifact, ...]:
    """Return the stored results that no node of the current version has. A result of this workflow is as old as the
    newest iteration that had it; of another workflow the newest of each node is its current one."""
    view, current = records.view, {node.signature for node in problem.nodes}
    lineage: Lineage = {} if problem.budget is None else past_lineage(problem.nodes, records)
    stored = {record.signature for record in live} | view.below.keys()
    had = {node.signature: past.record.number for past in view.past for node in past.nodes}
    newest: dict[tuple[str, str], int] = {}
    for record in live:
        node = (record.workflow, record.node)
        newest[node] = max(record.iteration, newest.get(node, 0))

    def age(record: ArtifactRecord) -> int:
        ours, theirs = record.workflow == view.workflow, 1 + newest[record.workflow, record.node] - record.iteration
        last = had.get(record.signature, record.iteration if ours else None)
        since = theirs if last is None else max(1, view.next_iteration - last)
        return since if ours else min(theirs, since)

    return tuple(
        OtherArtifact(
            record.signature, record.workflow, record.node, record.bytes, records.load_seconds(record),
            record.recompute_seconds if (again := seconds_again(lineage, record.signature, stored)) is None else again,
            age(record),
            kept_for=view.pinned.get(record.signature) or kept_for(record, view.workflow), fixed=record.fixed,
            pinned=record.signature in view.pinned, shown=records.shown.get(record.signature, ""),
        )
        for record in live if record.signature not in current
    )


def _best(past: Sequence[PastIteration]) -> PastIteration | None:
    """Return the newest of the best iterations, see `best_of`."""
    best = best_of([one.record for one in past])
    return next((one for one in past if one.record is best), None)


def best_of(past: Sequence[IterationRecord]) -> IterationRecord | None:
    """Return the newest of the best iterations by the newest one's main metric; oldest first."""
    found = [metrics_of(one) for one in past]
    metric = found[-1].primary if found else ""
    ranked = [
        (value, place) for place, own in enumerate(found)
        if not own.incomparable(metric, found[-1]) and (value := own.merit(metric)) is not None
    ]
    return past[max(ranked)[1]] if ranked else None


LOOKED_BACK = 1_000
"""Iterations of a workflow among which its best is looked for. An older one can be pinned."""


def shown_results(catalog: CatalogReader, workflow: str) -> dict[str, str]:
    """Return which results people were shown by the newest or the best iteration of each workflow, by signature: of
    which one, as a sentence. Of the workflow that runs the best alone: the newest is the one that runs."""
    found = dict[str, str]()
    for name in catalog.workflows():
        done = [one for one in reversed(catalog.iterations(name, LOOKED_BACK)) if one.status == "done"]
        newest = done[-1] if done and name != workflow else None
        for record, which in ((newest, "newest"), (best_of(done), "best")):
            for node in () if record is None else catalog.nodes(record):
                if node.output or node.kind in (Kind.LEARNER, Kind.REDUCER):
                    found[node.signature] = f"iteration {node.iteration} of `{name}`, its {which}, shows it"
    return found


def _past_costs(node: PastNode, today: Mapping[str, NodeCosts], records: RecordsRead) -> NodeCosts:
    """Return an earlier node's costs as recorded, else those of today's node of its name."""
    artifact, seconds = records.view.artifacts.get(node.signature), records.compute_seconds(node.signature)
    known = today.get(node.name) or NodeCosts(
        node.name, node.kind, node.signature, node.inputs, 0.0, 0.0, 0.0, 0, compute_needs_spark=node.kind != "reducer"
    )
    return replace(
        known, signature=node.signature, inputs=tuple(dict.fromkeys(node.inputs)), held=False,
        compute_seconds=known.compute_seconds if seconds is None else seconds,
        stored=artifact is not None or node.kind in _RECORDED_KINDS,
        load_seconds=known.load_seconds if artifact is None else records.load_seconds(artifact),
        bytes=known.bytes if artifact is None else 0 if artifact.shared else artifact.bytes,
    )
