"""Whether a stored table is still the one that was recorded. Reads its Delta log and looks at its files; no JVM.

A stored table has one commit, version 0, and never gets another: any other log is a sign of damage. What pages hold is
verified when they are read (`table_reading`); what a footer says of a file's size before that, as some kilobytes may
hold a hundred million rows. What is wrong with a table is a ValueError, which those who look at stored results raise as
a DamagedArtifactError (`explained_damage`).
"""

from __future__ import annotations

import errno
import hashlib
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO
from urllib.parse import unquote

from msgspec import Meta, Struct

from helix_spark.catalog.places.json_text import as_type, parsed, parsed_as
from helix_spark.catalog.places.place import Place, each, is_out_of_reach, text_in
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.attempts import LONGEST_COMMIT, commit_of
from helix_spark.catalog.tables.spark_types import foreign_classes, parsed_schema, same_types
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_PART = re.compile(r"part-(\d+)-")


class DamagedArtifactError(CatalogError):
    """A stored result is missing, incomplete or not the one that was recorded: quarantine it and compute it again."""


@contextmanager
def explained_damage(folder: Place | None, *errors: type[Exception]) -> Iterator[None]:
    """Raise OSErrors, ValueErrors and other errors of the block as a DamagedArtifactError about the stored result in a
    folder, or as a CatalogError where it could not be reached."""
    of_reading: tuple[type[Exception], ...] = (OSError, ValueError, *errors)
    try:
        yield
    except of_reading as error:
        if is_out_of_reach(error):
            raise CatalogError(
                f"the stored result {folder} cannot be read now: {error}",
                remedy="run again when it can be reached and read; what is stored there is kept",
            ) from error
        raise DamagedArtifactError(f"the stored result {folder} is damaged: {error}",
                                   remedy="it is computed again") from error


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """A table whose log and files agree with its record: its parquet files in the order of their partitions, and the
    Spark schema of what they hold, as JSON."""

    files: tuple[Place, ...]
    schema: str


def check_table(folder: Place, record: ArtifactRecord) -> CheckedTable:
    """Check the log of the table in `folder`, and its files' sizes and footers, against the record. Raises
    DamagedArtifactError for anything that does not match."""
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
        files = sorted(_checked_files(folder, commit), key=_partition)
        if digest_of_table(folder, files) != record.digest:  # some very old records have none: they are computed again
            raise ValueError("the footers of its files are not those that were written")
        return CheckedTable(tuple(files), schema)


def written_digest(folder: Place) -> str:
    """Return the digest for the record of the table in `folder`, which was just written."""
    with explained_damage(folder):
        return digest_of_table(folder, list(_checked_files(folder, read_commit(folder))))


def digest_of_table(folder: Place, files: Iterable[Place]) -> str:
    """Return the digest of parquet files' names, sizes and footers, which have no checksums, unlike the pages. Raises
    ValueError for what has no footer, OSError."""
    whole = hashlib.sha256()
    for name, size, footer in sorted(each(folder, _size_and_footer, files)):
        whole.update(f"{len(name)} {name} {size} {len(footer)} ".encode())
        whole.update(footer)
    return whole.hexdigest()


def _size_and_footer(path: Place) -> tuple[str, int, bytes]:
    with path.open_binary() as file:
        return path.name, *size_and_footer(file)


@dataclass(frozen=True, slots=True)
class TableCommit:
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
    """Read the commit of the table in `folder`, where files of failed tasks may lie, too. Raises ValueError for one
    that no stored table has, OSError."""
    commit = commit_of(folder)
    log = commit.parent
    if not (folder.is_own_folder() and log.is_own_folder()):
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(log))
    if others := sorted(path.name for path in log.glob("*.json") if path != commit):
        raise ValueError(f"something else wrote to it: its log has {others[0]}")
    try:
        return _commit_of([parsed(line) for line in text_in(commit, LONGEST_COMMIT).splitlines() if line.strip()])
    except ValueError as error:
        raise ValueError(f"its log is not that of a table: {error}") from error


def _commit_of(actions: Sequence[Any]) -> TableCommit:
    """Return what a commit says. Raises ValueError for one that no stored table has."""
    said = as_type(actions, list[_Action])
    added = [one.add for one in said if one.add is not None]
    metadata = [one.meta_data for one in said if one.meta_data is not None]
    if len(metadata) != 1:
        raise ValueError("it says no schema, or several")
    parsed_schema(metadata[0].schema_string)
    moved = metadata[0].configuration.get("delta.columnMapping.mode", "none") != "none"
    if moved or metadata[0].partition_columns or any(one.remove is not None for one in said):
        raise ValueError("it has partitions, mapped columns or removed files")
    if any(one.deletion_vector for one in added):
        raise ValueError("it has deleted rows")
    attempt = next((one.commit_info.user_metadata for one in said if one.commit_info is not None), None)
    files = tuple((unquote(one.path), one.size) for one in added)
    return TableCommit(files, _rows(added), metadata[0].schema_string, attempt)


def _rows(added: Sequence[_Added]) -> int | None:
    """Statistics are optional in Delta; the files' footers are counted when they are read."""
    try:
        return sum(parsed_as(one.stats or "", _Stats).num_records for one in added)
    except ValueError:
        return None


def _checked_files(folder: Place, commit: TableCommit) -> Iterator[Place]:
    return each(folder, lambda added: _checked_file(folder, *added), commit.files)


def _checked_file(folder: Place, name: str, size: int) -> Place:
    if Path(name).name != name:
        raise ValueError(f"its log names the file {name!r}, which is not in its folder")
    path = folder / name
    actual = path.lstat()
    if not stat.S_ISREG(getattr(actual, "st_mode", stat.S_IFREG)):  # what a store holds is nothing else
        raise ValueError(f"its file {name} is a link, or no regular file")
    if actual.st_size != size:
        raise ValueError(f"its file {name} has {actual.st_size} bytes, not {size}")
    return path


def _partition(path: Place) -> tuple[int, str]:
    part = _PART.match(path.name)
    return (int(part[1]) if part else -1, path.name)


_MAGIC = b"PAR1"
AFTER_FOOTER = 8
"""Bytes behind a footer: its length and the magic number."""

_LONGEST_FOOTER = 64 << 20
"""That of a table of 10,000 columns has some 5 MB."""

_WIDEST = 16
"""Bytes of a value in memory at most, of a text without its letters."""


def size_and_footer(file: BinaryIO) -> tuple[int, bytes]:
    """Read the size of a file, and its footer with the length and the magic number at its end. Raises ValueError for
    what is no parquet file, OSError."""
    size = file.seek(0, 2)
    file.seek(max(size - AFTER_FOOTER, 0))
    end = file.read(AFTER_FOOTER)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != _MAGIC or not 0 < length <= min(size - AFTER_FOOTER, _LONGEST_FOOTER):
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
        decoded += max(group.total_byte_size, 0) + group.num_rows * group.num_columns * _WIDEST
        if decoded > max(most, times * size):
            raise ValueError(f"its {size:,} bytes would become {decoded:,} and more, which is beyond belief")
