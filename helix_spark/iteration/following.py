"""Lets others watch a run: keeps the catalog's note of how far it is, beside telling its own observer."""

from __future__ import annotations

import time
from threading import Timer

from helix_spark.catalog.catalog import Catalog
from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.execution.underway import Underway

_PAUSE = 0.2
"""Seconds between two notes at least, so that a run of many short nodes does not wait for them."""


class Followed(Underway):
    """An observer that tells another one, and whoever reads the catalog. That notes cannot be written is no failure of
    the run: the catalog's records tell of a disk that is full."""

    def __init__(self, told: Observer, catalog: Catalog) -> None:
        super().__init__(told)
        self._catalog = catalog
        self._later: Timer | None = None
        self._written = 0.0

    def begun(self) -> None:
        self._forget()

    def changed(self, *, now: bool) -> None:
        if self._progress is None:
            return
        if now or time.perf_counter() - self._written >= _PAUSE:
            self._catalog.note_progress(self._progress)
            self._written = time.perf_counter()
        elif self._later is None:  # the last of several quick changes may stand for minutes
            self._later = Timer(_PAUSE, self._write_late)
            self._later.daemon = True
            self._later.start()

    def close(self) -> None:
        """Forget the last run."""
        with self._lock:
            self._forget()

    def _write_late(self) -> None:
        with self._lock:
            self._later = None
            self.changed(now=True)

    def _forget(self) -> None:
        if self._progress is not None:
            self._catalog.forget_progress(self._progress.workflow, self._progress.number)
            self._progress = None
