"""What is known of each node of a graph, a row a node: what it costs, what is there of it, what it was before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.records import ResultRecord
from helix_spark.catalog.view import WHY_MISSING
from helix_spark.costs.model import Measurement, NodeEstimate, estimate
from helix_spark.dag.influence import Influence
from helix_spark.dag.node import Dag
from helix_spark.identity.difference import parts_from_json
from helix_spark.identity.node_description import Description
from helix_spark.identity.signing import Signed
from helix_spark.planner.situation import KnownNode
from helix_spark.run.fit_records import influence_of
from helix_spark.run.records_read import RecordsRead, calibrated_writes


def known_nodes(
    dag: Dag, described: Mapping[str, Description], signed: Mapping[str, Signed], records: RecordsRead,
    held: frozenset[str], fits: Mapping[str, Influence], catalog: CatalogReader,
) -> tuple[KnownNode, ...]:
    """The rows, in the order of the graph.

    Args:
        described, signed: by node name.
        held: signatures of what is in memory.
        fits: what the newest fit of each learner that asks to prune features gave them.
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
            influence=influence_of(node, (record, previous.get(name)), fits.get(name)),
            verified=record is not None and bool(record.verified),
        )

    return tuple(known(node.name) for node in dag.nodes)


def _with_chance_found(described: Description, why: str | None) -> Description:
    """A node, with why its result may differ each time where only an earlier run could tell."""
    return replace(described, random=(why,)) if why and not described.random else described


def _estimates(
    dag: Dag, signatures: Mapping[str, str], source_bytes: Mapping[str, int], records: RecordsRead,
    previous: Mapping[str, ResultRecord],
) -> dict[str, NodeEstimate]:
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
    """By name, of nodes that were not measured yet: their newest earlier version that was."""
    view = records.view
    unmeasured = {name for name, signature in signatures.items() if records.compute_seconds(signature) is None}
    last = {
        node.name: records.measured[node.signature] for node in view.nodes
        if node.name in unmeasured and records.compute_seconds(node.signature) is not None
    }
    left = sorted(unmeasured - last.keys())
    return last | (catalog.measured(view.workflow, left) if left and view.last else {})


def _previous_sizes(records: RecordsRead) -> dict[str, int]:
    """By name, bytes of the newest version whose size was measured: of the iteration before, or what that one knew."""
    sizes = {}
    for node in records.view.nodes:
        record = records.measured.get(node.signature)
        size = record.bytes if record is not None and record.bytes is not None else node.bytes
        if size is not None:
            sizes[node.name] = size
    return sizes


def _measurement(record: ResultRecord | None) -> Measurement:
    return Measurement() if record is None else Measurement(record.compute_seconds, record.load_seconds, record.bytes)
