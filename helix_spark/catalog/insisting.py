"""Which workflows' authors insist on a stored result, as its record says it. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from helix_spark.catalog.records import ArtifactRecord

if TYPE_CHECKING:  # pages, which show records, load nothing of declarations
    from helix_spark.workflow.declaration import Wishes


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
