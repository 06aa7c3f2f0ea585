"""What a program writes, and whether it lies there still as an earlier run left it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helix_spark.answers.plan_data import identity_below, on_this_machine


@dataclass(frozen=True, slots=True)
class WrittenPlace:
    """Where something is written.

    Attributes:
        path: on a disk of this machine.
        may_be_skipped: whether writing it once more would leave what is there already: not where it is added to what
            is there, nor where Spark refuses to write to a place that is taken.
    """

    path: Path
    may_be_skipped: bool

    def identity(self) -> str:
        """Of what is there now; empty if nothing is."""
        return identity_below(self.path)


def written_place(command: Any, folder: Path) -> WrittenPlace | None:
    """Where a command writes; None where that is no path on a disk of this machine.

    Args:
        folder: where relative paths begin.
    """
    import pyspark.sql.connect.proto as pb

    if command.WhichOneof("command_type") == "ml_command":
        write = command.ml_command.write
        return _place(write.path, folder, may_be_skipped=write.should_overwrite)
    write = command.write_operation
    if write.WhichOneof("save_type") != "path":
        return None
    again = (pb.WriteOperation.SAVE_MODE_OVERWRITE, pb.WriteOperation.SAVE_MODE_IGNORE)
    return _place(write.path, folder, may_be_skipped=write.mode in again)


def _place(path: str, folder: Path, *, may_be_skipped: bool) -> WrittenPlace | None:
    place = on_this_machine(path, folder) if path else None
    return None if place is None else WrittenPlace(place, may_be_skipped)


def is_left(place: WrittenPlace, before: str | None) -> bool:
    """Return whether what an earlier run left at a place is there still.

    Args:
        before: its identity then.
    """
    return bool(before) and place.identity() == before
