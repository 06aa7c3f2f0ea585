"""Stored results removed: their end is recorded first, and synced, then their data is deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from helix_spark.catalog.artifacts import ArtifactLedger, End
from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.syncing import sync
from helix_spark.catalog.places.catalog_folder import Layout
from helix_spark.catalog.places.same_place import Check
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables import attempts as folders
from helix_spark.catalog.tables.attempts import Attempt


class Removal:
    """Removes what is stored in a catalog.

    Args:
        check: asked before each folder is deleted: a copy of the catalog that was put in its place may still use it.
        artifacts: the ledger of the journal.
    """

    def __init__(
        self, layout: Layout, check: Check, journal: Journal[ArtifactRecord], artifacts: ArtifactLedger
    ) -> None:
        self._layout, self._check, self._journal, self._artifacts = layout, check, journal, artifacts

    def end_all(
        self, why: Mapping[str, str], event: End, attempts: Collection[str] | None = None, seen: int | None = None
    ) -> tuple[ArtifactRecord, ...]:
        """End live artifacts, by signature, then delete their data; see `ArtifactLedger.end_all`.

        Raises CatalogError if the ends cannot be recorded, or not all data can be deleted.
        """
        ended = self._artifacts.end_all(why, event, attempts=attempts, seen=seen)
        if ended:
            reach("end.recorded")
            if event == "evicted":  # damage whose end is lost is met again, and this may be before an answer
                sync([self._journal])
            self.delete(folders.attempt_of(self._layout, record) for record in ended)
        return ended

    def end_unpublished(self, why: Mapping[Attempt, str]) -> list[Attempt]:
        """Those of some attempts that are not live, and cannot be published any more: their ends are on record. Their
        data is not deleted."""
        if not why:
            return []
        ended = self._artifacts.end_unpublished(why)
        sync([self._journal])
        reach("gc.recorded")
        return [attempt for attempt in why if attempt.attempt in ended]

    def delete(self, attempts: Iterable[Attempt]) -> None:
        """Deletes what nobody can use any more. Raises CatalogError or OSError for the first that cannot be deleted,
        once all others are."""
        def checked() -> Iterator[Attempt]:
            for attempt in attempts:
                self._check()
                yield attempt

        folders.delete_all(self._layout, checked())
