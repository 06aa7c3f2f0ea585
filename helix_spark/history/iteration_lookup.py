"""Finding an iteration: by its number, or the last one that has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helix_spark.catalog.records import IterationRecord
from helix_spark.errors import ParameterError, nearest

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader


def check_workflow(records: CatalogReader, workflow: str | None) -> None:
    """Raise ParameterError if a workflow is named that the catalog does not have."""
    known = records.workflows() if workflow is not None else ()
    if workflow is not None and workflow not in known:
        raise ParameterError(f"the catalog has no workflow {workflow!r}", remedy=nearest(workflow, known))


def find_iteration(records: CatalogReader, workflow: str | None, number: int) -> IterationRecord:
    """Return the iteration of a number.

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


def last_ended(records: CatalogReader, workflow: str) -> IterationRecord | None:
    """Return the last run of a workflow, or of a program, that has ended: others may run side by side. None if none of
    the newest has."""
    ended = (one for one in records.iterations(workflow, _LOOK_BACK) if one.status not in ("running", "died"))
    return next(ended, None)


_LOOK_BACK = 10
