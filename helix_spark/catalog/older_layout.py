"""Catalogs of layout 1, whose records are six Delta tables: read as segments, and taken over by the first write.

One that is damaged is refused: the version that made it can repair it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.leases import Leases
from helix_spark.catalog.places.catalog_folder import Layout, explained, layout_number
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.object_store import ObjectPath
from helix_spark.catalog.places.place import LocalPath, Place, text_in
from helix_spark.catalog.records import KINDS, LAYOUT
from helix_spark.catalog.segments.segment import Segment, SegmentError, SegmentFolder, grouped, pack
from helix_spark.catalog.tables.attempts import LONGEST_COMMIT
from helix_spark.errors import CatalogError
from helix_spark.store_access import delta_options

if TYPE_CHECKING:
    from deltalake import DeltaTable

_AT_ONCE, _MOST_LETTERS = 5_000, 16 << 20
"""Rows that become one segment, and letters of their texts, at most."""


def is_older(layout: Layout) -> bool:
    """Return whether a catalog is of layout 1."""
    with explained(layout, "read"):
        return layout_number(layout) == 1


def older_segments(layout: Layout) -> Iterator[Segment]:
    """Yield all records of a catalog of layout 1. Raises CatalogError if it is damaged, or cannot be read."""
    def sizes(row: Mapping[str, Any]) -> tuple[int, int]:
        return 1, sum(len(value) for value in row.values() if isinstance(value, str))

    number = 0
    for kind in KINDS:
        for rows in grouped(_rows(layout, layout.records / kind.name), sizes, (_AT_ONCE, _MOST_LETTERS)):
            number += 1
            yield Segment(number, f"layout 1, {kind.name}, {number}", [(kind.name, row) for row in rows])


def take_over(layout: Layout, leases: Leases) -> None:
    """Convert a catalog of layout 1: write its records as folds, then the marker, then delete the tables. A process
    that is stopped in between leaves a catalog of one layout or the other. Raises CatalogError if others work on it."""
    with leases.alone("takeover") as alone, explained(layout, "taken over"):
        if alone is None:
            raise CatalogError(f"another process takes over the catalog {layout.root} at the moment",
                               remedy="try again once it has ended")
        if not is_older(layout):  # another process has taken it over
            return
        if holder := leases.at_work_elsewhere():
            what = f"{holder} works on the catalog {layout.root}, which an older version of helix_spark made"
            raise CatalogError(f"{what} and this one would take over", remedy="wait until it has ended")
        for segment in older_segments(layout):  # over what an attempt before has left; upkeep merges them
            fold = SegmentFolder(layout.records).fold_file(segment.number, segment.number).place
            try:
                content = pack([segment.lines()])
            except (SegmentError, UnicodeEncodeError) as error:
                raise CatalogError(f"a record of {layout.records} cannot be taken over: {error}") from error
            fold.unlink(missing_ok=True)
            fold.write_new(content, synced=True)
        marker = parsed(text_in(layout.marker))
        layout.marker.replace_text(f"{json.dumps({**marker, 'layout': LAYOUT})}\n", synced=True)
        reach("takeover.recorded")
        for kind in KINDS:
            (layout.records / kind.name).delete_tree()
            (layout.records / f"{kind.name}.head").unlink(missing_ok=True)


def _rows(layout: Layout, folder: Place) -> Sequence[dict[str, Any]]:
    """Return the rows of a table, oldest first, as fields without those that hold nothing."""
    import pyarrow as pa
    from deltalake import DeltaTable, QueryBuilder
    from deltalake.exceptions import DeltaError, TableNotFoundError

    head = -1  # the version that was synced last, where something says it
    with suppress(OSError, ValueError):
        head = int(text_in(folder.with_name(f"{folder.name}.head")))
    try:
        _check_files(folder)
        options = delta_options(folder.access) if isinstance(folder, ObjectPath) else None
        table = DeltaTable(str(folder), storage_options=options)
        if table.version() < head:
            raise ValueError(f"its log ends at version {table.version()}, and version {head} was committed")
        _check_table(folder, table)
        query = QueryBuilder().register("records", table)
        rows = query.execute("SELECT * EXCEPT (sequence, place) FROM records ORDER BY sequence, place").read_all()
        return [
            {name: value for name, value in row.items() if value is not None} for row in pa.table(rows).to_pylist()
        ]
    except BaseException as error:
        if isinstance(error, TableNotFoundError) and head < 0:
            return ()
        is_damage = isinstance(error, DeltaError | OSError | ValueError) or type(error) is Exception
        if not is_damage and type(error).__name__ != "PanicException":
            raise
        why = "its log is gone" if isinstance(error, TableNotFoundError) else str(error).splitlines()[0]
        what = f"the records {folder.name} of the catalog {layout.root}, which an older version of helix_spark made"
        raise CatalogError(f"{what}, cannot be read: {why}",
                           remedy="repair it with that version (`helix repair`), or name another folder") from error


def _check_files(folder: Place) -> None:
    """Check that nothing in the folder leads elsewhere, never ends or is nested beyond measure: deltalake follows
    links, waits for pipes, and ends the process. Raises OSError, ValueError."""
    with suppress(FileNotFoundError):
        for file in folder.files() if isinstance(folder, LocalPath) else ():
            if file.name.endswith(".json"):
                lines = file.read_at_most(LONGEST_COMMIT).splitlines()
                if not [parsed(line) for line in lines]:  # which to Delta is a commit that did nothing
                    raise ValueError(f"its log entry {file.name} is empty")


_PLAIN = re.compile(r"[A-Za-z0-9_.=-]+\.parquet")


def _check_table(folder: Place, table: DeltaTable) -> None:
    """Check that a table is as records were, and that its log names files of its own folder alone, of the sizes that it
    says: deltalake reads whatever a log names. Raises OSError, ValueError."""
    if table.protocol().min_reader_version != 1 or table.metadata().partition_columns:
        raise ValueError("it is a table as no records are")
    added = table.get_add_actions()
    for name, size in zip(added.column("path").to_pylist(), added.column("size_bytes").to_pylist(), strict=True):
        if not _PLAIN.fullmatch(name):
            raise ValueError(f"its log names the file {name!r}, which is not in its folder")
        if isinstance(folder, Path) and (actual := (folder / name).stat().st_size) != int(size):
            raise ValueError(f"its file {name} has {actual:,} bytes, not {size:,}")
