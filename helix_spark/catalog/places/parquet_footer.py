"""What a parquet file's footer says of its size: some kilobytes may hold a hundred million rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_MAGIC = b"PAR1"
AFTER_FOOTER = 8
"""Bytes behind a footer: its length and the magic number."""

_LONGEST_FOOTER = 64 << 20
"""Bytes of a footer at most; that of a table of 10,000 columns has some 5 MB."""

_WIDEST = 16
"""Bytes of a value in memory at most, of a text without its letters."""


def size_and_footer(file: BinaryIO) -> tuple[int, bytes]:
    """Bytes of a file, and its footer with the length and the magic number at its end. Raises ValueError for what is no
    parquet file, OSError."""
    size = file.seek(0, 2)
    file.seek(max(size - AFTER_FOOTER, 0))
    end = file.read(AFTER_FOOTER)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != _MAGIC or not 0 < length <= min(size - AFTER_FOOTER, _LONGEST_FOOTER):
        raise ValueError("it has no footer")
    file.seek(size - AFTER_FOOTER - length)
    return size, file.read(length + AFTER_FOOTER)


def read_footer(file: BinaryIO) -> pq.FileMetaData:
    """Read the footer of a file that is in memory. Raises ValueError for what is no parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"its footer cannot be read: {error}") from error


def check_decoded(footer: pq.FileMetaData, size: int, *, most: int, times: int) -> None:
    """Check that a file becomes at most `most` bytes when it is read, or so many times its size. A text counts as often
    as it is written, and a list as one value. Raises ValueError.

    What a damaged footer says of a column is not looked at: pyarrow (25.0) ends the process where it makes no sense.
    """
    decoded = 0
    for group in map(footer.row_group, range(footer.num_row_groups)):
        decoded += max(group.total_byte_size, 0) + group.num_rows * group.num_columns * _WIDEST
        if decoded > max(most, times * size):
            raise ValueError(f"its {size:,} bytes would become {decoded:,} and more, which is beyond belief")
