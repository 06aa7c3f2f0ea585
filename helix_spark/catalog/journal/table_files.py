"""The files of a journal's table: nothing lies there that a journal has not, each is as it was written, and none of the
log's end is missing. All of it is looked at before deltalake opens any, which follows links, waits for pipes, and reads
and deletes whatever a log names or a folder holds.

Neither the pages of these files nor entries of a log have checksums, and flipped bits gave other records without a
word. So each file of rows, each entry and each checkpoint gets a checksum file in Hadoop's form (see `side_checksums`)
when the records are synced; until then a file is read unchecked, as is a copy made without dot files, and one whose
checksum file is garbage itself. An object store keeps checksums of its own and compares them.

To Delta a log without its newest entry is an older table, and an empty entry is a commit that did nothing. Therefore
``TABLE.head`` remembers the newest version that was synced: it and all before it, with the files they name, survive a
loss of power. What was committed after it was not yet reported as stored. A head is written last, so it never names
what is not there. (Two writers may step over each other and leave the lower version: that may hide a loss, and never
reports a false one.)
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from helix_spark.catalog.places.delta_log import LONGEST_ENTRY, DeltaLog, actions_in
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.object_store import ObjectPath
from helix_spark.catalog.places.place import LocalPath, Place, entries_below, text_in
from helix_spark.catalog.places.side_checksums import ChecksumError, check_sums
from helix_spark.errors import DamagedRecordsError
from helix_spark.regular_files import OddFileError, read_regular

if TYPE_CHECKING:
    from deltalake import DeltaTable


_PLAIN = re.compile(r"[A-Za-z0-9_.=-]+\.parquet")


class StrangeFilesError(Exception):
    """The folder of a journal holds something else, or its log names something else."""


def check_folder(folder: Place) -> None:
    """Check that nothing in the folder leads elsewhere or never ends. Raises StrangeFilesError, OSError."""
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


def _depth(entry: bytes) -> int:
    """Return how many brackets are open at a time.

    >>> _depth(b'{"a": [[], []]}')
    3
    """
    brackets = entry.translate(None, bytes(set(range(256)) - set(b"[{]}")))
    return max(accumulate(1 if one in b"[{" else -1 for one in brackets), default=0)


def odd_files(folder: Place) -> list[LocalPath]:
    """Return what is in the folder and is neither a file nor a folder."""
    return [LocalPath(entry.path) for entry in _inside(folder) if not entry.is_file(follow_symlinks=False)]


def _inside(folder: Place) -> Iterator[os.DirEntry[str]]:
    """Yield all that is in a folder on a disk and in those below, but folders; a store has nothing that is odd."""
    with contextlib.suppress(FileNotFoundError):
        for entry in entries_below(folder) if isinstance(folder, Path) else ():
            if not entry.is_dir(follow_symlinks=False):
                yield entry


def check_files(folder: Place, table: DeltaTable, checked: set[str]) -> None:
    """Check the files of rows that a table's log names, and that were not checked before.

    Raises ChecksumError for a file that does not match, StrangeFilesError for one that lies elsewhere or has not the
    size that the log says, or for a table of a kind that no journal is, FileNotFoundError for a file that is gone.
    """
    if table.protocol().min_reader_version != 1:
        raise StrangeFilesError("it has features that no records have")
    if table.metadata().partition_columns:
        raise StrangeFilesError("it is divided by a column, as no records are")
    added = table.get_add_actions()
    for name, size in zip(added.column("path").to_pylist(), added.column("size_bytes").to_pylist(), strict=True):
        if checked_name(name) not in checked:
            file = folder / name
            if isinstance(file, Path) and (actual := file.stat().st_size) != int(size):
                raise StrangeFilesError(f"its file {name} has {actual:,} bytes, not {size:,}")
            check_sums(file)
            checked.add(name)


def name_in(action: Mapping[str, Any]) -> str:
    """Return the name of the file that is added or removed. Raises KeyError, TypeError, StrangeFilesError."""
    return checked_name(unquote(action["path"]))


def checked_name(name: Any) -> str:
    """Return the name of a file that a log names. Raises StrangeFilesError where it may lie elsewhere."""
    if not isinstance(name, str) or not _PLAIN.fullmatch(name):
        raise StrangeFilesError(f"its log names the file {name!r}, which is not in its folder")
    return name


def head_file(folder: Place) -> Place:
    """Return the file that remembers the head of the Delta table in a folder."""
    return folder.with_name(f"{folder.name}.head")


COMMIT = "helixCommit"
"""Key of a commit's id in the information that its log entry has about it."""

_FEW = 20
"""Entries that are looked at one by one; of more a listing is quicker."""


class LogEnd:
    """The end of the log of the Delta table in a folder."""

    def __init__(self, folder: Place) -> None:
        self._folder, self._log = folder, DeltaLog(folder)
        self._head_file = head_file(folder)
        self._checked = self._checked_base = -1

    def head(self) -> int:
        """Read the newest version known to be synced; -1 where the file names none. Read it before the table: later it
        could name a commit that came after the table was read."""
        try:
            return int(text_in(self._head_file))
        except (FileNotFoundError, ValueError):
            return -1
        except OddFileError as error:
            raise self.damaged(f"{self._head_file.name} is no file that holds a version") from error

    def begin(self) -> None:
        """Remember that nothing was synced, or a lost head would look like one that was never written. Raises
        OSError."""
        if not self._head_file.exists():
            self._head_file.parent.make_folder(synced=True)
            with contextlib.suppress(FileExistsError):
                self._head_file.write_new_text("-1\n", synced=True)

    def unsynced(self) -> tuple[int, Sequence[Place]] | None:
        """Return the newest version that is committed, and the entries and files of rows to sync before a head may name
        it; None if one does. Raises OSError; CatalogError for a damaged entry."""
        listed, head = self._log.numbered()[0], self.head()
        entries = [entry for version, entry in listed.items() if version > head]
        if not entries:
            return None
        if isinstance(self._folder, ObjectPath):  # a store answers once it keeps what was written
            return max(listed), ()
        return max(listed), (*self._files_added(entries), *entries)

    def _files_added(self, entries: Iterable[Place]) -> list[Place]:
        """Return the files of rows that entries, oldest first, added and none of them replaced."""
        names: dict[str, None] = {}
        for entry in entries:
            try:
                for action in actions_in(entry):
                    if "add" in action:
                        names[name_in(action["add"])] = None
                    elif "remove" in action:
                        names.pop(name_in(action["remove"]), None)
            except (ValueError, KeyError, TypeError, OddFileError) as error:
                raise self.damaged(f"its log entry {entry.name} cannot be read") from error
            except StrangeFilesError as error:
                raise self.damaged(str(error)) from error
        return [self._folder / name for name in names]

    def version_of(self, commit: str, after: int) -> int | None:
        """Return the version that a commit made, of those after one that was seen; None if it made none."""
        version = after + 1
        try:
            while f'"{commit}"'.encode() not in self._log.entry(version).read_at_most(LONGEST_ENTRY):
                version += 1
        except FileNotFoundError:
            return None
        return version

    def ends_at(self, version: int, head: int) -> bool:
        """True if `version` is certainly the newest by files' names alone: a later entry can only be missing while a
        still later one is there if a checkpoint took its place."""
        return (
            head <= version and self._log.entry(version).is_file() and not self._log.entry(version + 1).is_file()
            and self._checkpoint() <= version
        )

    def check(self, version: int, head: int) -> None:
        """Check each entry and checkpoint of a table read at `version`, after `head` was, once. Raises CatalogError if
        the log lost something, or does not hold what was written."""
        if version < head:
            raise self.damaged(f"its log ends at version {version}, but version {head} was committed")
        if version > self._checked:
            base = self._checkpoint()
            if base > self._checked_base:
                with contextlib.suppress(FileNotFoundError):
                    self._check_sums(self._log.checkpoint(base))
                self._checked_base = base
            first = max(self._checked, base) + 1
            few, unchecked = version - first < _FEW, range(first, version + 1)  # a log may begin at any number
            versions: Sequence[int] = unchecked if few else [one for one in self._log.numbered()[0] if one in unchecked]
            for entry in map(self._log.entry, versions):
                with contextlib.suppress(FileNotFoundError):  # cleaned up meanwhile
                    if entry.stat().st_size == 0:
                        raise self.damaged(f"its log entry {entry.name} is empty")
                    self._check_sums(entry)
        self._checked = version

    def is_cleaned(self, version: int) -> bool:
        """Return whether the log was cleaned up around a version, so that its entry may never be read: the entry before
        the end of a log is always there."""
        if version == 0 or self._log.entry(version - 1).is_file():
            return False
        return any(checkpoint >= version for checkpoint in self._log.numbered()[1])

    def damaged(self, what: str) -> DamagedRecordsError:
        """The error to raise about the table."""
        return DamagedRecordsError(
            f"the records {self._folder} are damaged: {what}",
            remedy="`helix repair --dry-run` says what is lost; `helix repair` keeps the rest, and deletes nothing",
        )

    def _check_sums(self, file: Place) -> None:
        try:
            check_sums(file)
        except ChecksumError as error:
            raise self.damaged(f"in its log {error}") from error

    def _checkpoint(self) -> int:
        try:
            return int(parsed(text_in(self._log.pointer))["version"])
        except (OSError, ValueError, KeyError, TypeError):
            # Only where to start looking: without it, all entries are looked at.
            return -1
