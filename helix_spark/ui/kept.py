"""Records that are read once: what a page needs twice, or the next page again, is kept until something is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from helix_spark.catalog.records import ArtifactRecord, IterationRecord
from helix_spark.ui.records import Records

Answer = TypeVar("Answer")


class KeptRecords:
    """What of `Records` belongs to a version of them, kept for that version. May be used from several threads.

    What is kept was read after its version was, so it is as new as that at least, and it is dropped with it.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._version = ""
        self._answers: dict[tuple[str, ...], Any] = {}

    def refresh(self) -> None:
        """Drops what is kept if something was recorded since."""
        version = self._records.version()
        if version != self._version:
            # Whoever is still reading fills the old dictionary, which nobody asks any longer.
            self._version, self._answers = version, {}

    def keep(self, read: Callable[[], Answer], *key: str) -> Answer:
        """What `read` gives, or gave before under this key."""
        answers = self._answers
        if key not in answers:
            answers[key] = read()
        answer: Answer = answers[key]
        return answer

    def workflows(self) -> tuple[str, ...]:
        return self.keep(self._records.workflows, "workflows")

    def iterations(self, workflow: str) -> tuple[IterationRecord, ...]:
        found = self.keep(lambda: self._records.iterations(workflow), "iterations", workflow)
        return self._records.concluded(workflow, found)

    def artifacts(self) -> dict[str, ArtifactRecord]:
        return self.keep(self._records.artifacts, "artifacts")

    def loads(self) -> dict[str, tuple[int, str, int]]:
        return self.keep(self._records.loads, "loads")
