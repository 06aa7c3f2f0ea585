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
        self._running: dict[str, float] = {}
        self._lock = Lock()

    def planned(self, plan: Plan) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        from helix_spark.cli.tables import console

        self._close()
        self._weights = {node.name: max(node.predicted_seconds, 0.01) for node in plan.nodes}
        total = sum(self._weights[name] for name in (*plan.in_state(State.COMPUTE), *plan.in_state(State.LOAD)))
        if total < 0.5:  # seconds; a bar for less would only flicker
            return
        self._progress = Progress(
            TextColumn("{task.description:32.32}", markup=False), BarColumn(24), TimeElapsedColumn(),
            TextColumn(f"of about {format_seconds(plan.predicted_seconds)} s"),
            console=console(to_stderr=True), transient=True,
        )
        self._task = self._progress.add_task("planning", total=total)
        self._progress.start()

    def session_starting(self) -> None:
        self._describe("starting Spark")

    def node_started(self, name: str) -> None:
        with self._lock:
            self._running[name] = time.monotonic()
        self._describe(", ".join(self._running))

    def node_finished(self, name: str, seconds: float) -> None:
        with self._lock:
            self._running.pop(name, None)
        bar = self._progress  # another thread may take it away meanwhile
        if bar is not None and self._task is not None:
            bar.advance(self._task, self._weights.get(name, 0.0))
        self._describe(", ".join(self._running) or "planning")

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

    def _close(self) -> None:
        bar, self._progress = self._progress, None
        if bar is not None:
            bar.stop()


def observer_for(*, quiet: bool) -> Quiet:
    """A bar on a terminal, lines elsewhere, warnings only where nothing else is wanted."""
    if quiet:
        return Quiet()
    return Bar() if sys.stderr.isatty() else Lines()
