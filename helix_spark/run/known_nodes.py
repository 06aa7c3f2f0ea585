"""What is known of each node of a graph, a row a node: what it costs, what is there of it, what it was before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.records import ArtifactRecord, ResultRecord
from helix_spark.catalog.view import WHY_MISSING, CatalogView
from helix_spark.costs.model import (
    LOAD,
    READ,
    WRITE,
    Costs,
    Measurement,
    Throughput,
    calibrate,
    estimate,
    loads_from_reads,
)
from helix_spark.dag.influence import Influence, from_json
from helix_spark.dag.leaving_out import asking
from helix_spark.dag.node import Dag, Node
from helix_spark.identity.difference import parts_from_json
from helix_spark.identity.node_description import Description
from helix_spark.identity.signing import Signed
from helix_spark.planner.situation import KnownNode
from helix_spark.workflow.operators import Kind

SAMPLED = 12
"""Artifacts of each kind, those of the latest iterations, whose reading is looked up: few, so that no plan waits for
it, and new, because disks change."""


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """Records of a catalog as they were read for one run.

    Attributes:
        view: the iterations of the workflow, and what is stored.
        measured: records of results, by signature.
        loads: load throughput by kind of artifact, calibrated to the catalog.
        known_random: why a result is nondeterministic, as an earlier run found, by declared signature.
    """

    view: CatalogView
    measured: Mapping[str, ResultRecord]
    loads: Mapping[str, Throughput] = field(default_factory=lambda: LOAD)
    known_random: Mapping[str, str] = field(default_factory=dict)

    def compute_seconds(self, signature: str) -> float | None:
        """Return what computing a result took, if that is on record."""
        record = self.measured.get(signature)
        return None if record is None else record.compute_seconds

    def load_seconds(self, artifact: ArtifactRecord) -> float:
        """Return what loading a stored result is expected to take."""
        return self.loads[artifact.kind].seconds(artifact.bytes)


def calibrated_writes(artifacts: Collection[ArtifactRecord]) -> dict[str, Throughput]:
    """Return write throughput by kind of artifact, from those of live artifacts that were nothing but writes."""
    return {
        kind: calibrate(((r.bytes, r.write_seconds) for r in artifacts if r.kind == kind and r.write_seconds), prior)
        for kind, prior in WRITE.items()
    }


def sampled(artifacts: Collection[ArtifactRecord]) -> dict[str, ArtifactRecord]:
    """Return the artifacts whose loads tell how quick the disk is, by signature."""
    newest = sorted(artifacts, key=lambda record: (-record.iteration, record.signature))
    of_kinds = [[record for record in newest if record.kind == kind][:SAMPLED] for kind in READ]
    return {record.signature: record for records in of_kinds for record in records}


def calibrated_loads(
    artifacts: Mapping[str, ArtifactRecord], measured: Mapping[str, ResultRecord]
) -> dict[str, Throughput]:
    """Return load throughput by kind of artifact, from those of the sample that were read by themselves."""
    samples: dict[str, list[tuple[int, float]]] = {}
    for signature, artifact in artifacts.items():
        seconds = measured[signature].read_seconds if signature in measured else None
        if seconds is not None:
            samples.setdefault(artifact.kind, []).append((artifact.bytes, seconds))
    return loads_from_reads(samples)


def known_nodes(
    dag: Dag, described: Mapping[str, Description], signed: Mapping[str, Signed], records: RecordsRead,
    held: frozenset[str], fits: Mapping[str, Influence], catalog: CatalogReader,
) -> tuple[KnownNode, ...]:
    """Return the rows, in the order of the graph.

    Args:
        described, signed: by node name.
        held: signatures of results in memory.
        fits: influences by learner, see `newest_fits`.
    """
    view, measured = records.view, records.measured
    signatures = {node.name: signed[node.name].signature for node in dag.nodes}
    previous = _previous_versions(signatures, records, catalog)
    sources = {name: version.bytes for name in signatures if (version := described[name].version) is not None}
    costs = _estimates(dag, signatures, sources, records, previous)
    last = {node.name: node for node in view.nodes}
    lost = {node.signature for node in view.nodes}.intersection(signatures.values()) - view.artifacts.keys() - held
    ended = {signature: f"{end.event}: {end.why}" for signature, end in catalog.ends_among(lost).items()}
    ended |= {record.signature: WHY_MISSING for record in view.missing}

    def known(name: str) -> KnownNode:
        own, node = signed[name], dag[name]
        record, before = measured.get(own.signature), last.get(name)
        return KnownNode(
            node, _with_chance_found(described[name], records.known_random.get(own.declared)), own, costs[name],
            artifact=view.artifacts.get(own.signature), held=own.signature in held,
            before=None if before is None else parts_from_json(before.parts),
            ended=ended.get(own.signature, ""),
            influence=_influence_of(node, (record, previous.get(name)), fits.get(name)),
            verified=record is not None and bool(record.verified),
        )

    return tuple(known(node.name) for node in dag.nodes)


def newest_fits(dag: Dag, catalog: CatalogReader) -> dict[str, Influence]:
    """Return the newest influence of each learner that asks to prune features."""
    learners = asking(dag)
    if not learners:
        return {}
    records = catalog.measured(dag.workflow, learners)
    told = {name: from_json(record.influence) for name, record in records.items()}
    return {name: influence for name, influence in told.items() if influence is not None}


def _influence_of(
    node: Node, records: Iterable[ResultRecord | None], newest: Influence | None
) -> Influence | None:
    """Return the influence of a learner's fit: recorded of its version, else of the previous one, else the newest."""
    if node.kind is not Kind.LEARNER:
        return None
    told = next((one for one in records if one is not None and one.influence), None)
    return from_json(told.influence) if told is not None else newest


def _with_chance_found(described: Description, why: str | None) -> Description:
    """Return a description with why its result is nondeterministic, where only an earlier run could tell."""
    return replace(described, random=(why,)) if why and not described.random else described


def _estimates(
    dag: Dag, signatures: Mapping[str, str], source_bytes: Mapping[str, int], records: RecordsRead,
    previous: Mapping[str, ResultRecord],
) -> dict[str, Costs]:
    sizes = _previous_sizes(records)
    return estimate(
        dag, signatures, {s: _measurement(record) for s, record in records.measured.items()},
        {
            name: replace(own := _measurement(previous.get(name)), bytes=sizes.get(name, own.bytes))
            for name in previous.keys() | sizes.keys()
        },
        source_bytes, load=records.loads, write=calibrated_writes(records.view.artifacts.values()),
    )


def _previous_versions(
    signatures: Mapping[str, str], records: RecordsRead, catalog: CatalogReader
) -> dict[str, ResultRecord]:
    """Return the newest measured earlier version of each node that was not measured itself."""
    view = records.view
    unmeasured = {name for name, signature in signatures.items() if records.compute_seconds(signature) is None}
    last = {
        node.name: records.measured[node.signature] for node in view.nodes
        if node.name in unmeasured and records.compute_seconds(node.signature) is not None
    }
    left = sorted(unmeasured - last.keys())
    return last | (catalog.measured(view.workflow, left) if left and view.last else {})


def _previous_sizes(records: RecordsRead) -> dict[str, int]:
    """Return the measured bytes of each node's newest version, as far as the last iteration knew them."""
    sizes = {}
    for node in records.view.nodes:
        record = records.measured.get(node.signature)
        size = record.bytes if record is not None and record.bytes is not None else node.bytes
        if size is not None:
            sizes[node.name] = size
    return sizes


def _measurement(record: ResultRecord | None) -> Measurement:
    return Measurement() if record is None else Measurement(record.compute_seconds, record.load_seconds, record.bytes)
