"""Progress of a run, on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from helix_spark.engine.execution.observer import Lines, Observer, Quiet, UnderwayBar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from helix_spark.views.progress_view import ProgressView


class Bar(UnderwayBar):
    """A progress bar on a terminal. With `above`, other output is printed above it."""

    def __init__(self, *, above: bool = True) -> None:
        super().__init__()
        self._above = above
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def draw(self, view: ProgressView) -> None:
        bar, task = self._bar, self._task  # another thread may close it meanwhile
        if bar is None or task is None:
            bar = self._bar = self._build_bar()
            task = self._task = bar.add_task(view.activity, total=view.total)
            bar.start()
        bar.update(task, description=view.activity, total=view.total, completed=view.total - view.seconds_left)

    def note(self, text: str) -> None:
        bar = self._bar  # as above
        if bar is not None:
            bar.console.print(text)
        else:
            super().note(text)

    def close(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()

    def _build_bar(self) -> Progress:
        from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
        from rich.text import Text

        from helix_spark.cli.printing import console

        class RemainingTime(ProgressColumn):
            """The remaining time."""

            def render(_, task: Task) -> Text:  # noqa: N805 - the bar is `self` here
                view = self.view
                return Text("" if view is None else view.left_text)

        return Progress(
            TextColumn("{task.description:32.32}", markup=False), BarColumn(24), TimeElapsedColumn(), RemainingTime(),
            console=console(to_stderr=True), transient=True, redirect_stderr=self._above,
            redirect_stdout=self._above and sys.stdout.isatty(),  # output to a file or pipe must stay there
        )


def program_bar(*, quiet: bool) -> Bar | None:
    """Return a bar for a plain program on a terminal; None elsewhere."""
    return None if quiet or not sys.stderr.isatty() else Bar(above=False)


def observer_for(*, quiet: bool) -> Observer:
    """Return an observer: a bar on a terminal, lines elsewhere, only warnings if `quiet`."""
    if quiet:
        return Quiet()
    return Bar() if sys.stderr.isatty() else Lines()
