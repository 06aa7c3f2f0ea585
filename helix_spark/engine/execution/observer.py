"""What a run tells those who watch it: progress bars, logs, tests."""

from __future__ import annotations

import sys
from contextlib import suppress

from helix_spark.catalog.run_progress import Progress
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds, format_size
from helix_spark.visible_text import visible


class Observer:
    """Is told what happens, from whichever thread it happens in, and does nothing about it. Override what you want to
    hear; methods must be quick and must not raise."""

    def planned(self, plan: Plan) -> None:
        """A plan was made and is about to run; again when a run has to plan anew."""

    def session_starting(self) -> None:
        """Spark is being started."""

    def waiting(self, name: str, holder: str) -> None:
        """A node is being computed by another process, and its result is waited for."""

    def node_started(self, name: str) -> None:
        """A node is being loaded or computed."""

    def node_finished(self, name: str, seconds: float) -> None:
        """It is done."""

    def answered(self, seconds: float) -> None:
        """All outputs are known."""

    def storing(self, name: str) -> None:
        """A result is being written to the catalog."""

    def stored(self, name: str, size: int) -> None:
        """It was published, with its physical bytes, and survives a loss of power."""

    def warning(self, text: str) -> None:
        """Something that people should know did not go as planned."""

    def shows(self, progress: Progress, began: float) -> None:
        """A run is that far.

        Args:
            began: `time.perf_counter()` at the begin of its times.
        """

    def close(self) -> None:
        """No run goes on any more."""


class Silent(Observer):
    """Tells nobody."""


class Telling(Observer):
    """Tells another observer all. Who tells more, or looks on, is one of these and passes on what it is told."""

    def __init__(self, told: Observer) -> None:
        self._told = told

    def planned(self, plan: Plan) -> None:
        self._told.planned(plan)

    def session_starting(self) -> None:
        self._told.session_starting()

    def waiting(self, name: str, holder: str) -> None:
        self._told.waiting(name, holder)

    def node_started(self, name: str) -> None:
        self._told.node_started(name)

    def node_finished(self, name: str, seconds: float) -> None:
        self._told.node_finished(name, seconds)

    def answered(self, seconds: float) -> None:
        self._told.answered(seconds)

    def storing(self, name: str) -> None:
        self._told.storing(name)

    def stored(self, name: str, size: int) -> None:
        self._told.stored(name, size)

    def warning(self, text: str) -> None:
        self._told.warning(text)

    def shows(self, progress: Progress, began: float) -> None:
        self._told.shows(progress, began)

    def close(self) -> None:
        self._told.close()


class Quiet(Observer):
    """Warnings, and why nothing happens for a while. To stderr, which notebooks show below the cell."""

    def waiting(self, name: str, holder: str) -> None:
        _say(f"`{name}` is being computed by {holder}; waiting")

    def warning(self, text: str) -> None:
        _say(f"warning: {text}")


class Lines(Quiet):
    """Plain lines of what happens, for logs."""

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
    """Print to stderr: stdout is for answers. Where nobody reads it any more, a run goes on all the same."""
    with suppress(OSError, ValueError):
        print(visible(text), file=sys.stderr, flush=True)
