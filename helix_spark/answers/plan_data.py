"""The versions of data that a program's plans read and write by path."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import helix_spark.plans.connect_proto as pb
from helix_spark.errors import CatalogError, HelixError
from helix_spark.identity.data_version import OF_TIMES, ObjectSource, SignedData, identify, paths_of, place_of
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.plans.plan_reads import tables_named
from helix_spark.store_access import is_in_s3, is_reached_alike
from helix_spark.workflow.sources import DeltaSource, FileSource

FILE_FORMATS = frozenset({
    "csv", "json", "parquet", "text", "orc", "avro", "libsvm", "image", "binaryfile", "xml", "com.databricks.spark.csv",
})
"""Formats that read the files below their paths, and nothing else."""

_PATH_IN_SQL = re.compile(r"(?P<format>\w+)\.`?(?P<path>[^`]*/[^`]*)`?")


class UnknownDataError(Exception):
    """The version of some data is unknown. The message is the reason, as the end of a sentence about the program."""


@dataclass(slots=True)
class DataVersions:
    """The versions of data. Each is read once unless it changes.

    Attributes:
        folder: base of relative paths: the working folder as the program's first session was created.
        elsewhere: name of the machine whose disks Spark reads; empty if it is this machine.
        settings: returns the settings of the session.
    """

    folder: Path = field(default_factory=Path.cwd)
    elsewhere: str = ""
    settings: Callable[[], Mapping[str, str]] = dict
    _known: dict[FileSource | DeltaSource | ObjectSource | Path, SignedData] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of_source(self, source: Any) -> SignedData:
        """Return the version of a `Read.DataSource`. Raises UnknownDataError."""
        return self._read_version(self._source(source.format or "parquet", source.paths, dict(source.options)))

    def of_table(self, name: str) -> SignedData:
        """Return the version of a table named by its path, ``delta.`/data/table` ``. Raises UnknownDataError."""
        match = _PATH_IN_SQL.fullmatch(name)
        if match is None:
            raise UnknownDataError(f"reads the table {name}, whose version is unknown")
        return self._read_version(self._source(match["format"], [match["path"]], {}))

    def of_folder(self, path: str) -> SignedData:
        """Return the version of all files at a path. Raises UnknownDataError."""
        return self._read_version(self._local_path(path))

    def changed_by(self, place: Path) -> Iterator[SignedData]:
        """Yield the newest version of all data read so far that a write to a location may change."""
        written = (f"{place.resolve()}/",)  # once, for many sources
        return (read for read in tuple(self._known.values()) if _overlap(_places(paths_of(read.source)), written))

    def _local_path(self, path: str) -> Path:
        place = on_this_machine(path, self.folder)
        if place is None or self.elsewhere:
            raise _unknown_version(path, "its place on this machine is not known")
        return place

    def _source(self, format: str, paths: Any, options: dict[str, str]) -> FileSource | DeltaSource | ObjectSource:
        all_paths = [*paths, *(value for name, value in options.items() if name.lower() == "path")]
        lowered = {name.lower(): value for name, value in options.items()}
        reader_options = {name: value for name, value in lowered.items() if name not in ("path", "paths")}
        if format.lower() == "binaryfile":
            reader_options["modificationtime"] = ""  # one of its columns
        reads_times = not OF_TIMES.isdisjoint(reader_options)
        in_s3 = [path for path in all_paths if is_in_s3(path)]
        located = tuple(path if path in in_s3 else str(self._local_path(path)) for path in all_paths)
        has_own_store = any("fs.s3a." in name for name in reader_options)
        for path in in_s3:
            try:
                is_same_store = not has_own_store and is_reached_alike(path, self.settings())
            except CatalogError as error:
                raise _unknown_version(path, error.what) from error
            if not is_same_store:
                raise _unknown_version(path, "the AWS_ variables name another store")
        match format.lower():
            case "delta" if len(located) == 1:
                version = reader_options.get("versionasof")
                if version is not None and version.isdigit():
                    return DeltaSource(located[0], int(version))
                if not {"versionasof", "timestampasof"} & reader_options.keys():
                    return DeltaSource(located[0])
            case name if name in FILE_FORMATS and located and len(in_s3) == len(located) and not reads_times:
                return ObjectSource(located)
            case name if name in FILE_FORMATS and located and not in_s3:
                return FileSource("text", located, options=tuple(sorted(reader_options.items())))
        what = "times of objects" if in_s3 and reads_times else f"the format {format}, whose versions are unknown"
        raise UnknownDataError(f"reads {what}")

    def _read_version(self, source: FileSource | DeltaSource | ObjectSource | Path) -> SignedData:
        with self._lock:
            before = self._known.get(source)
            try:
                if before is not None and is_listed_at_once(before) and before.changed() is None:
                    return before
                version = SignedData(source, identify(source))
            except (HelixError, OSError) as error:
                raise UnknownDataError(f"reads {place_of(source)}, which cannot be read ({error})") from error
            self._known[source] = version
            return version


def is_listed_at_once(read: SignedData) -> bool:
    """Return whether a table reads the files that exist when it is built; tables of Delta read their newest version."""
    return isinstance(read.source, FileSource | ObjectSource)


def places_read(data: Iterable[SignedData], plans: Iterable[Any], folder: Path) -> Iterator[str]:
    """Yield the locations of data, and of sources in plans: paths, absolute if they are on a disk of this machine,
    names of tables, and an empty text for an unknown location. `folder` is the base of relative paths."""
    all_paths = [path for read in data for path in paths_of(read.source) or ("",)]
    for part in (part for plan in plans for part in messages(plan)):
        if type_of(part) == "Read.DataSource":
            paths = [*part.paths, *(value for name, value in part.options.items() if name.lower() == "path")]
            all_paths += paths or [""]
        for table in ("",) if (tables := tables_named(part)) is None else tables:
            form, _, path = table.partition(".")
            if form.lower() in FILE_FORMATS | {"delta"}:
                all_paths.append(path.strip("`"))
            elif not table.startswith(INPUT):
                yield table
    for path in all_paths:
        place = on_this_machine(path, folder) if path else None
        yield path if place is None else os.path.normpath(place.expanduser().absolute())


def may_overlap(read: SignedData, place: Path) -> bool:
    """Return whether a write to a location may change some data; writes to a store are not tracked."""
    return _overlap(_places(paths_of(read.source)), (f"{place.resolve()}/",))


def share_files(one: SignedData, other: SignedData) -> bool:
    """Return whether two versions of data may be of the same files."""
    return _overlap(_places(paths_of(one.source)), _places(paths_of(other.source)))


@lru_cache(maxsize=1_000)
def _places(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files and folders in which data lies, with a slash; for a pattern, the part before its first wildcard.
    They are cached: each file that a program writes is compared with all data."""
    return tuple(f"{Path(re.split(r'[*?[{]', path)[0]).resolve()}/" for path in paths)


def _overlap(some: Collection[str], others: Collection[str]) -> bool:
    return any(one.startswith(other) or other.startswith(one) for one in some for other in others)


def _unknown_version(path: str, why: str) -> UnknownDataError:
    return UnknownDataError(f"reads {path}, whose version is unknown: {why}")


def on_this_machine(path: str, folder: Path) -> Path | None:
    """Return Spark's path as Python's; None if it is on no disk of this machine.

    Args:
        folder: base of relative paths; relative itself if that is unknown.

    >>> on_this_machine("file:///data/a.csv", Path("/home/me")), on_this_machine("a.csv", Path("/home/me"))
    (PosixPath('/data/a.csv'), PosixPath('/home/me/a.csv'))
    >>> on_this_machine("s3a://bucket/a.csv", Path("/home/me")), on_this_machine("a.csv", Path())
    (None, None)
    """
    path = path.removeprefix("file://").removeprefix("file:")
    return None if "://" in path or not (folder / path).is_absolute() else folder / path


@dataclass(frozen=True, slots=True)
class WrittenPlace:
    """The target of a write.

    Attributes:
        path: path on a disk of this machine.
        may_be_skipped: True if a repeated write changes nothing: it neither appends nor fails on existing files.
    """

    path: Path
    may_be_skipped: bool

    def identity(self) -> str:
        """Return the identity of all files at or below the path; empty if it does not exist."""
        return identify(self.path).digest if self.path.exists() else ""


def written_place(command: Any, folder: Path) -> WrittenPlace | None:
    """Return the target of a command; None if it is on no disk of this machine. Relative paths begin in `folder`."""
    if command.WhichOneof("command_type") == "ml_command":
        path, may_be_skipped = command.ml_command.write.path, command.ml_command.write.should_overwrite
    else:
        repeatable = (pb.WriteOperation.SAVE_MODE_OVERWRITE, pb.WriteOperation.SAVE_MODE_IGNORE)
        path, may_be_skipped = command.write_operation.path, command.write_operation.mode in repeatable
    place = on_this_machine(path, folder) if path else None
    return None if place is None else WrittenPlace(place, may_be_skipped)
