"""The data that plans of a program read and write by path: which there is now, and whether it changed meanwhile."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import helix_spark.plans.connect_proto as pb
from helix_spark.errors import CatalogError, HelixError
from helix_spark.identity.data_version import ObjectSource, SignedData, identify, paths_of, place_of
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.plans.plan_reads import tables_named
from helix_spark.store_access import is_in_s3, is_reached_alike
from helix_spark.workflow.sources import DeltaSource, FileSource

FILE_FORMATS = frozenset({
    "csv", "json", "parquet", "text", "orc", "avro", "libsvm", "image", "binaryfile", "xml", "com.databricks.spark.csv",
})
"""Formats that read the files below their paths, and nothing else."""

_PATH_IN_SQL = re.compile(r"(?P<format>\w+)\.`?(?P<path>[^`]*/[^`]*)`?")


class UnknownDataError(Exception):
    """The version of data that is read is unknown. The text says why, as the end of a sentence about the program."""


@dataclass(slots=True)
class DataVersions:
    """The versions of data, each looked at once unless it changes.

    Attributes:
        folder: where relative paths begin: the driver's working folder, whatever the program makes its own.
        elsewhere: the machine whose disks are read, where that is another one.
        settings: gives the settings of the session.
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
        found = _PATH_IN_SQL.fullmatch(name)
        if found is None:
            raise UnknownDataError(f"reads the table {name}, whose version nobody tells")
        return self._read_version(self._source(found["format"], [found["path"]], {}))

    def of_folder(self, path: str) -> SignedData:
        """Return the version of all files at a path. Raises UnknownDataError."""
        place = self._placed(path)
        try:
            return SignedData(place, identify(place))
        except (HelixError, OSError) as error:
            raise UnknownDataError(f"reads {path}, which cannot be read ({error})") from error

    def _placed(self, path: str) -> Path:
        place = on_this_machine(path, self.folder)
        if place is None or self.elsewhere:
            raise _untold(path, "it is not on a disk of this machine")
        return place

    def _source(self, format: str, paths: Any, options: dict[str, str]) -> FileSource | DeltaSource | ObjectSource:
        given = [*paths, *(value for name, value in options.items() if name.lower() == "path")]
        kept = {name.lower(): value for name, value in options.items() if name.lower() not in ("path", "paths")}
        stored = [one for one in given if is_in_s3(one)]
        placed = tuple(one if one in stored else str(self._placed(one)) for one in given)
        for path in stored:
            try:
                alike = not any("fs.s3a." in name for name in kept) and is_reached_alike(path, self.settings())
            except CatalogError as error:
                raise _untold(path, error.what) from error
            if not alike:
                raise _untold(path, "the AWS_ variables name another store")
        match format.lower():
            case "delta" if len(placed) == 1:
                asked = kept.get("versionasof")
                if asked is not None and asked.isdigit():
                    return DeltaSource(placed[0], int(asked))
                if not {"versionasof", "timestampasof"} & kept.keys():
                    return DeltaSource(placed[0])
            case other if other in FILE_FORMATS and placed and len(stored) == len(placed):
                return ObjectSource(placed)
            case other if other in FILE_FORMATS and placed and not stored:
                return FileSource("text", placed, options=tuple(sorted(kept.items())))
        raise UnknownDataError(f"reads by {format}, and nobody tells the version of that")

    def _read_version(self, source: FileSource | DeltaSource | ObjectSource) -> SignedData:
        with self._lock:
            before = self._known.get(source)
            try:
                if before is not None and is_listed_at_once(before) and before.changed() is None:
                    return before
                found = SignedData(source, identify(source))
            except (HelixError, OSError) as error:
                raise UnknownDataError(f"reads {place_of(source)}, which cannot be read ({error})") from error
            self._known[source] = found
            return found


def is_listed_at_once(read: SignedData) -> bool:
    """Return whether a table reads the files that there are when it is built; one of Delta's reads its newest version.
    """
    return isinstance(read.source, FileSource | ObjectSource)


def places_read(data: Iterable[SignedData], plans: Iterable[Any], folder: Path) -> Iterator[str]:
    """Yield the places of data, and of what plans read by themselves: paths, absolute where they are on a disk of this
    machine, names of tables, and an empty text for what nobody knows the place of. Relative paths begin in a folder."""
    named = [path for one in data for path in paths_of(one.source) or ("",)]
    for one in (one for plan in plans for one in messages(plan)):
        if sort_of(one) == "Read.DataSource":
            paths = [*one.paths, *(value for name, value in one.options.items() if name.lower() == "path")]
            named += paths or [""]
        for table in ("",) if (tables := tables_named(one)) is None else tables:
            form, _, path = table.partition(".")
            if form.lower() in FILE_FORMATS | {"delta"}:
                named.append(path.strip("`"))
            elif not table.startswith(INPUT):
                yield table
    for path in named:
        place = on_this_machine(path, folder) if path else None
        yield path if place is None else os.path.normpath(place.expanduser().absolute())


def may_overlap(read: SignedData, place: Path) -> bool:
    """Return whether a write to a place may change what is read."""
    match read.source:
        case FileSource(paths=paths):
            at = [Path(re.split(r"[*?[{]", one)[0]) for one in paths]
        case DeltaSource(path=path):
            at = [Path(path)]
        case Path() as path:
            at = [path]
        case _:  # a write to a store is not followed at all
            return False
    return any(one.is_relative_to(place) or place.is_relative_to(one) for one in at)


def _untold(path: str, why: str) -> UnknownDataError:
    return UnknownDataError(f"reads {path}, whose version nobody tells: {why}")


def on_this_machine(path: str, folder: Path) -> Path | None:
    """Return a path of Spark's as one of Python's; None where it is on no disk of this machine.

    Args:
        folder: where relative paths begin.

    >>> on_this_machine("file:///data/a.csv", Path("/home/me")), on_this_machine("a.csv", Path("/home/me"))
    (PosixPath('/data/a.csv'), PosixPath('/home/me/a.csv'))
    >>> on_this_machine("s3a://bucket/a.csv", Path("/home/me"))
    """
    path = path.removeprefix("file://").removeprefix("file:")
    return None if "://" in path else folder / path


@dataclass(frozen=True, slots=True)
class WrittenPlace:
    """Where something is written.

    Attributes:
        path: on a disk of this machine.
        may_be_skipped: whether writing it once more would leave what is there already: not where it is added to what
            is there, nor where Spark refuses to write to a place that is taken.
    """

    path: Path
    may_be_skipped: bool

    def identity(self) -> str:
        """Return the identity of all that is there now, or below it; empty if nothing is."""
        return identify(self.path).digest if self.path.exists() else ""


def written_place(command: Any, folder: Path) -> WrittenPlace | None:
    """Return where a command writes; None where that is no path on a disk of this machine. Relative paths begin in a
    folder."""
    if command.WhichOneof("command_type") == "ml_command":
        path, may_be_skipped = command.ml_command.write.path, command.ml_command.write.should_overwrite
    else:
        again = (pb.WriteOperation.SAVE_MODE_OVERWRITE, pb.WriteOperation.SAVE_MODE_IGNORE)
        path, may_be_skipped = command.write_operation.path, command.write_operation.mode in again
    place = on_this_machine(path, folder) if path else None
    return None if place is None else WrittenPlace(place, may_be_skipped)
