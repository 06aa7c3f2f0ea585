"""Finding an iteration: by its number, or the last one that has ended."""

from __future__ import annotations

from typing import Protocol

from helix_spark.catalog.records import IterationRecord
from helix_spark.errors import ParameterError, nearest


class IterationsReader(Protocol):
    """What is read of a catalog here."""

    def iterations(self, workflow: str | None = None, limit: int | None = None) -> tuple[IterationRecord, ...]: ...
    def workflows(self) -> tuple[str, ...]: ...


def check_workflow(records: IterationsReader, workflow: str | None) -> None:
    """Raise ParameterError if a workflow is named that the catalog does not have."""
    known = records.workflows() if workflow is not None else ()
    if workflow is not None and workflow not in known:
        raise ParameterError(f"the catalog has no workflow {workflow!r}", remedy=nearest(workflow, known))


def find_iteration(records: IterationsReader, workflow: str | None, number: int) -> IterationRecord:
    """The iteration of a number.

    Raises:
        ParameterError: there is none, or the catalog has several workflows and none was named.
    """
    known = records.workflows()
    if workflow is None and len(known) > 1:
        raise ParameterError(
            "the catalog has several workflows", exists=f"there are: {', '.join(known)}", remedy="name one, too"
        )
    check_workflow(records, workflow)
    found = [record for record in records.iterations(workflow) if record.number == number]
    if not found:
        numbers = [record.number for record in records.iterations(workflow, 1)]
        newest = f"the newest is {numbers[0]}" if numbers else "there is none yet"
        raise ParameterError(f"there is no iteration {number}", exists=newest, remedy="`helix log` lists them")
    return found[0]


def last_ended(records: IterationsReader, workflow: str) -> IterationRecord | None:
    """Return the last run of a workflow, or of a program, that has ended: others may run side by side. None if none of
    the newest has."""
    ended = (one for one in records.iterations(workflow, _LOOK_BACK) if one.status not in ("running", "died"))
    return next(ended, None)


_LOOK_BACK = 10
