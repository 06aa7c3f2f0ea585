"""All that the records of a catalog say, as far as they can be read, whatever state they are in. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helix_spark.catalog.journal.mending import Mending, examined, mending_of, rows_of
from helix_spark.catalog.journal.rows import Misfit, Row
from helix_spark.catalog.journal.survey import survey
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.record_journals import journals_in
from helix_spark.catalog.records import ArtifactRecord, FileRecord, IterationRecord, NodeRecord, ResultRecord


@dataclass(frozen=True)
class HeldRecords:
    """The rows of each journal in their order.

    Attributes:
        mendings: by type of row, what was found of its journal.
        odd_attempts: the attempts that records of artifacts name which do not fit.
    """

    files: tuple[FileRecord, ...]
    results: tuple[ResultRecord, ...]
    nodes: tuple[NodeRecord, ...]
    artifacts: tuple[ArtifactRecord, ...]
    iterations: tuple[IterationRecord, ...]
    mendings: Mapping[type[Any], Mending]
    odd_attempts: frozenset[str]

    @property
    def live(self) -> dict[str, ArtifactRecord]:
        """The live artifacts by signature."""
        ended = {record.attempt for record in self.artifacts if record.event != "published"}
        return {record.signature: record for record in self.artifacts if record.attempt not in ended}


def held_records(records: Place, *, sound: bool = True) -> HeldRecords:
    """Reads all journals. Raises OSError where they cannot be reached.

    Args:
        records: the folder of all journals.
        sound: whether it matters that others can read them, too.
    """
    mendings = {
        journal.row_type: examined(journal) if sound else mending_of(survey(journal.folder))
        for journal in journals_in(records)
    }
    artifacts = rows_of(mendings[ArtifactRecord], ArtifactRecord)
    return HeldRecords(
        files=_fitting(rows_of(mendings[FileRecord], FileRecord)),
        results=_fitting(rows_of(mendings[ResultRecord], ResultRecord)),
        nodes=_fitting(rows_of(mendings[NodeRecord], NodeRecord)),
        artifacts=_fitting(artifacts),
        iterations=_fitting(rows_of(mendings[IterationRecord], IterationRecord)),
        mendings=mendings,
        odd_attempts=frozenset(str(row.fields.get("attempt")) for row in artifacts if isinstance(row, Misfit)),
    )


def _fitting(rows: Sequence[Row | Misfit]) -> tuple[Row, ...]:
    return tuple(row for row in rows if not isinstance(row, Misfit))
