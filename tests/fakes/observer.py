"""An observer that remembers what a run reported."""

from __future__ import annotations

from helix_spark.engine.execution.observer import Silent


class Warned(Silent):
    """Remembers warnings, notes, and the nodes that started."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.started: list[str] = []

    def node_started(self, name: str) -> None:
        self.started.append(name)

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)
