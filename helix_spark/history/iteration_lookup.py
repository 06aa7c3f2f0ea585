"""Finding an iteration: by its number, the last one that has ended, the one before another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from helix_spark.catalog.records import IterationRecord
from helix_spark.errors import ParameterError, nearest
from helix_spark.history.comparison import unrecorded

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader

_LOOK_BACK = 10


class Recorded(Protocol):
    """Iterations on record: a catalog, or what pages have read of one."""

    def workflows(self) -> tuple[str, ...]: ...
    def iterations(self, workflow: str, /) -> tuple[IterationRecord, ...]: ...


def check_workflow(records: Recorded, workflow: str | None) -> None:
    """Raise ParameterError if a workflow is named that the catalog does not have."""
    known = records.workflows() if workflow is not None else ()
    if workflow is not None and workflow not in known:
        raise ParameterError(f"the catalog has no workflow {workflow!r}", remedy=nearest(workflow, known))


def iterations_of(
    records: CatalogReader, workflow: str | None, user: str | None, limit: int
) -> tuple[IterationRecord, ...]:
    """Return the newest iterations of a workflow, or of all, that a user ran. Raises ParameterError for a workflow or
    a user that the catalog does not have."""
    check_workflow(records, workflow)
    if user is None:
        return records.iterations(workflow, limit)
    known = records.iterations(workflow)
    found = tuple(one for one in known if one.user == user)
    if not found:
        users = sorted({one.user for one in known if one.user})
        raise ParameterError(
            f"no iteration was run by {user!r}",
            exists=f"users: {', '.join(users)}" if users else "none has its user recorded",
        )
    return found[:limit]


def find_iteration(records: Recorded, workflow: str | None, number: int) -> IterationRecord:
    """Return the iteration of a number. Raises ParameterError where there is none, or the catalog has several workflows
    and none was named."""
    known = records.workflows()
    if workflow is None and len(known) > 1:
        raise ParameterError(
            "the catalog has several workflows", exists=f"there are: {', '.join(known)}", remedy="name one, too"
        )
    check_workflow(records, workflow)
    iterations = records.iterations(workflow or known[0]) if known else ()
    found = next((record for record in iterations if record.number == number), None)
    if found is None:
        newest = f"the newest is {iterations[0].number}" if iterations else "there is none yet"
        raise ParameterError(f"there is no iteration {number}", exists=newest, remedy="`helix log` lists them")
    return found


def newest_iteration(records: CatalogReader, workflow: str | None, before: int | None = None) -> IterationRecord:
    """Return the newest iteration of a workflow, or of all; the newest `before` another. Raises ParameterError where
    there is none."""
    check_workflow(records, workflow)
    found = (one for one in records.iterations(workflow) if before is None or one.number < before)
    if (newest := next(found, None)) is None:
        which = "yet" if before is None else f"before {before}"
        raise ParameterError(f"there is no iteration {which}", remedy="`helix run FILE` makes one")
    return newest


def last_ended(records: CatalogReader, workflow: str) -> IterationRecord | None:
    """Return the last run of a workflow, or of a program, that has ended: others may run side by side. None if none of
    the newest has."""
    ended = (one for one in records.iterations(workflow, _LOOK_BACK) if one.status not in ("running", "died"))
    return next(ended, None)


def newest_recorded(iterations: Sequence[IterationRecord], number: int) -> IterationRecord | None:
    """Return the newest iteration before another whose nodes are on record, of iterations of one workflow, newest
    first."""
    return next((one for one in iterations if one.number < number and not unrecorded(one)), None)
