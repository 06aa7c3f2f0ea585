"""What a run needs to know of a catalog to plan, read once: frozen data, no access to the catalog. Also who insists
that a result is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord

if TYPE_CHECKING:
    from helix_spark.workflow.declaration import Wishes


WHY_MISSING = "its folder is gone"
"""Why a record among `CatalogView.missing` cannot be loaded."""


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
        missing: live artifacts to be quarantined, never planned with: those that iterations in `past` had and whose
            folder is gone.
        last: the newest of these that has ended, however it ended; None where none has.
        nodes: its nodes.
        past: the newest iterations of the workflow, oldest first, however they ended.
        next_iteration: the number that a run would get now.
        bytes_used: physical bytes of the whole catalog: live artifacts, records, leftovers; of these not those that a
            disk has in one folder with a live artifact of the same signature.
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


def wished(record: ArtifactRecord, workflow: str, wishes: Wishes) -> ArtifactRecord:
    """A record once a workflow has said what its author wishes of the result; the same where it says so already.

    >>> from helix_spark.workflow.declaration import Wishes
    >>> record = ArtifactRecord("s", "a", "value", "published", "mine", "n", 1, 0.0, insisted=True)
    >>> sorted(wished(record, "yours", Wishes(keep="always")).insisting)
    ['mine', 'yours']
    >>> wished(record, "mine", Wishes()).insisting, wished(record, "yours", Wishes()) == record
    (frozenset(), True)
    """
    others = record.insisting - {workflow}
    told = _insisted_on(record, others | {workflow} if wishes.insisted else others)
    # What was drawn once stays a draw, whoever has it later.
    return replace(told, fixed=record.fixed or wishes.fixed)


def without_past(record: ArtifactRecord, past: Collection[tuple[str, str]]) -> ArtifactRecord:
    """A record without those who insisted on it once.

    Args:
        past: (workflow, attempt).
    """
    gone = {workflow for workflow in record.insisting if (workflow, record.attempt) in past}
    return _insisted_on(record, record.insisting - gone) if gone else record


def _insisted_on(record: ArtifactRecord, workflows: frozenset[str]) -> ArtifactRecord:
    return replace(
        record, insisted=record.workflow in workflows, insisted_by=tuple(sorted(workflows - {record.workflow}))
    )
