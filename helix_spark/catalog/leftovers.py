"""Folders of data that no live record refers to. Looks for them; deletes nothing."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from helix_spark.catalog.artifacts import ArtifactLedger
from helix_spark.catalog.leases.leases import Leases
from helix_spark.catalog.places.catalog_folder import Layout, explained
from helix_spark.catalog.tables.attempts import Attempt, has_manifest, stored_attempts


@dataclass(frozen=True, slots=True)
class Leftover:
    """Data that no live record refers to.

    Attributes:
        attempt: its `path` is the folder.
        bytes: physical.
        why: in words: no record, evicted, quarantined.
        certain: True if its end is on record or its writer's process is gone. Else it was untouched for long, and its
            writer may only have been stopped.
    """

    attempt: Attempt
    bytes: int
    why: str
    certain: bool


def find_leftovers(
    layout: Layout, artifacts: ArtifactLedger, leases: Leases, dead: Collection[str], grace_seconds: float
) -> tuple[Leftover, ...]:
    """Return what is left over where the leases with these names are dead; of writers without a lease what was
    untouched for the grace. Raises CatalogError if it cannot be read."""
    def not_live(attempts: Collection[str]) -> set[str]:
        return set(attempts) - {record.attempt for record in artifacts.live(()).values()}

    with explained(layout, "read"):
        # Folders are listed before records are read: what is published in between is seen as live.
        stored = {one.attempt: one for one in stored_attempts(layout)}
        waiting = not_live(stored)
        ended, leftovers = artifacts.ends_of(waiting), list[Leftover]()
        for attempt in (one for name, one in stored.items() if name in waiting):
            if end := ended.get(attempt.attempt):
                why, certain = f"{end.event}: {end.why}" if end.why else end.event, True
            else:
                why, certain = _why_orphaned(attempt, artifacts, leases, dead, grace_seconds)
            if why and attempt.path is not None:
                leftovers.append(Leftover(attempt, attempt.path.total_bytes(), why, certain))
        # A writer gives its lease back after it has published: what had none may be live by now.
        still = not_live([one.attempt.attempt for one in leftovers]) if leftovers else ()
        return tuple(one for one in leftovers if one.attempt.attempt in still)


def _why_orphaned(
    attempt: Attempt, artifacts: ArtifactLedger, leases: Leases, dead: Collection[str], grace_seconds: float
) -> tuple[str, bool]:
    """Return why an attempt without a record is orphaned, and whether that is certain; empty if it may not be, or was
    finished and lost its record."""
    assert attempt.path is not None
    lease = leases.find(attempt.attempt)
    if lease is not None:
        gone = lease.holder is not None and lease.holder.is_gone
        why = f"never published; its writer, {lease.holder}, has ended"
        return (why, gone) if attempt.attempt in dead else ("", False)
    if has_manifest(attempt.path) and artifacts.live_of(attempt.signature) is None:
        return "", False
    newest = attempt.path.last_modified()
    age = 0.0 if newest is None else time.time() - newest
    return (f"never published, untouched for {age:,.0f} s" if age >= grace_seconds else ""), False
