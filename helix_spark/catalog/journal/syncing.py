"""Has records survive a loss of power: all that was committed to some journals by now, by whomever, at once.

A record is seen as soon as it is committed, and nobody is told that it is on record before it was synced. One sync
serves all commits since the last one (group commit) and several journals, as a disk takes hardly longer for many files
than for one. The heads come last, when all that they vouch for is safe: see `log_end`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.open_table import LOOKS
from helix_spark.catalog.places.place import Place
from helix_spark.errors import CatalogError


def sync(journals: Sequence[Journal[Any]]) -> None:
    """Have all that is committed to journals of one folder survive a loss of power. Holds nobody up who reads or
    appends meanwhile.

    Raises CatalogError if that cannot be had.
    """
    records = journals[0].folder.parent
    for look in range(LOOKS):
        try:
            return _sync(records, journals)
        except OSError as error:
            # Upkeep elsewhere, which syncs first, may delete what was to be synced.
            if not isinstance(error, FileNotFoundError) or look + 1 == LOOKS:
                raise CatalogError(
                    f"the records {records} cannot be synced: {error}", exists=records.room() or None,
                    remedy="what was recorded last may be lost with the power",
                ) from error
    raise AssertionError("the last look returns or raises")


def _sync(records: Place, journals: Sequence[Journal[Any]]) -> None:
    unsynced = [found for journal in journals if (found := journal.unsynced()) is not None]
    if not unsynced:
        return
    reach("journal.syncing")
    journals[0].check()
    records.sync(
        [file for found in unsynced for file in found.files],
        {seal: sums for found in unsynced for seal, sums in found.seals.items()},
    )
    journals[0].check()  # a head put into another catalog would say that its log lacks entries
    records.sync((), {found.head: f"{found.version}\n".encode() for found in unsynced})
