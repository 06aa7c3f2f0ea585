"""Keeps a journal quick to read: few files, a short log, nothing left behind. Never needed for a right answer.

Every append leaves one small file and one log entry; each costs a reader about a millisecond. Compaction works in
tiers, as log-structured merge trees do (O'Neil et al., Acta Informatica 33(4), 1996), so that a row is rewritten
twice and not once per append: small files become middle ones, middle ones become large ones, which stay.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.clearing import MOST_BYTES, TakenOverError, clear, files_lying
from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.rows import Row
from helix_spark.catalog.journal.sealing import remove_stale_seals
from helix_spark.catalog.journal.syncing import sync
from helix_spark.catalog.places.delta_log import DeltaLog
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from deltalake import DeltaTable, WriterProperties

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


def maintain(
    journal: Journal[Row], alone: Callable[[], bool] = lambda: True, most_bytes: int = MOST_BYTES
) -> Upkept:
    """Merge small files, checkpoint, and delete what was replaced and has waited long enough (see `clearing`).

    Safe beside readers and writers of any process, and beside upkeep of another that was stopped for any time.

    Args:
        alone: whether no other process does the same; asked now and then.
        most_bytes: of what was replaced that may wait.

    Raises CatalogError if the table is damaged or cannot be written.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    if journal.version() < 0:
        return Upkept()
    try:
        # Looked at before the commit, and deleted after it: what lies there then cannot be committed later.
        lying, table = files_lying(journal.folder), _opened(journal)
        journal.check()
        with journal.committing():
            merged = _merge(table, journal.written_as())
        if not merged:
            return Upkept()
        reach("upkeep.merged")
        # What was merged survives a loss of power before anything that it replaced is deleted.
        sync([journal])
        journal.check()
        with journal.committing():
            _keep_log(table)
            table.create_checkpoint()
        _sync_checkpoint(journal, table.version())
        reach("upkeep.checkpointed")
        deleted = clear(
            journal, lying, lambda version: _opened(journal, version), _Deletes(journal, alone), most_bytes
        )
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
        self._journal.check()
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
    from helix_spark.catalog.journal.journal import SETTINGS

    if any(table.metadata().configuration.get(name) != value for name, value in SETTINGS.items()):
        table.alter.set_table_properties(dict(SETTINGS))


def _sync_checkpoint(journal: Journal[Row], version: int) -> None:
    """Before the entries go that it takes the place of."""
    log = DeltaLog(journal.folder)
    journal.folder.sync([log.checkpoint(version), log.pointer])


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
