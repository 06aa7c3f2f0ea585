"""Forecasts from recorded iterations: scenarios for the planner, and stored results that may be needed."""

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
"""Kinds of requests of programs whose answers are recorded, which takes no room."""


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """Records of a catalog as they were read for one run. `loads` is load throughput by kind of artifact, by the name
    of a shared catalog, empty for the own catalog; `usual` is that of other catalogs; `shown` see `shown_results`."""

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
    one_run: bool | None = None, call_of: Callable[[str], str] = str,
) -> PlanningProblem:
    """Return a problem with the other stored results and the expected scenarios of later iterations. Signatures of
    `random` nodes are new in each run. `call_of` returns the call that a node belongs to: edits hit all its nodes."""
    nodes, past = problem.nodes, [iteration for iteration in records.view.past if iteration.nodes]
    all_nodes: list[Sequence[PastNode | NodeCosts]] = [*(iteration.nodes for iteration in past), nodes]
    versions: list[Signed] = [
        {node.name: (node.signature, node.inputs) for node in version if node.name not in random}
        for version in all_nodes
    ]
    kinds, today = {node.name: node.kind for node in nodes}, {node.name: node for node in nodes}
    earlier = [iteration for iteration, version in zip(past, versions, strict=False) if version != versions[-1]]
    previous, best = earlier[-1] if earlier else None, _best(earlier)
    names_by_call = defaultdict[str, set[str]](set)
    for name in kinds:
        names_by_call[call_of(name)].add(name)
    history = [replace(edit, hit=frozenset(map(call_of, edit.hit))) for edit in edits(versions, kinds)]
    expected_edits = (
        replace(edit, hit=frozenset[str]().union(*(names_by_call[call] for call in edit.hit)))
        for edit in forecast(
            {call_of(name): kind for name, kind in kinds.items()}, history, best=best.record.number if best else None,
            previous=previous.record.number if previous else None,
        )
    )
    returns = {
        iteration.record.number: (
            tuple(_past_costs(node, today, records) for node in iteration.nodes),
            frozenset(node.name for node in iteration.nodes if node.output),
        )
        for iteration in (previous, best) if iteration is not None
    }
    all_past = [iteration.record for iteration in records.view.past]
    return replace(
        problem, scenarios=scenarios(expected_edits, returns), horizon=horizon(len(all_past) + 1),
        others=others_among(records.view.own_artifacts.values(), problem, records),
        start_price=session_seconds(starts_of(records.view)),
        fresh_process=fresh_process([*(record.writer for record in all_past), writer], one_run),
    )


def starts_of(view: CatalogView) -> tuple[float, ...]:
    """Return the seconds of the recorded starts of Spark, oldest first."""
    return tuple(iteration.record.start_seconds for iteration in view.past if iteration.record.start_seconds)


def may_come_back(view: CatalogView) -> set[str]:
    """Return signatures that later plans may need again: of the last, the last different and the best iteration."""
    past = [iteration for iteration in view.past if iteration.nodes]
    signatures = [{node.signature for node in iteration.nodes} for iteration in past]
    different = [iteration for place, iteration in enumerate(past) if signatures[place] != signatures[-1]]
    iterations = (*different[-1:], *filter(None, (_best(past), _best(different))))
    returning = {node.signature for iteration in iterations for node in iteration.nodes}
    return returning.union(node.signature for node in view.nodes)


def past_lineage(nodes: Sequence[NodeCosts], records: RecordsRead) -> Lineage:
    """Return the lineage of results of this version and of recorded iterations with known costs."""
    lineage, today = lineage_of(nodes), {node.name: node for node in nodes}
    for iteration in reversed(records.view.past):
        signatures = {node.name: node.signature for node in iteration.nodes}
        for node in iteration.nodes:
            has_costs = node.name in today or records.compute_seconds(node.signature) is not None
            if node.signature not in lineage and has_costs:
                costs = _past_costs(node, today, records)
                inputs = tuple(signatures[name] for name in costs.inputs)
                lineage[node.signature] = ResultCosts(inputs, costs.compute_seconds, costs.load_seconds)
    return lineage


def others_among(
    live: Collection[ArtifactRecord], problem: PlanningProblem, records: RecordsRead
) -> tuple[OtherArtifact, ...]:
    """Return the stored results that no node of the current version has, with their ages in iterations: since the
    newest iteration that had the result; in another workflow, since that node's newest result."""
    view, current = records.view, {node.signature for node in problem.nodes}
    lineage: Lineage = {} if problem.budget is None else past_lineage(problem.nodes, records)
    stored = {record.signature for record in live} | view.below.keys()
    last_use = {node.signature: past.record.number for past in view.past for node in past.nodes}
    newest: dict[tuple[str, str], int] = {}
    for record in live:
        key = (record.workflow, record.node)
        newest[key] = max(record.iteration, newest.get(key, 0))

    def age(record: ArtifactRecord) -> int:
        is_of_workflow = record.workflow == view.workflow
        age_of_node = 1 + newest[record.workflow, record.node] - record.iteration
        last = last_use.get(record.signature, record.iteration if is_of_workflow else None)
        age_of_use = age_of_node if last is None else max(1, view.next_iteration - last)
        return age_of_use if is_of_workflow else min(age_of_node, age_of_use)

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
    best = best_of([iteration.record for iteration in past])
    return next((iteration for iteration in past if iteration.record is best), None)


def best_of(past: Sequence[IterationRecord]) -> IterationRecord | None:
    """Return the newest of the best iterations by the newest main metric; `past` begins with the oldest."""
    metrics = [metrics_of(record) for record in past]
    primary = metrics[-1].primary if metrics else ""
    ranked = [
        (value, place) for place, candidate in enumerate(metrics)
        if not candidate.incomparable(primary, metrics[-1]) and (value := candidate.merit(primary)) is not None
    ]
    return past[max(ranked)[1]] if ranked else None


_MOST_CANDIDATES = 1_000
"""The number of newest iterations of a workflow that its best is chosen from. Older ones can be pinned."""


def shown_results(catalog: CatalogReader, workflow: str) -> dict[str, str]:
    """Return sentences on the results that the newest or the best iteration of each workflow shows, by signature. Of
    `workflow`, which runs, only the best iteration counts."""
    sentences = dict[str, str]()
    for name in catalog.workflows():
        done = [record for record in reversed(catalog.iterations(name, _MOST_CANDIDATES)) if record.status == "done"]
        newest = done[-1] if done and name != workflow else None
        for record, rank in ((newest, "newest"), (best_of(done), "best")):
            for node in () if record is None else catalog.nodes(record):
                if node.output or node.kind in (Kind.LEARNER, Kind.REDUCER):
                    sentences[node.signature] = f"iteration {node.iteration} of `{name}`, its {rank}, shows it"
    return sentences


def _past_costs(node: PastNode, today: Mapping[str, NodeCosts], records: RecordsRead) -> NodeCosts:
    """Return an earlier node's recorded costs, else the costs of today's node with its name."""
    artifact, seconds = records.view.artifacts.get(node.signature), records.compute_seconds(node.signature)
    costs = today.get(node.name) or NodeCosts(
        node.name, node.kind, node.signature, node.inputs, 0.0, 0.0, 0.0, 0, compute_needs_spark=node.kind != "reducer"
    )
    return replace(
        costs, signature=node.signature, inputs=tuple(dict.fromkeys(node.inputs)), held=False,
        compute_seconds=costs.compute_seconds if seconds is None else seconds,
        stored=artifact is not None or node.kind in _RECORDED_KINDS,
        load_seconds=costs.load_seconds if artifact is None else records.load_seconds(artifact),
        bytes=costs.bytes if artifact is None else 0 if artifact.shared else artifact.bytes,
    )
