"""Room in the catalog: what is there by now, what goes, and whether there is enough for what was just stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.view import wished
from helix_spark.engine.execution.observer import Observer
from helix_spark.errors import CatalogError
from helix_spark.iteration.run import Run
from helix_spark.planner.eviction import StoredResult
from helix_spark.workflow.declaration import Wishes

TOO_LARGE = "it turned out larger than what the budget had left"

_NO_WISHES = Wishes()


class CatalogRoom:
    """Evicts for one run.

    Args:
        wishes: what the author wishes today of each result of this version, by signature.

    Attributes:
        seen: the attempts that were live when that was last looked at, by signature.
    """

    def __init__(self, run: Run, wishes: Mapping[str, Wishes]) -> None:
        self.run, self._wishes = run, wishes
        self.seen = {signature: record.attempt for signature, record in run.view.artifacts.items()}

    def live(self) -> tuple[ArtifactRecord, ...]:
        """All that is stored by now, with what other workflows wish of it today."""
        live = tuple(map(self.run.view.as_wished, self.run.tools.catalog.live()))
        self.seen.clear()
        self.seen.update((record.signature, record.attempt) for record in live)
        return live

    def held(self) -> list[StoredResult]:
        """All that is stored by now, and who insists on it: of this version its author, as it says today."""
        today = [
            wished(one, self.run.plan.workflow, self._wishes.get(one.signature, _NO_WISHES)) for one in self.live()
        ]
        return [
            StoredResult(one.signature, one.bytes, one.recompute_seconds, bool(one.insisting), one.fixed)
            for one in today
        ]

    def fits(self, record: ArtifactRecord, owed: int) -> bool:
        """Return whether a result that was just stored has room; evict it otherwise.

        What takes no bytes always fits, were there no room for anything: that it went would free nothing. And another
        driver's record, which came first, is not this run's to take away.

        Args:
            owed: bytes of what is to go once all is written.
        """
        budget, catalog = self.run.plan.budget, self.run.tools.catalog
        if budget is not None and record.bytes and self.run.is_own(record) and catalog.bytes_used() - owed > budget:
            with warned(self.run.tools.observer):
                catalog.evict(record.signature, TOO_LARGE, attempt=record.attempt)
            return False
        return True

    def evict_all(self, why: Mapping[str, str], seen: int | None = None) -> set[str]:
        """Evict by signature, for these reasons; return the signatures of what went. What was stored since it was
        decided stays; with `seen` all does, if anything was stored or ended since that version."""
        attempts = {self.seen[signature] for signature in why if signature in self.seen}
        with warned(self.run.tools.observer):
            return {one.signature for one in self.run.tools.catalog.evict_all(why, attempts=attempts, seen=seen)}
        return set()


@contextmanager
def warned(observer: Observer) -> Iterator[None]:
    """What cannot be evicted, or be put on record, is said, and no more: the run has answered."""
    try:
        yield
    except CatalogError as error:
        observer.warning(error.what)
