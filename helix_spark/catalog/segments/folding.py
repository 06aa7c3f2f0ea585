"""Fold a log's many small files into few, so that it stays quick to read.

Every append leaves one small file. Upkeep merges many of them into a fold, in tiers, as log-structured merge trees do
(O'Neil et al., Acta Informatica 33(4), 1996): each fold has at least `GROWTH` times the bytes of the next one, so a row
is rewritten a few times and a log has few folds.

Replaced files stay for a while: for readers that listed them, and in case the fold is damaged. A writer that was
suspended, and whose number was folded meanwhile, finds it in the folds (`RecordLog`). Times are the files' times on the
disk or in the store.
"""

from __future__ import annotations

import re
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import pairwise
from typing import Any

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.catalog.segments.segment import (
    Segment,
    SegmentError,
    SegmentFile,
    SegmentFolder,
    covering,
    fillers,
    grouped,
    pack,
    unpack,
)
from helix_spark.errors import CatalogError

AT_ONCE = 16
"""Minimum number of segments to fold."""

GROWTH = 4
"""Minimum ratio of a fold's bytes to the next one's; smaller folds are merged with it."""

FULL, FULL_LETTERS, FULL_LINES = 32 << 20, 256 << 20, 1 << 18
"""Maximum bytes of a fold, which readers hold in memory; its unpacked bytes; its lines. Full folds are not merged."""

KEPT_SEGMENTS, KEPT_SECONDS, LOOKED_AT_SECONDS = 256, 2 * 24 * 3600.0, 3600.0
"""Number of newest folded segments that stay, and their maximum seconds; seconds that a merged fold stays."""

_UNFINISHED = re.compile(r"\.\d{10}(?:-\d{10})?\.(?:segment|fold)\.[0-9a-f]{32}", re.ASCII)
"""Temporary name of a file that is being written (`LocalPath.write_new`)."""


def fold(log: RecordLog) -> int:
    """Fold new segments, and delete files that were folded long ago; return the number of folded files. Raises
    CatalogError if the records cannot be written. Only one process may fold at a time."""
    folder = SegmentFolder(log.folder)
    try:
        chosen = _chosen(folder.files())
        for group in _grouped(chosen):
            if len(group) > 1:
                _write(folder, group)
                reach("fold.written")
        for file in _outlived(folder.files()):
            reach("fold.deleting")
            file.place.unlink(missing_ok=True)
        entries = log.folder.entries()
        newest = max((entry.stat().st_mtime for entry in entries), default=0.0)
        for entry in entries:
            if _UNFINISHED.fullmatch(entry.name) and newest - entry.stat().st_mtime > KEPT_SECONDS:
                (log.folder / entry.name).unlink(missing_ok=True)
    except FileNotFoundError:  # this process was suspended, and another one took over
        return 0
    except (OSError, SegmentError) as error:
        raise CatalogError(f"the records {log.folder} cannot be kept in order: {error}") from error
    return len(chosen)


Changed = Callable[[int, str, Mapping[str, Any]], Mapping[str, Any] | None]
"""Return a record's new fields from its segment's number, its kind and its fields; None to delete the record."""


def rewrite(log: RecordLog, changed: Changed) -> None:
    """Rewrite all records, then delete the old files. Records that are appended meanwhile stay. If this process is
    stopped, both remain; rewrite again. Raises CatalogError if a file is damaged, lost or cannot be written."""
    # Each segment gets a new id, by which an index notices the rewrite, and keeps its first id, by which a suspended
    # writer finds it. Each fold but the first repeats the last segment of the one before, for indexes that end there.
    folder, remedy = SegmentFolder(log.folder), "`helix repair` moves damaged files aside"
    try:
        end, written_names, group = log.append(()), set[str](), list[SegmentFile]()
        files = folder.files()
        if any(file.first <= end < file.last for file in files):
            raise FileNotFoundError  # this process was suspended, and another one took over and folded them
        old = [file for file in files if file.last <= end]
        sources = covering(old, 0)
        if after_gap := next((file for before, file in pairwise(sources) if file.first > before.last + 1), None):
            raise SegmentError(f"segments before {after_gap.place.name} are gone")
        for files_of_fold in _grouped(sources):
            first, group = (group[-1].last if group else files_of_fold[0].first), [*group[-1:], *files_of_fold]
            fold = folder.fold_file(first, group[-1].last)
            unfinished = log.folder / f".{uuid.uuid4().hex}"
            unfinished.write_new(pack(_rewritten(group, first, changed)), synced=True)
            unfinished.move_to(fold.place)
            written_names.add(fold.place.name)
        for file in old:
            reach("fold.deleting")
            if file.place.name not in written_names:
                file.place.unlink(missing_ok=True)
    except (OSError, SegmentError) as error:
        why = str(error)
        if isinstance(error, FileNotFoundError):
            why, remedy = "another process changed them meanwhile", "try again"
        raise CatalogError(f"the records {log.folder} cannot be rewritten: {why}", remedy=remedy) from error


def _rewritten(files: Sequence[SegmentFile], first: int, changed: Changed) -> Iterator[bytes]:
    at = first - 1
    for segment in (segment for file in files for segment in file.segments()):
        rows = ((kind, changed(segment.number, kind, fields)) for kind, fields in segment.rows)
        remaining = tuple((kind, fields) for kind, fields in rows if fields is not None)
        if segment.number > at:
            yield Segment(segment.number, uuid.uuid4().hex, remaining, was=segment.was or segment.id).lines()
            at = segment.number


def _chosen(files: Sequence[SegmentFile]) -> list[SegmentFile]:
    """Return the files to fold: the segments after the last fold, and the folds before them that are too small."""
    sources = list[SegmentFile]()
    for file in covering(files, 0):
        if sources and file.first > sources[-1].last + 1:
            break  # a repair reports the gap
        sources.append(file)
    folds = max((number for number, file in enumerate(sources, 1) if file.is_fold), default=0)
    if len(sources) - folds < AT_ONCE:
        return []
    while folds and sources[folds - 1].size < min(GROWTH * sum(file.size for file in sources[folds:]), FULL):
        folds -= 1
    if filler := next(fillers(sources[folds:]), None):
        raise SegmentError(f"{filler.place.name} replaced a lost segment")
    return sources[folds:]


def _grouped(files: Sequence[SegmentFile]) -> Iterator[list[SegmentFile]]:
    """Yield groups of files, each of which fits into a fold."""
    def sizes(file: SegmentFile) -> tuple[int, int, int]:
        pieces = list(unpack(file.content()))
        return file.size, sum(map(len, pieces)), sum(piece.count(b"\n") for piece in pieces)

    return grouped(files, sizes, (FULL, FULL_LETTERS, FULL_LINES))


def _write(folder: SegmentFolder, files: Sequence[SegmentFile]) -> None:
    with suppress(FileExistsError):
        folder.fold_file(files[0].first, files[-1].last).place.write_new(pack(_lines(files)), synced=True)


def _lines(files: Sequence[SegmentFile]) -> Iterator[bytes]:
    """Yield the lines of all segments, each once. Raises SegmentError for a damaged file."""
    at = 0
    for file in files:
        if file.first > at:
            deque(file.segments(), maxlen=0)
            yield from unpack(file.content())
        else:
            yield from (segment.lines() for segment in file.segments() if segment.number > at)
        at = file.last


def _outlived(files: Sequence[SegmentFile]) -> Iterator[SegmentFile]:
    """Yield the files that readable folds replaced long enough ago, the oldest first."""
    folds = [file for file in files if file.is_fold]
    is_sound = cache(_is_sound)

    def is_replaced(file: SegmentFile) -> bool:
        """Return whether a readable fold has a file's segments."""
        return any(is_sound(fold) for fold in folds if _is_within(file, fold))

    now = max((fold.written for fold in folds), default=0.0)
    folded = [file for file in files if any(_is_within(file, fold) for fold in folds)]
    segments = [file for file in folded if not file.is_fold]
    for number, file in enumerate(segments):
        is_new = now - file.written <= KEPT_SECONDS and number >= len(segments) - KEPT_SEGMENTS
        if is_new or not is_replaced(file):
            break  # later segments stay, too
        yield file
    merged = (file for file in folded if file.is_fold and now - file.written > LOOKED_AT_SECONDS)
    yield from filter(is_replaced, merged)


def _is_sound(fold: SegmentFile) -> bool:
    """Return whether a fold is undamaged and not empty."""
    try:
        return any(unpack(fold.content()))
    except SegmentError:
        return False


def _is_within(file: SegmentFile, fold: SegmentFile) -> bool:
    return fold.first <= file.first and file.last <= fold.last and (file.first, file.last) != (fold.first, fold.last)
