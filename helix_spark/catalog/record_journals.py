"""The journals of a catalog: which there are, and what their rows are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from helix_spark.catalog.journal.journal import Journal, Mender, refuses
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.records import (
    AnswerRecord,
    ArtifactRecord,
    FileRecord,
    IterationRecord,
    NodeRecord,
    ResultRecord,
)

_KINDS: Mapping[str, tuple[type[Any], tuple[str, ...]]] = {
    "files": (FileRecord, ("digest",)), "answers": (AnswerRecord, ("workflow", "iteration")),
    "results": (ResultRecord, ("workflow", "iteration")), "nodes": (NodeRecord, ("workflow", "iteration")),
    "artifacts": (ArtifactRecord, ("workflow", "iteration")), "iterations": (IterationRecord, ("workflow", "number")),
}
"""By the field of `Journals`, the type of the rows and the columns that queries name."""


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
    return Journals(**{
        name: Journal(records / name, row_type, pruned_by=pruned_by, mender=mender)
        for name, (row_type, pruned_by) in _KINDS.items()
    })
