"""Keeps a journal quick to read: few files, a short log, nothing left behind. Never needed for a right answer.

Every append leaves one small file and one log entry; each costs a reader about a millisecond. Compaction works in
tiers, as log-structured merge trees do (O'Neil et al., Acta Informatica 33(4), 1996): a row is rewritten twice and not
once per append.

Whatever is deleted is dead for good, so that a process may be stopped at any point for any time:

- a file that a log entry removed stays removed: names are never used twice, so no later entry adds it again;
- an entry below a checkpoint is read by nobody who looks now. Its number is free once more, but a writer that was
  stopped before it took it finds out (`LogEnd.is_cleaned`), and appends again at the end;
- a file that no entry names, and that was written before the newest version was committed, cannot be committed any
  more: an append takes the number after the version that it saw, or fails. (A merge may take a later one. It goes on
  for less than a second where nothing stops it, and such files lie for a month.)

Times are those that the disk or store gives to files: no safety rests on the clocks of two machines. Things wait
(`WAIT_SECONDS`) for the sake of a reader that was stopped, which has to look again, and of a log that lost its end,
which is written anew from what lies there. What waits counts for the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.journal import Journal, sync
from helix_spark.catalog.journal.rows import Row, written_as
from helix_spark.catalog.journal.table_files import StrangeFilesError, name_in
from helix_spark.catalog.leases.leases import GRACE_SECONDS
from helix_spark.catalog.places.delta_log import DeltaLog, actions_in
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.side_checksums import missing_sums, remove_sums
from helix_spark.errors import CatalogError
from helix_spark.regular_files import OddFileError

if TYPE_CHECKING:
    from deltalake import DeltaTable


WAIT_SECONDS = 3600.0
"""Seconds that a replaced file or an old entry waits at least. At a run a minute that keeps some 300 small files."""

UNKNOWN_SECONDS = 10 * GRACE_SECONDS
"""After so long a file that no log entry names goes: what a process left that died before it committed."""

FILES_PER_TIER = 5
"""Files a tier may have before it is merged."""

TIERS = (512 * 1024, 8 * 1024 * 1024)
"""Bytes that a merged file has at most. One of more than half of that has left its tier, as merging never fills a file.
"""


def maintain(journal: Journal[Row], alone: Callable[[], bool] = lambda: True) -> int:
    """Merge small files, checkpoint, and delete what was replaced and has waited long enough (see the module); return
    how many files were merged. Raises CatalogError if the table is damaged or cannot be written.

    Args:
        alone: whether no other process does the same; asked where something fails.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    if journal.version() < 0:
        return 0
    try:
        table = _opened(journal)
        journal.forget_sums(table.version() + 1)
        merged = _merge(table, journal.pruned_by)
        if not merged:
            return 0
        reach("upkeep.merged")
        # What was merged survives a loss of power before anything that it replaced is deleted.
        sync([journal])
        table.create_checkpoint()
        sync_checkpoint(journal, table.version())
        reach("upkeep.checkpointed")
        clear(journal)
    except CommitFailedError:
        # Another process is doing the same; one is enough.
        return 0
    except (DeltaError, OSError) as error:
        if not alone():
            return 0  # it may be that something is gone, as another process does this now
        raise CatalogError(f"the records {journal.folder} cannot be kept in order: {error}") from error
    sync([journal])
    return merged


def _opened(journal: Journal[Row]) -> DeltaTable:
    """Open the table again: the journal's must not wait for a merge."""
    from deltalake import DeltaTable

    return DeltaTable(journal.folder.table_uri, storage_options=journal.folder.table_options)


def sync_checkpoint(journal: Journal[Row], version: int) -> None:
    """Make a checkpoint survive a loss of power, before the entries go that it replaces."""
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


def clear(journal: Journal[Row]) -> None:
    """Delete what is dead and has waited long enough."""
    folder, live = journal.folder, journal.files()
    entries, checkpoints = DeltaLog(folder).numbered()
    now = _written(entries[max(entries)])
    base = max((version for version, file in checkpoints.items() if now - _written(file) >= WAIT_SECONDS), default=0)
    _drop_below(folder, base, live)
    others = (file for file in folder.glob("*.parquet") if file.name not in live)
    stray = {file.name for file in others if now - _written(file) > UNKNOWN_SECONDS}
    for version in [one for one in entries if one >= base] if stray else ():
        stray.difference_update(_removed(entries[version]))
    _drop_files(folder, stray)


def _written(file: Place) -> float:
    """The time of a file's last write, by the clock of the disk or store."""
    return file.stat().st_mtime


def _drop_below(folder: Place, version: int, live: Collection[str]) -> None:
    """Delete the checkpoints and entries below a version, the oldest first, so that no entry is there without those
    after it; and before each entry the files of rows that it removed."""
    entries, checkpoints = DeltaLog(folder).numbered()
    for entry in (entries[one] for one in entries if one < version):
        _drop_files(folder, (name for name in _removed(entry) if name not in live))
        reach("upkeep.entry")
        _delete(entry)
    for checkpoint in (checkpoints[one] for one in checkpoints if one < version):
        _delete(checkpoint)


def _drop_files(folder: Place, names: Iterable[str]) -> None:
    for name in names:
        reach("upkeep.replaced")
        _delete(folder / name)


def _delete(file: Place) -> None:
    file.unlink(missing_ok=True)
    remove_sums(file)


def _removed(entry: Place) -> list[str]:
    """Return the files that a log entry removed; none for one that is gone, cut, or names what lies elsewhere."""
    try:
        return [name_in(action["remove"]) for action in actions_in(entry) if "remove" in action]
    except (FileNotFoundError, OddFileError, StrangeFilesError, ValueError, KeyError, TypeError):
        return []
