"""Which data is read, told without Spark: files by what is in them and by what their file system says, objects of an S3
store by what that says, Delta tables by version and commit, tables in memory by content."""

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
"""Where the files of one source that are read whole are more than this together, they are sampled as larger ones are.
What that may miss is a rewrite that leaves a file's name, size and time as they were, and each sampled block."""

LEAST_SAMPLE, MOST_SAMPLES = 2**12, 1024
"""No block of a sampled file is smaller than that, and of all files of a source together no more are read: at a
millisecond a block, as on a network disk, of so many people do not yet wait."""


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """Paths of Spark's in the S3 store that the AWS_ variables name."""

    paths: tuple[str, ...]


Readable = Source | ObjectSource | Path
"""What a run reads: a source, objects of a store, or a file or folder that an author names in `depends_on`."""


@dataclass(frozen=True, slots=True)
class DataIdentity:
    """Which data something holds that is read, and how its files on this machine were when that was looked at.

    Attributes:
        digest: hex SHA-256 of what a signature covers; empty where nobody looked at contents.
        shown: in words: ``2 files, 5.7 MB, 3f2a91c``, and by what else than content it is known.
        bytes: of the data as it lies there; 0 if unknown.
    """

    digest: str
    shown: str = ""
    bytes: int = 0
    states: tuple[FileState, ...] = ()

    def change(self, now: DataIdentity) -> str | None:
        """Return what was done to it since, in words; None where it can have held nothing else in between."""
        if (how := difference(self.states, now.states)) is not None:
            return how
        return "it holds other data" if self.digest and now.digest and self.digest != now.digest else None


@dataclass(frozen=True, slots=True)
class SignedData:
    """Something that is read, and which data it held when what reads it was signed."""

    source: Readable
    identity: DataIdentity

    @property
    def shown(self) -> str:
        """Where it is."""
        return place_of(self.source)

    def changed(self, *, contents: bool = False) -> str | None:
        """Return what was done to it since, in words; `contents` says whether files are read for it."""
        # Of a Delta table the version is what is known, and that is in its log alone.
        contents = contents or isinstance(self.source, DeltaSource)
        try:
            return self.identity.change(identify(self.source, contents=contents))
        except (HelixError, OSError) as error:
            return f"it cannot be read any more ({error})"


def paths_of(source: Readable) -> tuple[str, ...]:
    """Return the paths of data as its author names them; none of what has no path."""
    match source:
        case FileSource(paths=paths) | ObjectSource(paths=paths):
            return paths
        case DeltaSource(path=path):
            return (path,)
        case Path():
            return (str(source),)
    return ()


def place_of(source: Readable) -> str:
    """Return where data is, for people."""
    return ", ".join(paths_of(source)) or str(source)


def identify(what: Readable, *, where: Location | None = None, contents: bool = True) -> DataIdentity:
    """Tell which data is there now; without contents, only the states of files on this machine. A file that has just
    changed is waited for until its clock has ticked (20 ms; 2 s on a disk that tells whole seconds alone): what is done
    to it from then on shows.

    Raises:
        SourceError: the data is missing or empty, or its version cannot be told.
        OSError: a file cannot be read.
    """
    match what:
        case Path():
            folders, named = ([], [("", what)]) if what.is_file() else files_below(what)
            return _files_identity("below", named, folders, contents=contents)
        case FileSource(version=None):
            return _files_identity("files", files_of(what, where), contents=contents)
        case DeltaSource():
            return _delta_identity(what, where, contents=contents)
        case ObjectSource():
            found = [one for path in what.paths for one in _objects_at(path, where)]
            identity = digest("objects", *(text for name, size, tag in found for text in (name, str(size), tag)))
            size = sum(size for _, size, _ in found)
            count = f"{len(found)} object{'s' if len(found) > 1 else ''}"
            return DataIdentity(identity, f"{count}, {format_size(size)}, {identity[:7]}", size)
        case FileSource(version=str(version)):
            return DataIdentity(digest("declared", *what.paths, version), version)
        case MemorySource():
            return _memory_identity(what.data)
        case ReaderSource():
            return DataIdentity(digest("reader", what.version), what.version)
    raise AssertionError(f"a {type(what).__name__} is no source")


def pin_versions(dag: Dag) -> Dag:
    """Return the same graph with Delta sources at the newest version, to be signed and read. Raises SourceError."""
    nodes = []
    for node in dag.nodes:
        if isinstance(node.operator, Read) and isinstance(source := node.operator.source, DeltaSource):
            table, commit = _delta_table(source, node.where)
            node = replace(node, operator=Read(replace(source, version=table.version(), commit=commit)))
        nodes.append(node)
    return replace(dag, nodes=tuple(nodes))


def files_of(source: FileSource, where: Location | None = None) -> tuple[tuple[str, Path], ...]:
    """Return the (name, path) of each data file, in order of name. A name is relative to what the author named, or to
    ``basePath``: Spark makes columns of the folders below that. Raises SourceError."""
    found: list[tuple[str, Path]] = []
    for given in source.paths:
        if "://" in given and not given.startswith("file://"):
            raise SourceError(
                f"the version of {given!r} cannot be told: it is not on a file system of this machine", where=where,
                remedy='say it yourself: version="..." (a date, an ETag), and change it when the data changes',
            )
        found += _expand(Path(given.removeprefix("file://")).expanduser(), where)
    if not any(path.stat().st_size for _, path in found):
        raise SourceError(
            f"{', '.join(source.paths)}: there is no data in it", where=where, remedy="check the path and the files"
        )
    base = next((str(value) for name, value in source.options if name.lower() == "basepath"), None)
    if base is None:
        return tuple(found)
    return tuple((os.path.relpath(path, base.removeprefix("file://")), path) for _, path in found)


def _expand(path: Path, where: Location | None) -> list[tuple[str, Path]]:
    """Return the files that Spark reads of what an author named: a file, a folder, or a pattern for such. Unlike
    Python's, Hadoop's patterns have braces, may negate by ^, and hide no names."""
    if path.is_dir():
        return files_below(path, _is_skipped)[1]
    if path.is_file():
        return [(path.name, path)]
    matches = {one for plain in _without_braces(str(path).replace("[^", "[!")) for one in matches_of(plain)}
    if not matches:
        near = sorted(one.name for one in path.parent.iterdir())[:10] if path.parent.is_dir() else []
        raise SourceError(
            f"there is no {str(path)!r}", where=where,
            exists=f"{path.parent} holds: {', '.join(near)}" if near else f"{path.parent} is empty or not there",
            remedy="check the path",
        )
    # Of a folder that a pattern matches Spark reads what is inside, whatever the folder is called.
    found = [one for one in map(Path, sorted(matches)) if one.is_dir() or (one.is_file() and not _is_skipped(one.name))]
    return [file for one in found for file in _expand(one, where)]


def _is_skipped(name: str) -> bool:
    """Return whether Spark passes over files and folders of this name (`HadoopFSUtils.shouldFilterOutPathName`).

    >>> [name for name in ("a.csv", "_SUCCESS", ".a.crc", "_year=2020", "_metadata") if _is_skipped(name)]
    ['_SUCCESS', '.a.crc']
    """
    if name.startswith(("_metadata", "_common_metadata")):
        return False
    return name.startswith(".") or name.endswith("._COPYING_") or (name.startswith("_") and "=" not in name)


def _without_braces(pattern: str) -> Iterator[str]:
    """Yield the patterns that one with alternatives in braces stands for.

    >>> list(_without_braces("data/{2023,2024{a,b}}.csv"))
    ['data/2023.csv', 'data/2024a.csv', 'data/2023.csv', 'data/2024b.csv']
    """
    if (innermost := re.search(r"\{([^{}]*)\}", pattern)) is None:
        yield pattern
        return
    for choice in innermost[1].split(","):
        yield from _without_braces(f"{pattern[: innermost.start()]}{choice}{pattern[innermost.end() :]}")


def _files_identity(
    kind: str, named: Sequence[tuple[str, Path]], folders: Sequence[Path] = (), *, contents: bool
) -> DataIdentity:
    """Identify files by their names and what is in them; `folders` are those that are read as such."""
    files = [path for _, path in named]
    states = states_of(files, folders)
    if not contents:
        return DataIdentity("", states=states)
    if (seconds := seconds_to_settle(states, time.time_ns())) > 0:
        time.sleep(seconds)
        states = states_of(files, folders)
    sizes = [one.size for one in states[: len(files)]]
    sampling = _sampling(sizes)
    read = [
        replace(one, content=digest(name, *content_fields(path, *sampling)))
        for (name, path), one in zip(named, states, strict=False)
    ]
    identity = digest(kind, *(one.content for one in read))
    large = sum(size >= sampling[0] for size in sizes)
    count = f"{len(files)} file{'s' if len(files) != 1 else ''}"
    which = "" if large == len(files) else f"{large} of them "
    sampled = f", {which}by size, time of change and samples" if large else ""
    shown = f"{count}, {format_size(sum(sizes))}, {identity[:7]}{sampled}"
    return DataIdentity(identity, shown, sum(sizes), (*read, *states[len(read):]))


def _objects_at(path: str, where: Location | None) -> list[tuple[str, int, str]]:
    """Return the objects that Spark reads at a path: by name, with their bytes and ETags (or times of change). Of a
    pattern these are all below the folder of its first wildcard, so that none which it matches is missing."""
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
            itself: list[Any] = []
            with suppress(FileNotFoundError):
                itself += [obstore.head(store, key)] if key else []
            listed = [*itself, *(one for batch in obstore.list(store, key or None) for one in batch)]
    except HelixError:
        raise
    except Exception as error:
        raise SourceError(
            f"{path!r} cannot be read: {str(error).strip().splitlines()[0][:200]}", where=where,
            remedy="check the path, the AWS_ variables and the network",
        ) from error
    named = ((one["path"].removeprefix(key).lstrip("/"), one) for one in listed)
    kept = [
        (name, one["size"], one["e_tag"] or one["last_modified"].isoformat())
        for name, one in sorted(named, key=itemgetter(0))
        if not any(_is_skipped(part) for part in name.split("/") if part)
    ]
    if not any(size for _, size, _ in kept):
        raise SourceError(f"{path}: there is no data in it", where=where, remedy="check the path and the objects")
    return kept


def _sampling(sizes: Sequence[int]) -> tuple[int, int, int]:
    """Return from which size on the files of a source are sampled, how many blocks of each, and the bytes of a block.

    >>> _sampling([HASHED_BYTES] * 9)
    (8193, 16, 29127)
    """
    many = sum(size for size in sizes if size <= HASHED_BYTES) > WHOLE_BYTES
    least = (2 * LEAST_SAMPLE if many else HASHED_BYTES) + 1
    large = max(1, sum(size >= least for size in sizes))
    count = max(2, min(SAMPLES, MOST_SAMPLES // large))
    return least, count, max(LEAST_SAMPLE, SAMPLED_BYTES // count // large)


def _delta_identity(source: DeltaSource, where: Location | None, *, contents: bool) -> DataIdentity:
    """Identify a table by its id, version and the commit of that version: two diverged copies may share the others."""
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
    """Return a table at its version, and a digest of the commit of that version: of its bytes, or of the files, where
    the log was tidied. Raises SourceError."""
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
    except (DeltaError, OSError) as error:  # of a store, and of what tells who asks it, it raises OSError
        newest = source.version is None
        which = "the Delta table" if newest else f"version {source.version} of the Delta table"
        # What deltalake says comes in many lines and colours.
        lines = (line.strip(" \u21b3->") for line in re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines())
        why = ": ".join(line for line in lines if line)[:300]
        raise SourceError(
            f"{which} {source.path!r} cannot be read: {why}", where=where,
            remedy="check the path and the store" + ("" if newest else ", or leave the version out for the newest one"),
        ) from error


def _memory_identity(data: Any) -> DataIdentity:
    def by_name(value: object, _path: str) -> bytes | None:
        """Name the class of a column of another library than pandas: no function of it makes the table."""
        return encode(value.__module__, value.__qualname__) if isinstance(value, type) else None

    size = data.nbytes if hasattr(data, "nbytes") else int(data.memory_usage(deep=True).sum())
    identity = digest("memory", canonical(data, by_name))
    return DataIdentity(identity, f"{len(data)} rows, {identity[:7]}", int(size))
