"""Iterations that are recorded as running, though their process is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from helix_spark.catalog.leases.leases import SILENCE_SECONDS, Leases
from helix_spark.catalog.records import IterationRecord


def concluded(
    found: Sequence[IterationRecord], leases: Leases, again: Callable[[], Sequence[IterationRecord]]
) -> tuple[IterationRecord, ...]:
    """Iterations of which those have died that run and whose process is gone.

    Args:
        found: as recorded.
        again: reads them once more: those that came to their end after they were read have given back their lease, too.
    """
    dead = {
        record.run for record in found
        if record.status == "running" and leases.is_dead(record.run, untouched=SILENCE_SECONDS)
    }
    return tuple(
        replace(record, status="died") if record.run in dead and record.status == "running" else record
        for record in (again() if dead else found)
    )
