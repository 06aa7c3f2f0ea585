"""Keeps a journal quick to read: few files, a short log, nothing left behind. Never needed for a right answer.

Every append leaves one small file and one log entry; each costs a reader about a millisecond. Compaction works in
tiers, as log-structured merge trees do (O'Neil et al., Acta Informatica 33(4), 1996), so that a row is rewritten
twice and not once per append: small files become middle ones, middle ones become large ones, which stay.

Whatever is deleted is dead for good, however old the view by which that was decided, so that a process may be stopped
at any point for any time:

- a file that a log entry removed stays removed: names are never used twice, so no later entry adds it again;
- an entry below a checkpoint is read by nobody who looks now. Its number is free once more, but a writer that was
  stopped before it took it finds out (`LogEnd.is_cleaned`), and appends again at the end;
- a file that no entry names, and that lay there before a later version was committed, cannot be committed any more: an
  append takes the number after the version that it saw, or fails. (A merge may take a later one. It goes on for less
  than a second where nothing stops it, and such files lie for a month.)

So no safety rests on how long things wait, nor on two clocks. They wait (`WAIT_SECONDS`) for the sake of a reader that
was stopped, which has to look again, and of a log that lost its end, which is written anew from what lies there. What
waits counts for the budget.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.journal import Journal, sync
from helix_spark.catalog.journal.own_files import StrangeFilesError, missing_sums, name_in, remove_stale_seals
from helix_spark.catalog.journal.rows import Row
from helix_spark.catalog.journal.table_settings import SETTINGS, written_as
from helix_spark.catalog.leases.leases import GRACE_SECONDS
from helix_spark.catalog.places.delta_log import DeltaLog, actions_in
from helix_spark.catalog.places.place import Place
from helix_spark.errors import CatalogError
from helix_spark.regular_files import OddFileError

if TYPE_CHECKING:
    from deltalake import DeltaTable


WAIT_SECONDS = 3600.0
"""Seconds that a replaced file or an old entry waits at least. At a run a minute that keeps some 300 small files."""

UNKNOWN_SECONDS = 10 * GRACE_SECONDS
"""After so long a file that no log entry names goes: what a process left that died before it committed."""

SPACING = 50
"""Versions between two checkpoints that are kept. Each has the names of all files; the entries between are kept."""

FILES_PER_TIER = 5
"""Files a tier may have before it is merged: at most twice as many small files in a table, half of it on average."""

TIERS = (512 * 1024, 8 * 1024 * 1024)
"""Bytes that a merged file has at most. A file of more than half of that has left its tier: merging never fills a file
to the brim, so waiting for full ones would merge the same rows again and again."""

LOOK_AGAIN = 1.0
"""Seconds for which a look at the lease and the records serves for what is deleted."""


@dataclass(frozen=True, slots=True)
class Upkept:
    """What was done: files merged away, files deleted."""

    merged: int = 0
    deleted: int = 0


def maintain(journal: Journal[Row], alone: Callable[[], bool] = lambda: True) -> Upkept:
    """Merge small files, checkpoint, and delete what was replaced and has waited long enough (see the module).

    Safe beside readers and writers of any process, and beside upkeep of another that was stopped for any time.

    Args:
        alone: whether no other process does the same; asked now and then.

    Raises CatalogError if the table is damaged or cannot be written.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    if journal.version() < 0:
        return Upkept()
    try:
        # Looked at before the commit, and deleted after it: what lies there then cannot be committed later.
        lying, table = files_lying(journal.folder), _opened(journal)
        journal.forget_sums(table.version() + 1)
        merged = _merge(table, journal.pruned_by)
        if not merged:
            return Upkept()
        reach("upkeep.merged")
        # What was merged survives a loss of power before anything that it replaced is deleted.
        sync([journal])
        journal.forget_sums(table.version() + 1)
        _keep_log(table)
        table.create_checkpoint()
        sync_checkpoint(journal, table.version())
        reach("upkeep.checkpointed")
        deleted = clear(journal, lying, lambda version: _opened(journal, version), _Deletes(journal, alone))
        remove_stale_seals(journal.folder)
    except (CommitFailedError, TakenOverError):
        # Another process is doing the same; one is enough.
        return Upkept()
    except (DeltaError, OSError) as error:
        if not alone():
            return Upkept()  # it may be that what was to be merged is gone, as another process merged it
        raise CatalogError(f"the records {journal.folder} cannot be kept in order: {error}") from error
    sync([journal])
    return Upkept(merged, deleted)


class _Deletes:
    """Whether a file may be deleted, by a look that is never old."""

    def __init__(self, journal: Journal[Row], alone: Callable[[], bool]) -> None:
        self._journal, self._alone = journal, alone
        self._live, self._looked = frozenset[str](), -math.inf

    def __call__(self, name: str) -> bool:
        if time.monotonic() - self._looked > LOOK_AGAIN:
            if not self._alone():
                raise TakenOverError
            self._live, self._looked = self._journal.files(), time.monotonic()
        return name not in self._live


def _opened(journal: Journal[Row], version: int | None = None) -> DeltaTable:
    """A table object of our own: the journal's must not wait for a merge."""
    from deltalake import DeltaTable

    place = journal.folder
    return DeltaTable(place.table_uri, version=version, storage_options=place.table_options)


def _keep_log(table: DeltaTable) -> None:
    """Keeps Delta from cleaning up the log by itself, in a table that an older version made."""
    if any(table.metadata().configuration.get(name) != value for name, value in SETTINGS.items()):
        table.alter.set_table_properties(dict(SETTINGS))


def sync_checkpoint(journal: Journal[Row], version: int) -> None:
    """Have the checkpoint of a version survive a loss of power, before the entries go that it takes the place of."""
    log = DeltaLog(journal.folder)
    checkpoint = log.checkpoint(version)
    journal.folder.sync([checkpoint, log.pointer], missing_sums([checkpoint]))


def _merge(table: DeltaTable, pruned_by: Sequence[str]) -> int:
    from deltalake import PostCommitHookProperties

    sizes = table.get_add_actions().column("size_bytes").to_pylist()
    small = sum(size <= TIERS[0] // 2 for size in sizes)
    middle = sum(TIERS[0] // 2 < size <= TIERS[1] // 2 for size in sizes)
    if max(small, middle) <= FILES_PER_TIER:
        return 0
    limit = TIERS[1] if middle >= FILES_PER_TIER else TIERS[0]
    metrics = table.optimize.compact(
        target_size=limit,
        max_concurrent_tasks=1,
        writer_properties=written_as(pruned_by),
        post_commithook_properties=PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False),
    )
    return int(metrics["numFilesRemoved"])


class TakenOverError(Exception):
    """Another process does the upkeep now."""


Lying = Mapping[str, float]
"""Time of the last write of each file of rows in a folder, by name."""


def files_lying(folder: Place) -> Lying:
    """Return what lies in a journal's folder now: before a commit, after which it can be told what is dead."""
    found = {}
    for path in folder.glob("*.parquet"):
        with suppress(FileNotFoundError):
            found[path.name] = path.stat().st_mtime
    return found


def clear(
    journal: Journal[Row], lying: Lying, at_version: Callable[[int], DeltaTable], deletes: Callable[[str], bool]
) -> int:
    """Delete what is dead and has waited long enough. Returns how many files of rows went.

    Args:
        lying: what was there before the newest version that this process committed.
        at_version: opens the table as it was.
        deletes: whether a file of rows may go; raises TakenOverError once another process does this.

    Raises OSError, and CatalogError for damaged records.
    """
    swept = _Sweep(journal.folder, deletes)
    waiting = lying.keys() - journal.files()
    for version, checkpoint in list(swept.checkpoints.items()):
        if swept.age_of(checkpoint) < WAIT_SECONDS:
            break
        waiting -= set(swept.drop_below(version))
    swept.thin_checkpoints()
    if old := [name for name in waiting if swept.now - lying[name] > UNKNOWN_SECONDS]:
        then = at_version(swept.oldest) if swept.oldest is not None else None
        named = {uri.rpartition("/")[2] for uri in then.file_uris()} if then is not None else set(old)
        swept.drop_files(name for name in old if name not in named)
    return swept.dropped


class _Sweep:
    """One sweep of a journal's folder."""

    def __init__(self, folder: Place, deletes: Callable[[str], bool]) -> None:
        self._folder, self._deletes = folder, deletes
        self.dropped = 0
        self.entries, self.checkpoints = DeltaLog(folder).numbered()
        self.now = self.entries[max(self.entries)].stat().st_mtime

    @property
    def oldest(self) -> int | None:
        """The oldest version that can be read."""
        return min(self.checkpoints, default=None)

    def age_of(self, path: Place) -> float:
        """Seconds between the last write of a file and the newest commit, both by the clock of the disk or store."""
        return self.now - path.stat().st_mtime

    def drop_below(self, version: int) -> list[str]:
        """Drops the entries below a checkpoint and what they replaced, oldest first, so that no entry is there without
        those after it. Returns the names of the files of rows."""
        dropped: list[str] = []
        for each in [one for one in self.entries if one < version]:
            entry = self.entries.pop(each)
            removed = _removed(entry)
            self.drop_files(removed)
            dropped += removed
            self._drop(entry)
        for each in [one for one in self.checkpoints if one < version]:
            self._drop(self.checkpoints.pop(each))
        return dropped

    def thin_checkpoints(self) -> None:
        """Drops those between others: what they say is in the entries, which are all there."""
        first, *between = list(self.checkpoints)[:-1] or [0]
        for each in between:
            if each - first >= SPACING:
                first = each
            else:
                self._drop(self.checkpoints.pop(each))

    def drop_files(self, names: Iterable[str]) -> None:
        """Deletes files of rows; their checksums are stale now."""
        for name in names:
            if self._deletes(name):
                reach("upkeep.replaced")
                (self._folder / name).unlink(missing_ok=True)
                self.dropped += 1

    def _drop(self, path: Place) -> None:
        if self._deletes(path.name):
            reach("upkeep.entry")
            path.unlink(missing_ok=True)


def _removed(entry: Place) -> list[str]:
    """The files that a log entry removed. One that was cut or is gone tells of none, nor does one that names what lies
    elsewhere."""
    try:
        return [name_in(action["remove"]) for action in actions_in(entry) if "remove" in action]
    except (FileNotFoundError, OddFileError, StrangeFilesError, ValueError, KeyError, TypeError):
        return []
