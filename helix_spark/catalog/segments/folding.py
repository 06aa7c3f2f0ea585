"""Keeps a log quick to read: few files, each of them whole.

Every append leaves one small file. Upkeep writes many of them into one, a fold, and goes on in tiers, as log-structured
merge trees do (O'Neil et al., Acta Informatica 33(4), 1996): folds grow by `GROWTH` from each to the one before, so a
row is rewritten a few times and a log has few folds.

What a fold replaced stays for a while: for readers that listed it, and to read it where the fold is damaged. A writer
that was stopped until the number that it takes was folded, and is free again, finds that in the folds (`RecordLog`).
Times are those that the disk or store gives to files.
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
"""Segments that are folded at least."""

GROWTH = 4
"""A fold has at least so many times the bytes of the next one, or is merged with it."""

FULL, FULL_LETTERS, FULL_LINES = 32 << 20, 256 << 20, 1 << 18
"""Bytes of a fold that is not merged any more, as a reader has it in memory; its bytes and lines unpacked, at most."""

KEPT_SEGMENTS, KEPT_SECONDS, LOOKED_AT_SECONDS = 256, 2 * 24 * 3600.0, 3600.0
"""Folded segments that stay, the newest, for how long at most; and for how long a fold stays that was merged."""

_UNFINISHED = re.compile(r"\.\d{10}(?:-\d{10})?\.(?:segment|fold)\.[0-9a-f]{32}", re.ASCII)
"""What a file is called before it gets its name (`LocalPath.write_new`)."""


def fold(log: RecordLog) -> int:
    """Fold what was appended, and delete what was folded long ago; return how many files were folded. Raises
    CatalogError if the records cannot be written. Only one process may do it at a time."""
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
        newest = max((one.stat().st_mtime for one in entries), default=0.0)
        for entry in entries:
            if _UNFINISHED.fullmatch(entry.name) and newest - entry.stat().st_mtime > KEPT_SECONDS:
                (log.folder / entry.name).unlink(missing_ok=True)
    except FileNotFoundError:  # another process took this over from one that was stopped, and was faster
        return 0
    except (OSError, SegmentError) as error:
        raise CatalogError(f"the records {log.folder} cannot be kept in order: {error}") from error
    return len(chosen)


Changed = Callable[[int, str, Mapping[str, Any]], Mapping[str, Any] | None]
"""Gives the new fields of a record, from the number of its segment, its kind and its fields; None for one to delete."""


def rewrite(log: RecordLog, changed: Changed) -> None:
    """Write all records anew, then delete all files that there were. What others append meanwhile stays. A process that
    is stopped in between leaves both; do it again. Raises CatalogError if a file is damaged or lost, or not written."""
    # Each segment gets another id, by which an index is told that it was written anew, and keeps that by which a writer
    # that was stopped finds it. Each fold but the first begins with the last segment of the one before: an index that
    # ends with that is told, too.
    folder, remedy = SegmentFolder(log.folder), "`helix repair` moves aside what is damaged"
    try:
        end, made, group = log.append(()), set[str](), list[SegmentFile]()
        files = folder.files()
        if any(one.first <= end < one.last for one in files):
            raise FileNotFoundError  # this process was stopped, and another one has taken over and folded them
        old = [one for one in files if one.last <= end]
        whole = covering(old, 0)
        if lost := next((one for before, one in pairwise(whole) if one.first > before.last + 1), None):
            raise SegmentError(f"segments before {lost.place.name} are gone")
        for more in _grouped(whole):
            first, group = (group[-1].last if group else more[0].first), [*group[-1:], *more]
            fold = folder.fold_file(first, group[-1].last)
            written = log.folder / f".{uuid.uuid4().hex}"
            written.write_new(pack(_rewritten(group, first, changed)), synced=True)
            written.move_to(fold.place)
            made.add(fold.place.name)
        for file in old:
            reach("fold.deleting")
            if file.place.name not in made:
                file.place.unlink(missing_ok=True)
    except (OSError, SegmentError) as error:
        why = str(error)
        if isinstance(error, FileNotFoundError):
            why, remedy = "others have changed them meanwhile", "try again"
        raise CatalogError(f"the records {log.folder} cannot be written anew: {why}", remedy=remedy) from error


def _rewritten(files: Sequence[SegmentFile], first: int, changed: Changed) -> Iterator[bytes]:
    at = first - 1
    for segment in (one for file in files for one in file.segments()):
        rows = ((kind, changed(segment.number, kind, fields)) for kind, fields in segment.rows)
        left = tuple((kind, fields) for kind, fields in rows if fields is not None)
        if segment.number > at:
            yield Segment(segment.number, uuid.uuid4().hex, left, was=segment.was or segment.id).lines()
            at = segment.number


def _chosen(files: Sequence[SegmentFile]) -> list[SegmentFile]:
    """Return the files for one fold: the segments that are in none, and the folds before them that are too small."""
    whole = list[SegmentFile]()
    for file in covering(files, 0):
        if whole and file.first > whole[-1].last + 1:
            break  # what is lost between them is for a repair to say
        whole.append(file)
    folds = max((place + 1 for place, one in enumerate(whole) if one.is_fold), default=0)
    if len(whole) - folds < AT_ONCE:
        return []
    while folds and whole[folds - 1].size < min(GROWTH * sum(one.size for one in whole[folds:]), FULL):
        folds -= 1
    if odd := next(fillers(whole[folds:]), None):
        raise SegmentError(f"{odd.place.name} is not what was there before")
    return whole[folds:]


def _grouped(files: Sequence[SegmentFile]) -> Iterator[list[SegmentFile]]:
    """Yield the files for each of some folds, none of which is too large."""
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
    """Yield the files that sound folds have replaced for long enough, the oldest first."""
    folds = [one for one in files if one.is_fold]
    is_sound = cache(_is_sound)

    def is_kept(file: SegmentFile) -> bool:
        """Return whether a fold that can be read has what is in a file."""
        return any(is_sound(one) for one in folds if _is_within(file, one))

    now = max((one.written for one in folds), default=0.0)
    replaced = [one for one in files if any(_is_within(one, other) for other in folds)]
    segments = [one for one in replaced if not one.is_fold]
    for place, file in enumerate(segments):
        is_new = now - file.written <= KEPT_SECONDS and place >= len(segments) - KEPT_SEGMENTS
        if is_new or not is_kept(file):
            break  # nor goes any after it
        yield file
    yield from (one for one in replaced if one.is_fold and now - one.written > LOOKED_AT_SECONDS and is_kept(one))


def _is_sound(fold: SegmentFile) -> bool:
    """Return whether a fold holds something, as it was written."""
    try:
        return any(unpack(fold.content()))
    except SegmentError:
        return False


def _is_within(file: SegmentFile, fold: SegmentFile) -> bool:
    return fold.first <= file.first and file.last <= fold.last and (file.first, file.last) != (fold.first, fold.last)
