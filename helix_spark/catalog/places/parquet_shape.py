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


@dataclass(frozen=True, slots=True)
class Page:
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
        columns = {tuple(path): column for path, *column in _columns(told[2])}
        groups = tuple(
            RowGroup(_count(group[3]), tuple(_chunk(one, columns, size) for one in group[1]))
            for group in told.get(4, ())
        )
        keys = tuple((_text(one[1]), _text(one.get(2, b""))) for one in told.get(5, ()))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"its footer is none: {error}") from error
    return Shape(size, _count(told[3]), groups, keys)


def _columns(elements: Sequence[Any]) -> Iterator[tuple[list[str], int, int]]:
    """Of each column its path, how many lists of lists it lies in, and the length of its values, where all have one."""
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


def pages(file: BinaryIO, chunk: Chunk) -> Iterator[Page]:
    """The pages of a column, as their headers say. Raises ValueError for what is none, OSError."""
    at, end = chunk.start, chunk.start + chunk.compressed
    while at < end:
        page = _page(file, at, end)
        yield page
        at = page.at + page.compressed


def check_decoded(file: BinaryIO, shape: Shape, *, most: int) -> None:
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
    first, second, dictionary = header.get(5), header.get(8), header.get(7)
    of_values = second or first or dictionary or {}
    encoding = of_values.get(4 if second else 2, 0)
    return Page(
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
