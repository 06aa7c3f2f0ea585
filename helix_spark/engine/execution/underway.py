"""Observers that keep how far a run is: what a bar draws, and what others read of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from threading import RLock

from helix_spark.catalog.run_progress import Progress
from helix_spark.engine.execution.observer import Observer, Quiet, Telling
from helix_spark.planner.plan import Plan
from helix_spark.views.progress_view import ProgressView, progress_of, progress_view


class Underway(Telling):
    """Keeps how far a run is, and tells another observer all. Who draws it, or writes it down, says what `changed`
    does; it is called by one thread at a time."""

    def __init__(self, told: Observer) -> None:
        super().__init__(told)
        self._lock = RLock()
        self._progress: Progress | None = None
        self._began, self._starting = 0.0, False

    @property
    def view(self) -> ProgressView | None:
        """How far it is now; None where nothing runs."""
        progress = self._progress  # another thread may replace it meanwhile
        return None if progress is None else progress_view(progress, self._since())

    def begun(self) -> None:
        """A run is about to begin, or to be planned anew."""

    def changed(self, *, now: bool) -> None:
        """It is further than it was.

        Args:
            now: whether that is worth telling at once.
        """

    def shows(self, progress: Progress, began: float) -> None:
        """A run is that far, of which somebody else keeps it.

        Args:
            began: `time.perf_counter()` at the begin of its times.
        """
        with self._lock:
            self._progress, self._began = progress, began
            self.changed(now=False)

    def planned(self, plan: Plan) -> None:
        with self._lock:
            self.begun()
            self._began = time.perf_counter()
            starting = self._starting and plan.session_seconds > 0
            self._progress = replace(progress_of(plan, time.time()), starting=starting)
            self.changed(now=True)
        super().planned(plan)

    def session_starting(self) -> None:
        with self._lock:
            self._starting = True
            if self._progress is not None:
                self._progress = replace(self._progress, starting=True)
                self.changed(now=True)
        super().session_starting()

    def node_started(self, name: str) -> None:
        self._note("started", name)
        super().node_started(name)

    def node_finished(self, name: str, seconds: float) -> None:
        self._starting = False
        self._note("ended", name)
        super().node_finished(name, seconds)

    def answered(self, seconds: float) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress = replace(self._progress, answered=round(seconds, 3))
                self.changed(now=True)
        super().answered(seconds)

    def stored(self, name: str, size: int) -> None:
        with self._lock:
            # What follows the answer before this one may still be storing.
            if self._progress is not None and self._progress.answered is not None:
                self._progress = replace(self._progress, stored=(*self._progress.stored, name))
                self.changed(now=False)
        super().stored(name, size)

    def _note(self, field: str, name: str) -> None:
        with self._lock:
            if self._progress is None:
                return
            seen: Mapping[str, float] = getattr(self._progress, field)
            noted = {field: {**seen, name: self._since()}}
            self._progress = replace(self._progress, **noted)  # type: ignore[arg-type]  # one of two fields of one type
            self.changed(now=False)

    def _since(self) -> float:
        return round(time.perf_counter() - self._began, 3)


_SHORTEST = 0.5
"""Seconds; a bar for less would only flicker."""


class UnderwayBar(Underway):
    """A bar by expected seconds, there while a run is under way and gone at its answer. Who has a place for one says
    how it is drawn."""

    def __init__(self) -> None:
        super().__init__(Quiet())

    @property
    def is_drawn(self) -> bool:
        """Whether the bar is there."""
        return False

    def draw(self, view: ProgressView) -> None:
        """Puts it in its place."""

    def draw_again(self, view: ProgressView) -> None:
        """Has it say how far the run is now."""

    def close(self) -> None:
        """Takes the bar away, also when a run ends early."""

    def changed(self, *, now: bool) -> None:
        view = self.view
        if view is None:
            return
        if self._progress is not None and self._progress.answered is not None:
            self.close()
        elif self.is_drawn:
            self.draw_again(view)
        elif max(view.total, self._since()) >= _SHORTEST:
            self.draw(view)
