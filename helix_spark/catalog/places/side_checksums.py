"""Hadoop's checksum files beside data files: ``.NAME.crc`` for ``NAME``. Knows nothing of what the files hold.

Parquet has checksums for its pages and none for its footer, where a flipped bit can turn a column's type or skip a
page: of 1,500 such flips 2 gave other values without a word. Spark writes these files on local disks and checks them
when it reads; so do we, and we write them too, for Spark to check. Object stores guard their files themselves: there
they are neither written nor looked for.

Format (org.apache.hadoop.fs.ChecksumFileSystem): ``crc\\0``, the bytes per checksum, then a CRC-32 for each such piece
of the file, all big-endian.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from pathlib import Path
from typing import TypeVar

from helix_spark.catalog.places.place import Place
from helix_spark.regular_files import OddFileError

File = TypeVar("File", bound=Path)

_MAGIC = b"crc\0"
_PIECE, _LARGEST_PIECE = 512, 16 << 20
_HEADER = len(_MAGIC) + 4


class ChecksumError(Exception):
    """A file does not match its checksums."""


class BadSealError(ChecksumError):
    """What lies beside a file are no checksums of a file of its length: it is not known which of the two is damaged."""


def write_checksums(file: Place) -> None:
    """Write the checksum file of `file`, whole or not at all. Raises OSError."""
    if not isinstance(file, Path):
        return
    unfinished = file.with_name(f".{file.name}.crc.{os.getpid()}-{threading.get_ident()}")
    unfinished.write_bytes(checksums_of(file.read_bytes()))
    unfinished.replace(beside(file))


def checksums_of(data: bytes, piece: int = _PIECE) -> bytes:
    """What the checksum file of a file holds, a checksum for every `piece` bytes."""
    sums = [zlib.crc32(data[at : at + piece]) for at in range(0, len(data), piece)]
    return _MAGIC + struct.pack(f">i{len(sums)}I", piece, *sums)


def check_all(file: Place) -> bool:
    """Check all of `file`, as `check_end` does its last bytes."""
    return isinstance(file, Path) and check_end(file, file.lstat().st_size)


def check_end(file: Place, size: int) -> bool:
    """Check the last `size` bytes of `file`; False if it has no checksum file, as copies made without dot files.

    Raises ChecksumError if they do not match, OSError if the file cannot be read.
    """
    if not isinstance(file, Path):
        return False
    try:
        sums = beside(file).read_at_most(_HEADER + 4 + file.lstat().st_size)
    except FileNotFoundError:
        return False
    except OddFileError as error:
        raise BadSealError(f"{beside(file).name} is not a checksum file: {error.strerror}") from error
    piece = struct.unpack(">i", sums[len(_MAGIC) : _HEADER])[0] if len(sums) >= _HEADER else 0
    if not sums.startswith(_MAGIC) or not 0 < piece <= _LARGEST_PIECE:
        raise BadSealError(f"{beside(file).name} is not a checksum file")
    with file.open_binary() as opened:
        length = opened.seek(0, 2)
        if len(sums) != _HEADER + 4 * -(-length // piece):
            raise BadSealError(f"{beside(file).name} has no checksums of a file of {length:,} bytes")
        first = max(length - size, 0) // piece
        opened.seek(first * piece)
        for index in range(first, -(-length // piece)):
            stored = sums[_HEADER + 4 * index : _HEADER + 4 * index + 4]
            if struct.unpack(">I", stored)[0] != zlib.crc32(opened.read(piece)):
                raise ChecksumError(f"{file.name} does not match its checksums near byte {index * piece:,}")
    return True


def beside(file: File) -> File:
    """The checksum file of `file`."""
    return file.with_name(f".{file.name}.crc")
