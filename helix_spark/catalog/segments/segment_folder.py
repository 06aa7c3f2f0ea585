"""The files of segments in a folder. ``NUMBER.segment`` is made only if it is not there; ``FIRST-LAST.fold`` holds the
segments of these numbers. None of them is ever changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

from helix_spark.catalog.places.place import Entry, Place, is_out_of_reach
from helix_spark.catalog.segments.segment import LARGEST_FILE, Segment, SegmentError, segments_in
from helix_spark.regular_files import OddFileError

LAST_NUMBER = 9_999_999_999
"""The greatest number that a name has room for."""

FARTHEST = 10_000_000
"""Numbers that a file may hold, or leave out before it: one that is farther ahead is of no log, and appends after it
would soon have no numbers left."""

_NAME = re.compile(r"(\d{10})(?:-(\d{10}))?\.(segment|fold)", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class SegmentFile:
    """A file of the segments from a number to another, both included; of a fold some may be missing."""

    first: int
    last: int
    place: Place = field(compare=False)
    entry: Entry | None = field(default=None, compare=False)

    @property
    def is_fold(self) -> bool:
        return self.place.name.endswith(".fold")

    @property
    def size(self) -> int:
        """Its bytes, as it was listed."""
        return 0 if self.entry is None else self.entry.stat().st_size

    @property
    def written(self) -> float:
        """When it was written, in seconds since 1970 by the clock of the disk or store, as it was listed."""
        return 0.0 if self.entry is None else self.entry.stat().st_mtime

    def content(self) -> bytes:
        """Read all of it. Raises SegmentError if it is no file that a folder of segments has, FileNotFoundError, and
        other OSErrors if it cannot be reached."""
        try:
            return self.place.read_at_most(LARGEST_FILE)
        except OddFileError as error:
            raise SegmentError(error.strerror or str(error)) from error
        except OSError as error:
            if is_out_of_reach(error) or isinstance(error, FileNotFoundError):
                raise
            raise SegmentError(error.strerror or str(error)) from error

    def segments(self) -> Iterator[Segment]:
        """Yield its segments. Raises as `content`."""
        count = 0
        for segment in segments_in(self.content()):
            if not self.first <= segment.number <= self.last:
                raise SegmentError("it holds other segments than its name says")
            count += 1
            yield segment
        if not count and not self.is_fold:  # a fold of none says what is lost for good
            raise SegmentError("it holds no segment")

    def last_id(self) -> str:
        """Return the id of its last segment; empty where it has none, or is damaged. Raises OSError as `content`."""
        found = ""
        with suppress(SegmentError):
            for segment in self.segments():
                found = segment.id
            return found
        return ""


class SegmentFolder:
    """The folder of a log's segments."""

    def __init__(self, folder: Place) -> None:
        self.folder = folder
        self._known: dict[str, SegmentFile | None] = {}

    def files(self) -> list[SegmentFile]:
        """List the files of the log, by their first number; of those with the same first the longest comes last."""
        return self.listing()[0]

    def listing(self) -> tuple[list[SegmentFile], list[SegmentFile]]:
        """List the files of the log as `files` does, and those that are too far ahead to be of it."""
        entries = {entry.name: entry for entry in self.folder.entries()}
        self._known = {
            name: self._known[name] if name in self._known else self._file(entry) for name, entry in entries.items()
        }
        near, far, at = list[SegmentFile](), list[SegmentFile](), 0
        for file in sorted(filter(None, self._known.values())):
            if max(file.first - at, file.last - file.first) > FARTHEST:
                far.append(file)
            else:
                near.append(file)
                at = max(at, file.last)
        return near, far

    def damaged(self) -> dict[SegmentFile, str]:
        """Read all files; return what is wrong with some. Raises OSError where one cannot be reached."""
        found = dict[SegmentFile, str]()
        for file in self.files():
            try:
                for segment in file.segments():
                    for _ in segment.rows:
                        pass
            except SegmentError as error:
                found[file] = str(error)
            except FileNotFoundError:
                continue  # upkeep has deleted it meanwhile
        sound = [one for one in covering(self.files(), 0) if one not in found]
        return found | dict.fromkeys(fillers(sound), "it is not what was there before")

    def _file(self, entry: Entry) -> SegmentFile | None:
        found = _NAME.fullmatch(entry.name)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        is_named_so = found and bool(found[2]) == (found[3] == "fold") and 1 <= first <= last
        return SegmentFile(first, last, self.folder / entry.name, entry) if is_named_so else None

    def segment_file(self, number: int) -> SegmentFile:
        return SegmentFile(number, number, self.folder / f"{number:010}.segment")

    def fold_file(self, first: int, last: int) -> SegmentFile:
        return SegmentFile(first, last, self.folder / f"{first:010}-{last:010}.fold")


def fillers(files: Iterable[SegmentFile]) -> Iterator[SegmentFile]:
    """Yield the segments that a writer, which was stopped for long, has made where another one was lost: the next one
    follows another. Raises as `SegmentFile.content`."""
    for file, later in pairwise(files):
        if not file.is_fold and later.first == file.last + 1:
            first = next(iter(later.segments()), None)
            if first is not None and first.after not in ("", file.last_id()):
                yield file


def covering(files: Iterable[SegmentFile], after: int) -> list[SegmentFile]:
    """Return which files to read for all segments after a number: few, each number once but for those that a fold has
    from before.

    >>> def file(first, last): return SegmentFile(first, last, None)
    >>> [(one.first, one.last) for one in covering([file(1, 1), file(2, 2), file(1, 2), file(3, 3)], 0)]
    [(1, 2), (3, 3)]
    >>> [(one.first, one.last) for one in covering([file(1, 2), file(2, 2), file(3, 3), file(5, 5)], 1)]
    [(2, 2), (3, 3), (5, 5)]
    >>> [(one.first, one.last) for one in covering([file(2, 6), file(2, 11), file(12, 12)], 0)]
    [(2, 11), (12, 12)]
    """
    ordered, chosen, best, at, place = sorted(files), list[SegmentFile](), None, after, 0
    while True:
        # The farthest of those that begin by the next number; of two that lead as far the shorter.
        while place < len(ordered) and ordered[place].first <= at + 1:
            if best is None or (ordered[place].last, ordered[place].first) > (best.last, best.first):
                best = ordered[place]
            place += 1
        if best is not None and best.last > at:
            chosen.append(best)
            at = best.last
        elif place < len(ordered):
            at = ordered[place].first - 1  # what is between is lost
        else:
            return chosen
