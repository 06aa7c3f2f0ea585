"""What a run tells those who watch it: progress bars, logs, tests."""

from __future__ import annotations

from typing import Protocol

from helix_spark.planner.plan import Plan


class Observer(Protocol):
    """Is told what happens, from whichever thread it happens in. It must be quick and must not raise."""

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
        """It was published, with its physical bytes."""

    def warning(self, text: str) -> None:
        """Something that people should know did not go as planned."""


class Silent:
    """Tells nobody."""

    def planned(self, plan: Plan) -> None: ...
    def session_starting(self) -> None: ...
    def waiting(self, name: str, holder: str) -> None: ...
    def node_started(self, name: str) -> None: ...
    def node_finished(self, name: str, seconds: float) -> None: ...
    def answered(self, seconds: float) -> None: ...
    def storing(self, name: str) -> None: ...
    def stored(self, name: str, size: int) -> None: ...
    def warning(self, text: str) -> None: ...
