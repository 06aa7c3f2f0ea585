"""A digest of what a stored result's files must not change in: of a model all bytes, of a table's files the footers.

The pages of a table have checksums of their own, which every reader verifies; footers and a model's small files have
none, and Hadoop's checksum files beside them are lost in copies made without dot files.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterable

from helix_spark.catalog.places.place import OddFileError, Place, each

AFTER_FOOTER = 8
"""Bytes behind a parquet file's footer: its length and the magic number."""

LONGEST_FOOTER = 64 << 20
"""Bytes of a footer at most; that of a table of 10,000 columns has some 5 MB."""

LARGEST_MODEL_FILE = 2 << 30
"""Bytes of a file of a model at most: they are read whole."""


def digest_of_table(folder: Place, files: Iterable[Place]) -> str:
    """Of parquet files in a folder: their names, sizes and footers. Raises OSError."""
    return _digest(each(folder, lambda path: (path.name, *_size_and_footer(path)), files))


def digest_of_model(folder: Place) -> str:
    """Of a folder: the names and bytes of all files in it, but those whose names begin with a dot. Raises OSError."""
    files = [path for path in folder.files() if not path.name.startswith(".")]
    beginning = len(str(folder)) + 1

    def read(path: Place) -> tuple[str, int, bytes]:
        return str(path)[beginning:], path.stat().st_size, path.read_at_most(LARGEST_MODEL_FILE)

    return _digest(each(folder, read, files))


def _digest(entries: Iterable[tuple[str, int, bytes]]) -> str:
    whole = hashlib.sha256()
    for name, size, content in sorted(entries):
        whole.update(f"{len(name)} {name} {size} {len(content)} ".encode())
        whole.update(content)
    return whole.hexdigest()


def _size_and_footer(path: Place) -> tuple[int, bytes]:
    with path.open_binary() as file:
        size = file.seek(0, 2)
        file.seek(max(size - AFTER_FOOTER, 0))
        length = int.from_bytes(file.read(4), "little") + AFTER_FOOTER
        if length > LONGEST_FOOTER:
            raise OddFileError(errno.EFBIG, f"its footer says it has {length:,} bytes", str(path))
        file.seek(max(size - length, 0))
        return size, file.read(length)
