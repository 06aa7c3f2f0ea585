"""The version of a source's data, told without Spark: file listings, Delta versions, content in memory."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from helix_spark.dag.node import Dag
from helix_spark.errors import Location, SourceError
from helix_spark.signature.canonical import canonical
from helix_spark.signature.folders import content_digest, files_below
from helix_spark.signature.parts import digest, encode
from helix_spark.sizes import format_size
from helix_spark.workflow.operators import Read
from helix_spark.workflow.sources import DeltaSource, FileSource, MemorySource, ReaderSource, Source

if TYPE_CHECKING:
    from deltalake import DeltaTable

HASHED_BYTES = 64 * 2**20
"""Files up to this size are known by content; larger ones by size, time of last change and samples of their content.
Hashing 64 MiB takes about as long (0.1 s) as people do not notice."""

WHOLE_BYTES = 8 * HASHED_BYTES
"""Where the files of one source that are no larger than that are more than this together, they are known as larger ones
are, all that have more in them than is sampled. It is the most that a plan reads of a source to know it, and what a run
reads again behind its answer: half a second of hashing, or a few seconds of a disk, where a table of a hundred thousand
files would take minutes. What that may miss is what it may miss of one large file: a rewrite that leaves a file's name,
size and time as they were, and each of its sampled blocks. Files that grow past this, or shrink below it, are known
otherwise from then on: their source is another one once."""

SAMPLES, SAMPLED_BYTES, LEAST_SAMPLE = 16, 2**22, 2**12
"""Of each larger file so many blocks are hashed, the first and the last among them, fewer where there are many files;
of all of a source together so many bytes, but no block is smaller than that. They tell most rewrites that leave size
and time as they were (`cp -p`)."""

MOST_SAMPLES = 1024
"""Of a source; at a millisecond each, as on a network disk, what people do not yet wait for."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_REASON = 300

_BRACES = re.compile(r"\{([^{}]*)\}")
"""Alternatives in a pattern that have no others inside."""


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """Which data a source holds now.

    Attributes:
        digest: hex SHA-256; the identity.
        shown: in words: ``2 files, 5.7 MB, 3f2a91c``, and by what else than content it is known.
        bytes: of the data as it lies there; 0 if unknown.
    """

    digest: str
    shown: str
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Sampling:
    """How the files of one source are known.

    Attributes:
        above: larger ones by size, time and samples, the others by content.
        count, block: how many blocks of each are hashed, and how many bytes a block has.
    """

    above: int
    count: int
    block: int


def version_of(source: Source, *, where: Location | None = None) -> SourceVersion:
    """The version of a source's data.

    Raises:
        SourceError: the data is missing or empty, or its version cannot be told.
    """
    match source:
        case FileSource():
            return _files_version(source, where)
        case DeltaSource():
            return _delta_version(source, where)
        case MemorySource():
            return _memory_version(source)
        case ReaderSource():
            return SourceVersion(digest("reader", source.version), source.version)


def pin_versions(dag: Dag) -> Dag:
    """The same graph with Delta sources at the version that is the newest now, so that what is signed is what is read.

    Raises:
        SourceError: there is no such table.
    """
    nodes = tuple(
        replace(node, operator=Read(replace(source, version=_delta_table(source, node.where).version())))
        if isinstance(node.operator, Read) and isinstance(source := node.operator.source, DeltaSource)
        and source.version is None else node
        for node in dag.nodes
    )
    return replace(dag, nodes=nodes)


def files_of(source: FileSource, where: Location | None = None) -> tuple[tuple[str, Path], ...]:
    """(name, path) of each data file, in order of name. A name is relative to what the author named: moving a folder
    does not change its data. Where ``basePath`` is given, it is relative to that: Spark makes columns of the folders
    below it.

    Raises:
        SourceError: nothing is there, or a path is not on this machine's file system.
    """
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
    """The files that Spark reads of what an author named: a file, a folder, or a pattern for such."""
    if path.is_dir() or path.is_file():
        return _files_at(path)
    matches = _matches(str(path))
    if not matches:
        near = sorted(one.name for one in path.parent.iterdir())[:10] if path.parent.is_dir() else []
        raise SourceError(
            f"there is no {str(path)!r}", where=where,
            exists=f"{path.parent} holds: {', '.join(near)}" if near else f"{path.parent} is empty or not there",
            remedy="check the path",
        )
    # Of a folder that a pattern matches Spark reads what is inside, whatever the folder is called.
    return [file for one in matches if one.is_dir() or not _is_skipped(one.name) for file in _files_at(one)]


def _files_at(path: Path) -> list[tuple[str, Path]]:
    """A file itself, or those below a folder; none of a link that leads nowhere."""
    if path.is_dir():
        return [(one.relative_to(path).as_posix(), one) for one in files_below(path, _is_skipped)]
    return [(path.name, path)] if path.is_file() else []


def _is_skipped(name: str) -> bool:
    """Whether Spark passes over files and folders of this name (`HadoopFSUtils.shouldFilterOutPathName`): parts of a
    write in progress, checksums, logs. Not what Parquet keeps its schema in, nor folders named after a column.

    >>> [name for name in ("a.csv", "_SUCCESS", ".a.crc", "_year=2020", "_metadata") if _is_skipped(name)]
    ['_SUCCESS', '.a.crc']
    """
    if name.startswith(("_metadata", "_common_metadata")):
        return False
    return name.startswith(".") or name.endswith("._COPYING_") or (name.startswith("_") and "=" not in name)


def _matches(pattern: str) -> list[Path]:
    """What a pattern of Hadoop's matches: unlike Python's it has braces, may negate by ^, and hides no names."""
    found: set[str] = set()
    for plain in _without_braces(pattern.replace("[^", "[!")):
        found.update(glob.glob(plain, include_hidden=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    return [Path(one) for one in sorted(found)]


def _without_braces(pattern: str) -> list[str]:
    """The patterns that one with alternatives in braces stands for.

    >>> _without_braces("data/{2023,2024{a,b}}.csv")
    ['data/2023.csv', 'data/2024a.csv', 'data/2024b.csv']
    """
    innermost = _BRACES.search(pattern)
    if innermost is None:
        return [pattern]
    before, after = pattern[: innermost.start()], pattern[innermost.end() :]
    fewer = (f"{before}{choice}{after}" for choice in innermost[1].split(","))
    return list(dict.fromkeys(plain for one in fewer for plain in _without_braces(one)))


def _files_version(source: FileSource, where: Location | None) -> SourceVersion:
    if source.version is not None:
        return SourceVersion(digest("declared", *source.paths, source.version), source.version)
    files = files_of(source, where)
    states = [path.stat() for _, path in files]
    size, sampling = sum(one.st_size for one in states), _sampling([one.st_size for one in states])
    identity = digest("files", *(
        _identity(name, path, state, sampling) for (name, path), state in zip(files, states, strict=True)
    ))
    large = sum(one.st_size > sampling.above for one in states)
    count = f"{len(files)} file{'s' if len(files) > 1 else ''}"
    return SourceVersion(identity, f"{count}, {format_size(size)}, {identity[:7]}{_known_by(large, len(files))}", size)


def _known_by(large: int, files: int) -> str:
    """What is said of a version that does not rest on content alone.

    >>> _known_by(0, 3), _known_by(2, 3), _known_by(1, 1)
    ('', ', 2 of them by size, time of change and samples', ', by size, time of change and samples')
    """
    which = "" if large == files else f"{large} of them "
    return f", {which}by size, time of change and samples" if large else ""


def _sampling(sizes: Sequence[int]) -> _Sampling:
    """What is sampled of files of these sizes.

    >>> _sampling([1, HASHED_BYTES + 1]).above == HASHED_BYTES
    True
    >>> _sampling([HASHED_BYTES] * 9)
    _Sampling(above=466032, count=16, block=29127)
    """
    many = sum(size for size in sizes if size <= HASHED_BYTES) > WHOLE_BYTES
    # To sample a file that is no larger than the least that is sampled reads no less than all of it.
    large = max(1, sum(size > (2 * LEAST_SAMPLE if many else HASHED_BYTES) for size in sizes))
    count = max(2, min(SAMPLES, MOST_SAMPLES // large))
    block = max(LEAST_SAMPLE, SAMPLED_BYTES // count // large)
    return _Sampling(count * block if many else HASHED_BYTES, count, block)


def _identity(name: str, path: Path, status: os.stat_result, sampling: _Sampling) -> str:
    """A file's identity. It names the way in which the file is known: no two ways give one identity."""
    if status.st_size <= sampling.above:
        # Read afresh each time: size and time alone miss a rewrite within the clock's tick.
        return digest(name, "content", content_digest(path))
    told = str(status.st_size), str(status.st_mtime_ns)
    return digest(name, "sampled", *told, *_samples(path, status.st_size, sampling.block, sampling.count))


def _samples(path: Path, size: int, block: int, count: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        for place in sample_places(size, block, count):
            stream.seek(place)
            yield hashlib.sha256(stream.read(block)).digest()


def sample_places(size: int, block: int, count: int = SAMPLES) -> list[int]:
    """Where the blocks of a large file begin that are hashed: evenly, from its first byte on, the last one at its end.

    >>> places = sample_places(10_000, block=100)
    >>> places[:3], places[-1], len(places) == SAMPLES
    ([0, 660, 1320], 9900, True)
    """
    last = max(0, size - block)
    return [last * number // (count - 1) for number in range(count)]


def _delta_version(source: DeltaSource, where: Location | None) -> SourceVersion:
    table = _delta_table(source, where)
    version = table.version()
    return SourceVersion(digest("delta", str(table.metadata().id), str(version)), f"version {version}")


def _delta_table(source: DeltaSource, where: Location | None) -> DeltaTable:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        return DeltaTable(source.path, version=source.version)
    except TableNotFoundError:
        raise SourceError(
            f"there is no Delta table at {source.path!r}", where=where, remedy="check the path"
        ) from None
    except (DeltaError, OSError) as error:  # of a store, and of what tells who asks it, it raises OSError
        newest = source.version is None
        which = "the Delta table" if newest else f"version {source.version} of the Delta table"
        raise SourceError(
            f"{which} {source.path!r} cannot be read: {_in_a_line(error)}", where=where,
            remedy="check the path and the store" + ("" if newest else ", or leave the version out for the newest one"),
        ) from error


def _in_a_line(error: Exception) -> str:
    """What deltalake says in many lines and colours.

    >>> _in_a_line(OSError("Kernel error\\n  \\x1b[31m-> \\x1b[0m no credentials"))
    'Kernel error: no credentials'
    """
    lines = (line.strip(" \u21b3->") for line in _COLOURS.sub("", str(error)).splitlines())
    return ": ".join(line for line in lines if line)[:_LONGEST_REASON]


def _memory_version(source: MemorySource) -> SourceVersion:
    data = source.data
    size = data.nbytes if hasattr(data, "nbytes") else int(data.memory_usage(deep=True).sum())
    identity = digest("memory", canonical(data, _by_name))
    return SourceVersion(identity, f"{len(data)} rows, {identity[:7]}", int(size))


def _by_name(value: object, _path: str) -> bytes | None:
    """Stands for the class of a column of another library's than pandas; no function of it makes the table."""
    return encode(value.__module__, value.__qualname__) if isinstance(value, type) else None
