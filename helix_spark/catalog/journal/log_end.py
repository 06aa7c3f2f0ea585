"""Notices that a Delta log lost its end, which Delta itself does not: to it, a log without its newest entry is an older
table, and an empty entry is a commit that did nothing.

Therefore ``TABLE.head`` beside the table remembers the newest version that was synced: it and all before it, with the
files they name, survive a loss of power. What was committed after it may be lost with the power, or be there in part;
nobody was told that it is stored. A head is written last, so it never names what is not there. (Two writers may step
over each other and leave the lower version: that may hide a loss, and never reports a false one.)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from helix_spark.catalog.journal.own_files import StrangeFilesError, check_sums, missing_sums, name_in
from helix_spark.catalog.places.delta_log import LONGEST_ENTRY, DeltaLog, actions_in
from helix_spark.catalog.places.object_store import ObjectPath
from helix_spark.catalog.places.place import Place, text_in
from helix_spark.catalog.places.side_checksums import ChecksumError
from helix_spark.errors import DamagedRecordsError
from helix_spark.regular_files import OddFileError


def head_file(folder: Place) -> Place:
    """The file that remembers the head of the Delta table in a folder."""
    return folder.with_name(f"{folder.name}.head")


COMMIT = "helixCommit"
"""Key of a commit's id in the information that its log entry has about it."""

_FEW = 20
"""Entries that are asked for one by one; of more a listing is quicker."""


@dataclass(frozen=True, slots=True)
class Unsynced:
    """What of a journal might be lost with the power.

    Attributes:
        head: the file that is to name the version once the rest is safe.
        version: the newest that is committed.
        files: entries of the log, and files of rows.
        seals: checksums that are missing beside them, by where they belong.
    """

    head: Place
    version: int
    files: tuple[Place, ...] = ()
    seals: Mapping[Place, bytes] = field(default_factory=dict)


class LogEnd:
    """The end of the log of the Delta table in `folder`."""

    def __init__(self, folder: Place) -> None:
        self._folder, self._log = folder, DeltaLog(folder)
        self._head_file = head_file(folder)
        self._checked = self._checked_base = -1

    def head(self) -> int:
        """The newest version known to be synced; -1 if none is. Read it before the table: read afterwards, it could
        name a commit that came after the table was read.

        A file that holds no version is none: the next sync replaces it.
        """
        try:
            return int(text_in(self._head_file))
        except (FileNotFoundError, ValueError):
            return -1
        except OddFileError as error:
            raise self.damaged(f"{self._head_file.name} is no file that holds a version") from error

    def begin(self) -> None:
        """Remember, before there is anything, that nothing was synced: without this, a head that is lost would look
        like one that was never written. Raises OSError."""
        if not self._head_file.exists():
            self._head_file.parent.make_folder(synced=True)
            with contextlib.suppress(FileExistsError):
                self._head_file.write_new_text("-1\n", synced=True)

    def unsynced(self) -> Unsynced | None:
        """Return what has to be synced for all that is committed by now; None if nothing.

        Raises OSError; CatalogError for a damaged entry.
        """
        listed, head = self._log.entries(), self.head()
        versions = [version for version in listed if version > head]
        if not versions:
            return None
        if isinstance(self._folder, ObjectPath):  # a store answers once it keeps what was written
            return Unsynced(self._head_file, versions[-1])
        entries = [self._log.entry(version) for version in versions]
        files = (*self._files_added(entries), *entries)
        return Unsynced(self._head_file, versions[-1], files, missing_sums(files))

    def _files_added(self, entries: Iterable[Place]) -> list[Place]:
        """The files of rows that entries, oldest first, added and none of them replaced."""
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
        """The version that a commit made, of those after one that was seen; None if it made none. Raises OSError."""
        version = after + 1
        try:
            while f'"{commit}"'.encode() not in self._log.entry(version).read_at_most(LONGEST_ENTRY):
                version += 1
        except FileNotFoundError:
            return None
        return version

    def ends_at(self, version: int, head: int) -> bool:
        """Whether `version` is certainly the newest, told from files' names alone; False where they leave a doubt.

        A later entry can only be missing while a still later one is there if a checkpoint took its place.
        """
        return (
            head <= version and self._log.entry(version).is_file() and not self._log.entry(version + 1).is_file()
            and self._checkpoint() <= version
        )

    def check(self, version: int, head: int) -> None:
        """Check the log of a table read at `version`, after `head` was, each entry and checkpoint of it once. Raises
        CatalogError if it lost something, or does not hold what was written."""
        if version < head:
            raise self.damaged(f"its log ends at version {version}, but version {head} was committed")
        if version > self._checked:
            base = self._checkpoint()
            if base > self._checked_base:
                with contextlib.suppress(FileNotFoundError):
                    self._check_sums(self._log.checkpoint(base))
                self._checked_base = base
            first = max(self._checked, base) + 1
            few, these = version - first < _FEW, range(first, version + 1)  # a log may begin at any number
            for entry in map(self._log.entry, these if few else [one for one in self._log.entries() if one in these]):
                with contextlib.suppress(FileNotFoundError):  # cleaned up meanwhile
                    if entry.stat().st_size == 0:
                        raise self.damaged(f"its log entry {entry.name} is empty")
                    self._check_sums(entry)
        self._checked = version

    def is_cleaned(self, version: int) -> bool:
        """Return whether the log was cleaned up around a version, so that an entry that is there may never be read: the
        entry before the end of a log is always there. Raises OSError."""
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
            return self._log.pointed()
        except (OSError, ValueError, KeyError, TypeError):
            # Only where to start looking: without it, all entries are looked at.
            return -1
