"""What an address names: a workflow, an iteration of it, and what to say where there is none."""

from __future__ import annotations

from helix_spark.catalog.records import IterationRecord
from helix_spark.errors import HelixError, nearest
from helix_spark.ui.kept import Snapshot


class NotHereError(HelixError):
    """Something the catalog does not have."""


def find_workflow(kept: Snapshot, name: str) -> str:
    """The workflow of a name; the only one, or the first, where none was named. Raises NotHereError."""
    there = kept.workflows()
    if name in there:
        return name
    if not name and there:
        return there[0]
    raise NotHereError(f"the catalog has no workflow {name!r}", remedy=nearest(name, there))


def find_iteration(kept: Snapshot, workflow: str, number: int) -> IterationRecord:
    """The iteration of a number. Raises NotHereError."""
    iterations = kept.iterations(workflow)
    record = next((each for each in iterations if each.number == number), None)
    if record is None:
        newest = max((each.number for each in iterations), default=None)
        raise NotHereError(
            f"{workflow!r} has no iteration {number}", exists=f"the newest is {newest}" if newest else None
        )
    return record
