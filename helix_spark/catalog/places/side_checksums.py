"""Checksum files next to files of records: ``.NAME.crc`` for ``NAME``, in Hadoop's form, which Spark checks too. An
object store guards its files itself: there they are neither written nor looked for.

Format (org.apache.hadoop.fs.ChecksumFileSystem): ``crc\\0``, the bytes per checksum, then a CRC-32 for each such piece
of the file, all big-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from helix_spark.catalog.places.place import Place
from helix_spark.regular_files import OddFileError

File = TypeVar("File", bound=Path)

_MAGIC, _PIECE = b"crc\0", 64 * 1024
"""What a checksum file begins with, and bytes a checksum covers: files of records are always read whole."""

_HEADER = len(_MAGIC) + 4


class ChecksumError(Exception):
    """A file does not match its checksums."""


def beside(file: File) -> File:
    """Return the checksum file of a file."""
    return file.with_name(f".{file.name}.crc")


def missing_sums(files: Iterable[Place]) -> dict[Place, bytes]:
    """Return the checksums of those files on a disk that have none yet, by where they belong."""
    bare = (file for file in files if isinstance(file, Path) and not beside(file).exists())
    return {beside(file): _sums_of(file.read_bytes()) for file in bare}


def check_sums(file: Place) -> None:
    """Compare a file with its checksums, if it has some of a file of its length: else it is not known which of the two
    is damaged. Raises ChecksumError, OSError."""
    if not isinstance(file, Path):
        return
    size = file.lstat().st_size
    try:
        sums = beside(file).read_at_most(_HEADER + 4 + size)
    except (FileNotFoundError, OddFileError):
        return
    actual = _sums_of(file.read_at_most(size))
    if sums != actual and len(sums) == len(actual) and sums[:_HEADER] == actual[:_HEADER]:
        raise ChecksumError(f"{file.name} does not match its checksums")


def remove_sums(file: Place) -> None:
    if isinstance(file, Path):
        beside(file).unlink(missing_ok=True)


def _sums_of(data: bytes) -> bytes:
    sums = [zlib.crc32(data[at : at + _PIECE]) for at in range(0, len(data), _PIECE)]
    return _MAGIC + struct.pack(f">i{len(sums)}I", _PIECE, *sums)
