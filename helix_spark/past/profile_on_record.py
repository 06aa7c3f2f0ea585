"""The profile of a node's table: of its first rows as they are stored, else of those on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.vector_slots import slot_names_of
from helix_spark.errors import HelixError
from helix_spark.past.table_preview import TablePreview
from helix_spark.past.table_profile import ROWS, ColumnProfile, profiled

if TYPE_CHECKING:
    from helix_spark.catalog.tables.table_reading import FirstRows

_COLUMNS = 60


class Stored(Protocol):
    """What is read of a catalog here."""

    def first_rows(self, record: ArtifactRecord, rows: int, most_columns: int) -> FirstRows: ...


def profile_of(
    artifact: ArtifactRecord | None, preview: TablePreview | None, stored: Stored
) -> tuple[int, tuple[ColumnProfile, ...]]:
    """How many rows were looked at, and what their columns hold; of what is no table, or can not be read, of none.

    Args:
        artifact: of the result; live, ended or None.
        preview: its first rows as they are on record, if they are.
    """
    if artifact is not None and artifact.event == "published" and artifact.kind == "table":
        try:
            found = stored.first_rows(artifact, ROWS, _COLUMNS).table
        except HelixError:  # who shows its rows says so
            return 0, ()
        return found.num_rows, profiled(found, slot_names_of(artifact.schema or ""))
    if preview is not None and preview.rows:
        table = preview.arrow()
        return table.num_rows, profiled(table)
    return 0, ()
