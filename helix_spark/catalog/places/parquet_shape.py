"""How large a parquet file becomes when it is read, told before anything of it is decoded.

Two kilobytes may hold 160 million numbers, or one text of gigabytes; a row may hold a list of a hundred million
numbers. Footers say how many values and bytes there are, and so do the headers of pages, by which readers go; of a file
that somebody else wrote both are looked at (https://github.com/apache/parquet-format). No library that reads parquet
files is loaded for it: these make room for what a file says before they look at what it has.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, BinaryIO

_MAGIC = b"PAR1"
AFTER_FOOTER = 8
"""Bytes behind a footer: its length and the magic number."""

_LONGEST_FOOTER = 64 << 20
"""Bytes of a footer at most; that of a table of 10,000 columns has some 5 MB."""

_FIRST_LOOK, _LONGEST_HEADER = 512, 1 << 20
"""Bytes in which the header of a page is looked for: most take less than a hundred, with statistics of long texts
more."""

_BYTE_ARRAY, _FIXED_LENGTH = 6, 7
_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, _BYTE_ARRAY: 16}
"""Bytes of a value in memory by parquet's physical type; of a text what stands for it."""

_DICTIONARY_PAGE, _BY_DICTIONARY = 2, (2, 8)
_REPEATED = 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """The values of one column in one group of rows.

    Attributes:
        path: of the column, its fields one inside the other.
        lists: how many lists of lists its values lie in.
        width: bytes of a value in memory, of a text without its letters.
        texts: whether its values are texts or bytes of any length.
        values: how many there are, as the footer says.
        uncompressed, compressed: bytes of its pages, as the footer says.
        start: where its first page begins in the file.
        codec: how it is compressed, by parquet's number.
    """

    path: tuple[str, ...]
    lists: int
    width: int
    texts: bool
    values: int
    uncompressed: int
    compressed: int
    start: int
    codec: int



@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows that lie together."""

    rows: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class ParquetShape:
    """What a file's footer says.

    Attributes:
        size: bytes of the file.
        keys: key and value of what else it says of itself.
    """

    size: int
    rows: int
    groups: tuple[RowGroup, ...]
    keys: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ParquetPage:
    """What the header of a page says.

    Attributes:
        at: where what it holds begins in the file.
        rows: how many begin in it, where it says so.
        levels: bytes of its levels where they lie before what is compressed; -1 where they are part of that.
        encoding: of its values, by parquet's number.
    """

    is_dictionary: bool
    at: int
    compressed: int
    uncompressed: int
    values: int
    rows: int | None
    levels: int
    encoding: int

    @property
    def looks_up(self) -> bool:
        """Whether its values are numbers of entries of the dictionary."""
        return self.encoding in _BY_DICTIONARY


def size_and_footer(file: BinaryIO) -> tuple[int, bytes]:
    """Bytes of a file, and its footer, the length of it and the magic number at its end included. Raises ValueError for
    what is no parquet file, OSError."""
    size = file.seek(0, 2)
    file.seek(max(size - AFTER_FOOTER, 0))
    end = file.read(AFTER_FOOTER)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != _MAGIC or not 0 < length <= min(size - AFTER_FOOTER, _LONGEST_FOOTER):
        raise ValueError("it has no footer")
    file.seek(size - AFTER_FOOTER - length)
    return size, file.read(length + AFTER_FOOTER)


def shape_of(file: BinaryIO) -> ParquetShape:
    """Read the footer of a file.

    Raises:
        ValueError: it is no parquet file.
        OSError: it cannot be read.
    """
    size, footer = size_and_footer(file)
    return _shape(footer[:-AFTER_FOOTER], size)


def _shape(footer: bytes, size: int) -> ParquetShape:
    try:
        told = Thrift(footer).struct()
        columns = {tuple(path): column for path, *column in _columns(told[2])}
        groups = tuple(
            RowGroup(_count(group[3]), tuple(_chunk(one, columns, size) for one in group[1]))
            for group in told.get(4, ())
        )
        keys = tuple((_text(one[1]), _text(one.get(2, b""))) for one in told.get(5, ()))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"its footer is none: {error}") from error
    return ParquetShape(size, _count(told[3]), groups, keys)


def _columns(elements: Sequence[Any]) -> Iterator[tuple[list[str], int, int]]:
    """Yield each column's path, how many lists it lies in, and the length of its values, where all have one."""
    above: list[list[Any]] = []
    for element in elements[1:]:
        while above and not above[-1][1]:
            above.pop()
        if above:
            above[-1][1] -= 1
        lists = (above[-1][2] if above else 0) + (element.get(3) == _REPEATED)
        name, children = _text(element[4]), element.get(5, 0)
        if children:
            above.append([name, _count(children), lists])
        else:
            yield [one[0] for one in above] + [name], lists, _count(element.get(2, 0))


def _chunk(column: dict[int, Any], columns: dict[tuple[str, ...], Any], size: int) -> Chunk:
    told = column[3]
    path = tuple(_text(name) for name in told[3])
    start = min(one for one in (told[9], told.get(11) or told[9]) if one > 0)
    compressed = _count(told[7])
    if column.get(1) or start + compressed > size:
        raise ValueError("its footer says that a column lies in another file")
    lists, length = columns[path]
    width = length if told[1] == _FIXED_LENGTH else _WIDTHS[told[1]]
    return Chunk(
        path, lists, width, told[1] == _BYTE_ARRAY, _count(told[5]), _count(told[6]), compressed, start, told[4],
    )


def pages(file: BinaryIO, chunk: Chunk) -> Iterator[ParquetPage]:
    """The pages of a column, as their headers say. Raises ValueError for what is none, OSError."""
    at, end = chunk.start, chunk.start + chunk.compressed
    while at < end:
        page = _page(file, at, end)
        yield page
        at = page.at + page.compressed


def check_decoded(file: BinaryIO, shape: ParquetShape, *, most: int) -> None:
    """Check that a file becomes at most so many bytes when all of it is read. Texts of a dictionary are taken to be as
    long as they are in the mean. Raises ValueError, OSError."""
    decoded = 0
    for chunk in (chunk for group in shape.groups for chunk in group.chunks):
        entry = 0.0
        for page in pages(file, chunk):
            decoded += page.uncompressed
            if page.is_dictionary:
                entry = page.uncompressed / max(page.values, 1) if chunk.texts else 0.0
            else:
                decoded += page.values * chunk.width + (int(page.values * entry) if page.looks_up else 0)
            if decoded > most:
                raise ValueError(f"its {shape.size:,} bytes would become {decoded:,} and more, which is beyond belief")


def _page(file: BinaryIO, at: int, end: int) -> ParquetPage:
    for most in (_FIRST_LOOK, _LONGEST_HEADER):
        file.seek(at)
        header = Thrift(file.read(min(most, end - at)))
        try:
            return _page_of(header.struct(), at + header.at)
        except IndexError:
            continue
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the header of a page is none: {error}") from error
    raise ValueError("the header of a page has no end")


def _page_of(header: dict[int, Any], at: int) -> ParquetPage:
    first, second, dictionary = header.get(5), header.get(8), header.get(7)
    of_values = second or first or dictionary or {}
    encoding = of_values.get(4 if second else 2, 0)
    return ParquetPage(
        header[1] == _DICTIONARY_PAGE, at, _count(header[3]), _count(header[2]), _count(of_values.get(1, 0)),
        _count(second[3]) if second else None, _count(second[5]) + _count(second[6]) if second else -1, encoding,
    )


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"it counts {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, bytes):
        raise ValueError(f"it names {value!r}")
    return value.decode(errors="replace")


_DEEPEST = 20
_LONGEST_NUMBER = 10
"""Bytes of a number of 64 bits."""

_NUMBERS = (5, 6, 4)
"""Kinds of numbers of 32, 64 and 16 bits."""


class Thrift:
    """Reads values in Thrift's compact form, in which parquet files describe themselves, one after the other: structs
    as dicts by field number (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).

    Args:
        data: the bytes.
        at: where the first value begins.

    >>> Thrift(bytes([0x15, 0x54, 0x18, 0x02, 0x68, 0x69, 0x00])).struct()
    {1: 42, 2: b'hi'}
    """

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data, self.at = data, at

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """A struct. Raises ValueError for what is none, IndexError where the bytes end before it does."""
        if depth > _DEEPEST:
            raise ValueError("it is nested too deep")
        found: dict[int, Any] = {}
        # Each run reads tens of thousands of fields, most of them numbers of one byte: those call no function.
        data, at, number = self._data, self.at, 0
        while header := data[at]:
            at += 1
            step, kind = header >> 4, header & 0x0F
            number += step
            if step and kind in _NUMBERS and (byte := data[at]) < 0x80:
                at += 1
                found[number] = (byte >> 1) ^ -(byte & 1)
                continue
            self.at = at
            if not step:
                number = self._zigzag()
            found[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
            at = self.at
        self.at = at + 1
        return found

    def _value(self, kind: int, depth: int) -> Any:
        read = _READERS.get(kind)
        if read is None:
            raise ValueError(f"it has a field of the kind {kind}, which there is none of")
        return read(self, depth + 1)

    def _list(self, depth: int) -> list[Any]:
        header = self._byte()
        size, kind = header >> 4, header & 0x0F
        if size == 15:
            size = self.varint()
        if size > len(self._data) - self.at:
            raise IndexError("it has less bytes than values")
        if kind in (1, 2):
            return [self._byte() == 1 for _ in range(size)]
        return [self._value(kind, depth) for _ in range(size)]

    def _map(self, depth: int) -> dict[Any, Any]:
        size = self.varint()
        if size > len(self._data) - self.at:
            raise IndexError("it has less bytes than values")
        kinds = self._byte() if size else 0
        return {self._value(kinds >> 4, depth): self._value(kinds & 0x0F, depth) for _ in range(size)}

    def _binary(self, _depth: int) -> bytes:
        return self.take(self.varint())

    def _double(self, _depth: int) -> float:
        return float(struct.unpack("<d", self.take(8))[0])

    def take(self, size: int) -> bytes:
        """So many bytes. Raises IndexError where there are less."""
        start, self.at = self.at, self.at + size
        if self.at > len(self._data):
            raise IndexError("it ends too early")
        return self._data[start : self.at]

    def _byte(self) -> int:
        value = self._data[self.at]
        self.at += 1
        return value

    def varint(self) -> int:
        """A number of any length. Raises ValueError for one that is too long, IndexError."""
        data, at, value = self._data, self.at, 0
        for place in range(_LONGEST_NUMBER):
            byte = data[at + place]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                self.at = at + place + 1
                return value
        raise ValueError("it has a number of more than 64 bits")

    def _zigzag(self, _depth: int = 0) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)


_READERS: dict[int, Callable[[Thrift, int], Any]] = {
    3: lambda self, _: self._byte(), 4: Thrift._zigzag, 5: Thrift._zigzag, 6: Thrift._zigzag, 7: Thrift._double,
    8: Thrift._binary, 9: Thrift._list, 10: Thrift._list, 11: Thrift._map, 12: Thrift.struct,
}


_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
"""pyarrow's names of parquet's numbers; 0 is none."""

_MOST_LEVELS = 200_000
"""Of a page that are looked at: where no further row begins for so long, it is taken to be one row."""


def bytes_of_first(file: BinaryIO, chunk: Chunk, rows: int, most: int) -> int:
    """Bytes in memory that reading the first rows of a column takes; some number above `most` where it takes more.
    Where lists begin is in a page's levels, runs of small numbers; these are looked at as far as it takes.

    Raises ValueError for pages that are none, OSError.
    """
    total, longest = 0, 0
    for page in pages(file, chunk):
        total += page.uncompressed
        if total > most:
            return total
        if page.is_dictionary:
            longest = _longest_entry(_page_content(file, page, chunk)) if chunk.texts else 0
            continue
        try:
            values, rows = _first_values(file, page, chunk, rows)
        except IndexError as error:
            raise ValueError("its levels end too early") from error
        total += values * (chunk.width + _letters(page, chunk, longest))
        # Where pages do not tell where rows end, the last one goes on until the next one begins.
        if rows < 0 or (rows == 0 and not (chunk.lists and page.rows is None)):
            return total
    return total


def _letters(page: ParquetPage, chunk: Chunk, longest: int) -> int:
    """Letters of a value at most, beyond those that lie in the page. In some encodings a text begins as the one before
    it, so that each may be as long as all of the page."""
    if page.looks_up:
        return longest
    return 0 if page.encoding == 0 or not chunk.texts else page.uncompressed


def _first_values(file: BinaryIO, page: ParquetPage, chunk: Chunk, rows: int) -> tuple[int, int]:
    """How many values of a page are in the first rows, and how many rows are left then."""
    if not chunk.lists:
        return min(page.values, rows), rows - page.values
    if page.rows is not None:
        return page.values, rows - page.rows
    begun = 0
    for place, level in enumerate(_levels(_page_content(file, page, chunk), chunk.lists.bit_length(), page.values)):
        begun += level == 0  # which begins a row; others go on with its lists
        if begun > rows:
            return place, -1
        if place > _MOST_LEVELS:
            break
    return page.values, rows - begun


def _levels(content: bytes, width: int, values: int) -> Iterator[int]:
    """The levels of lists that a page of the first version begins with: their length, then runs of one level, and of
    eight times so many that are packed, the least bits first."""
    read, left = Thrift(content, 4), values
    while left > 0:
        header = read.varint()
        if header < 2:
            raise ValueError("its levels have a run of none")
        if header & 1:
            for _ in range(header >> 1):
                packed = int.from_bytes(read.take(width), "little")
                yield from (packed >> (n * width) & ((1 << width) - 1) for n in range(8))
            left -= (header >> 1) * 8
        else:
            yield from repeat(int.from_bytes(read.take((width + 7) // 8), "little"), min(header >> 1, left))
            left -= header >> 1


def _longest_entry(dictionary: bytes) -> int:
    """Letters of the longest entry: each is its length in four bytes, and itself."""
    at, longest = 0, 0
    while at + 4 <= len(dictionary):
        length = int.from_bytes(dictionary[at : at + 4], "little")
        longest = max(longest, length)
        at += 4 + length
    return longest


def _page_content(file: BinaryIO, page: ParquetPage, chunk: Chunk) -> bytes:
    """Read what a page holds, whose size was checked before."""
    import pyarrow as pa

    file.seek(page.at)
    content = file.read(page.compressed)
    if chunk.codec == 0 or page.levels >= 0:
        return content
    if chunk.codec not in _CODECS:
        raise ValueError(f"its pages are compressed in the way {chunk.codec}, which there is none of")
    try:
        return bytes(pa.Codec(_CODECS[chunk.codec]).decompress(content, page.uncompressed))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"a page cannot be read: {error}") from error
