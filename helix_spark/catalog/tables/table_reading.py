"""Check stored tables against their records, by log and files, and read them as Arrow tables without a JVM.

A stored table has one commit, version 0: any other log is a sign of damage. Pages are verified by their checksums when
they are read; before, the decoded size in a footer is checked, as some kilobytes may hold a hundred million rows. A
defect is a ValueError, which `explained_damage` raises as a DamagedArtifactError. pyarrow reads file by file, because
its datasets import pandas (0.3 s).
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
from helix_spark.catalog.places.place import Place, is_out_of_reach, map_concurrently, text_in
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
"""Maximum bytes of the first rows, and of one column in them."""

_MOST_BYTES, _TIMES = 256 << 20, 10_000
"""Maximum bytes of a file in memory: so many, or ten thousand times its size, which columns of one value need."""


def read_arrow(folder: Place, record: ArtifactRecord) -> pa.Table:
    """Read a stored table with the types and nullability of Spark's `toArrow()`, but vectors as lists of doubles. Rows
    are in the order of the partitions. Raises DamagedArtifactError, NeedsSparkError."""
    import pyarrow as pa

    table = check_table(folder, record)
    stored_columns = columns(table.schema)
    if unreadable := next((column for column in stored_columns if column.unreadable), None):
        raise NeedsSparkError(_needs_spark(unreadable))

    def read(path: Place) -> tuple[pa.Table, int]:
        with _checked(path) as file:
            # Spark does not write columns of type void.
            names = set(file.schema_arrow.names)
            present = [column.name for column in stored_columns if column.name in names]
            return file.read(present), file.metadata.num_rows

    with _explained(folder):
        counted_parts = list(map_concurrently(folder, read, table.files))
        parts, rows = [part for part, _ in counted_parts], sum(count for _, count in counted_parts)
        arrays = [_as_declared(parts, column, rows) for column in stored_columns]
        _check_count(record, rows)
    fields = [pa.field(column.name, column.declared, column.nullable) for column in stored_columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def check_rows(folder: Place, record: ArtifactRecord) -> tuple[str, ...]:
    """Read a whole stored table like `read_arrow`, but one row group at a time: it may be larger than memory.
    Return messages about columns that only Spark can read; only their pages were checked."""
    import pyarrow as pa

    table, rows = check_table(folder, record), 0
    stored_columns = columns(table.schema)
    with _explained(folder):
        for path in table.files:
            with _checked(path) as file:
                names = frozenset(file.schema_arrow.names)  # once, because it is slow for thousands of columns
                for group in range(file.num_row_groups):
                    count = file.metadata.row_group(group).num_rows
                    for column in stored_columns:
                        present = [column.name] if column.name in names else []
                        with suppress(pa.ArrowNotImplementedError) if column.unreadable else nullcontext():
                            part = file.read_row_group(group, present)
                            if not column.unreadable:
                                _as_declared([part], column, count)
                    rows += count
        _check_count(record, rows)
    return tuple(_needs_spark(column) for column in stored_columns if column.unreadable)


class FirstRows(NamedTuple):
    """The first rows of a stored table, and its number of columns.

    Attributes:
        unreadable: names of columns that only Spark can read.
        too_long: names of columns whose first values take too much memory for a preview.
    """

    table: pa.Table
    columns: int
    unreadable: tuple[str, ...]
    too_long: tuple[str, ...]


def read_first(folder: Place, record: ArtifactRecord, rows: int, most_columns: int) -> FirstRows:
    """Read the first rows of the first columns of a table, and only their pages. Raises as `check_table`."""
    import pyarrow as pa

    def first_values(file: pq.ParquetFile, name: str, rows: int, most: int) -> pa.ChunkedArray | None:
        """Read the first values of a column one by one; None if they take more than `most` bytes."""
        batches, read = list[pa.RecordBatch](), 0
        for batch in islice(file.iter_batches(1, columns=[name]), rows):
            read += batch.nbytes
            if read > most:
                return None
            batches.append(batch)
        schema = batches[0].schema if batches else pa.schema([file.schema_arrow.field(name)])
        return pa.Table.from_batches(batches, schema).column(0)

    table = check_table(folder, record)
    stored_columns = columns(table.schema)
    first_columns = [column for column in stored_columns if not column.unreadable][:most_columns]
    parts, count, free_bytes, too_long = list[pa.Table](), 0, _MOST_SHOWN, set[str]()
    with _explained(folder):
        for path in table.files if rows > 0 else ():
            with _opened(path) as file:
                part = {}
                for name in (column.name for column in first_columns if column.name in file.schema_arrow.names):
                    values = first_values(file, name, rows - count, min(_LONGEST_SHOWN, free_bytes))
                    if values is None:
                        too_long.add(name)
                    else:
                        part[name] = values
                        free_bytes -= values.nbytes
                parts.append(pa.table(part))
                count += min(rows - count, file.metadata.num_rows)
            if count >= rows:
                break
        preview_columns = [column for column in first_columns if column.name not in too_long]
        arrays = [_as_declared(parts, column, count, most=_MOST_SHOWN) for column in preview_columns]
    fields = [pa.field(column.name, column.declared, column.nullable) for column in preview_columns]
    return FirstRows(
        pa.Table.from_arrays(arrays, schema=pa.schema(fields)), len(stored_columns),
        tuple(column.name for column in stored_columns if column.unreadable),
        tuple(column.name for column in first_columns if column.name in too_long),
    )


def _explained(folder: Place) -> AbstractContextManager[None]:
    import pyarrow as pa

    # A damaged footer makes pyarrow raise various errors, such as for names that are not Unicode.
    return explained_damage(folder, pa.ArrowException, LookupError, TypeError, OverflowError)


def _check_count(record: ArtifactRecord, rows: int) -> None:
    if record.rows is not None and rows != record.rows:
        raise ValueError(f"its files have {rows} rows, its record {record.rows}")


def _needs_spark(column: Column) -> str:
    return f"column {column.name!r} can only be read by Spark: it holds {column.unreadable}"


def _opened(path: Place) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    is_local = isinstance(path, Path)
    return pq.ParquetFile(
        path if is_local else path.open_binary(), page_checksum_verification=True, coerce_int96_timestamp_unit="us",
        pre_buffer=not is_local,
    )


@contextmanager
def _checked(path: Place) -> Iterator[pq.ParquetFile]:
    """Open a file to be read completely. Raises ValueError if its decoded size is implausible."""
    with _opened(path) as file:
        check_decoded(file.metadata, path.stat().st_size, most=_MOST_BYTES, times=_TIMES)
        yield file


def _as_declared(parts: Sequence[pa.Table], column: Column, rows: int, *, most: int = MOST_VALUES) -> pa.ChunkedArray:
    import pyarrow as pa

    if pa.types.is_null(column.stored):
        return pa.chunked_array([pa.nulls(rows)])
    chunks = []
    for part in parts:
        index = part.schema.get_field_index(column.name)
        if index < 0:
            raise ValueError(f"its files have no column {column.name!r}")
        array = part.column(index)
        if array.null_count and not column.nullable:
            raise ValueError(f"its files hold nulls in column {column.name!r}, which its schema excludes")
        # A cast imports pyarrow.compute, which most tables do not need.
        chunks += (array if array.type == column.stored else array.cast(column.stored)).chunks
    if column.is_vector:
        chunks = [to_lists(chunk, most=most) for chunk in chunks]
    return pa.chunked_array([
        chunk if chunk.type.equals(column.declared, check_metadata=True) else pa.array(_Relabel(chunk, column.declared))
        for chunk in chunks
    ], column.declared)


class _Relabel(NamedTuple):
    """An array under another type of the same layout: no cast makes fields inside lists and structs non-nullable."""

    array: pa.Array
    declared: pa.DataType

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.declared.__arrow_c_schema__(), self.array.__arrow_c_array__()[1]


_PART = re.compile(r"part-(\d+)-")


class DamagedArtifactError(CatalogError):
    """A stored result is missing, incomplete or not the recorded one: quarantine it and compute it again."""


@contextmanager
def explained_damage(folder: Place | None, *errors: type[Exception]) -> Iterator[None]:
    """Raise errors of the block as a DamagedArtifactError, or as a CatalogError if the result cannot be reached."""
    read_errors: tuple[type[Exception], ...] = (OSError, ValueError, *errors)
    try:
        yield
    except read_errors as error:
        if is_out_of_reach(error):
            remedy = "run again when it can be reached and read; the stored result is kept"
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
    """Return the digest, for its record, of a table that was just written."""
    with explained_damage(folder):
        return digest_of_table(folder, list(_checked_files(folder, read_commit(folder))))


def digest_of_table(folder: Place, files: Iterable[Place]) -> str:
    """Return the digest of the names, sizes and footers of parquet files: footers have no checksum."""
    def read(path: Place) -> tuple[str, int, bytes]:
        with path.open_binary() as file:
            return path.name, *size_and_footer(file)

    digest = hashlib.sha256()
    for name, size, footer in sorted(map_concurrently(folder, read, files)):
        digest.update(f"{len(name)} {name} {size} {len(footer)} ".encode())
        digest.update(footer)
    return digest.hexdigest()


class TableCommit(NamedTuple):
    """The only commit of a stored table: names and bytes of the files that it adds, their rows if stated, Spark's
    schema as JSON, and the attempt that wrote it if named."""

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
    """An action of a commit: the fields that are read."""

    add: _Added | None = None
    remove: Any = None
    meta_data: _Metadata | None = None
    commit_info: _CommitInfo | None = None


def read_commit(folder: Place) -> TableCommit:
    """Read the commit of a table. Raises OSError, or ValueError for a commit that is not of a stored table."""
    commit = commit_of(folder)
    log = commit.parent
    if not (folder.is_own_folder() and log.is_own_folder()):
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(log))
    if later := sorted(path.name for path in log.glob("*.json") if path != commit):
        raise ValueError(f"something else wrote to it: its log has {later[0]}")
    try:
        lines = [parsed(line) for line in text_in(commit, LONGEST_COMMIT).splitlines() if line.strip()]
        actions = as_type(lines, list[_Action])
        added = [action.add for action in actions if action.add is not None]
        metadata = [action.meta_data for action in actions if action.meta_data is not None]
        if len(metadata) != 1:
            raise ValueError("it has no schema, or several")
        parsed_schema(metadata[0].schema_string)
        is_mapped = metadata[0].configuration.get("delta.columnMapping.mode", "none") != "none"
        if is_mapped or metadata[0].partition_columns or any(action.remove is not None for action in actions):
            raise ValueError("it has partitions, mapped columns or removed files")
        if any(file.deletion_vector for file in added):
            raise ValueError("it has deleted rows")
    except ValueError as error:
        raise ValueError(f"its log is not that of a table: {error}") from error
    rows = None
    with suppress(ValueError):  # statistics are optional in Delta; the files' footers are counted when they are read
        rows = sum(parsed_as(file.stats or "", _Stats).num_records for file in added)
    attempt = next((action.commit_info.user_metadata for action in actions if action.commit_info is not None), None)
    files = tuple((unquote(file.path), file.size) for file in added)
    return TableCommit(files, rows, metadata[0].schema_string, attempt)


def _checked_files(folder: Place, commit: TableCommit) -> Iterator[Place]:
    def check(added: tuple[str, int]) -> Place:
        name, size = added
        if Path(name).name != name:
            raise ValueError(f"its log names the file {name!r}, which is not in its folder")
        actual = (folder / name).lstat()
        if not stat.S_ISREG(getattr(actual, "st_mode", stat.S_IFREG)):  # a store has only regular files
            raise ValueError(f"its file {name} is a link, or no regular file")
        if actual.st_size != size:
            raise ValueError(f"its file {name} has {actual.st_size} bytes, not {size}")
        return folder / name

    return map_concurrently(folder, check, commit.files)


AFTER_FOOTER = 8
"""Bytes after a footer: its length and the magic number."""


def size_and_footer(file: BinaryIO) -> tuple[int, bytes]:
    """Read a file's size, and its footer with the length and magic number at the end. Raises ValueError, OSError."""
    size = file.seek(0, 2)
    file.seek(max(size - AFTER_FOOTER, 0))
    end = file.read(AFTER_FOOTER)
    length = int.from_bytes(end[:4], "little")
    # The footer of a table of 10,000 columns has some 5 MB.
    if end[4:] != b"PAR1" or not 0 < length <= min(size - AFTER_FOOTER, 64 << 20):
        raise ValueError("it has no footer")
    file.seek(size - AFTER_FOOTER - length)
    return size, file.read(length + AFTER_FOOTER)


def read_footer(file: BinaryIO) -> pq.FileMetaData:
    """Read the footer of a file in memory. Raises ValueError if it is no parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"its footer cannot be read: {error}") from error


def check_decoded(footer: pq.FileMetaData, size: int, *, most: int, times: int) -> None:
    """Check that a file's decoded size is at most `most` bytes, or `times` its own size. Raises ValueError.

    Columns' own metadata are not read: pyarrow (25.0) ends the process if they are damaged.
    """
    decoded = 0
    for group in map(footer.row_group, range(footer.num_row_groups)):
        # A value takes at most 16 bytes in memory, without a text's letters.
        decoded += max(group.total_byte_size, 0) + group.num_rows * group.num_columns * 16
        if decoded > max(most, times * size):
            raise ValueError(f"its {size:,} bytes would become {decoded:,} or more, which is implausible")
