"""The files of a log. A segment holds the rows of one append; a fold holds several segments in one file.

``NUMBER.segment`` is created only if absent; ``FIRST-LAST.fold`` holds the segments of these numbers. Files are never
changed. A file begins with a line that names the format and a line with the SHA-256 of the remaining bytes: JSON lines,
compressed by zlib. An object begins a segment, an array is one of its rows: the kind of a record, and the fields that
differ from their default. Files may come from strangers, so they are checked first and read in pieces, with limits.
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
"""Bytes of a file, at most."""

_MOST_LETTERS, _MOST_LINES, _LONGEST_LINE, _PIECE = 1 << 29, 1 << 19, 64 << 20, 1 << 20
"""Bytes of all lines of a file, number of lines, and bytes of one line, at most; bytes unpacked at a time."""

_LONG_LINE, _MANY, _MOST_MARKS = 1 << 16, 64, 1 << 19
"""Bytes, or brackets, above which a line is checked before it is parsed; and its maximum bytes outside of texts: nested
lists take twenty times their letters in memory."""

T = TypeVar("T")
Row = tuple[str, Mapping[str, Any]]
"""The kind of a record, and its fields."""


class SegmentError(Exception):
    """The file is no segment, or damaged."""


class Segment(NamedTuple):
    """The rows of one append.

    Attributes:
        number: its position in the log, from 1 on.
        id: id of the append, by which its writer finds the segment if the answer was lost.
        rows: kinds of records with their fields; from a file, they can be read once, before its next segment.
        after: id of the previous segment that its writer read; empty if unknown.
        was: its first id, if it was rewritten since.
    """

    number: int
    id: str
    rows: Iterable[Row]
    after: str = ""
    was: str = ""

    def lines(self) -> bytes:
        """Return the segment's lines. Raises UnicodeEncodeError if text is no Unicode, SegmentError for a long row.

        >>> Segment(3, "a", (("files", {"name": "x"}),)).lines()
        b'{"segment":3,"id":"a"}\\n["files",{"name":"x"}]\\n'
        """
        optional = {name: text for name, text in (("after", self.after), ("was", self.was)) if text}
        head: Any = {"segment": self.number, "id": self.id, **optional}
        lines = [f"{_to_json(value)}\n".encode() for value in (head, *self.rows)]
        if max(map(len, lines)) > _LONGEST_LINE:
            raise SegmentError(f"a row would have more than {_LONGEST_LINE:,} letters")
        return b"".join(lines)


_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def grouped(items: Iterable[T], sizes: Callable[[T], Sequence[int]], most: Sequence[int]) -> Iterator[list[T]]:
    """Yield items in groups. The sums of a group's sizes are at most `most`, unless it has one item.

    >>> list(grouped([3, 4, 5, 9], lambda size: (size, 1), (8, 2)))
    [[3, 4], [5], [9]]
    """
    group, sums = list[T](), [0] * len(most)
    for item in items:
        item_sizes = sizes(item)
        if group and any(map(gt, map(add, sums, item_sizes), most)):
            yield group
            group, sums = [], [0] * len(most)
        group.append(item)
        sums = list(map(add, sums, item_sizes))
    if group:
        yield group


def pack(lines: Iterable[bytes]) -> bytes:
    """Return the content of a file with the lines of segments. Raises SegmentError if readers would refuse it.

    >>> [segment.number for segment in segments_in(pack([Segment(2, "a", ()).lines(), Segment(3, "b", ()).lines()]))]
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
    """Check a file and yield its lines in pieces of any length. Raises SegmentError."""
    if not file.startswith(_FORMAT):
        raise SegmentError("it does not begin like a segment")
    packed = memoryview(file)[_HEADER:]
    if file[len(_FORMAT) : _HEADER] != hashlib.sha256(packed).hexdigest().encode() + b"\n":
        raise SegmentError("it does not match its checksum")
    unpacking, letters, tail = zlib.decompressobj(), 0, b""
    try:
        while not unpacking.eof:
            chunk, packed = (tail, packed) if tail else (packed[:_PIECE], packed[_PIECE:])
            piece = unpacking.decompress(chunk, _PIECE)
            tail, letters = unpacking.unconsumed_tail, letters + len(piece)
            if letters > _MOST_LETTERS:
                raise SegmentError(f"it has more than {_MOST_LETTERS:,} letters")
            if not (piece or tail or packed or unpacking.eof):
                raise SegmentError("it is cut")
            yield piece
    except zlib.error as error:
        raise SegmentError(f"it cannot be unpacked: {error}") from error


def segments_in(file: bytes) -> Iterator[Segment]:
    """Yield the segments of a file by rising numbers, one row in memory at a time. Both raise SegmentError."""
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
        head, previous = heads.pop(), number
        if not isinstance(head, dict):
            raise SegmentError("it holds something other than records")
        number, ids = head.get("segment", 0), [head.get(name, "") for name in ("id", "after", "was")]
        if type(number) is not int or number <= previous or not all(isinstance(text, str) for text in ids):
            raise SegmentError("its segments are not numbered")
        name, after, was = ids
        own_rows = rows()
        yield Segment(number, name, own_rows, after, was)
        deque(own_rows, maxlen=0)  # skip the rows that were not read


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield whole lines. Raises SegmentError for lines that are too long or too many."""
    line, count = list[bytes](), 0
    for piece in pieces:
        first, *following = piece.split(b"\n")
        line.append(first)
        count += len(following)
        if sum(map(len, line)) > _LONGEST_LINE:
            raise SegmentError(f"a line has more than {_LONGEST_LINE:,} letters")
        if count > _MOST_LINES:
            raise SegmentError(f"it has more than {_MOST_LINES:,} lines")
        for start in following:
            yield b"".join(line)
            line = [start]
    if any(line):
        raise SegmentError("its last line has no end")


def _value(line: bytes) -> Any:
    if len(line) > _LONG_LINE or line.count(b"[") + line.count(b"{") > _MANY:
        bare = line.replace(b"\\\\", b"").replace(b'\\"', b"")  # each remaining quote begins or ends a text
        most = min(len(line) // 3, _MOST_MARKS)
        if bare.count(b'"') > _MOST_MARKS or sum(map(len, bare.split(b'"')[::2])) > most:
            raise SegmentError("a line holds too much besides texts")
    try:
        value = parsed(line)
        if b"\\u" in line:
            _to_json(value).encode()  # an escaped lone surrogate is no character
    except ValueError as error:  # so is UnicodeError
        raise SegmentError(f"a line is no JSON: {error}") from error
    return value


FARTHEST = 10_000_000
"""Maximum numbers that a file may span or skip: after larger gaps, appends would soon run out of numbers."""

_NAME = re.compile(r"(\d{10})(?:-(\d{10}))?\.(segment|fold)", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class SegmentFile:
    """The file of the segments `first` to `last`; a fold may lack some of them."""

    first: int
    last: int
    place: Place = field(compare=False)
    entry: Entry | None = field(default=None, compare=False)

    @property
    def is_fold(self) -> bool:
        return self.place.name.endswith(".fold")

    @property
    def size(self) -> int:
        """Bytes, when it was listed."""
        return 0 if self.entry is None else self.entry.stat().st_size

    @property
    def written(self) -> float:
        """Unix seconds of the last write, by the clock of the disk or store, when it was listed."""
        return 0.0 if self.entry is None else self.entry.stat().st_mtime

    def content(self) -> bytes:
        """Read the file. Raises SegmentError if it is no regular file, OSError if it is gone or cannot be reached."""
        try:
            return self.place.read_at_most(LARGEST_FILE)
        except OSError as error:
            if not isinstance(error, OddFileError) and (is_out_of_reach(error) or isinstance(error, FileNotFoundError)):
                raise
            raise SegmentError(error.strerror or str(error)) from error

    def segments(self) -> Iterator[Segment]:
        """Yield the segments. Raises as `content`."""
        count = 0
        for segment in segments_in(self.content()):
            if not self.first <= segment.number <= self.last:
                raise SegmentError("its segments do not match its name")
            count += 1
            yield segment
        if not count and not self.is_fold:  # an empty fold marks numbers that are lost for good
            raise SegmentError("it holds no segment")

    def last_id(self) -> str:
        """Return the id of the last segment; empty if there is none, or the file is damaged. Raises OSError."""
        with suppress(SegmentError):
            return next((segment.id for segment in reversed(list(self.segments()))), "")
        return ""


class SegmentFolder:
    """The folder of a log's segments."""

    def __init__(self, folder: Place) -> None:
        self.folder = folder
        self._known: dict[str, SegmentFile | None] = {}

    def files(self) -> list[SegmentFile]:
        """List the files of the log by first number, then by last number."""
        return self.listing()[0]

    def listing(self) -> tuple[list[SegmentFile], list[SegmentFile]]:
        """List the files of the log as `files` does, and files with numbers too far ahead to belong to it."""
        files_by_name: dict[str, SegmentFile | None] = {}
        for entry in self.folder.entries():
            files_by_name[entry.name] = self._known.get(entry.name)
            if entry.name not in self._known and (match := _NAME.fullmatch(entry.name)):
                first, last = int(match[1]), int(match[2] or match[1])
                if bool(match[2]) == (match[3] == "fold") and 1 <= first <= last:
                    files_by_name[entry.name] = SegmentFile(first, last, self.folder / entry.name, entry)
        self._known = files_by_name
        near, far, at = list[SegmentFile](), list[SegmentFile](), 0
        for file in sorted(filter(None, files_by_name.values())):
            is_far = max(file.first - at, file.last - file.first) > FARTHEST
            (far if is_far else near).append(file)
            at = at if is_far else max(at, file.last)
        return near, far

    def damaged(self) -> dict[SegmentFile, str]:
        """Read all files; return the damaged ones with the reason. Raises OSError if one cannot be reached."""
        damaged = dict[SegmentFile, str]()
        for file in self.files():
            try:
                deque(file.segments(), maxlen=0)
            except SegmentError as error:
                damaged[file] = str(error)
            except FileNotFoundError:
                continue  # upkeep has deleted it meanwhile
        sound = covering([file for file in self.files() if file not in damaged], 0)
        return damaged | dict.fromkeys(fillers(sound), "it replaced a lost segment")

    def fold_file(self, first: int, last: int) -> SegmentFile:
        return SegmentFile(first, last, self.folder / f"{first:010}-{last:010}.fold")


def fillers(files: Iterable[SegmentFile]) -> Iterator[SegmentFile]:
    """Yield segments that a suspended writer created in place of lost ones: the next one names another predecessor."""
    for file, later in pairwise(files):
        if not file.is_fold and later.first == file.last + 1:
            first = next(iter(later.segments()), None)
            if first is not None and first.after not in ("", file.last_id()):
                yield file


def covering(files: Iterable[SegmentFile], after: int) -> list[SegmentFile]:
    """Return few files that together hold all segments after a number, with little overlap.

    >>> def file(first, last): return SegmentFile(first, last, None)
    >>> [(file.first, file.last) for file in covering([file(1, 1), file(2, 2), file(1, 2), file(3, 3)], 0)]
    [(1, 2), (3, 3)]
    >>> [(file.first, file.last) for file in covering([file(1, 2), file(2, 2), file(3, 3), file(5, 5)], 1)]
    [(2, 2), (3, 3), (5, 5)]
    >>> [(file.first, file.last) for file in covering([file(2, 6), file(2, 11), file(12, 12)], 0)]
    [(2, 11), (12, 12)]
    """
    ordered, chosen, best, at, index = sorted(files), list[SegmentFile](), None, after, 0
    while True:
        # Choose the file that reaches farthest, from the next number at the latest; of two, the shorter.
        while index < len(ordered) and ordered[index].first <= at + 1:
            if best is None or (ordered[index].last, ordered[index].first) > (best.last, best.first):
                best = ordered[index]
            index += 1
        if best is not None and best.last > at:
            chosen.append(best)
            at = best.last
        elif index < len(ordered):
            at = ordered[index].first - 1  # the numbers between are lost
        else:
            return chosen
