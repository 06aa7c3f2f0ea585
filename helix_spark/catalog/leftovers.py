"""Data that no live record refers to: of writers that died, and of results that were evicted or damaged."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from helix_spark.catalog.artifacts import ArtifactLedger
from helix_spark.catalog.leases.leases import Leases
from helix_spark.catalog.places.catalog_folder import Layout
from helix_spark.catalog.tables import attempts as folders
from helix_spark.catalog.tables.attempts import Attempt, has_manifest, physical_bytes


@dataclass(frozen=True, slots=True)
class Leftover:
    """Data that no live record refers to.

    Attributes:
        attempt: whose it is; its `path` is the folder.
        bytes: physical.
        why: in words: no record, evicted, quarantined.
        certain: whether it is known to be nobody's: its end is on record, or its writer's process is gone. Else nobody
            has touched it for long, and whoever writes it may only have been stopped.
    """

    attempt: Attempt
    bytes: int
    why: str
    certain: bool


def bytes_of_results(live: Mapping[str, int], stored: Iterable[Attempt]) -> int:
    """Physical bytes of stored results, leftovers included: live ones by their records, which is quick.

    Args:
        live: bytes of live artifacts, by attempt.
        stored: attempts that have a folder.
    """
    leftovers = sum(physical_bytes(a.path) for a in stored if a.path is not None and a.attempt not in live)
    return sum(live.values()) + leftovers


def find_leftovers(
    layout: Layout, artifacts: ArtifactLedger, leases: Leases, dead: Collection[str], grace_seconds: float
) -> tuple[Leftover, ...]:
    """Ended artifacts, and attempts without a record whose writer has ended, at once; those of whose writer nothing is
    known when untouched for the grace. Never what a live process is writing, nor what was finished and whose record was
    lost since: `helix repair` takes that up again.

    Args:
        dead: names of the leases under which nobody works any more, see `Leases.dead`.
    """
    # Folders are listed before records are read: what is published in between is seen as live.
    stored = list(folders.stored_attempts(layout))
    live = artifacts.live_bytes()
    waiting = [attempt for attempt in stored if attempt.attempt not in live]
    ended = artifacts.ends_of([attempt.attempt for attempt in waiting])
    found = []
    for attempt in waiting:
        certain = True
        if end := ended.get(attempt.attempt):
            why = f"{end.event}: {end.why}" if end.why else end.event
        else:
            why, certain = ("", False) if _lost_its_record(attempt, artifacts, leases) else (
                _why_nobodys(attempt, leases, dead, grace_seconds)
            )
        if why and attempt.path is not None:
            found.append(Leftover(attempt, physical_bytes(attempt.path), why, certain))
    if found:
        # A writer gives its lease back after it has published: what had none may be live by now.
        live = artifacts.live_bytes()
    return tuple(leftover for leftover in found if leftover.attempt.attempt not in live)


def _lost_its_record(attempt: Attempt, artifacts: ArtifactLedger, leases: Leases) -> bool:
    return (
        attempt.path is not None and has_manifest(attempt.path) and leases.find(attempt.attempt) is None
        and artifacts.live_of(attempt.signature) is None
    )


def _why_nobodys(
    attempt: Attempt, leases: Leases, dead: Collection[str], grace_seconds: float
) -> tuple[str, bool]:
    """Why an attempt without a record is nobody's, and whether that is certain; empty if it may be somebody's."""
    assert attempt.path is not None
    lease = leases.find(attempt.attempt)
    if lease is not None:
        gone = lease.holder is not None and lease.holder.is_gone
        why = f"never published; its writer, {lease.holder}, has ended"
        return (why, gone) if attempt.attempt in dead else ("", False)
    age = folders.seconds_untouched(attempt.path)
    return (f"never published, untouched for {age:,.0f} s" if age >= grace_seconds else ""), False
