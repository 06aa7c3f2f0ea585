"""An observer for tests that ask what a run warned of."""

from __future__ import annotations

from helix_spark.engine.execution.observer import Silent


class Warned(Silent):
    """Remembers warnings and notes."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)
