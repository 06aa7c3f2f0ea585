"""A damaged catalog made usable again: what can be read is kept, what cannot is set aside, what is lost is said.

Damaged files of records are moved aside, and what they held is read from what a fold had replaced, if that is there.
Stored results without a record are recorded again by their manifest, once all of each was checked. All else that is
lost is computed again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from helix_spark.catalog.artifacts import ArtifactLedger
from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.leases.leases import SILENCE_SECONDS, Leases
from helix_spark.catalog.places.catalog_folder import Layout, explained, make_catalog
from helix_spark.catalog.places.place import LocalPath, Place
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.catalog.segments.segment import pack
from helix_spark.catalog.segments.segment_folder import SegmentFile, SegmentFolder, covering
from helix_spark.catalog.tables.attempts import read_manifest, stored_attempts
from helix_spark.catalog.tables.table_check import DamagedArtifactError, explained_damage
from helix_spark.catalog.verification import check_stored
from helix_spark.errors import CatalogError

LEASE = "repair"
"""The lease of the process that repairs a catalog."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What was found of a catalog and done about it, or would be in a dry run: a sentence each.

    Attributes:
        saved: what is recorded again.
        lost_history: whether some of what is lost may be what ran, which is not computed again.
        aside: the folder of what was moved aside; empty if nothing was.
    """

    damage: tuple[str, ...] = ()
    saved: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    lost_history: bool = False
    aside: str = ""
    done: bool = False

    @property
    def is_needed(self) -> bool:
        return bool(self.damage or self.saved or self.lost)


def repair(layout: Layout, records: RecordLog, leases: Leases, *, dry_run: bool) -> Repair:
    """Repair a catalog, or say what a repair would do. Raises CatalogError if others work on it, or it cannot be read
    or written."""
    if dry_run:
        return _repaired(layout, records, leases, None)
    with leases.alone(LEASE) as alone:
        if alone is None:
            held = leases.find(LEASE)
            raise CatalogError(
                f"{(held and held.holder) or 'another process'} repairs the catalog {layout.root} at the moment",
                remedy="wait until it has ended",
            )
        check_idle(layout, leases)
        aside = layout.root / "damaged" / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
        return _repaired(layout, records, leases, aside)


def check_idle(layout: Layout, leases: Leases) -> None:
    """Raise CatalogError if another process works on a catalog."""
    if holder := leases.at_work_elsewhere():
        raise CatalogError(f"{holder} works on the catalog {layout.root} at the moment",
                           remedy="wait until it has ended, or end it; `helix repair --dry-run` looks meanwhile")


def _repaired(layout: Layout, records: RecordLog, leases: Leases, aside: Place | None) -> Repair:
    """Look for damage; repair it where there is a folder for what is moved aside."""
    with explained(layout, "read" if aside is None else "repaired"):
        if aside is not None:
            make_catalog(layout)
        no_folder = _moved_aside(layout.records, aside)
        is_gone = bool(no_folder) or records.is_empty()
        damage, lost = ((), ()) if no_folder else _examined(SegmentFolder(layout.records), aside)
        if aside is not None and damage:
            records.forget_index()
        saved, unsound = _results_again(layout, records, leases, aside)
        if is_gone and (saved or no_folder):
            damage, lost = (no_folder or "the records are gone",), ("what ran",)
        if aside is not None and saved:
            records.sync()
    kept = str(aside) if aside is not None and aside.exists() else ""
    return Repair(damage, saved, (*lost, *unsound), bool(lost), kept, aside is not None)


def _moved_aside(records: Place, aside: Place | None) -> str:
    """Move aside what is no folder in the place of the records; return what it is, or would be, in words."""
    if not isinstance(records, LocalPath) or records.is_dir() or not records.exists():
        return ""
    if aside is not None:
        aside.make_folder()
        records.rename(str(aside / records.name))
    return f"{records} is no folder"


def _examined(folder: SegmentFolder, aside: Place | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read all files of records; return what is wrong with some, and what is lost by that."""
    files, damaged = folder.files(), folder.damaged()
    damaged |= dict.fromkeys(folder.listing()[1], "its number is too far ahead")
    gaps = list(_gaps([one for one in files if one not in damaged], max((one.last for one in files), default=0)))
    if aside is not None:
        for file in damaged:
            reach("repair.aside")
            aside.make_folder()
            file.place.move_to(aside / file.place.name)
        for first, last in gaps:
            folder.fold_file(first, last).place.write_new(pack(()), synced=True)
    return (
        tuple(f"the file {file.place} is damaged: {why}" for file, why in damaged.items()),
        tuple(f"what was recorded by {last - first + 1:,} appends ({first} to {last})" for first, last in gaps),
    )


def _gaps(files: list[SegmentFile], end: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of segments that no file holds, up to a number."""
    at = 0
    for first, last in (*((one.first, one.last) for one in covering(files, 0)), (end + 1, end)):
        if first > at + 1:
            yield at + 1, first - 1
        at = max(at, last)


def _results_again(
    layout: Layout, records: RecordLog, leases: Leases, aside: Place | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Record finished results without a record; return what is recorded again and what cannot be, in words."""
    ledger, again, lost = ArtifactLedger(records), list[str](), list[str]()
    live = ledger.live()
    for attempt in stored_attempts(layout):
        if attempt.path is None or attempt.signature in live or ledger.events_of([attempt.attempt]):
            continue
        if not leases.is_dead(attempt.attempt, untouched=SILENCE_SECONDS):
            continue
        try:
            with explained_damage(attempt.path):
                record = read_manifest(attempt.path)
                if record is None:  # it was never finished
                    continue
                said = (record.signature, record.attempt, record.kind, record.event)
                if said != (attempt.signature, attempt.attempt, attempt.kind, "published"):
                    raise ValueError("its manifest is that of another result")
                if record.digest is None:
                    raise ValueError("its manifest has no digest")
            check_stored(attempt.path, record, deep=True)
        except DamagedArtifactError as error:
            lost.append(error.what)
            continue
        if aside is not None:
            ledger.publish(record)
        again.append(f"the stored {record.kind} of {record.node!r} (iteration {record.iteration} of {record.workflow})")
    return tuple(again), tuple(lost)
