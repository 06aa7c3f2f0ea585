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

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.journal import Journal, sync
from helix_spark.catalog.journal.own_files import StrangeFilesError, missing_sums, name_in, remove_sums
from helix_spark.catalog.journal.rows import Row, written_as
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

FILES_PER_TIER = 5
"""Files a tier may have before it is merged: at most twice as many small files in a table, half of it on average."""

TIERS = (512 * 1024, 8 * 1024 * 1024)
"""Bytes that a merged file has at most. A file of more than half of that has left its tier: merging never fills a file
to the brim, so waiting for full ones would merge the same rows again and again."""


@dataclass(frozen=True, slots=True)
class Upkept:
    """What was done: files merged away, files deleted."""

    merged: int = 0
    deleted: int = 0


def maintain(journal: Journal[Row], alone: Callable[[], bool] = lambda: True) -> Upkept:
    """Merge small files, checkpoint, and delete what was replaced and has waited long enough (see the module).

    Safe beside readers and writers of any process, and beside upkeep of another that was stopped for any time.

    Args:
        alone: whether no other process does the same; asked where something fails.

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
        table.create_checkpoint()
        sync_checkpoint(journal, table.version())
        reach("upkeep.checkpointed")
        deleted = clear(journal, lying)
    except CommitFailedError:
        # Another process is doing the same; one is enough.
        return Upkept()
    except (DeltaError, OSError) as error:
        if not alone():
            return Upkept()  # it may be that something is gone, as another process does this now
        raise CatalogError(f"the records {journal.folder} cannot be kept in order: {error}") from error
    sync([journal])
    return Upkept(merged, deleted)


def _opened(journal: Journal[Row]) -> DeltaTable:
    """A table object of our own: the journal's must not wait for a merge."""
    from deltalake import DeltaTable

    return DeltaTable(journal.folder.table_uri, storage_options=journal.folder.table_options)


def sync_checkpoint(journal: Journal[Row], version: int) -> None:
    """Make the checkpoint of a version survive a loss of power, before the entries go that it takes the place of."""
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


Lying = Mapping[str, float]
"""Time of the last write of each file of rows in a folder, by name."""


def files_lying(folder: Place) -> Lying:
    """Return what lies in a journal's folder now: before a commit, after which it can be told what is dead."""
    found = {}
    for path in folder.glob("*.parquet"):
        with suppress(FileNotFoundError):
            found[path.name] = path.stat().st_mtime
    return found


def clear(journal: Journal[Row], lying: Lying) -> int:
    """Delete what is dead and has waited long enough. Returns how many files of rows went.

    Args:
        lying: what was there before the newest version that this process committed.

    Raises OSError, and CatalogError for damaged records.
    """
    folder, live = journal.folder, journal.files()
    entries, checkpoints = DeltaLog(folder).numbered()
    now = entries[max(entries)].stat().st_mtime  # by the clock of the disk or store, as all else that lies there
    old = [version for version, file in checkpoints.items() if now - file.stat().st_mtime >= WAIT_SECONDS]
    base = max(old, default=0)
    dropped = _drop_below(folder, base, live)
    stray = {name for name, written in lying.items() if name not in live and now - written > UNKNOWN_SECONDS}
    stray.difference_update(dropped)
    for version in [one for one in entries if one >= base] if stray else ():
        stray.difference_update(_removed(entries[version]))
    _drop_files(folder, stray)
    return len(dropped) + len(stray)


def _drop_below(folder: Place, version: int, live: Collection[str]) -> list[str]:
    """Delete the checkpoints and entries below a version, the oldest first, so that no entry is there without those
    after it; and before each entry the files of rows that it removed. Return the names of these."""
    entries, checkpoints = DeltaLog(folder).numbered()
    dropped: list[str] = []
    for entry in (entries[one] for one in entries if one < version):
        replaced = [name for name in _removed(entry) if name not in live]
        _drop_files(folder, replaced)
        dropped += replaced
        reach("upkeep.entry")
        _delete(entry)
    for checkpoint in (checkpoints[one] for one in checkpoints if one < version):
        _delete(checkpoint)
    return dropped


def _drop_files(folder: Place, names: Iterable[str]) -> None:
    for name in names:
        reach("upkeep.replaced")
        _delete(folder / name)


def _delete(file: Place) -> None:
    file.unlink(missing_ok=True)
    remove_sums(file)


def _removed(entry: Place) -> list[str]:
    """The files that a log entry removed. One that was cut or is gone tells of none, nor does one that names what lies
    elsewhere."""
    try:
        return [name_in(action["remove"]) for action in actions_in(entry) if "remove" in action]
    except (FileNotFoundError, OddFileError, StrangeFilesError, ValueError, KeyError, TypeError):
        return []
