"""Notices that a Delta log lost its end, which Delta itself does not: to it, a log without its newest entry is an older
table, and an empty entry is a commit that did nothing.

Therefore ``TABLE.head`` beside the table remembers the newest version that was committed.
"""

from __future__ import annotations

import json

from helix_spark.catalog.places.place import Place, at
from helix_spark.errors import CatalogError


class LogEnd:
    """The end of the log of the Delta table in `folder`."""

    def __init__(self, folder: Place) -> None:
        self._folder = folder
        self._head_file = folder.with_name(f"{folder.name}.head")
        self._checked = -1

    def head(self) -> int:
        """The newest version known to be committed; -1 if none is. Read it before the table: read afterwards, it could
        name a commit that came after the table was read."""
        try:
            return int(self._head_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return -1
        except ValueError as error:
            raise self.damaged(f"{self._head_file.name} holds no version") from error

    def advance(self, version: int) -> None:
        """Remember that `version` was committed. Raises OSError.

        Two writers may step over each other and leave the lower number: too low a head hides a loss, it never reports
        a false one.
        """
        if version > self.head():
            at(self._head_file).replace_text(f"{version}\n")

    def ends_at(self, version: int, head: int) -> bool:
        """Whether `version` is certainly the newest, told from files' names alone; False where they leave a doubt.

        A later entry can only be missing while a still later one is there if a checkpoint took its place.
        """
        return (
            head <= version and self._entry(version).is_file() and not self._entry(version + 1).is_file()
            and self._checkpoint() <= version
        )

    def check(self, version: int, head: int) -> None:
        """Check the log of a table read at `version`, after `head` was. Raises CatalogError if it lost something."""
        if version < head:
            raise self.damaged(f"its log ends at version {version}, but version {head} was committed")
        if version > self._checked:
            for each in range(max(self._checked, self._checkpoint()) + 1, version + 1):
                if self._bytes_of(each) == 0:
                    raise self.damaged(f"its log entry {self._entry(each).name} is empty")
        self._checked = version

    def committed_at(self, version: int) -> float:
        """When `version` was committed, in seconds since 1970 by the clock of the disk or store. Raises OSError."""
        return self._entry(version).stat().st_mtime

    def damaged(self, what: str) -> CatalogError:
        """The error to raise about the table."""
        return CatalogError(
            f"the records {self._folder} are damaged: {what}",
            remedy=f"restore the folder {self._folder.parent} from a copy (all of it, or what is stored and what is "
            "recorded no longer agree), or name a new catalog; what the damaged one holds is not used",
        )

    def _bytes_of(self, version: int) -> int | None:
        try:
            return self._entry(version).stat().st_size
        except FileNotFoundError:
            return None

    def _entry(self, version: int) -> Place:
        return self._folder / "_delta_log" / f"{version:020}.json"

    def _checkpoint(self) -> int:
        try:
            pointer = (self._folder / "_delta_log" / "_last_checkpoint").read_text(encoding="utf-8")
            return int(json.loads(pointer)["version"])
        except (OSError, ValueError, KeyError, TypeError):
            # Only where to start looking: without it, all entries are looked at.
            return -1
