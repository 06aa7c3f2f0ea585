"""Checksums for the files of records, so that a flipped bit in one is noticed before anything is made of it.

The files' pages have none, and of 200 flips in them 6 gave other records without a word. Each file gets a checksum file
beside it, in Hadoop's form (see `side_checksums`), which Spark checks too when it reads the records. They are
written when the records are synced; until then a file is read unchecked, as is a copy made without dot files, and one
whose checksum file is garbage itself.

In an object store nothing is sealed: the store keeps checksums of its own and compares them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from helix_spark.catalog.journal.own_files import check_file, named_files
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.side_checksums import BadSealError, beside, check_all, checksums

if TYPE_CHECKING:
    from deltalake import DeltaTable

_PIECE = 64 * 1024
"""Bytes a checksum covers. Files of records are always read whole, so few and quick ones serve best."""


class SealedFiles:
    """The data files of the Delta table in `folder`. Each is checked once."""

    def __init__(self, folder: Place) -> None:
        self._folder = folder
        self._needed = not folder.guards_bits
        self._checked: set[str] = set()

    def missing(self, files: Iterable[Place]) -> dict[Place, bytes]:
        """The checksums of those files that have none beside them yet, by where they belong. Raises OSError."""
        found = (file for file in files if self._needed and isinstance(file, Path))
        return {beside(file): checksums(file, _PIECE) for file in found if not beside(file).exists()}

    def check(self, table: DeltaTable) -> None:
        """Check the files that were not checked before.

        Raises ChecksumError for a file that does not match, StrangeFilesError for one that no journal has,
        FileNotFoundError for one that is gone.
        """
        for name in named_files(table):
            if self._needed and name not in self._checked:
                with contextlib.suppress(BadSealError):
                    check_all(self._folder / name)
                check_file(self._folder / name)
                self._checked.add(name)


def remove_stale_seals(folder: Place) -> None:
    """Remove the checksums of files that are gone."""
    for seal in folder.glob(".*.crc"):
        if not (folder / seal.name[1:].removesuffix(".crc")).exists():
            seal.unlink(missing_ok=True)
