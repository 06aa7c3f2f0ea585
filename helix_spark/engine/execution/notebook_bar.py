"""What a run shows below a notebook's cell while it goes: a bar that is updated in place, and gone at the answer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Protocol

from helix_spark.drawing.notebook import bar
from helix_spark.engine.execution.underway import UnderwayBar
from helix_spark.views.progress_view import ProgressView

_BEAT = 0.5
"""Seconds between two looks at what is left, which goes down while a node runs."""


class Display(Protocol):
    """What is shown below a cell, and can be replaced; IPython's display handle."""

    def display(self, obj: object, **given: Any) -> None: ...
    def update(self, obj: object, **given: Any) -> None: ...


class NotebookBar(UnderwayBar):
    """A bar below a cell.

    Args:
        make: makes the place of a bar, below the cell that runs.
    """

    def __init__(self, make: Callable[[], Display] | None = None) -> None:
        super().__init__()
        self._make, self._over = make, Event()
        self._place: Display | None = None

    def draw(self, view: ProgressView) -> None:
        if self._place is not None:
            self._place.update(_told(view), raw=True)
            return
        self._place, self._over = self._made(), Event()
        self._place.display(_told(view), raw=True)
        Thread(target=self._beat, args=(self._over,), name="helix-bar", daemon=True).start()

    def close(self) -> None:
        with self._lock:
            self._over.set()
            place, self._place, self._progress = self._place, None, None
            if place is not None:
                place.update(_EMPTY, raw=True)

    def _beat(self, over: Event) -> None:
        while not over.wait(_BEAT):
            with self._lock:
                if not over.is_set() and (view := self.view) is not None:
                    self.draw(view)

    def _made(self) -> Display:
        if self._make is not None:
            return self._make()
        from IPython.display import DisplayHandle

        make: Callable[[], Display] = DisplayHandle
        return make()


_EMPTY = {"text/plain": "", "text/html": ""}


def _told(view: ProgressView) -> dict[str, str]:
    told = f"{view.doing}, {view.left_text}"
    return {"text/plain": told, "text/html": bar(view.share, told)}


def in_kernel() -> bool:
    """Whether a notebook's kernel runs this, and not a terminal."""
    loaded = sys.modules.get("IPython")
    shell = loaded.get_ipython() if loaded is not None and hasattr(loaded, "get_ipython") else None
    return hasattr(shell, "kernel")
