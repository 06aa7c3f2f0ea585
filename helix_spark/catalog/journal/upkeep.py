"""Keeps a journal quick to read: few files, a short log, nothing left behind. Never needed for a right answer.

Every append leaves one small file and one log entry; each costs a reader about a millisecond. Compaction works in
tiers, as log-structured merge trees do (O'Neil et al., Acta Informatica 33(4), 1996), so that a row is rewritten
twice and not once per append: small files become middle ones, middle ones become large ones, which stay.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.rows import Row
from helix_spark.catalog.journal.sealing import remove_stale_seals
from helix_spark.catalog.places.place import at
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from deltalake import DeltaTable, WriterProperties

FILES_PER_TIER = 5
"""Files a tier may have before it is merged: at most twice as many small files in a table, half of it on average."""

TIERS = (512 * 1024, 8 * 1024 * 1024)
"""Bytes that a merged file has at most. A file of more than half of that has left its tier: merging never fills a file
to the brim, so waiting for full ones would merge the same rows again and again."""


MOST_SKEW = 60.0
"""Seconds by which our clock and that of the catalog's disk or store may differ for anything to be deleted by its age:
a tenth of the grace (`journal.GRACE`), which is all that keeps what another writer is about to commit."""


@dataclass(frozen=True, slots=True)
class Upkept:
    """What was done: files merged away, files deleted. With more than `MOST_SKEW` seconds between the clocks (`skew`,
    above 0 where ours is ahead) none are."""

    merged: int = 0
    deleted: int = 0
    skew: float = 0.0

    @property
    def is_skewed(self) -> bool:
        return abs(self.skew) > MOST_SKEW


def maintain(journal: Journal[Row]) -> Upkept:
    """Merge small files, checkpoint, and remove what has been replaced for longer than the grace.

    Safe beside readers and writers of any process. Raises CatalogError if the table is damaged or cannot be written.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError, DeltaError

    if journal.version() < 0:
        return Upkept()
    try:
        # A table object of our own: the journal's must not wait for a compaction.
        table = DeltaTable(
            at(journal.folder).table_uri, storage_options=at(journal.folder).table_options
        )
        merged = _merge(table, journal.written_as())
        if not merged:
            return Upkept()
        upkept = Upkept(merged, skew=time.time() - journal.committed_at(table.version()))
        reach("upkeep.merged")
        # What was merged survives a loss of power before anything that it replaced is deleted.
        journal.sync()
        deleted = 0 if upkept.is_skewed else _delete_replaced(table)
        remove_stale_seals(journal.folder)
        table.create_checkpoint()
        _sync_checkpoint(journal, table.version())
        if not upkept.is_skewed:
            table.cleanup_metadata()
    except CommitFailedError:
        # Another process is doing the same; one is enough.
        return Upkept()
    except (DeltaError, OSError) as error:
        raise CatalogError(f"the records {journal.folder} cannot be kept in order: {error}") from error
    journal.sync()
    return Upkept(merged, deleted, upkept.skew)


def _sync_checkpoint(journal: Journal[Row], version: int) -> None:
    """Before the entries go that it takes the place of."""
    log = journal.folder / "_delta_log"
    at(journal.folder).sync([log / f"{version:020}.checkpoint.parquet", log / "_last_checkpoint"])


def _merge(table: DeltaTable, written_as: WriterProperties) -> int:
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
        writer_properties=written_as,
        post_commithook_properties=PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False),
    )
    return int(metrics["numFilesRemoved"])


def _delete_replaced(table: DeltaTable) -> int:
    # `full` also finds files whose commit failed; those younger than the grace may be on their way to a commit.
    # How long is the table's own setting (`journal.GRACE`); Delta would have it no shorter than a week unless told so.
    stale = table.vacuum(dry_run=True, full=True, enforce_retention_duration=False)
    if stale:
        table.vacuum(dry_run=False, full=True, enforce_retention_duration=False)
    return len(stale)
