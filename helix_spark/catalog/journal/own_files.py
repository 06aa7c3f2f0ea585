"""Whether a journal's folder holds what a journal's does, and its files what was written: looked at before deltalake
opens any of it.

A catalog may come from somebody else. deltalake follows links, waits for pipes, and reads and deletes whatever a log
names or a folder holds.

The pages of these files have no checksums, and of 200 flips in them 6 gave other records without a word; nor have the
entries of a log, of which a flip can hide a file or turn a column's name. So each file of rows, each entry and each
checkpoint gets a checksum file beside it, in Hadoop's form (see `side_checksums`), which Spark checks too when it reads
records. It is written when the records are synced; until then a file is read unchecked, as is a copy made without dot
files, and one whose checksum file is garbage itself. An object store keeps checksums of its own and compares them.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from helix_spark.catalog.places.delta_log import LONGEST_ENTRY, DeltaLog
from helix_spark.catalog.places.local_disk import entries_below
from helix_spark.catalog.places.place import LocalPath, Place
from helix_spark.catalog.places.side_checksums import BadSealError, beside, check_all, checksums_of
from helix_spark.regular_files import read_regular

if TYPE_CHECKING:
    from deltalake import DeltaTable


_PLAIN = re.compile(r"[A-Za-z0-9_.=-]+\.parquet")


class StrangeFilesError(Exception):
    """The folder of a journal holds something else, or its log names something else."""


def check_folder(folder: Place) -> None:
    """Check that nothing in the folder leads elsewhere or never ends.

    In an object store there are neither links nor pipes. Raises StrangeFilesError, OSError.
    """
    log = DeltaLog(folder).folder
    if isinstance(log, Path) and log.exists() and not log.is_dir():
        raise StrangeFilesError(f"{log} is no folder")
    for entry in _inside(folder):
        if not entry.is_file(follow_symlinks=False):
            raise StrangeFilesError(f"{entry.path} is a link, or no regular file")
        size = entry.stat(follow_symlinks=False).st_size if entry.name.endswith(".json") else 0
        if size > LONGEST_ENTRY:
            raise StrangeFilesError(f"its log entry {entry.name} has {size:,} bytes")
        if size > _SHORT_ENTRY and _depth(read_regular(entry.path, LONGEST_ENTRY)) > _DEEPEST:
            raise StrangeFilesError(f"its log entry {entry.name} is nested more than {_DEEPEST:,} levels deep")


_SHORT_ENTRY, _DEEPEST = 4_096, 1_000
"""Bytes of a log entry in which nothing is nested too deep, and levels of brackets, those in texts included: a hundred
thousand of them ended the process that had deltalake read the log."""


_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def _depth(entry: bytes) -> int:
    """Return how many brackets are open at a time.

    >>> _depth(b'{"a": [[], []]}')
    3
    """
    brackets = entry.translate(None, _NO_BRACKETS)
    return max(accumulate(1 if one in b"[{" else -1 for one in brackets), default=0)


def odd_files(folder: Place) -> list[LocalPath]:
    """Return what is in the folder and is neither a file nor a folder. Raises OSError."""
    return [LocalPath(entry.path) for entry in _inside(folder) if not entry.is_file(follow_symlinks=False)]


def _inside(folder: Place) -> Iterator[os.DirEntry[str]]:
    """Yield all that is in a folder on a disk and in those below, themselves left out."""
    with contextlib.suppress(FileNotFoundError):
        for entry in entries_below(folder) if isinstance(folder, Path) else ():
            if not entry.is_dir(follow_symlinks=False):
                yield entry


def named_files(table: DeltaTable) -> dict[str, int]:
    """The names of the files that a table's log names, with their bytes.

    Raises StrangeFilesError where one lies elsewhere, or the table is of a kind that no journal is."""
    if table.protocol().min_reader_version != 1:
        raise StrangeFilesError("it has features that no records have")
    if table.metadata().partition_columns:
        raise StrangeFilesError("it is divided by a column, as no records are")
    added = table.get_add_actions()
    sizes = zip(added.column("path").to_pylist(), added.column("size_bytes").to_pylist(), strict=True)
    return {checked_name(name): int(size) for name, size in sizes}


def name_in(action: Mapping[str, Any]) -> str:
    """The name of the file that is added or removed. Raises KeyError or TypeError for what is no such action,
    StrangeFilesError where it may lie elsewhere."""
    return checked_name(unquote(action["path"]))


def checked_name(name: Any) -> str:
    """The name of a file that a log names. Raises StrangeFilesError where it may lie elsewhere."""
    if not isinstance(name, str) or not _PLAIN.fullmatch(name):
        raise StrangeFilesError(f"its log names the file {name!r}, which is not in its folder")
    return name


_PIECE = 64 * 1024
"""Bytes a checksum covers. Files of records are always read whole, so few and quick ones serve best."""


class SealedFiles:
    """The files of rows of the Delta table in `folder`. Each is checked once."""

    def __init__(self, folder: Place) -> None:
        self._folder = folder
        self._checked: set[str] = set()

    def check(self, table: DeltaTable) -> None:
        """Check the files that were not checked before.

        Raises ChecksumError for a file that does not match, StrangeFilesError for one that lies elsewhere or has not
        the size that the log says, FileNotFoundError for one that is gone.
        """
        for name, size in named_files(table).items():
            if name not in self._checked:
                file = self._folder / name
                if isinstance(file, Path) and (actual := file.stat().st_size) != size:
                    raise StrangeFilesError(f"its file {name} has {actual:,} bytes, not {size:,}")
                check_sums(file)
                self._checked.add(name)


def missing_sums(files: Iterable[Place]) -> dict[Place, bytes]:
    """The checksums of those files on a disk that have none beside them yet, by where they belong. Raises OSError."""
    on_disk = (file for file in files if isinstance(file, Path))
    return {beside(file): checksums_of(file.read_bytes(), _PIECE) for file in on_disk if not beside(file).exists()}


def check_sums(file: Place) -> None:
    """Compare a file with its checksums, where it has some that are any. Raises ChecksumError, OSError."""
    with contextlib.suppress(BadSealError):
        check_all(file)


def remove_sums(file: Place) -> None:
    """Remove a file's checksums. Raises OSError."""
    if isinstance(file, Path):
        beside(file).unlink(missing_ok=True)
