"""Lookup of iterations: by number, the newest, the last that ended, the one before another."""

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
    """Recorded iterations: a catalog, or the snapshot of one that pages read."""

    def workflows(self) -> tuple[str, ...]: ...
    def iterations(self, workflow: str, /) -> tuple[IterationRecord, ...]: ...


def check_workflow(records: Recorded, workflow: str | None) -> None:
    """Raise ParameterError if the catalog does not have this workflow."""
    if workflow is not None and workflow not in (workflows := records.workflows()):
        raise ParameterError(f"the catalog has no workflow {workflow!r}", remedy=nearest(workflow, workflows))


def iterations_of(
    records: CatalogReader, workflow: str | None, user: str | None, limit: int
) -> tuple[IterationRecord, ...]:
    """Return the newest iterations of a workflow, or of all, by one user or by all. Raises ParameterError for a
    workflow or a user that the catalog does not have."""
    check_workflow(records, workflow)
    if user is None:
        return records.iterations(workflow, limit)
    iterations = records.iterations(workflow)
    own = tuple(record for record in iterations if record.user == user)
    if not own:
        users = sorted({record.user for record in iterations if record.user})
        raise ParameterError(
            f"no iteration was run by {user!r}",
            exists=f"users: {', '.join(users)}" if users else "none has its user recorded",
        )
    return own[:limit]


def find_iteration(records: Recorded, workflow: str | None, number: int) -> IterationRecord:
    """Return the iteration of a number. Raises ParameterError if there is none, or several workflows have it."""
    workflows = records.workflows()
    if workflow is None and len(workflows) > 1:
        raise ParameterError(
            "the catalog has several workflows", exists=f"there are: {', '.join(workflows)}", remedy="name one, too"
        )
    check_workflow(records, workflow)
    iterations = records.iterations(workflow or workflows[0]) if workflows else ()
    iteration = next((record for record in iterations if record.number == number), None)
    if iteration is None:
        newest = f"the newest is {iterations[0].number}" if iterations else "there is none yet"
        raise ParameterError(f"there is no iteration {number}", exists=newest, remedy="`helix log` lists them")
    return iteration


def newest_iteration(records: CatalogReader, workflow: str | None, before: int | None = None) -> IterationRecord:
    """Return the newest iteration of a workflow, or of all, before a number. Raises ParameterError without one."""
    check_workflow(records, workflow)
    iterations = (record for record in records.iterations(workflow) if before is None or record.number < before)
    if (newest := next(iterations, None)) is None:
        which = "yet" if before is None else f"before {before}"
        raise ParameterError(f"there is no iteration {which}", remedy="`helix run FILE` makes one")
    return newest


def last_ended(records: CatalogReader, workflow: str) -> IterationRecord | None:
    """Return the newest iteration of a workflow or program that has ended; None if none of the newest has."""
    iterations = records.iterations(workflow, _LOOK_BACK)
    return next((record for record in iterations if record.status not in ("running", "died")), None)


def newest_recorded(iterations: Sequence[IterationRecord], number: int) -> IterationRecord | None:
    """Return the newest recorded iteration before a number. `iterations` are of one workflow, newest first."""
    return next((record for record in iterations if record.number < number and not unrecorded(record)), None)
