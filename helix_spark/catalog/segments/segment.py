"""One segment, which is what one append wrote, as bytes; several in one file, which is a fold; and the folder of these.

``NUMBER.segment`` is made only if it is not there; ``FIRST-LAST.fold`` holds the segments of these numbers. None of
them is ever changed. A file begins with a line that names the format and a line with the SHA-256 of all that follows:
JSON lines, compressed by zlib. An object begins a segment, an array is a row of it: the kind of a record, and those of
its fields that do not hold their default. Files are from strangers, so they are checked first and read in pieces, with
limits.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice, pairwise
from operator import add, gt
from typing import Any, NamedTuple, TypeVar

from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import Entry, Place, is_out_of_reach
from helix_spark.regular_files import OddFileError

_FORMAT = b"helix segment 1\n"
_HEADER = len(_FORMAT) + 65

LARGEST_FILE = 256 << 20
"""Bytes of a file at most."""

_MOST_LETTERS, _MOST_LINES, _LONGEST_LINE, _PIECE = 1 << 29, 1 << 19, 64 << 20, 1 << 20
"""Bytes of all lines of a file, lines, and bytes of one, at most; and bytes that are unpacked at a time."""

_LONG_LINE, _MANY, _MOST_MARKS = 1 << 16, 64, 1 << 19
"""Bytes, or brackets, from which on a line is looked at before it is read; and bytes that it may hold besides texts:
lists in lists take twenty times their letters in memory."""


T = TypeVar("T")
Row = tuple[str, Mapping[str, Any]]
"""The kind of a record, and its fields."""


class SegmentError(Exception):
    """A file is no segment, or not as it was written; says why."""


class Segment(NamedTuple):
    """What one append wrote.

    Attributes:
        number: its place in the log, from 1 on.
        id: of the append, by which one whose answer was lost is found.
        rows: kinds of records with their fields; those of a file once, before its next segment is asked for.
        after: the id of the segment before it, as its writer found it; empty where that is not known.
        was: the id that it was appended with, if it was written anew since.
    """

    number: int
    id: str
    rows: Iterable[Row]
    after: str = ""
    was: str = ""

    def lines(self) -> bytes:
        """Return the segment as it stands in a file. Raises UnicodeEncodeError for text that is not Unicode,
        SegmentError for a row that is too long.

        >>> Segment(3, "a", (("files", {"name": "x"}),)).lines()
        b'{"segment":3,"id":"a"}\\n["files",{"name":"x"}]\\n'
        """
        more = {name: one for name, one in (("after", self.after), ("was", self.was)) if one}
        head: Any = {"segment": self.number, "id": self.id, **more}
        lines = [f"{_to_json(value)}\n".encode() for value in (head, *self.rows)]
        if max(map(len, lines)) > _LONGEST_LINE:
            raise SegmentError(f"a row would have more than {_LONGEST_LINE:,} letters")
        return b"".join(lines)


_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def grouped(items: Iterable[T], sizes: Callable[[T], Sequence[int]], most: Sequence[int]) -> Iterator[list[T]]:
    """Yield items in groups, of which none has more than `most` of any of its sizes, unless it is of one item.

    >>> list(grouped([3, 4, 5, 9], lambda size: (size, 1), (8, 2)))
    [[3, 4], [5], [9]]
    """
    group, sums = list[T](), [0] * len(most)
    for item in items:
        own = sizes(item)
        if group and any(map(gt, map(add, sums, own), most)):
            yield group
            group, sums = [], [0] * len(most)
        group.append(item)
        sums = list(map(add, sums, own))
    if group:
        yield group


def pack(lines: Iterable[bytes]) -> bytes:
    """Return the file of the lines of segments. Raises SegmentError if readers would not take it.

    >>> [one.number for one in segments_in(pack([Segment(2, "a", ()).lines(), Segment(3, "b", ()).lines()]))]
    [2, 3]
    """
    compressing, pieces, letters, count = zlib.compressobj(), list[bytes](), 0, 0
    for piece in lines:
        letters, count = letters + len(piece), count + piece.count(b"\n")
        pieces.append(compressing.compress(piece))
    packed = b"".join([*pieces, compressing.flush()])
    if letters > _MOST_LETTERS or count > _MOST_LINES or _HEADER + len(packed) > LARGEST_FILE:
        raise SegmentError(f"it would be too large: {letters:,} letters in {count:,} lines")
    return b"%s%s\n%s" % (_FORMAT, hashlib.sha256(packed).hexdigest().encode(), packed)


def unpack(file: bytes) -> Iterator[bytes]:
    """Yield the lines of a file, in pieces of any length. Raises SegmentError."""
    if not file.startswith(_FORMAT):
        raise SegmentError("it does not begin as a segment does")
    packed = memoryview(file)[_HEADER:]
    if file[len(_FORMAT) : _HEADER] != hashlib.sha256(packed).hexdigest().encode() + b"\n":
        raise SegmentError("it does not match its checksum")
    unpacking, letters, left = zlib.decompressobj(), 0, b""
    try:
        while not unpacking.eof:
            given, packed = (left, packed) if left else (packed[:_PIECE], packed[_PIECE:])
            piece = unpacking.decompress(given, _PIECE)
            left, letters = unpacking.unconsumed_tail, letters + len(piece)
            if letters > _MOST_LETTERS:
                raise SegmentError(f"it has more than {_MOST_LETTERS:,} letters")
            if not (piece or left or packed or unpacking.eof):
                raise SegmentError("it is cut")
            yield piece
    except zlib.error as error:
        raise SegmentError(f"it cannot be unpacked: {error}") from error


def segments_in(file: bytes) -> Iterator[Segment]:
    """Yield the segments in a file, by rising numbers, with one row in memory at a time. Both raise SegmentError."""
    lines = map(_value, _split(unpack(file)))
    heads, number = list(islice(lines, 1)), 0

    def rows() -> Iterator[Row]:
        for value in lines:
            match value:
                case [str(kind), dict(fields)]:
                    yield kind, fields
                case _:
                    heads.append(value)
                    return

    while heads:
        head, before = heads.pop(), number
        if not isinstance(head, dict):
            raise SegmentError("it holds something else than records")
        number, ids = head.get("segment", 0), [head.get(name, "") for name in ("id", "after", "was")]
        if type(number) is not int or number <= before or not all(isinstance(one, str) for one in ids):
            raise SegmentError("its segments are not numbered")
        name, after, was = ids
        of_this = rows()
        yield Segment(number, name, of_this, after, was)
        for _ in of_this:
            pass


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    begun, count = list[bytes](), 0
    for piece in pieces:
        first, *others = piece.split(b"\n")
        begun.append(first)
        count += len(others)
        if sum(map(len, begun)) > _LONGEST_LINE:
            raise SegmentError(f"a line has more than {_LONGEST_LINE:,} letters")
        if count > _MOST_LINES:
            raise SegmentError(f"it has more than {_MOST_LINES:,} lines")
        for other in others:
            yield b"".join(begun)
            begun = [other]
    if any(begun):
        raise SegmentError("its last line has no end")


def _value(line: bytes) -> Any:
    if len(line) > _LONG_LINE or line.count(b"[") + line.count(b"{") > _MANY:
        bare = line.replace(b"\\\\", b"").replace(b'\\"', b"")  # all quotes that are left begin or end a text
        most = min(len(line) // 3, _MOST_MARKS)
        if bare.count(b'"') > _MOST_MARKS or sum(map(len, bare.split(b'"')[::2])) > most:
            raise SegmentError("a line holds too much besides texts")
    try:
        value = parsed(line)
        if b"\\u" in line:
            _to_json(value).encode()  # half a character may be escaped, and is none
    except ValueError as error:  # so is UnicodeError
        raise SegmentError(f"a line is no JSON: {error}") from error
    return value


FARTHEST = 10_000_000
"""Numbers that a file may hold, or leave out before it: appends after one farther ahead would soon have none left."""

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
        """Read all of it. Raises SegmentError for another kind of file, OSError if it is gone or cannot be reached."""
        try:
            return self.place.read_at_most(LARGEST_FILE)
        except OSError as error:
            if not isinstance(error, OddFileError) and (is_out_of_reach(error) or isinstance(error, FileNotFoundError)):
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
        with suppress(SegmentError):
            return next((one.id for one in reversed(list(self.segments()))), "")
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
        known: dict[str, SegmentFile | None] = {}
        for entry in self.folder.entries():
            known[entry.name] = self._known.get(entry.name)
            if entry.name not in self._known and (found := _NAME.fullmatch(entry.name)):
                first, last = int(found[1]), int(found[2] or found[1])
                if bool(found[2]) == (found[3] == "fold") and 1 <= first <= last:
                    known[entry.name] = SegmentFile(first, last, self.folder / entry.name, entry)
        self._known = known
        near, far, at = list[SegmentFile](), list[SegmentFile](), 0
        for file in sorted(filter(None, known.values())):
            is_far = max(file.first - at, file.last - file.first) > FARTHEST
            (far if is_far else near).append(file)
            at = at if is_far else max(at, file.last)
        return near, far

    def damaged(self) -> dict[SegmentFile, str]:
        """Read all files; return what is wrong with some. Raises OSError where one cannot be reached."""
        found = dict[SegmentFile, str]()
        for file in self.files():
            try:
                deque(file.segments(), maxlen=0)
            except SegmentError as error:
                found[file] = str(error)
            except FileNotFoundError:
                continue  # upkeep has deleted it meanwhile
        sound = covering([one for one in self.files() if one not in found], 0)
        return found | dict.fromkeys(fillers(sound), "it is not what was there before")

    def fold_file(self, first: int, last: int) -> SegmentFile:
        return SegmentFile(first, last, self.folder / f"{first:010}-{last:010}.fold")


def fillers(files: Iterable[SegmentFile]) -> Iterator[SegmentFile]:
    """Yield segments that a stopped writer made in place of lost ones: the next one follows another. Raises OSError."""
    for file, later in pairwise(files):
        if not file.is_fold and later.first == file.last + 1:
            first = next(iter(later.segments()), None)
            if first is not None and first.after not in ("", file.last_id()):
                yield file


def covering(files: Iterable[SegmentFile], after: int) -> list[SegmentFile]:
    """Return which files to read for all segments after a number: few, with hardly a number twice.

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
