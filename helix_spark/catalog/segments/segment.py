"""One segment, which is what one append wrote, as bytes; and several in one file, which is a fold.

A file begins with a line that names the format and a line with the SHA-256 of all that follows: JSON lines, compressed
by zlib. An object begins a segment, an array is a row of it: the kind of a record, and those of its fields that do not
hold their default. Files are from strangers, so they are checked first and read in pieces, with limits.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import add, gt
from typing import Any, TypeVar

from helix_spark.catalog.places.json_text import parsed

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


@dataclass(frozen=True, slots=True)
class Segment:
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
        head = {"segment": self.number, "id": self.id, **more}
        values = (head, *self.rows)
        lines = [f"{_to_json(value)}\n".encode() for value in values]
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
    packed = file[_HEADER:]
    if file[len(_FORMAT) : _HEADER] != hashlib.sha256(packed).hexdigest().encode() + b"\n":
        raise SegmentError("it does not match its checksum")
    unpacking, letters = zlib.decompressobj(), 0
    try:
        while not unpacking.eof:
            piece = unpacking.decompress(packed, _PIECE)
            packed, letters = unpacking.unconsumed_tail, letters + len(piece)
            if letters > _MOST_LETTERS:
                raise SegmentError(f"it has more than {_MOST_LETTERS:,} letters")
            if not piece and not packed and not unpacking.eof:
                raise SegmentError("it is cut")
            yield piece
    except zlib.error as error:
        raise SegmentError(f"it cannot be unpacked: {error}") from error


def segments_in(file: bytes) -> Iterator[Segment]:
    """Yield the segments in a file, by rising numbers; one row of each is in memory at a time. Raises SegmentError, as
    the rows of each do."""
    lines = map(_value, _split(unpack(file)))
    heads, number = list(islice(lines, 1)), 0

    def rows() -> Iterator[Row]:
        for value in lines:
            if not _is_row(value):
                heads.append(value)
                return
            yield value[0], value[1]

    while heads:
        number, name, after, was = _head(heads.pop(), number)
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
    is_odd = len(line) > _LONG_LINE or line.count(b"[") + line.count(b"{") > _MANY
    if is_odd and not _is_mostly_text(line):
        raise SegmentError("a line holds too much besides texts")
    try:
        value = parsed(line)
        if b"\\u" in line:
            _to_json(value).encode()  # half a character may be escaped, and is none
    except ValueError as error:  # so is UnicodeError
        raise SegmentError(f"a line is no JSON: {error}") from error
    return value


def _is_mostly_text(line: bytes) -> bool:
    bare = line.replace(b"\\\\", b"").replace(b'\\"', b"")  # all quotes that are left begin or end a text
    most = min(len(line) // 3, _MOST_MARKS)
    return bare.count(b'"') <= _MOST_MARKS and sum(map(len, bare.split(b'"')[::2])) <= most


def _head(value: Any, before: int) -> tuple[int, str, str, str]:
    if not isinstance(value, dict):
        raise SegmentError("it holds something else than records")
    number, ids = value.get("segment"), [value.get(name, "") for name in ("id", "after", "was")]
    if type(number) is not int or number <= before or not all(isinstance(one, str) for one in ids):
        raise SegmentError("its segments are not numbered")
    name, after, was = ids
    return number, name, after, was


def _is_row(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)
