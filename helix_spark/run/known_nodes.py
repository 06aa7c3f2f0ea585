"""The records of a workflow's nodes, looked up while they are signed, and one row a node of what is known: what it
costs, what is there of it, what it was before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.known_results import KnownResults
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
from helix_spark.dag.influence import from_json
from helix_spark.dag.node import Dag
from helix_spark.hermetic.seen import Seen, reads_unknown, seen_from_json
from helix_spark.identity.difference import parts_from_json
from helix_spark.identity.parts import digest
from helix_spark.identity.signing import Description, Signed, resolve
from helix_spark.planner.situation import KnownNode
from helix_spark.plans.captured_function import AskingFunction
from helix_spark.workflow.operators import Kind

if TYPE_CHECKING:
    from helix_spark.run.function_answers import FunctionAnswers

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
    """

    view: CatalogView
    measured: Mapping[str, ResultRecord]
    loads: Mapping[str, Throughput] = field(default_factory=lambda: LOAD)

    def compute_seconds(self, signature: str) -> float | None:
        """Return what computing a result took, if that is on record."""
        record = self.measured.get(signature)
        return None if record is None else record.compute_seconds

    def load_seconds(self, artifact: ArtifactRecord) -> float:
        """Return what loading a stored result is expected to take."""
        return self.loads[artifact.kind].seconds(artifact.bytes)


class Lookup:
    """Signs graphs of a workflow's nodes and looks up their records; these take turns, as a record may change what
    readers of its node are signed from.

    Args:
        also: signatures to look up besides the workflow's own.
        held: signatures of results in memory.
        equal: declared signatures that stand for another one, as this run itself found out.

    Attributes:
        measured: records of results, by signature.
        known_random: why a result is nondeterministic, as an earlier run found, by declared signature.
    """

    def __init__(
        self, catalog: CatalogReader, view: CatalogView, described: Mapping[str, Description], run: str,
        also: Collection[str], held: Collection[str], equal: Mapping[str, str], answered: FunctionAnswers,
    ) -> None:
        self.measured, self.known_random = dict[str, ResultRecord](), dict[str, str]()
        self._stands, self._seen = dict(equal), dict[str, Seen]()
        self._catalog, self._described, self._run, self._answered = catalog, described, run, answered
        self._also, self._asked = set(also), set[str]()
        self._had = view.artifacts.keys() | set(held)

    def sign(self, dag: Dag) -> dict[str, Signed]:
        """Sign; again when records say that a node stands for another one, which changes its readers."""
        while True:
            signed = resolve(
                dag, self._described, run=self._run, equivalent=self._stands, known_random=self.known_random,
                seen=self._seen, by_plan=self._answered.built,
            )
            fresh = {one for own in signed.values() for one in (own.declared, own.by_plan) if one} - self._asked
            if fresh:
                self._asked |= fresh
                found = self._catalog.results(fresh, {own.signature for own in signed.values()} | self._also)
                self._also = set()
                self.measured.update(found.measured)
                self._learn(found)
            elif not self._learn_by_plan(dag, signed):
                return signed

    def _learn_by_plan(self, dag: Dag, signed: Mapping[str, Signed]) -> bool:
        """Find out what the first unrecorded function that asks Spark builds; return whether there was one."""
        built = self._answered.built
        for node in dag.nodes:
            own = signed[node.name]
            is_known = own.random or own.declared in self._stands or own.declared in built
            if isinstance(node.operator, AskingFunction) and not is_known:
                inputs = {name: signed[name].signature for name in node.inputs}
                built[own.declared] = self._answered.by_plan(node, inputs) or ""
                return True
        return False

    def _learn(self, found: KnownResults) -> None:
        """Note what stands for what. Of a nondeterministic result the first draw stands that is stored or in memory."""
        for declared, signature in found.standing.items():
            observed = found.observed.get(declared, {})
            why = self._why_random(signature) or _why_unknown(observed)
            if why:
                self.known_random[declared] = why
                draws = (one for one in found.stood_for[declared] if one in self._had and self._why_random(one))
                stands = next(draws, None)
            else:
                stands = self._of_what_is_there(declared, observed) or signature
            if stands is not None:
                self._stands.setdefault(declared, stands)

    def _of_what_is_there(self, declared: str, observed: Mapping[str, str]) -> str | None:
        """Return the signature of what code makes of the files and variables that it reads, as they are now.

        It is the newest whose code read just this, else a new one of all that it was ever seen to read. None where
        nothing is known to be read.

        Args:
            observed: what it was seen to do, by what it then stood for.
        """
        seen = {signature: seen_from_json(text) for signature, text in observed.items()}
        if any(one.drew for one in seen.values()):
            self._seen[declared] = Seen(drew=True)
        reading = {signature: one for signature, one in seen.items() if one.reads}
        if not reading:
            return None
        now = reduce(or_, reading.values()).now()
        for signature, one in reversed(reading.items()):
            if now.agrees(one):
                self._seen[declared] = replace(now.only(one), drew=one.drew)
                return signature
        self._seen[declared] = now
        return digest(declared, replace(now, drew=False).to_json())

    def _why_random(self, signature: str) -> str:
        return self.measured[signature].random if signature in self.measured else ""


def _why_unknown(observed: Mapping[str, str]) -> str:
    """Return a phrase on why it is unknown whether code still reads the same; empty if that can be known."""
    path = next((path for text in observed.values() if (path := seen_from_json(text).unknown)), "")
    return reads_unknown(path) if path else ""


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
    known_random: Mapping[str, str], held: frozenset[str], catalog: CatalogReader,
) -> tuple[KnownNode, ...]:
    """Return the rows, in the order of the graph.

    Args:
        described, signed: by node name.
        known_random: see `Lookup`.
        held: signatures of results in memory.
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
        own, node, description = signed[name], dag[name], described[name]
        record, before = measured.get(own.signature), last.get(name)
        if (why := known_random.get(own.declared)) and not description.random:
            description = replace(description, random=(why,))
        influence = None
        if node.kind is Kind.LEARNER:  # of its version, else of the previous one
            fitted = next((one for one in (record, previous.get(name)) if one is not None and one.influence), None)
            influence = None if fitted is None else from_json(fitted.influence)
        return KnownNode(
            node, description, own, costs[name],
            artifact=view.artifacts.get(own.signature), held=own.signature in held,
            before=None if before is None else parts_from_json(before.parts), ended=ended.get(own.signature, ""),
            influence=influence, verified=record is not None and bool(record.verified),
        )

    return tuple(known(node.name) for node in dag.nodes)


def _estimates(
    dag: Dag, signatures: Mapping[str, str], source_bytes: Mapping[str, int], records: RecordsRead,
    previous: Mapping[str, ResultRecord],
) -> dict[str, Costs]:
    """Return estimates from what was measured of each result, else of the node's newest version."""
    sizes: dict[str, int] = {}
    for node in records.view.nodes:
        record = records.measured.get(node.signature)
        size = record.bytes if record is not None and record.bytes is not None else node.bytes
        if size is not None:
            sizes[node.name] = size
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


def _measurement(record: ResultRecord | None) -> Measurement:
    return Measurement() if record is None else Measurement(record.compute_seconds, record.load_seconds, record.bytes)
