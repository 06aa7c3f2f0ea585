"""The data that plans of a program read by path: which there is now, and whether it changed meanwhile."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helix_spark.errors import HelixError
from helix_spark.signature.data_version import DataIdentity, identify
from helix_spark.workflow.sources import DeltaSource, FileSource

_BY_FILES = frozenset({
    "csv", "json", "parquet", "text", "orc", "avro", "libsvm", "image", "binaryfile", "xml", "com.databricks.spark.csv",
})
"""Formats that read the files below their paths, and nothing else."""

_PATH_IN_SQL = re.compile(r"(?P<format>\w+)\.`?(?P<path>[^`]*/[^`]*)`?")

_DOES_NOT_COUNT = frozenset({"path", "paths"})


class UnknownDataError(Exception):
    """Nobody can tell which data is read. Its text says why, as the end of a sentence that begins with the program."""


@dataclass(frozen=True, slots=True)
class DataRead:
    """Data that a plan reads, and how it was when the plan was signed."""

    source: FileSource | DeltaSource | Path
    identity: DataIdentity

    @property
    def shown(self) -> str:
        """Where it is."""
        match self.source:
            case FileSource(paths=paths):
                return ", ".join(paths)
            case DeltaSource(path=path):
                return path
        return str(self.source)

    def changed(self) -> str | None:
        """What was done to it since, in words."""
        # Of a Delta table the version is what is known, and that is in its log alone.
        contents = isinstance(self.source, DeltaSource)
        try:
            return self.identity.change(identify(self.source, contents=contents))
        except (HelixError, OSError) as error:
            return f"it cannot be read any more ({error})"


@dataclass(slots=True)
class DataVersions:
    """The versions of data, each looked at once unless it changes.

    Attributes:
        folder: where relative paths begin: the driver's working folder, whatever the program makes its own.
    """

    folder: Path = field(default_factory=Path.cwd)
    _known: dict[FileSource | DeltaSource | Path, DataRead] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of_source(self, source: Any) -> DataRead:
        """Of a `Read.DataSource`. Raises UnknownDataError."""
        return self._of(self._source(source.format or "parquet", source.paths, dict(source.options)))

    def of_table(self, name: str) -> DataRead:
        """Of a table that is named by its path, as in ``delta.`/data/table` ``. Raises UnknownDataError."""
        found = _PATH_IN_SQL.fullmatch(name)
        if found is None:
            raise UnknownDataError(f"reads the table {name}, whose version nobody tells")
        return self._of(self._source(found["format"], [found["path"]], {}))

    def of_folder(self, path: str) -> DataRead:
        """Of all files at a path. Raises UnknownDataError."""
        place = path.removeprefix("file://").removeprefix("file:")
        if "://" in place:
            raise UnknownDataError(f"reads {path}, whose version nobody tells: it is not on a disk of this machine")
        try:
            return DataRead(self.folder / place, identify(self.folder / place))
        except (HelixError, OSError) as error:
            raise UnknownDataError(f"reads {path}, which cannot be read ({error})") from error

    def _source(self, format: str, paths: Any, options: dict[str, str]) -> FileSource | DeltaSource:
        given = [*paths, *(value for name, value in options.items() if name.lower() == "path")]
        kept = {name.lower(): value for name, value in options.items() if name.lower() not in _DOES_NOT_COUNT}
        remote = next((one for one in given if "://" in one and not one.startswith("file:")), None)
        if remote is not None:
            raise UnknownDataError(f"reads {remote}, whose version nobody tells: it is not on a disk of this machine")
        placed = tuple(str(self.folder / one.removeprefix("file://").removeprefix("file:")) for one in given)
        match format.lower():
            case "delta" if len(placed) == 1:
                asked = kept.get("versionasof")
                if asked is not None and asked.isdigit():
                    return DeltaSource(placed[0], int(asked))
                if not {"versionasof", "timestampasof"} & kept.keys():
                    return DeltaSource(placed[0])
            case other if other in _BY_FILES and placed:
                return FileSource("text", placed, options=tuple(sorted(kept.items())))
        raise UnknownDataError(f"reads by {format}, and nobody tells the version of that")

    def _of(self, source: FileSource | DeltaSource) -> DataRead:
        with self._lock:
            before = self._known.get(source)
            try:
                if before is not None and isinstance(source, FileSource) and before.changed() is None:
                    return before
                found = DataRead(source, identify(source))
            except (HelixError, OSError) as error:
                raise UnknownDataError(f"reads {os.fspath(_first(source))}, which cannot be read ({error})") from error
            self._known[source] = found
            return found


def _first(source: FileSource | DeltaSource) -> str:
    return source.path if isinstance(source, DeltaSource) else source.paths[0]


def identity_below(path: Path) -> str:
    """Of all that is at a place, or below it; empty if nothing is."""
    return identify(path).digest if path.exists() else ""
