"""Identify data without Spark: files by content and file system state, objects of an S3 store by its metadata, Delta
tables by version and commit, tables in memory by content."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Dag
from helix_spark.errors import HelixError, Location, SourceError, install
from helix_spark.identity.file_states import FileState, difference, files_below, seconds_to_settle, states_of
from helix_spark.identity.objects.encoder import canonical
from helix_spark.identity.parts import digest, encode
from helix_spark.regular_files import HASHED_BYTES, SAMPLED_BYTES, SAMPLES, content_fields
from helix_spark.since_python_311 import matches_of
from helix_spark.sizes import format_size
from helix_spark.store_access import answering, bucket_and_key, bucket_of, s3_access
from helix_spark.workflow.operators import Read
from helix_spark.workflow.sources import DeltaSource, FileSource, MemorySource, ReaderSource, Source

if TYPE_CHECKING:
    from deltalake import DeltaTable

WHOLE_BYTES = 8 * HASHED_BYTES
"""If the fully hashed files of one source exceed this in total, they are sampled like larger ones. Sampling misses a
rewrite that preserves a file's name, size, time and each sampled block."""

LEAST_SAMPLE, MOST_SAMPLES = 2**12, 1024
"""Minimal bytes of a sampled block, and maximal blocks of a source: a second of reading at a millisecond a block on a
network disk."""


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """Paths in the S3 store of the AWS_ variables."""

    paths: tuple[str, ...]


Readable = Source | ObjectSource | Path
"""An input of a run: a source, objects of a store, or a file or folder of `depends_on`."""


@dataclass(frozen=True, slots=True)
class DataIdentity:
    """The identity of data.

    Attributes:
        digest: hex SHA-256 for signatures; empty if contents were not read.
        shown: text for people: ``2 files, 5.7 MB, 3f2a91c``.
        bytes: stored size of the data; 0 if unknown.
        states: states of its files on this machine when it was identified.
    """

    digest: str
    shown: str = ""
    bytes: int = 0
    states: tuple[FileState, ...] = ()

    def change(self, now: DataIdentity) -> str | None:
        """Return the change of the data since then, in words; None if it is certainly unchanged."""
        digests = {self.digest, now.digest} - {""}
        return difference(self.states, now.states) or ("its content changed" if len(digests) > 1 else None)


@dataclass(frozen=True, slots=True)
class SignedData:
    """An input, and the identity of its data when its reader was signed."""

    source: Readable
    identity: DataIdentity

    @property
    def shown(self) -> str:
        """Its location."""
        return place_of(self.source)

    def changed(self, *, contents: bool = False) -> str | None:
        """Return the change of the data since then, in words; read the files only with `contents`."""
        # The version of a Delta table is only in its log.
        contents = contents or isinstance(self.source, DeltaSource)
        try:
            return self.identity.change(identify(self.source, contents=contents))
        except (HelixError, OSError) as error:
            return f"it cannot be read any more ({error})"


def paths_of(source: Readable) -> tuple[str, ...]:
    """Return the paths of data as its author wrote them; empty if it has none."""
    match source:
        case FileSource(paths=paths) | ObjectSource(paths=paths):
            return paths
        case DeltaSource(path=path):
            return (path,)
        case Path():
            return (str(source),)
    return ()


def place_of(source: Readable) -> str:
    """Return the location of data, for people."""
    return ", ".join(paths_of(source)) or str(source)


def identify(source: Readable, *, where: Location | None = None, contents: bool = True) -> DataIdentity:
    """Identify data as it is now; without `contents`, only by the states of files on this machine. After a recent
    change, wait for the next tick of the file system's clock (20 ms; 2 s on a disk with whole seconds), so that a later
    change is visible.

    Raises:
        SourceError: the data is missing or empty, or has no known version.
        OSError: a file cannot be read.
    """
    match source:
        case Path():
            folders, named = ([], [("", source)]) if source.is_file() else files_below(source)
            return _files_identity("below", named, folders, contents=contents)
        case FileSource(version=None):
            reads_times = any(name.lower() in OF_TIMES for name, _ in source.options)
            return _files_identity("files", files_of(source, where), contents=contents, times=reads_times)
        case DeltaSource():
            return _delta_identity(source, where, contents=contents)
        case ObjectSource():
            objects = [item for path in source.paths for item in _objects_at(path, where)]
            identity = digest("objects", *(text for name, size, tag in objects for text in (name, str(size), tag)))
            size = sum(size for _, size, _ in objects)
            count = f"{len(objects)} object{'s' if len(objects) > 1 else ''}"
            return DataIdentity(identity, f"{count}, {format_size(size)}, {identity[:7]}", size)
        case FileSource(version=str(version)):
            return DataIdentity(digest("declared", *source.paths, version), version)
        case MemorySource():
            return _memory_identity(source.data)
        case ReaderSource():
            return DataIdentity(digest("reader", source.version), source.version)
    raise AssertionError(f"a {type(source).__name__} is no source")


OF_TIMES = frozenset({"modifiedafter", "modifiedbefore", "modificationtime"})
"""Options by which Spark reads the times of files."""


def pin_versions(dag: Dag) -> Dag:
    """Return the graph with each Delta source at its newest version. Raises SourceError."""
    nodes = []
    for node in dag.nodes:
        if isinstance(node.operator, Read) and isinstance(source := node.operator.source, DeltaSource):
            table, commit = _delta_table(source, node.where)
            node = replace(node, operator=Read(replace(source, version=table.version(), commit=commit)))
        nodes.append(node)
    return replace(dag, nodes=tuple(nodes))


def files_of(source: FileSource, where: Location | None = None) -> tuple[tuple[str, Path], ...]:
    """Return the (name, path) of each data file, in order of name. A name is relative to the source's path, or to
    ``basePath``: Spark makes columns of the folders below it. Raises SourceError."""
    files: list[tuple[str, Path]] = []
    for path in source.paths:
        if "://" in path and not path.startswith("file://"):
            raise SourceError(
                f"the version of {path!r} is unknown: it is not on a file system of this machine", where=where,
                remedy='declare it, version="..." (a date, an ETag), and change it when the data changes',
            )
        files += _expand(Path(path.removeprefix("file://")).expanduser(), where)
    if not any(file.stat().st_size for _, file in files):
        raise SourceError(
            f"{', '.join(source.paths)}: there is no data in it", where=where, remedy="check the path and the files"
        )
    base = next((str(value) for name, value in source.options if name.lower() == "basepath"), None)
    if base is None:
        return tuple(files)
    return tuple((os.path.relpath(file, base.removeprefix("file://")), file) for _, file in files)


def _expand(path: Path, where: Location | None) -> list[tuple[str, Path]]:
    """Return the files that Spark reads at a file, a folder, or a pattern. Unlike Python's, Hadoop's patterns have
    braces, may negate by ^, and match hidden names."""
    if path.is_dir():
        return files_below(path, _is_skipped)[1]
    if path.is_file():
        return [(path.name, path)]
    matches = {match for plain in _without_braces(str(path).replace("[^", "[!")) for match in matches_of(plain)}
    if not matches:
        near = sorted(entry.name for entry in path.parent.iterdir())[:10] if path.parent.is_dir() else []
        raise SourceError(
            f"there is no {str(path)!r}", where=where,
            exists=f"{path.parent} contains {', '.join(near)}" if near else f"{path.parent} is empty or does not exist",
            remedy="check the path",
        )
    # Spark reads each folder that a pattern matches, whatever its name.
    paths = map(Path, sorted(matches))
    kept = [match for match in paths if match.is_dir() or (match.is_file() and not _is_skipped(match.name))]
    return [file for match in kept for file in _expand(match, where)]


def _is_skipped(name: str) -> bool:
    """Return whether Spark skips files and folders with a name (`HadoopFSUtils.shouldFilterOutPathName`).

    >>> [name for name in ("a.csv", "_SUCCESS", ".a.crc", "_year=2020", "_metadata") if _is_skipped(name)]
    ['_SUCCESS', '.a.crc']
    """
    if name.startswith(("_metadata", "_common_metadata")):
        return False
    return name.startswith(".") or name.endswith("._COPYING_") or (name.startswith("_") and "=" not in name)


def _without_braces(pattern: str) -> Iterator[str]:
    """Yield the patterns for the alternatives in braces.

    >>> list(_without_braces("data/{2023,2024{a,b}}.csv"))
    ['data/2023.csv', 'data/2024a.csv', 'data/2023.csv', 'data/2024b.csv']
    """
    if (innermost := re.search(r"\{([^{}]*)\}", pattern)) is None:
        yield pattern
        return
    for choice in innermost[1].split(","):
        yield from _without_braces(f"{pattern[: innermost.start()]}{choice}{pattern[innermost.end() :]}")


def _files_identity(
    kind: str, named: Sequence[tuple[str, Path]], folders: Sequence[Path] = (), *, contents: bool, times: bool = False
) -> DataIdentity:
    """Identify files by names, contents and, where they count, `times` of change; folders by their states."""
    files = [path for _, path in named]
    states = states_of(files, folders)
    if not contents:
        return DataIdentity("", states=states)
    if (seconds := seconds_to_settle(states, time.time_ns())) > 0:
        time.sleep(seconds)
        states = states_of(files, folders)
    sizes = [state.size for state in states[: len(files)]]
    sampling = _sampling(sizes)
    read = [
        replace(state, content=digest(name, *content_fields(path, *sampling), *[str(state.modified)] * times))
        for (name, path), state in zip(named, states, strict=False)
    ]
    identity = digest(kind, *(state.content for state in read))
    large = sum(size >= sampling[0] for size in sizes)
    count = f"{len(files)} file{'s' if len(files) != 1 else ''}"
    which = "" if large == len(files) else f"{large} of them "
    sampled = f", {which}by size, time of change and samples" if large else ""
    shown = f"{count}, {format_size(sum(sizes))}, {identity[:7]}{sampled}"
    return DataIdentity(identity, shown, sum(sizes), (*read, *states[len(read):]))


def _objects_at(path: str, where: Location | None) -> list[tuple[str, int, str]]:
    """Return the objects that Spark reads at a path: names, sizes, and ETags (or times of change). For a pattern,
    return all objects below the folder of its first wildcard."""
    bucket, key = bucket_and_key(path)
    if wild := re.search(r"[*?[{]", key):
        key = key[: wild.start()].rpartition("/")[0]
    try:
        import obstore
    except ImportError as error:
        raise SourceError("data in an S3 store needs the package obstore, which is not installed",
                          remedy=install("stores")) from error
    try:
        access = s3_access()
        store = bucket_of(access, bucket)
        with answering(access.where):
            objects: list[Any] = []
            with suppress(FileNotFoundError):
                objects += [obstore.head(store, key)] if key else []
            objects += (item for batch in obstore.list(store, key or None) for item in batch)
    except HelixError:
        raise
    except Exception as error:
        raise SourceError(
            f"{path!r} cannot be read: {str(error).strip().splitlines()[0][:200]}", where=where,
            remedy="check the path, the AWS_ variables and the network",
        ) from error
    named = ((item["path"].removeprefix(key).lstrip("/"), item) for item in objects)
    kept = [
        (name, item["size"], item["e_tag"] or item["last_modified"].isoformat())
        for name, item in sorted(named, key=itemgetter(0))
        if not any(_is_skipped(part) for part in name.split("/") if part)
    ]
    if not any(size for _, size, _ in kept):
        raise SourceError(f"{path}: there is no data in it", where=where, remedy="check the path and the objects")
    return kept


def _sampling(sizes: Sequence[int]) -> tuple[int, int, int]:
    """Return the minimal size of a sampled file, the number of its blocks, and the bytes of a block.

    >>> _sampling([HASHED_BYTES] * 9)
    (8193, 16, 29127)
    """
    many = sum(size for size in sizes if size <= HASHED_BYTES) > WHOLE_BYTES
    least = (2 * LEAST_SAMPLE if many else HASHED_BYTES) + 1
    large = max(1, sum(size >= least for size in sizes))
    count = max(2, min(SAMPLES, MOST_SAMPLES // large))
    return least, count, max(LEAST_SAMPLE, SAMPLED_BYTES // count // large)


def _delta_identity(source: DeltaSource, where: Location | None, *, contents: bool) -> DataIdentity:
    """Identify a table by its id, version, and the version's commit, in which diverged copies differ."""
    states: tuple[FileState, ...] = ()
    if "://" not in source.path and source.version is not None:
        file = Path(source.path, _COMMIT.format(source.version))
        states = states_of([file]) if file.is_file() else ()
    if not contents:
        return DataIdentity("", states=states)
    table, commit = _delta_table(source, where)
    identity = digest("delta", str(table.metadata().id), str(table.version()), commit)
    return DataIdentity(identity, f"version {table.version()}", states=states)


_COMMIT = "_delta_log/{:020}.json"


def _delta_table(source: DeltaSource, where: Location | None) -> tuple[DeltaTable, str]:
    """Return a table at its version, and a digest of its commit, or of file names without a log. Raises SourceError."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError
    from deltalake.fs import DeltaStorageHandler

    try:
        table = DeltaTable(source.path, version=source.version)
        log = DeltaStorageHandler.from_table(table._table)
        try:
            with log.open_input_file(_COMMIT.format(table.version())) as stream:
                return table, hashlib.sha256(stream.read()).hexdigest()
        except FileNotFoundError:
            return table, digest("files", *sorted(map(str, table.get_add_actions(flatten=True)["path"].to_pylist())))
    except TableNotFoundError:
        raise SourceError(f"there is no Delta table at {source.path!r}", where=where, remedy="check the path") from None
    except (DeltaError, OSError) as error:  # a store, and its credentials, raise OSError
        is_newest = source.version is None
        version = "" if is_newest else f"version {source.version} of "
        # Messages of deltalake have many lines and colours.
        lines = (line.strip(" \u21b3->") for line in re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines())
        why = ": ".join(line for line in lines if line)[:300]
        raise SourceError(
            f"{version}the Delta table {source.path!r} cannot be read: {why}", where=where,
            remedy="check the path and the store" + ("" if is_newest else ", or omit the version for the newest one"),
        ) from error


def _memory_identity(data: Any) -> DataIdentity:
    def by_name(value: object, _path: str) -> bytes | None:
        """Name the class of a column from another library than pandas; its code does not affect the table."""
        return encode(value.__module__, value.__qualname__) if isinstance(value, type) else None

    size = data.nbytes if hasattr(data, "nbytes") else int(data.memory_usage(deep=True).sum())
    identity = digest("memory", canonical(data, by_name))
    return DataIdentity(identity, f"{len(data)} rows, {identity[:7]}", int(size))
