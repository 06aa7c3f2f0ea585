"""Whether a stored table is still the one that was recorded. Reads its Delta log and looks at its files; no JVM.

A stored table has one commit, version 0, and never gets another: that makes its log one small file, and any other log
a sign of damage. What pages hold is verified when they are read (`table_reading`), with the checksums in them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from helix_spark.catalog.places.delta_log import DeltaLog, actions_in
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.parquet_shape import size_and_footer
from helix_spark.catalog.places.place import Place, each, is_out_of_reach, is_regular
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.spark_types import foreign_classes, same_types
from helix_spark.errors import CatalogError

_PART = re.compile(r"part-(\d+)-")

class DamagedArtifactError(CatalogError):
    """A stored result is missing, incomplete or not the one that was recorded: quarantine it and compute it again."""


def damaged(folder: Place, what: str) -> DamagedArtifactError:
    """The error to raise about the table in `folder`."""
    return DamagedArtifactError(f"the stored table {folder} is damaged: {what}", remedy="it is computed again")


def unread(folder: Place, what: str, error: BaseException) -> CatalogError:
    """The error to raise when a read failed: damage, unless it could not be reached. What lies in a store that does not
    answer, or may not be read, must not be put aside for that."""
    return unreached(folder, error) if is_out_of_reach(error) else damaged(folder, what)


def unreached(folder: Place | None, error: BaseException) -> CatalogError:
    """The error to raise about what is stored in `folder` when an error `is_out_of_reach`."""
    return CatalogError(f"the stored result {folder} cannot be read now: {error}",
                        remedy="run again when it can be reached and read; what is stored there is kept")


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """A table whose log and files agree with its record.

    Attributes:
        files: paths of its parquet files in the order of their partitions.
        schema: Spark schema of what its files hold, as JSON.
    """

    files: tuple[Place, ...]
    schema: str


def check_table(folder: Place, record: ArtifactRecord) -> CheckedTable:
    """Check the log of the table in `folder`, and its files' sizes, against the record: version, number of files, rows,
    schema (names and types) and attempt.

    Raises DamagedArtifactError for anything that does not match.
    """
    adds, metadata, attempt = _commit(folder)
    if attempt is not None and attempt != record.attempt:
        raise damaged(folder, f"it was written for attempt {attempt}, not for {record.attempt}")
    if record.version not in (None, 0):
        raise damaged(folder, f"version {record.version} is recorded; a stored table has version 0 only")
    if record.files is not None and len(adds) != record.files:
        raise damaged(folder, f"its log has {len(adds)} files, its record {record.files}")
    schema = str(metadata["schemaString"])
    try:
        recorded = held_schema(record)
        alike = recorded is None or same_types(schema, recorded)
        foreign = (*foreign_classes(schema), *foreign_classes(record.schema or "{}"))
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(folder, f"its schema, or the recorded one, cannot be read: {error}") from error
    if not alike:
        raise damaged(folder, "its columns are not the recorded ones")
    if foreign:
        raise damaged(folder, f"its columns name the class {foreign[0]}, which is not Spark ML's")
    rows = _rows(adds)
    if None not in (rows, record.rows) and rows != record.rows:
        raise damaged(folder, f"its log has {rows} rows, its record {record.rows}")
    files = sorted(_checked_files(folder, adds), key=_partition)
    if record.digest is not None and _digest(folder, files) != record.digest:
        raise damaged(folder, "the footers of its files are not those that were written")
    return CheckedTable(tuple(files), recorded or schema)


def held_schema(record: ArtifactRecord) -> str | None:
    """The Spark schema of a table's files as JSON, without the columns that were left out; None where its record has
    none.

    Raises ValueError, KeyError or TypeError for what is no schema.

    >>> record = ArtifactRecord("s", "a", "table", "published", "w", "n", 1, 0.0, left_out=("b",),
    ...     schema='{"type": "struct", "fields": [{"name": "a"}, {"name": "b"}]}')
    >>> held_schema(record)
    '{"type": "struct", "fields": [{"name": "a"}]}'
    """
    if record.schema is None or not record.left_out:
        return record.schema
    whole = parsed(record.schema)
    return json.dumps(whole | {"fields": [one for one in whole["fields"] if one["name"] not in record.left_out]})


def written_digest(folder: Place) -> str:
    """The digest for the record of the table in `folder`, which was just written. Raises DamagedArtifactError."""
    return _digest(folder, list(_checked_files(folder, _commit(folder)[0])))


def digest_of_table(folder: Place, files: Iterable[Place]) -> str:
    """Of parquet files in a folder: their names, sizes and footers, which have no checksums, unlike the pages. Raises
    OSError, and ValueError for what has no footer."""
    whole = hashlib.sha256()
    for name, size, footer in sorted(each(folder, _size_and_footer, files)):
        whole.update(f"{len(name)} {name} {size} {len(footer)} ".encode())
        whole.update(footer)
    return whole.hexdigest()


def _size_and_footer(path: Place) -> tuple[str, int, bytes]:
    with path.open_binary() as file:
        return path.name, *size_and_footer(file)


def _digest(folder: Place, files: Sequence[Place]) -> str:
    try:
        return digest_of_table(folder, files)
    except (OSError, ValueError) as error:
        raise unread(folder, f"a file cannot be read: {error}", error) from error


def files_written(folder: Place) -> int:
    """How many files the table in `folder` has: those its commit names, not all that lie there.

    Spark leaves a file for an empty partition, and failed tasks leave theirs. Raises DamagedArtifactError.
    """
    return len(_commit(folder)[0])


def rows_written(folder: Place) -> int | None:
    """How many rows the files that its commit names have, as it says; None where it does not. Raises
    DamagedArtifactError."""
    return _rows(_commit(folder)[0])


def _commit(folder: Place) -> tuple[list[Mapping[str, Any]], Mapping[str, Any], str | None]:
    """The add actions, the metadata, and the attempt that the only commit names, if it names one."""
    log = DeltaLog(folder)
    try:
        if not (folder.is_own_folder() and log.folder.is_own_folder()):
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(log.folder))
        others = sorted(path.name for path in log.folder.glob("*.json") if path != log.entry(0))
        actions = list(actions_in(log.entry(0)))
    except (OSError, ValueError) as error:
        raise unread(folder, f"its log cannot be read: {error}", error) from error
    if others:
        raise damaged(folder, f"something else wrote to it: its log has {others[0]}")
    try:
        found = {kind: [action[kind] for action in actions if kind in action]
                 for kind in ("add", "remove", "metaData", "commitInfo")}
        (metadata,) = found["metaData"]
        moved = metadata.get("configuration", {}).get("delta.columnMapping.mode", "none") != "none"
        if moved or metadata["partitionColumns"] or found["remove"] or any(
            add.get("deletionVector") for add in found["add"]
        ):
            raise damaged(folder, "it has partitions, mapped columns or deleted rows, which no stored table has")
        noted = (found["commitInfo"] or [{}])[0].get("userMetadata")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(folder, f"its log is not that of a table: {error}") from error
    return found["add"], metadata, noted if isinstance(noted, str) else None


def _checked_files(folder: Place, adds: Sequence[Mapping[str, Any]]) -> Iterator[Place]:
    return each(folder, partial(_checked_file, folder), adds)


def _checked_file(folder: Place, add: Mapping[str, Any]) -> Place:
    try:
        name, size = unquote(add["path"]), int(add["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder, f"its log names a file without {error}") from error
    if Path(name).name != name:
        raise damaged(folder, f"its log names the file {name!r}, which is not in its folder")
    path = folder / name
    try:
        actual = path.lstat()
    except OSError as error:
        raise unread(folder, f"its file {name} is gone", error) from error
    if not is_regular(actual):
        raise damaged(folder, f"its file {name} is a link, or no regular file")
    if actual.st_size != size:
        raise damaged(folder, f"its file {name} has {actual.st_size} bytes, not {size}")
    return path


def _rows(adds: Sequence[Mapping[str, Any]]) -> int | None:
    try:
        return sum(int(parsed(add["stats"])["numRecords"]) for add in adds)
    except (KeyError, TypeError, ValueError):
        # Statistics are optional in Delta; the files' footers are counted when they are read.
        return None


def _partition(path: Place) -> tuple[int, str]:
    part = _PART.match(path.name)
    return (int(part[1]) if part else -1, path.name)
