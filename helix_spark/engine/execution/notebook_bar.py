"""What a run shows below a notebook's cell while it goes: a bar that is updated in place, and gone at the answer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Protocol

from helix_spark.drawing.notebook import bar
from helix_spark.engine.execution.observer import Quiet
from helix_spark.engine.execution.underway import Underway

_SHORTEST = 0.5
"""Seconds; a bar for less would only flicker."""
_BEAT = 0.5
"""Seconds between two looks at what is left, which goes down while a node runs."""


class Shown(Protocol):
    """What is shown below a cell, and can be replaced; IPython's display handle."""

    def display(self, obj: object, **given: Any) -> None: ...
    def update(self, obj: object, **given: Any) -> None: ...


class NotebookBar(Underway):
    """A bar by expected seconds.

    Args:
        make: makes the place of a bar, below the cell that runs.
    """

    def __init__(self, make: Callable[[], Shown] | None = None) -> None:
        super().__init__(Quiet())
        self._make, self._over = make, Event()
        self._place: Shown | None = None

    def changed(self, *, now: bool) -> None:
        view = self.view
        if view is None:
            return
        if self._progress is not None and self._progress.answered is not None:
            self.close()
        elif self._place is None and view.total >= _SHORTEST:
            self._place, self._over = self._made(), Event()
            self._place.display(self._drawn(), raw=True)
            Thread(target=self._beat, args=(self._over,), name="helix-bar", daemon=True).start()
        else:
            self._update()

    def begun(self) -> None:
        self._over.set()

    def close(self) -> None:
        """Takes the bar away, also when a run ends early."""
        with self._lock:
            self._over.set()
            place, self._place, self._progress = self._place, None, None
            if place is not None:
                place.update(_EMPTY, raw=True)

    def _beat(self, over: Event) -> None:
        while not over.wait(_BEAT):
            with self._lock:
                if not over.is_set():
                    self._update()

    def _update(self) -> None:
        if self._place is not None:
            self._place.update(self._drawn(), raw=True)

    def _drawn(self) -> dict[str, str]:
        view = self.view
        if view is None:
            return _EMPTY
        told = f"{view.doing}, {view.left_text}"
        return {"text/plain": told, "text/html": bar(view.share, told)}

    def _made(self) -> Shown:
        if self._make is not None:
            return self._make()
        from IPython.display import DisplayHandle

        make: Callable[[], Shown] = DisplayHandle
        return make()


_EMPTY = {"text/plain": "", "text/html": ""}


def in_kernel() -> bool:
    """Whether a notebook's kernel runs this, and not a terminal."""
    loaded = sys.modules.get("IPython")
    shell = loaded.get_ipython() if loaded is not None and hasattr(loaded, "get_ipython") else None
    return hasattr(shell, "kernel")
