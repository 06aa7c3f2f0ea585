"""Stored tables: whether one is still what was recorded, by its Delta log and its files; and read as Arrow tables
without a JVM, equal to what Spark would hand over.

A stored table has one commit, version 0, and never gets another: any other log is a sign of damage. What pages hold is
verified when they are read, by their checksums; what a footer says of a file's size before that, as some kilobytes may
hold a hundred million rows. What is wrong with a table is a ValueError, which those who look at stored results raise as
a DamagedArtifactError (`explained_damage`). pyarrow is used file by file, because its datasets import pandas (0.3 s).
"""

from __future__ import annotations

import errno
import hashlib
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, NamedTuple
from urllib.parse import unquote

from msgspec import Meta, Struct

from helix_spark.catalog.places.json_text import as_type, parsed, parsed_as
from helix_spark.catalog.places.place import Place, each, is_out_of_reach, text_in
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.attempts import LONGEST_COMMIT, commit_of
from helix_spark.catalog.tables.spark_types import (
    MOST_VALUES,
    Column,
    NeedsSparkError,
    columns,
    foreign_classes,
    parsed_schema,
    same_types,
    to_lists,
)
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_MOST_SHOWN, _LONGEST_SHOWN = 32 << 20, 8 << 20
"""Bytes of the first rows that are looked at, and of those of one column."""

_MOST_BYTES, _TIMES = 256 << 20, 10_000
"""Bytes that a file may become when it is read: so many, or ten thousand times its own, as columns of one value do."""


def read_arrow(folder: Place, record: ArtifactRecord) -> pa.Table:
    """Read a stored table with types and nullability as of Spark's `toArrow()`, but vectors as lists of doubles, and
    rows in the order of the partitions. Raises DamagedArtifactError, NeedsSparkError."""
    import pyarrow as pa

    table = check_table(folder, record)
    stored_columns = columns(table.schema)
    if unreadable := next((column for column in stored_columns if column.unreadable), None):
        raise NeedsSparkError(_needs_spark(unreadable))

    def read(path: Place) -> tuple[pa.Table, int]:
        with _checked(path) as file:
            # Spark leaves columns of type void out of its files.
            present = set(file.schema_arrow.names)
            return file.read([one.name for one in stored_columns if one.name in present]), file.metadata.num_rows

    with _explained(folder):
        found = list(each(folder, read, table.files))
        parts, rows = [part for part, _ in found], sum(counted for _, counted in found)
        arrays = [_as_declared(parts, column, rows) for column in stored_columns]
        _check_count(record, rows)
    fields = [pa.field(column.name, column.declared, column.nullable) for column in stored_columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def check_rows(folder: Place, record: ArtifactRecord) -> tuple[str, ...]:
    """Read all of a stored table as `read_arrow` does, but a row group at a time: it may be larger than memory. Return
    what keeps columns from being read without Spark, in words: of these only the pages were looked at."""
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


class FirstRows(NamedTuple):
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
    """Read first rows of the first columns of a table, and no more pages than they take. Raises as `check_table`."""
    import pyarrow as pa

    def first_values(file: pq.ParquetFile, name: str, rows: int, most: int) -> pa.ChunkedArray | None:
        """Read the first values of a column one by one; None if they take more than so many bytes."""
        batches, read = list[pa.RecordBatch](), 0
        for batch in islice(file.iter_batches(1, columns=[name]), rows):
            read += batch.nbytes
            if read > most:
                return None
            batches.append(batch)
        schema = batches[0].schema if batches else pa.schema([file.schema_arrow.field(name)])
        return pa.Table.from_batches(batches, schema).column(0)

    table = check_table(folder, record)
    known = columns(table.schema)
    wanted = [column for column in known if not column.unreadable][:most_columns]
    parts, taken, left, long = list[pa.Table](), 0, _MOST_SHOWN, set[str]()
    with _explained(folder):
        for path in table.files if rows > 0 else ():
            with _opened(path) as file:
                first = {}
                for name in (one.name for one in wanted if one.name in file.schema_arrow.names):
                    values = first_values(file, name, rows - taken, min(_LONGEST_SHOWN, left))
                    if values is None:
                        long.add(name)
                    else:
                        first[name] = values
                        left -= values.nbytes
                parts.append(pa.table(first))
                taken += min(rows - taken, file.metadata.num_rows)
            if taken >= rows:
                break
        shown = [column for column in wanted if column.name not in long]
        arrays = [_as_declared(parts, column, taken, most=_MOST_SHOWN) for column in shown]
    fields = [pa.field(column.name, column.declared, column.nullable) for column in shown]
    return FirstRows(
        pa.Table.from_arrays(arrays, schema=pa.schema(fields)), len(known),
        tuple(column.name for column in known if column.unreadable), tuple(c.name for c in wanted if c.name in long),
    )


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

    is_here = isinstance(path, Path)
    return pq.ParquetFile(
        path if is_here else path.open_binary(), page_checksum_verification=True, coerce_int96_timestamp_unit="us",
        pre_buffer=not is_here,
    )


@contextmanager
def _checked(path: Place) -> Iterator[pq.ParquetFile]:
    """Open a file to read whole. Raises ValueError for one that becomes more than there can be in it."""
    with _opened(path) as file:
        check_decoded(file.metadata, path.stat().st_size, most=_MOST_BYTES, times=_TIMES)
        yield file


def _as_declared(parts: Sequence[pa.Table], column: Column, rows: int, *, most: int = MOST_VALUES) -> pa.ChunkedArray:
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
    return pa.chunked_array([
        one if one.type.equals(column.declared, check_metadata=True) else pa.array(_Relabel(one, column.declared))
        for one in chunks
    ], column.declared)


class _Relabel(NamedTuple):
    """An array under another type of the same layout: no cast makes what is inside lists and structs never null."""

    array: pa.Array
    declared: pa.DataType

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.declared.__arrow_c_schema__(), self.array.__arrow_c_array__()[1]


_PART = re.compile(r"part-(\d+)-")


class DamagedArtifactError(CatalogError):
    """A stored result is missing, incomplete or not the one that was recorded: quarantine it and compute it again."""


@contextmanager
def explained_damage(folder: Place | None, *errors: type[Exception]) -> Iterator[None]:
    """Raise some errors of the block as a DamagedArtifactError, or as a CatalogError for what cannot be reached."""
    of_reading: tuple[type[Exception], ...] = (OSError, ValueError, *errors)
    try:
        yield
    except of_reading as error:
        if is_out_of_reach(error):
            remedy = "run again when it can be reached and read; what is stored there is kept"
            raise CatalogError(f"the stored result {folder} cannot be read now: {error}", remedy=remedy) from error
        raise DamagedArtifactError(f"the stored result {folder} is damaged: {error}",
                                   remedy="it is computed again") from error


class CheckedTable(NamedTuple):
    """A table that agrees with its record: its parquet files in the order of partitions, its Spark schema as JSON."""

    files: tuple[Place, ...]
    schema: str


def check_table(folder: Place, record: ArtifactRecord) -> CheckedTable:
    """Compare a table's log, and its files' sizes and footers, with the record. Raises DamagedArtifactError."""
    def partition(path: Place) -> tuple[int, str]:
        part = _PART.match(path.name)
        return (int(part[1]) if part else -1, path.name)

    with explained_damage(folder):
        commit = read_commit(folder)
        if commit.attempt is not None and commit.attempt != record.attempt:
            raise ValueError(f"it was written for attempt {commit.attempt}, not for {record.attempt}")
        if record.schema is not None and not same_types(commit.schema, record.schema):
            raise ValueError("its columns are not the recorded ones")
        schema = record.schema or commit.schema
        if foreign := (*foreign_classes(commit.schema), *foreign_classes(schema)):
            raise ValueError(f"its columns name the class {foreign[0]}, which is not Spark ML's")
        if None not in (commit.rows, record.rows) and commit.rows != record.rows:
            raise ValueError(f"its log has {commit.rows} rows, its record {record.rows}")
        files = sorted(_checked_files(folder, commit), key=partition)
        if digest_of_table(folder, files) != record.digest:  # some very old records have none: they are computed again
            raise ValueError("the footers of its files are not those that were written")
        return CheckedTable(tuple(files), schema)


def written_digest(folder: Place) -> str:
    """Return the digest for the record of the table in `folder`, which was just written."""
    with explained_damage(folder):
        return digest_of_table(folder, list(_checked_files(folder, read_commit(folder))))


def digest_of_table(folder: Place, files: Iterable[Place]) -> str:
    """Return the digest of parquet files' names, sizes and footers, which have no checksum."""
    def read(path: Place) -> tuple[str, int, bytes]:
        with path.open_binary() as file:
            return path.name, *size_and_footer(file)

    whole = hashlib.sha256()
    for name, size, footer in sorted(each(folder, read, files)):
        whole.update(f"{len(name)} {name} {size} {len(footer)} ".encode())
        whole.update(footer)
    return whole.hexdigest()


class TableCommit(NamedTuple):
    """The only commit of a stored table: names and bytes of the files that it adds, the rows in them if it tells,
    Spark's schema as JSON, and the attempt that it was written for if it names one."""

    files: tuple[tuple[str, int], ...]
    rows: int | None
    schema: str
    attempt: str | None


_Count = Annotated[int, Meta(ge=0, le=1 << 50)]


class _Added(Struct, rename="camel"):
    path: str
    size: _Count
    stats: str | None = None
    deletion_vector: Any = None


class _Metadata(Struct, rename="camel"):
    schema_string: str
    partition_columns: list[Any]
    configuration: dict[str, str] = {}


class _Stats(Struct, rename="camel"):
    num_records: _Count


class _CommitInfo(Struct, rename="camel"):
    user_metadata: str | None = None


class _Action(Struct, rename="camel"):
    """An action of a commit, as far as it is looked at."""

    add: _Added | None = None
    remove: Any = None
    meta_data: _Metadata | None = None
    commit_info: _CommitInfo | None = None


def read_commit(folder: Place) -> TableCommit:
    """Read the commit of a table. Raises ValueError for one that no stored table has, OSError."""
    commit = commit_of(folder)
    log = commit.parent
    if not (folder.is_own_folder() and log.is_own_folder()):
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(log))
    if others := sorted(path.name for path in log.glob("*.json") if path != commit):
        raise ValueError(f"something else wrote to it: its log has {others[0]}")
    try:
        lines = [parsed(line) for line in text_in(commit, LONGEST_COMMIT).splitlines() if line.strip()]
        actions = as_type(lines, list[_Action])
        added = [one.add for one in actions if one.add is not None]
        metadata = [one.meta_data for one in actions if one.meta_data is not None]
        if len(metadata) != 1:
            raise ValueError("it says no schema, or several")
        parsed_schema(metadata[0].schema_string)
        moved = metadata[0].configuration.get("delta.columnMapping.mode", "none") != "none"
        if moved or metadata[0].partition_columns or any(one.remove is not None for one in actions):
            raise ValueError("it has partitions, mapped columns or removed files")
        if any(one.deletion_vector for one in added):
            raise ValueError("it has deleted rows")
    except ValueError as error:
        raise ValueError(f"its log is not that of a table: {error}") from error
    rows = None
    with suppress(ValueError):  # statistics are optional in Delta; the files' footers are counted when they are read
        rows = sum(parsed_as(one.stats or "", _Stats).num_records for one in added)
    attempt = next((one.commit_info.user_metadata for one in actions if one.commit_info is not None), None)
    return TableCommit(tuple((unquote(one.path), one.size) for one in added), rows, metadata[0].schema_string, attempt)


def _checked_files(folder: Place, commit: TableCommit) -> Iterator[Place]:
    def check(added: tuple[str, int]) -> Place:
        name, size = added
        if Path(name).name != name:
            raise ValueError(f"its log names the file {name!r}, which is not in its folder")
        actual = (folder / name).lstat()
        if not stat.S_ISREG(getattr(actual, "st_mode", stat.S_IFREG)):  # what a store holds is nothing else
            raise ValueError(f"its file {name} is a link, or no regular file")
        if actual.st_size != size:
            raise ValueError(f"its file {name} has {actual.st_size} bytes, not {size}")
        return folder / name

    return each(folder, check, commit.files)


AFTER_FOOTER = 8
"""Bytes behind a footer: its length and the magic number."""


def size_and_footer(file: BinaryIO) -> tuple[int, bytes]:
    """Read a file's size, and its footer with the length and magic number at the end. Raises ValueError, OSError."""
    size = file.seek(0, 2)
    file.seek(max(size - AFTER_FOOTER, 0))
    end = file.read(AFTER_FOOTER)
    length = int.from_bytes(end[:4], "little")
    # That of a table of 10,000 columns has some 5 MB.
    if end[4:] != b"PAR1" or not 0 < length <= min(size - AFTER_FOOTER, 64 << 20):
        raise ValueError("it has no footer")
    file.seek(size - AFTER_FOOTER - length)
    return size, file.read(length + AFTER_FOOTER)


def read_footer(file: BinaryIO) -> pq.FileMetaData:
    """Read the footer of a file that is in memory. Raises ValueError for what is no parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"its footer cannot be read: {error}") from error


def check_decoded(footer: pq.FileMetaData, size: int, *, most: int, times: int) -> None:
    """Check that a file becomes at most `most` bytes when it is read, or so many times its size. Raises ValueError.

    What a damaged footer says of a column is not looked at: pyarrow (25.0) ends the process where it makes no sense.
    """
    decoded = 0
    for group in map(footer.row_group, range(footer.num_row_groups)):
        # A value has 16 bytes in memory at most, of a text without its letters.
        decoded += max(group.total_byte_size, 0) + group.num_rows * group.num_columns * 16
        if decoded > max(most, times * size):
            raise ValueError(f"its {size:,} bytes would become {decoded:,} and more, which is beyond belief")
