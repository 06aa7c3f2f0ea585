"""Checksums for the files of records, so that a flipped bit in one is noticed before anything is made of it.

The files' pages have none, and of 200 flips in them 6 gave other records without a word. Each file gets a checksum file
beside it, in Hadoop's form (see `side_checksums`), which Spark checks too when it reads the records. A file whose
writer died before it wrote one is read unchecked, as is a copy made without dot files.

In an object store nothing is sealed: the store keeps checksums of its own and compares them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from helix_spark.catalog.places.place import Place, at
from helix_spark.catalog.places.side_checksums import check_all, write_checksums

if TYPE_CHECKING:
    from deltalake import DeltaTable

_PIECE = 64 * 1024
"""Bytes a checksum covers. Files of records are always read whole, so few and quick ones serve best."""


class SealedFiles:
    """The data files of the Delta table in `folder`. Each is checked once."""

    def __init__(self, folder: Place) -> None:
        self._folder = folder
        self._needed = not at(folder).guards_bits
        self._checked: set[str] = set()

    def seal(self, table: DeltaTable) -> None:
        """Write checksums for the files that the table's newest commit added, if that can be done."""
        if not self._needed:
            return
        # What is committed is committed: a disk that is full now must not make it look as if it were not.
        with contextlib.suppress(OSError):
            for name in self._added(table.version()):
                write_checksums(self._folder / name, _PIECE)
                self._checked.add(name)

    def check(self, table: DeltaTable) -> None:
        """Check the files that were not checked before.

        Raises ChecksumError for a file that does not match, FileNotFoundError for one that is gone.
        """
        for uri in table.file_uris() if self._needed else ():
            name = Path(uri).name
            if name not in self._checked:
                check_all(self._folder / name)
                self._checked.add(name)

    def _added(self, version: int) -> Iterator[str]:
        entry = self._folder / "_delta_log" / f"{version:020}.json"
        for line in entry.read_text(encoding="utf-8").splitlines():
            added = json.loads(line).get("add")
            if added:
                yield unquote(added["path"])


def remove_stale_seals(folder: Place) -> None:
    """Remove the checksums of files that are gone."""
    for seal in folder.glob(".*.crc"):
        if not (folder / seal.name[1:].removesuffix(".crc")).exists():
            seal.unlink(missing_ok=True)


