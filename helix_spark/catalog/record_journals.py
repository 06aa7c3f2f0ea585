"""The journals of a catalog: which there are, and what their rows are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from helix_spark.catalog.journal.journal import Journal, Mender, refuses
from helix_spark.catalog.journal.rows import Row
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.records import (
    AnswerRecord,
    ArtifactRecord,
    FileRecord,
    IterationRecord,
    NodeRecord,
    ResultRecord,
)

_PRUNED_BY: Mapping[type[Any], tuple[str, ...]] = {
    FileRecord: ("digest",), AnswerRecord: ("workflow", "iteration"),
    ResultRecord: ("workflow", "iteration"), NodeRecord: ("workflow", "iteration"),
    IterationRecord: ("workflow", "number"), ArtifactRecord: ("workflow", "iteration"),
}


@dataclass(frozen=True, slots=True)
class Journals:
    """One of each type of record; the folder of each is called as the field is.

    That an iteration runs is on record before anything else of it: who reads one after the other reads iterations last.
    """

    files: Journal[FileRecord]
    answers: Journal[AnswerRecord]
    results: Journal[ResultRecord]
    nodes: Journal[NodeRecord]
    artifacts: Journal[ArtifactRecord]
    iterations: Journal[IterationRecord]

    def __iter__(self) -> Iterator[Journal[Any]]:
        return (getattr(self, field.name) for field in fields(self))

    @property
    def ends_first(self) -> tuple[Journal[Any], ...]:
        """In the order in which they are synced: when an iteration's end is, what was recorded before it is as well."""
        return self.files, self.iterations, self.nodes, self.results, self.answers, self.artifacts


def journals_in(records: Place, mender: Mender = refuses) -> Journals:
    """The journals in the folder of all records; see `Journal` for the others."""

    def of(row_type: type[Row], name: str) -> Journal[Row]:
        return Journal(records / name, row_type, pruned_by=_PRUNED_BY[row_type], mender=mender)

    return Journals(
        of(FileRecord, "files"), of(AnswerRecord, "answers"), of(ResultRecord, "results"), of(NodeRecord, "nodes"),
        of(ArtifactRecord, "artifacts"), of(IterationRecord, "iterations"),
    )
