"""How large a parquet file becomes when it is read, told before anything of it is decoded.

Two kilobytes may hold 160 million numbers, or one text of gigabytes. Footers say how many values and bytes there are,
and so do the headers of pages, by which readers go; of a file that somebody else wrote both are looked at
(https://github.com/apache/parquet-format). No library that reads parquet files is loaded for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from helix_spark.catalog.places.thrift import Thrift

_MAGIC = b"PAR1"
_END = 8
_LONGEST_FOOTER = 64 << 20
_FIRST_LOOK, _LONGEST_HEADER = 512, 1 << 20
"""Bytes in which the header of a page is looked for: most take less than a hundred, with statistics of long texts
more."""

_BYTE_ARRAY, _FIXED_LENGTH = 6, 7
_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, _BYTE_ARRAY: 16}
"""Bytes of a value in memory by parquet's physical type; of a text what stands for it."""

_DICTIONARY_PAGE = 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """The values of one column in one group of rows.

    Attributes:
        path: of the column, its fields one inside the other.
        width: bytes of a value in memory, of a text without its letters.
        texts: whether its values are texts or bytes of any length.
        values: how many there are, as the footer says.
        uncompressed, compressed: bytes of its pages, as the footer says.
        start: where its first page begins in the file.
        codec: how it is compressed, by parquet's number.
    """

    path: tuple[str, ...]
    width: int
    texts: bool
    values: int
    uncompressed: int
    compressed: int
    start: int
    codec: int

    @property
    def decoded(self) -> int:
        """Bytes in memory, by what the footer says. Texts of a dictionary that repeat count once."""
        return self.uncompressed + self.values * self.width


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows that lie together."""

    rows: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file's footer says.

    Attributes:
        size: bytes of the file.
        keys: key and value of what else it says of itself.
    """

    size: int
    rows: int
    groups: tuple[RowGroup, ...]
    keys: tuple[tuple[str, str], ...]

    @property
    def decoded(self) -> int:
        """Bytes in memory of all of it."""
        return sum(chunk.decoded for group in self.groups for chunk in group.chunks)


@dataclass(frozen=True, slots=True)
class Page:
    """What the header of a page says.

    Attributes:
        at: where what it holds begins in the file.
        rows: how many begin in it, where it says so.
        levels: bytes of its levels that are not compressed.
    """

    is_dictionary: bool
    at: int
    compressed: int
    uncompressed: int
    values: int
    rows: int | None
    levels: int

    def decoded(self, chunk: Chunk) -> int:
        """Bytes in memory of all of it."""
        return self.uncompressed + (0 if self.is_dictionary else self.values * chunk.width)


def shape_of(file: BinaryIO) -> Shape:
    """What the footer of a file says. Raises ValueError for what is no parquet file, OSError."""
    size = file.seek(0, 2)
    file.seek(max(size - _END, 0))
    end = file.read(_END)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != _MAGIC or not 0 < length <= min(size - _END, _LONGEST_FOOTER):
        raise ValueError("it has no footer")
    file.seek(size - _END - length)
    return _shape(file.read(length), size)


def _shape(footer: bytes, size: int) -> Shape:
    try:
        told = Thrift(footer).struct()
        lengths = {tuple(path): length for path, length in _lengths(told[2])}
        groups = tuple(
            RowGroup(_count(group[3]), tuple(_chunk(column, lengths, size) for column in group[1]))
            for group in told.get(4, ())
        )
        keys = tuple((_text(one[1]), _text(one.get(2, b""))) for one in told.get(5, ()))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"its footer is none: {error}") from error
    return Shape(size, _count(told[3]), groups, keys)


def _lengths(elements: Sequence[Any]) -> Iterator[tuple[list[str], int]]:
    """The length of each value of columns whose values all have one, by path."""
    waiting: list[list[Any]] = []
    path: list[str] = []
    for number, element in enumerate(elements):
        if number:
            path = [name for name, _ in waiting] + [_text(element[4])]
            if element.get(1) == _FIXED_LENGTH:
                yield path, _count(element.get(2, 0))
        children = element.get(5, 0)
        if number and waiting:
            waiting[-1][1] -= 1
        if number and children:
            waiting.append([_text(element[4]), children])
        while waiting and waiting[-1][1] <= 0:
            waiting.pop()


def _chunk(column: dict[int, Any], lengths: dict[tuple[str, ...], int], size: int) -> Chunk:
    told = column[3]
    path = tuple(_text(name) for name in told[3])
    start = min(one for one in (told[9], told.get(11) or told[9]) if one > 0)
    compressed = _count(told[7])
    if column.get(1) or start + compressed > size:
        raise ValueError("its footer says that a column lies in another file")
    width = lengths.get(path, 0) if told[1] == _FIXED_LENGTH else _WIDTHS[told[1]]
    return Chunk(
        path, width, told[1] == _BYTE_ARRAY, _count(told[5]), _count(told[6]), compressed, start, told[4],
    )


def pages(file: BinaryIO, chunk: Chunk) -> Iterator[Page]:
    """The pages of a column, as their headers say. Raises ValueError for what is none, OSError."""
    at, end = chunk.start, chunk.start + chunk.compressed
    while at < end:
        page = _page(file, at, end)
        yield page
        at = page.at + page.compressed


def check_decoded(file: BinaryIO, shape: Shape, *, most: int) -> None:
    """Check that a file becomes at most so many bytes when all of it is read. Raises ValueError, OSError."""
    decoded = 0
    for chunk in (chunk for group in shape.groups for chunk in group.chunks):
        for page in pages(file, chunk):
            decoded += page.decoded(chunk)
            if decoded > most:
                raise ValueError(f"its {shape.size:,} bytes would become {decoded:,} and more, which is beyond belief")


def _page(file: BinaryIO, at: int, end: int) -> Page:
    for most in (_FIRST_LOOK, _LONGEST_HEADER):
        file.seek(at)
        header = Thrift(file.read(min(most, end - at)))
        try:
            return _told(header.struct(), at + header.at)
        except IndexError:
            continue
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the header of a page is none: {error}") from error
    raise ValueError("the header of a page has no end")


def _told(header: dict[int, Any], at: int) -> Page:
    second = header.get(8)
    values = _count((second or header.get(5) or header.get(7) or {}).get(1, 0))
    return Page(
        header[1] == _DICTIONARY_PAGE, at, _count(header[3]), _count(header[2]), values,
        _count(second[3]) if second else None, _count(second[5]) + _count(second[6]) if second else 0,
    )


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"it counts {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, bytes):
        raise ValueError(f"it names {value!r}")
    return value.decode(errors="replace")
