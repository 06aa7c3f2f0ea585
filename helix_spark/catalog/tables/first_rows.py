"""What it takes to read the first rows of a column, told from its pages before anything of them is decoded.

A row may hold a list of a hundred million numbers in some bytes, and a dictionary a text of gigabytes. Where lists
begin is in a page's levels, runs of small numbers; these are looked at as far as it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import BinaryIO

from helix_spark.catalog.places.parquet_shape import Chunk, Page, pages

_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
"""pyarrow's names of parquet's numbers; 0 is none."""

_MOST_LEVELS = 200_000
"""Of a page that are looked at: where no further row begins for so long, it is taken to be one row."""


def bytes_of_first(file: BinaryIO, chunk: Chunk, rows: int, most: int) -> int:
    """Bytes in memory that reading the first rows of a column takes; some number above `most` where it takes more.

    Raises ValueError for pages that are none, OSError.
    """
    total, longest = 0, 0
    for page in pages(file, chunk):
        total += page.uncompressed
        if total > most:
            return total
        if page.is_dictionary:
            longest = _longest(_content(file, page, chunk)) if chunk.texts else 0
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


def _letters(page: Page, chunk: Chunk, longest: int) -> int:
    """Letters of a value at most, beyond those that lie in the page. In some encodings a text begins as the one before
    it, so that each may be as long as all of the page."""
    if page.looks_up:
        return longest
    return 0 if page.encoding == 0 or not chunk.texts else page.uncompressed


def _first_values(file: BinaryIO, page: Page, chunk: Chunk, rows: int) -> tuple[int, int]:
    """How many values of a page are in the first rows, and how many rows are left then."""
    if not chunk.lists:
        return min(page.values, rows), rows - page.values
    if page.rows is not None:
        return page.values, rows - page.rows
    begun = 0
    for place, level in enumerate(_levels(_content(file, page, chunk), chunk.lists.bit_length(), page.values)):
        begun += level == 0  # which begins a row; others go on with its lists
        if begun > rows:
            return place, -1
        if place > _MOST_LEVELS:
            break
    return page.values, rows - begun


def _levels(content: bytes, width: int, values: int) -> Iterator[int]:
    """The levels of lists that a page of the first version begins with: their length, then runs of one level, and of
    eight times so many that are packed, the least bits first."""
    at, left = 4, values
    while left > 0:
        header, at = _varint(content, at)
        if header < 2:
            raise ValueError("its levels have a run of none")
        if header & 1:
            for _ in range(header >> 1):
                packed = int.from_bytes(content[at : at + width], "little")
                at += width
                yield from (packed >> (n * width) & ((1 << width) - 1) for n in range(8))
            left -= (header >> 1) * 8
        else:
            yield from repeat(int.from_bytes(content[at : at + (width + 7) // 8], "little"), min(header >> 1, left))
            at += (width + 7) // 8
            left -= header >> 1


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("its levels have a number that is too long")


def _longest(dictionary: bytes) -> int:
    """Letters of the longest entry: each is its length in four bytes, and itself."""
    at, longest = 0, 0
    while at + 4 <= len(dictionary):
        length = int.from_bytes(dictionary[at : at + 4], "little")
        longest = max(longest, length)
        at += 4 + length
    return longest


def _content(file: BinaryIO, page: Page, chunk: Chunk) -> bytes:
    """What a page holds. It was seen before that it is not too much."""
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
