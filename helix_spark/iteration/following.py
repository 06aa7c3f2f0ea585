"""Lets others watch a run: keeps the catalog's note of how far it is, beside telling its own observer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock, Timer

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.progress import Progress, RunningNode
from helix_spark.engine.execution.observer import Observer, Telling
from helix_spark.planner.plan import Plan

_PAUSE = 0.2
"""Seconds between two notes at least, so that a run of many short nodes does not wait for them."""


class Followed(Telling):
    """An observer that tells another one, and whoever reads the catalog. That notes cannot be written is no failure of
    the run: the catalog's records tell of a disk that is full."""

    def __init__(self, told: Observer, catalog: Catalog) -> None:
        super().__init__(told)
        self._catalog = catalog
        self._lock = Lock()
        self._progress: Progress | None = None
        self._later: Timer | None = None
        self._began = self._written = 0.0

    def planned(self, plan: Plan) -> None:
        nodes = tuple(
            RunningNode(n.name, n.kind, n.inputs, n.state, n.reason, n.predicted_seconds, n.output) for n in plan.nodes
        )
        with self._lock:
            self._forget()
            self._began = time.perf_counter()
            self._progress = Progress(plan.workflow, plan.iteration, nodes)
            self._write(now=True)
        super().planned(plan)

    def node_started(self, name: str) -> None:
        self._note("started", name)
        super().node_started(name)

    def node_finished(self, name: str, seconds: float) -> None:
        self._note("ended", name)
        super().node_finished(name, seconds)

    def answered(self, seconds: float) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress = replace(self._progress, answered=self._since())
                self._write(now=True)
        super().answered(seconds)

    def stored(self, name: str, size: int) -> None:
        with self._lock:
            # What follows the answer before this one may still be storing.
            if self._progress is not None and self._progress.answered is not None:
                self._progress = replace(self._progress, stored=(*self._progress.stored, name))
                self._write(now=False)
        super().stored(name, size)

    def close(self) -> None:
        """Forgets the last run."""
        with self._lock:
            self._forget()

    def _note(self, field: str, name: str) -> None:
        with self._lock:
            if self._progress is None:
                return
            seen: Mapping[str, float] = getattr(self._progress, field)
            changed = {field: {**seen, name: self._since()}}
            self._progress = replace(self._progress, **changed)  # type: ignore[arg-type]  # one of two fields of one type
            self._write(now=False)

    def _since(self) -> float:
        return round(time.perf_counter() - self._began, 3)

    def _write(self, *, now: bool) -> None:
        if self._progress is None:
            return
        if now or time.perf_counter() - self._written >= _PAUSE:
            self._catalog.note_progress(self._progress)
            self._written = time.perf_counter()
        elif self._later is None:  # the last of several quick changes may stand for minutes
            self._later = Timer(_PAUSE, self._write_late)
            self._later.daemon = True
            self._later.start()

    def _write_late(self) -> None:
        with self._lock:
            self._later = None
            self._write(now=True)

    def _forget(self) -> None:
        if self._progress is not None:
            self._catalog.forget_progress(self._progress.workflow, self._progress.number)
            self._progress = None
