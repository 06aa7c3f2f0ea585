"""Records that are read once: what a page needs twice, or the next page again, is kept until something is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from helix_spark.catalog.records import ArtifactRecord, IterationRecord
from helix_spark.history.iteration_lookup import check_workflow

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader

Answer = TypeVar("Answer")


class KeptRecords:
    """What belongs to a version of the records, kept for that version. May be used from several threads.

    What is kept was read after its version was, so it is as new as that at least, and it is dropped with it.
    """

    def __init__(self, records: CatalogReader) -> None:
        self._records = records
        self._newest: tuple[str, dict[tuple[str, ...], Any]] = ("", {})

    def now(self) -> Snapshot:
        """Return the records as they are now."""
        version = self._records.version()
        # Read once and replaced as one: whoever still reads an older version fills what belongs to that.
        newest = self._newest
        if version != newest[0]:
            newest = self._newest = (version, {})
        return Snapshot(self._records, newest[1])


class Snapshot:
    """Records of one version, as one page sees them: it asks once which iterations have died, which is no record.

    Args:
        answers: what was read of that version before, by whatever page; what is read is added.
    """

    def __init__(self, records: CatalogReader, answers: dict[tuple[str, ...], Any]) -> None:
        self._records, self._answers = records, answers
        self._concluded: dict[str, tuple[IterationRecord, ...]] = {}

    def keep(self, read: Callable[[], Answer], *key: str) -> Answer:
        """Return what `read` gives, or gave before under this key."""
        if key not in self._answers:
            self._answers[key] = read()
        answer: Answer = self._answers[key]
        return answer

    def workflows(self) -> tuple[str, ...]:
        return self.keep(self._records.workflows, "workflows")

    def iterations(self, workflow: str) -> tuple[IterationRecord, ...]:
        """Return all of a workflow, newest first."""
        if workflow not in self._concluded:
            key = ("iterations", workflow)
            read_before = key in self._answers
            found = self.keep(lambda: self._records.iterations(workflow), *key)
            # What is read says who has died by then.
            self._concluded[workflow] = self._records.concluded(found, workflow) if read_before else found
        return self._concluded[workflow]

    def artifacts(self) -> dict[str, ArtifactRecord]:
        return self.keep(self._records.last_events, "artifacts")

    def loads(self) -> dict[str, tuple[int, str, int]]:
        return self.keep(self._records.loads, "loads")

    def find_workflow(self, name: str) -> str:
        """Return the workflow of a name; the first one where none was named. Raises ParameterError."""
        there = self.workflows()
        if not name and there:
            return there[0]
        check_workflow(self, name)
        return name
