"""Stored tables as Arrow tables, read without a JVM and equal to what Spark would hand over.

The checksum of every page is verified. pyarrow is used file by file, because its datasets import pandas (0.3 s).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from helix_spark.catalog.places.place import Place, each
from helix_spark.catalog.places.side_checksums import ChecksumError, check_end
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.spark_types import MOST_VALUES, Column, NeedsSparkError, columns, to_lists
from helix_spark.catalog.tables.table_check import (
    AFTER_FOOTER,
    CheckedTable,
    check_decoded,
    check_table,
    damaged,
    unread,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


_MOST_SHOWN, _LONGEST_SHOWN = 32 << 20, 8 << 20
"""Bytes of the first rows that are looked at, and of those of one column."""

_PIECE = 65_536
"""Rows that are looked at together where none are kept."""

_MOST_BYTES, _TIMES = 256 << 20, 10_000
"""How many bytes a file may become when it is read: so many, or ten thousand times what it has. Columns of one value
each become more, and whole tables have others besides."""


def read_arrow(folder: Place, record: ArtifactRecord) -> pa.Table:
    """Read a stored table.

    Types and nullability are those of Spark's `toArrow()`, but vectors are lists of doubles. Rows are in the order of
    the partitions.

    Raises:
        DamagedArtifactError: the table is not the recorded one, or a page does not match its checksum.
        NeedsSparkError: a column is of a type that only Spark can read.
    """
    import pyarrow as pa

    table = check_table(folder, record)
    stored_columns = tuple(_columns(folder, table).values())
    if unreadable := next((column for column in stored_columns if column.unreadable), None):
        raise NeedsSparkError(_needs_spark(unreadable))
    with _damage_told(folder):
        names = [column.name for column in stored_columns]
        read = list(each(folder, partial(_read_file, names), table.files))
        parts, rows = [part for part, _ in read], sum(counted for _, counted in read)
        arrays = [_as_declared(parts, column, rows) for column in stored_columns]
    _check_count(folder, record, rows)
    fields = [pa.field(column.name, column.declared, column.nullable) for column in stored_columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def check_rows(folder: Place, record: ArtifactRecord) -> tuple[str, ...]:
    """Read all of a stored table as `read_arrow` does, but some rows at a time and keeping nothing: it may be larger
    than memory.

    Returns what keeps columns from being read without Spark, in words: of these only the pages were looked at.

    Raises:
        DamagedArtifactError: as `read_arrow`.
    """
    table, rows = check_table(folder, record), 0
    known = _columns(folder, table)
    for path in table.files:
        with _damage_told(folder):
            for column in known.values():
                if column.unreadable:
                    _read_pages(column.name, path)
            readable = [column for column in known.values() if not column.unreadable]
            for part, counted in _read_in_pieces([column.name for column in readable], path):
                for column in readable:
                    _as_declared([part], column, counted)
                rows += counted
    _check_count(folder, record, rows)
    return tuple(_needs_spark(column) for column in known.values() if column.unreadable)


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The first rows of a stored table, as far as they may be looked at.

    Attributes:
        columns: how many the table has in its files.
        unreadable: names of those that only Spark can read.
        too_long: names of those whose first values take more memory than a look is worth.
    """

    table: pa.Table
    columns: int
    unreadable: tuple[str, ...]
    too_long: tuple[str, ...]


def read_first(folder: Place, record: ArtifactRecord, rows: int, most_columns: int) -> FirstRows:
    """At most `rows` first rows of the first columns of a stored table, reading no more pages than those take.

    Raises:
        DamagedArtifactError: as `read_arrow`.
    """
    import pyarrow as pa

    table = check_table(folder, record)
    known = _columns(folder, table).values()
    wanted = [column for column in known if not column.unreadable][:most_columns]
    parts, taken, left, long = list[pa.Table](), 0, _MOST_SHOWN, set[str]()
    with _damage_told(folder):
        for path in table.files:
            if taken >= rows:
                break
            with _opened(path) as file:
                first = {}
                for name in (one.name for one in wanted if one.name in file.schema_arrow.names):
                    values = _first_values(file, name, rows - taken, min(_LONGEST_SHOWN, left))
                    if values is None:
                        long.add(name)
                    else:
                        first[name] = values
                        left -= values.nbytes
                parts.append(pa.table(first))
                taken += min(rows - taken, file.metadata.num_rows)
        shown = [column for column in wanted if column.name not in long]
        arrays = [_as_declared(parts, column, taken, most=_MOST_SHOWN) for column in shown]
    fields = [pa.field(column.name, column.declared, column.nullable) for column in shown]
    return FirstRows(
        pa.Table.from_arrays(arrays, schema=pa.schema(fields)), len(known),
        tuple(column.name for column in known if column.unreadable), tuple(c.name for c in wanted if c.name in long),
    )


def _first_values(file: pq.ParquetFile, name: str, rows: int, most: int) -> pa.ChunkedArray | None:
    """The first values of a column, read one by one; None if they take more than so many bytes."""
    import pyarrow as pa

    batches, taken = list[pa.RecordBatch](), 0
    for batch in islice(file.iter_batches(1, columns=[name]), rows):
        taken += batch.nbytes
        if taken > most:
            return None
        batches.append(batch)
    schema = pa.schema([file.schema_arrow.field(name)])
    return pa.Table.from_batches(batches, batches[0].schema if batches else schema).column(0)


def _columns(folder: Place, table: CheckedTable) -> dict[str, Column]:
    try:
        return {column.name: column for column in columns(table.schema)}
    except ValueError as error:
        raise damaged(folder, f"its schema cannot be read: {error}") from error


@contextmanager
def _damage_told(folder: Place) -> Iterator[None]:
    """Raises what reading its files raises as what it says of the table."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, OverflowError, ChecksumError) as error:
        # A damaged footer makes pyarrow fail in its own ways, down to names that are not Unicode.
        raise unread(folder, f"a file cannot be read: {error}", error) from error


def _check_count(folder: Place, record: ArtifactRecord, rows: int) -> None:
    if record.rows is not None and rows != record.rows:
        raise damaged(folder, f"its files have {rows} rows, its record {record.rows}")


def _needs_spark(column: Column) -> str:
    return f"column {column.name!r} can only be read by Spark: it holds {column.unreadable}"


def _opened(path: Place) -> pq.ParquetFile:
    """A file to read, page checksums compared; of an object store in few large requests."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(
        path.readable(), page_checksum_verification=True, coerce_int96_timestamp_unit="us",
        pre_buffer=not isinstance(path, Path),
    )


def _read_file(names: Sequence[str], path: Place) -> tuple[pa.Table, int]:
    with _checked(path) as file:
        # Spark leaves columns of type void out of its files.
        present = set(file.schema_arrow.names)
        return file.read([name for name in names if name in present]), file.metadata.num_rows


def _read_in_pieces(names: Sequence[str], path: Place) -> Iterator[tuple[pa.Table, int]]:
    """The same, some rows at a time."""
    import pyarrow as pa

    with _checked(path) as file:
        present = set(file.schema_arrow.names)
        columns = [name for name in names if name in present]
        if not columns:
            yield pa.table({}), file.metadata.num_rows
            return
        for batch in file.iter_batches(_PIECE, columns=columns):
            yield pa.Table.from_batches([batch]), batch.num_rows


def _read_pages(name: str, path: Place) -> None:
    """Compares the checksums of a column's pages; what pyarrow has no type for stays unread."""
    import pyarrow as pa

    with _checked(path) as file, suppress(pa.ArrowNotImplementedError):
        file.read([one for one in file.schema_arrow.names if one == name])


@contextmanager
def _checked(path: Place) -> Iterator[pq.ParquetFile]:
    """A file to read whole. Raises ValueError for one that becomes more than there can be in it, ChecksumError where
    its end is not what was written."""
    with _opened(path) as file:
        check_end(path, file.metadata.serialized_size + AFTER_FOOTER)
        check_decoded(file.metadata, path.stat().st_size, most=_MOST_BYTES, times=_TIMES)
        yield file


def _as_declared(
    parts: Sequence[pa.Table], column: Column, rows: int, *, most: int = MOST_VALUES
) -> pa.ChunkedArray:
    import pyarrow as pa

    if pa.types.is_null(column.stored):
        return pa.chunked_array([pa.nulls(rows)])
    chunks = []
    for part in parts:
        place = part.schema.get_field_index(column.name)
        if place < 0:
            raise ValueError(f"its files have no column {column.name!r}")
        array = part.column(place)
        if not _is_form_of(array.type, column.stored):
            raise ValueError(f"its files hold {array.type} as {column.name!r}, its schema says {column.stored}")
        if array.null_count and not column.nullable:
            raise ValueError(f"its files hold nulls as {column.name!r}, its schema says there are none")
        # A cast imports pyarrow.compute, which most tables can do without.
        chunks += (array if array.type == column.stored else array.cast(column.stored)).chunks
    if column.is_vector:
        chunks = [to_lists(chunk, most=most) for chunk in chunks]
    return pa.chunked_array([_relabelled(chunk, column.declared) for chunk in chunks], column.declared)


@dataclass(frozen=True, slots=True)
class _Relabel:
    """An array under another type of the same layout, by Arrow's C data interface. A cast refuses to say of what is
    inside lists and structs that it is never null."""

    array: pa.Array
    declared: pa.DataType

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.declared.__arrow_c_schema__(), self.array.__arrow_c_array__()[1]


def _relabelled(array: pa.Array, declared: pa.DataType) -> pa.Array:
    import pyarrow as pa

    return array if array.type.equals(declared, check_metadata=True) else pa.array(_Relabel(array, declared))


def _is_form_of(actual: pa.DataType, declared: pa.DataType) -> bool:
    """Whether `actual` is how parquet gives back `declared`: times may have another unit, list items another name."""
    import pyarrow as pa

    if pa.types.is_timestamp(actual) and pa.types.is_timestamp(declared):
        return actual.tz in (None, "UTC")
    if pa.types.is_list(actual) and pa.types.is_list(declared):
        return _is_form_of(actual.value_type, declared.value_type)
    if pa.types.is_map(actual) and pa.types.is_map(declared):
        return _is_form_of(actual.key_type, declared.key_type) and _is_form_of(actual.item_type, declared.item_type)
    if pa.types.is_struct(actual) and pa.types.is_struct(declared):
        return [field.name for field in actual] == [field.name for field in declared] and all(
            _is_form_of(a.type, b.type) for a, b in zip(actual, declared, strict=True)
        )
    return bool(actual == declared)
