"""What a run prints while it goes: a bar on a terminal, plain lines elsewhere. To stderr: stdout is for answers."""

from __future__ import annotations

import sys
import time
from threading import Lock
from typing import TYPE_CHECKING

from helix_spark.engine.execution.observer import Lines, Quiet
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar(Quiet):
    """A progress bar by expected seconds, drawn only while a run is under way."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._weights: dict[str, float] = {}
        self._loaded: frozenset[str] = frozenset()
        self._left: set[str] = set()
        self._running: dict[str, float] = {}
        self._lock = Lock()

    def planned(self, plan: Plan) -> None:
        from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
        from rich.text import Text

        from helix_spark.cli.tables import console

        class Left(ProgressColumn):
            """What is left, which goes down while a node runs."""

            def render(_, task: Task) -> Text:  # noqa: N805 - the bar is `self` here
                return Text(self._told_left())

        self._close()
        self._weights = {node.name: max(node.predicted_seconds, 0.01) for node in plan.nodes}
        self._loaded = frozenset(plan.in_state(State.LOAD))
        with self._lock:
            self._left, self._running = {*plan.in_state(State.COMPUTE), *self._loaded}, {}
            total = sum(self._weights[name] for name in self._left)
        if total < 0.5:  # seconds; a bar for less would only flicker
            return
        self._progress = Progress(
            TextColumn("{task.description:32.32}", markup=False), BarColumn(24), TimeElapsedColumn(),
            Left(), console=console(to_stderr=True), transient=True,
        )
        self._task = self._progress.add_task("planning", total=total)
        self._progress.start()

    def session_starting(self) -> None:
        self._describe("starting Spark")

    def node_started(self, name: str) -> None:
        with self._lock:
            self._running[name] = time.monotonic()
        self._describe(self._told_running())

    def node_finished(self, name: str, seconds: float) -> None:
        with self._lock:
            self._running.pop(name, None)
            self._left.discard(name)
        bar = self._progress  # another thread may take it away meanwhile
        if bar is not None and self._task is not None:
            bar.advance(self._task, self._weights.get(name, 0.0))
        self._describe(self._told_running() or "planning")

    def answered(self, seconds: float) -> None:
        self._close()

    def warning(self, text: str) -> None:
        bar = self._progress
        if bar is not None:
            bar.console.print(f"warning: {text}")
        else:
            super().warning(text)

    def close(self) -> None:
        """Takes the bar away, when a run ends early."""
        self._close()

    def _describe(self, text: str) -> None:
        bar = self._progress
        if bar is not None and self._task is not None:
            bar.update(self._task, description=text)

    def _told_running(self) -> str:
        """What runs; loading is called that."""
        with self._lock:
            names = list(self._running)
        return ", ".join(f"loading {name}" if name in self._loaded else name for name in names)

    def _told_left(self) -> str:
        """What is expected to be left: of what runs, what it has not taken yet."""
        now = time.monotonic()
        with self._lock:
            had = {name: now - since for name, since in self._running.items()}
            left = sum(max(0.0, self._weights.get(name, 0.0) - had.get(name, 0.0)) for name in self._left)
        return f"about {format_seconds(left)} s left" if left >= 0.05 else "ending"

    def _close(self) -> None:
        bar, self._progress = self._progress, None
        if bar is not None:
            bar.stop()


def observer_for(*, quiet: bool) -> Quiet:
    """A bar on a terminal, lines elsewhere, warnings only where nothing else is wanted."""
    if quiet:
        return Quiet()
    return Bar() if sys.stderr.isatty() else Lines()
