"""What a run needs to know of a catalog to plan, read once: frozen data, no access to the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from helix_spark.catalog.insisting import without_past
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord


@dataclass(frozen=True, slots=True)
class PastNode:
    """A node of an earlier iteration, as far as a forecast looks at it; see `NodeRecord`."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    signature: str
    output: bool


@dataclass(frozen=True, slots=True)
class PastIteration:
    """An earlier iteration and its nodes, inputs first; none where it ended before they were recorded."""

    record: IterationRecord
    nodes: tuple[PastNode, ...]


@dataclass(frozen=True, slots=True)
class CatalogView:
    """A catalog as one workflow sees it before it runs.

    Attributes:
        workflow: its name.
        artifacts: all live artifacts, of all workflows, by signature, without those in `missing`. Schemas are told of
            those alone that the iterations in `past` had. Another workflow insists on one only as long as the newest
            version of that workflow has it.
        missing: live artifacts that iterations in `past` had, and whose folder is gone: to be quarantined, never
            planned with.
        last: the newest iteration of the workflow that has ended, however it ended; None before the first.
        nodes: its nodes.
        past: the newest iterations of the workflow, oldest first, however they ended.
        next_iteration: the number that a run would get now.
        bytes_used: physical bytes of the whole catalog: live artifacts, records, leftovers; of these not those that lie
            beside a live artifact of the same signature.
        past_wishes: (workflow, attempt) of what other workflows insist on by its record, and no longer have.
    """

    workflow: str
    artifacts: Mapping[str, ArtifactRecord]
    missing: tuple[ArtifactRecord, ...]
    last: IterationRecord | None
    nodes: tuple[NodeRecord, ...]
    past: tuple[PastIteration, ...]
    next_iteration: int
    bytes_used: int
    past_wishes: frozenset[tuple[str, str]] = frozenset()

    def as_wished(self, record: ArtifactRecord) -> ArtifactRecord:
        """A live artifact that was read later, insisted on as in `artifacts`.

        Who insists on it since then has it in a version which ran since.
        """
        return without_past(record, self.past_wishes)

    @property
    def artifact_bytes(self) -> int:
        """Physical bytes of the live artifacts."""
        return sum(record.bytes for record in self.artifacts.values())

    @property
    def other_bytes(self) -> int:
        """Physical bytes of everything else: records, leftovers."""
        return self.bytes_used - self.artifact_bytes
