"""Observers of a run: lines for logs, a progress bar, progress notes in the catalog for its readers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Event, RLock, Thread, Timer
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.history import Progress
from helix_spark.drawing.notebook import cell
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds, format_size
from helix_spark.views.progress_view import ProgressView, progress_of, progress_view
from helix_spark.visible_text import visible


class Observer:
    """A listener to runs. Override the needed events: a run's threads call them. They must be quick, never raise."""

    def planned(self, plan: Plan) -> None:
        """Handle a plan that is about to run; called again when the run plans again."""

    def session_starting(self) -> None:
        """Handle the start of Spark."""

    def waiting(self, name: str, holder: str) -> None:
        """Handle a wait for a node that another process, `holder`, computes."""

    def node_started(self, name: str) -> None:
        """Handle the start of loading or computing a node."""

    def node_finished(self, name: str, seconds: float) -> None:
        """Handle a node that was loaded or computed in so many seconds."""

    def answered(self, seconds: float) -> None:
        """Handle the answer, after so many seconds: all outputs are known."""

    def storing(self, name: str) -> None:
        """Handle the start of writing a result to the catalog."""

    def stored(self, name: str, size: int) -> None:
        """Handle a stored result of `size` physical bytes, which now survives a power cut."""

    def warning(self, text: str) -> None:
        """Handle a warning."""

    def note(self, text: str) -> None:
        """Handle a message."""

    def shows(self, progress: Progress) -> None:
        """Handle the progress of a run: its nodes, with their starts and ends."""

    def close(self) -> None:
        """Handle the end of a run, however it ends."""


class Silent(Observer):
    """An observer that prints nothing."""


class Quiet(Observer):
    """Warnings and long waits, on stderr, which notebooks show below the cell."""

    def waiting(self, name: str, holder: str) -> None:
        _say(f"`{name}` is being computed by {holder}; waiting")

    def warning(self, text: str) -> None:
        self.note(f"warning: {text}")

    def note(self, text: str) -> None:
        _say(text)


class Lines(Quiet):
    """Plain lines for logs."""

    def planned(self, plan: Plan) -> None:
        counts = {state: len(plan.in_state(state)) for state in State}
        _say(
            f"{plan.workflow}, iteration {plan.iteration}: {counts[State.COMPUTE]} to compute, "
            f"{counts[State.LOAD]} to load, {counts[State.PRUNE]} not needed; "
            f"expected {format_seconds(plan.predicted_seconds)} s{plan.guess}"
        )

    def session_starting(self) -> None:
        _say("starting Spark")

    def node_finished(self, name: str, seconds: float) -> None:
        _say(f"  {name} {format_seconds(seconds)} s")

    def stored(self, name: str, size: int) -> None:
        if size:
            _say(f"  stored {name}, {format_size(size)}")


def _say(text: str) -> None:
    """Print to stderr: stdout is for answers. A closed stderr does not stop a run."""
    with suppress(OSError, ValueError):
        print(visible(text), file=sys.stderr, flush=True)


_PAUSE = 0.2
"""Least seconds between two notes, so that a run of many short nodes does not wait for them."""


class Followed(Observer):
    """An observer that passes all events on to another one, with the run's progress, and notes that in the catalog. A
    note that cannot be written does not fail the run: the catalog's records report a full disk."""

    def __init__(self, observer: Observer, catalog: Catalog) -> None:
        self._observer, self._catalog = observer, catalog
        for name in ("waiting", "storing", "warning", "note"):  # these change no progress
            setattr(self, name, getattr(observer, name))
        self._lock = RLock()
        self._progress: Progress | None = None
        self._began, self._starting = 0.0, False
        self._later: Timer | None = None
        self._written = 0.0

    def planned(self, plan: Plan) -> None:
        with self._lock:
            self.close()
            self._began = time.perf_counter()
            self._progress = progress_of(plan, time.time())
            starting = self._starting and plan.session_seconds > 0
            self._change(lambda progress: replace(progress, starting=starting), now=True)
        self._observer.planned(plan)

    def session_starting(self) -> None:
        self._starting = True
        self._change(lambda progress: replace(progress, starting=True), now=True)
        self._observer.session_starting()

    def node_started(self, name: str) -> None:
        started = round(time.perf_counter() - self._began, 3)
        self._change(lambda progress: progress.with_times(name, started=started))
        self._observer.node_started(name)

    def node_finished(self, name: str, seconds: float) -> None:
        self._starting = False
        ended = round(time.perf_counter() - self._began, 3)
        self._change(lambda progress: progress.with_times(name, ended=ended))
        self._observer.node_finished(name, seconds)

    def answered(self, seconds: float) -> None:
        self._change(lambda progress: replace(progress, answered=round(seconds, 3)), now=True)
        self._observer.answered(seconds)

    def stored(self, name: str, size: int) -> None:
        # The last run may still be storing after its answer.
        self._change(lambda progress: progress if progress.answered is None else replace(
            progress, stored=(*progress.stored, name)
        ))
        self._observer.stored(name, size)

    def close(self) -> None:
        with self._lock:
            if self._progress is not None:
                self._catalog.forget_progress(self._progress.workflow, self._progress.number)
                self._progress = None

    def _change(self, change: Callable[[Progress], Progress], *, now: bool = False) -> None:
        """Update the progress of the current run, if any; write a note at once if `now`."""
        with self._lock:
            if self._progress is None:
                return
            self._progress = change(self._progress)
            if now or time.perf_counter() - self._written >= _PAUSE:
                self._catalog.note_progress(self._progress)
                self._written = time.perf_counter()
            elif self._later is None:  # the last of several quick changes may be valid for minutes
                self._later = Timer(_PAUSE, self._write_late)
                self._later.daemon = True
                self._later.start()
            self._observer.shows(self._progress)

    def _write_late(self) -> None:
        with self._lock:
            self._later = None
            if self._progress is not None:
                self._catalog.note_progress(self._progress)


class UnderwayBar(Quiet):
    """A bar of expected seconds, from the start of a run to its answer. A subclass draws it."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._progress: Progress | None = None

    @property
    def view(self) -> ProgressView | None:
        """The progress of the run now; None if no run is shown."""
        progress = self._progress  # another thread may replace it meanwhile
        return None if progress is None else progress_view(progress, round(time.time() - progress.began, 3))

    def draw(self, view: ProgressView) -> None:
        """Show or update the bar."""

    def close(self) -> None:
        """Remove the bar, also when a run ends early."""

    def shows(self, progress: Progress) -> None:
        with self._lock:
            self._progress = progress
            view = self.view
            if view is None or progress.answered is not None:
                self.close()
            elif max(view.total, time.time() - progress.began) >= 0.5:  # seconds; for less it would only flicker
                self.draw(view)


class NotebookBar(UnderwayBar):
    """A bar below a notebook's cell."""

    def __init__(self) -> None:
        super().__init__()
        self._over = Event()
        self._place: Any = None

    def draw(self, view: ProgressView) -> None:
        if self._place is not None:
            self._place.update(_as_shown(view), raw=True)
            return
        from IPython.display import DisplayHandle

        handle: Any = DisplayHandle  # IPython's is not typed
        self._place, self._over = handle(), Event()
        self._place.display(_as_shown(view), raw=True)
        Thread(target=self._beat, args=(self._over,), name="helix-bar", daemon=True).start()

    def close(self) -> None:
        with self._lock:
            self._over.set()
            place, self._place, self._progress = self._place, None, None
            if place is not None:
                place.update({"text/plain": "", "text/html": ""}, raw=True)

    def _beat(self, over: Event) -> None:
        while not over.wait(0.5):  # the expected time falls while a node runs
            with self._lock:
                if not over.is_set() and (view := self.view) is not None:
                    self.draw(view)


def _as_shown(view: ProgressView) -> dict[str, str]:
    text = f"{view.activity}, {view.left_text}"
    return {"text/plain": text, "text/html": cell("cell_bar.html", share=view.share, words=text)}


def in_kernel() -> bool:
    """Return whether this process is a notebook's kernel, not a terminal."""
    return hasattr(getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)(), "kernel")
