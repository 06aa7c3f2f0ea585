"""Stored tables as Arrow tables, read without a JVM and equal to what Spark would hand over.

The checksum of every page is verified. pyarrow is used file by file, because its datasets import pandas (0.3 s).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from helix_spark.catalog.places.place import Place, each
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.spark_types import MOST_VALUES, Column, NeedsSparkError, columns, to_lists
from helix_spark.catalog.tables.table_check import check_decoded, check_table, explained_damage

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


_MOST_SHOWN, _LONGEST_SHOWN = 32 << 20, 8 << 20
"""Bytes of the first rows that are looked at, and of those of one column."""

_MOST_BYTES, _TIMES = 256 << 20, 10_000
"""How many bytes a file may become when it is read: so many, or ten thousand times what it has. Columns of one value
each become more, and whole tables have others besides."""


def read_arrow(folder: Place, record: ArtifactRecord) -> pa.Table:
    """Read a stored table with types and nullability as of Spark's `toArrow()`, but vectors as lists of doubles, and
    rows in the order of the partitions.

    Raises:
        DamagedArtifactError: the table is not the recorded one, or a page does not match its checksum.
        NeedsSparkError: a column is of a type that only Spark can read.
    """
    import pyarrow as pa

    table = check_table(folder, record)
    stored_columns = columns(table.schema)
    if unreadable := next((column for column in stored_columns if column.unreadable), None):
        raise NeedsSparkError(_needs_spark(unreadable))
    with _explained(folder):
        names = [column.name for column in stored_columns]
        read = list(each(folder, partial(_read_file, names), table.files))
        parts, rows = [part for part, _ in read], sum(counted for _, counted in read)
        arrays = [_as_declared(parts, column, rows) for column in stored_columns]
        _check_count(record, rows)
    fields = [pa.field(column.name, column.declared, column.nullable) for column in stored_columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def check_rows(folder: Place, record: ArtifactRecord) -> tuple[str, ...]:
    """Read all of a stored table as `read_arrow` does, but a row group at a time: it may be larger than memory.

    Returns what keeps columns from being read without Spark, in words: of these only the pages were looked at.
    """
    import pyarrow as pa

    table, rows = check_table(folder, record), 0
    known = columns(table.schema)
    with _explained(folder):
        for path in table.files:
            with _checked(path) as file:
                names = frozenset(file.schema_arrow.names)  # once: of thousands of columns it takes a while each time
                for group in range(file.num_row_groups):
                    counted = file.metadata.row_group(group).num_rows
                    for column in known:
                        present = [column.name] if column.name in names else []
                        with suppress(pa.ArrowNotImplementedError) if column.unreadable else nullcontext():
                            part = file.read_row_group(group, present)
                            if not column.unreadable:
                                _as_declared([part], column, counted)
                    rows += counted
        _check_count(record, rows)
    return tuple(_needs_spark(column) for column in known if column.unreadable)


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The first rows of a stored table, and how many columns it has.

    Attributes:
        unreadable: names of columns that only Spark can read.
        too_long: names of those whose first values take more memory than a look is worth.
    """

    table: pa.Table
    columns: int
    unreadable: tuple[str, ...]
    too_long: tuple[str, ...]


def read_first(folder: Place, record: ArtifactRecord, rows: int, most_columns: int) -> FirstRows:
    """Read at most `rows` first rows of the first columns of a stored table, and no more pages than those take. Raises
    DamagedArtifactError."""
    import pyarrow as pa

    table = check_table(folder, record)
    known = columns(table.schema)
    wanted = [column for column in known if not column.unreadable][:most_columns]
    parts, taken, left, long = list[pa.Table](), 0, _MOST_SHOWN, set[str]()
    with _explained(folder):
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
    """Read the first values of a column one by one; None if they take more than so many bytes."""
    import pyarrow as pa

    batches, taken = list[pa.RecordBatch](), 0
    for batch in islice(file.iter_batches(1, columns=[name]), rows):
        taken += batch.nbytes
        if taken > most:
            return None
        batches.append(batch)
    schema = pa.schema([file.schema_arrow.field(name)])
    return pa.Table.from_batches(batches, batches[0].schema if batches else schema).column(0)


def _explained(folder: Place) -> AbstractContextManager[None]:
    import pyarrow as pa

    # A damaged footer makes pyarrow fail in its own ways, down to names that are not Unicode.
    return explained_damage(folder, pa.ArrowException, LookupError, TypeError, OverflowError)


def _check_count(record: ArtifactRecord, rows: int) -> None:
    if record.rows is not None and rows != record.rows:
        raise ValueError(f"its files have {rows} rows, its record {record.rows}")


def _needs_spark(column: Column) -> str:
    return f"column {column.name!r} can only be read by Spark: it holds {column.unreadable}"


def _opened(path: Place) -> pq.ParquetFile:
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


@contextmanager
def _checked(path: Place) -> Iterator[pq.ParquetFile]:
    """Open a file to read whole. Raises ValueError for one that becomes more than there can be in it."""
    with _opened(path) as file:
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
        if array.null_count and not column.nullable:
            raise ValueError(f"its files hold nulls as {column.name!r}, its schema says there are none")
        # A cast imports pyarrow.compute, which most tables can do without.
        chunks += (array if array.type == column.stored else array.cast(column.stored)).chunks
    if column.is_vector:
        chunks = [to_lists(chunk, most=most) for chunk in chunks]
    return pa.chunked_array([_relabelled(chunk, column.declared) for chunk in chunks], column.declared)


@dataclass(frozen=True, slots=True)
class _Relabel:
    """An array under another type of the same layout: a cast refuses to say of what is inside lists and structs that it
    is never null."""

    array: pa.Array
    declared: pa.DataType

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.declared.__arrow_c_schema__(), self.array.__arrow_c_array__()[1]


def _relabelled(array: pa.Array, declared: pa.DataType) -> pa.Array:
    import pyarrow as pa

    return array if array.type.equals(declared, check_metadata=True) else pa.array(_Relabel(array, declared))
