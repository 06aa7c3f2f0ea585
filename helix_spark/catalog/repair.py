"""A damaged catalog made usable again: what can be saved is saved, what is unsound is put aside, what is lost is said.

First the journals, each by itself (`journal.mending`). Then what they say is compared with what else there is: stored
results say of themselves what their records said (their manifests), and nodes name the iteration that they were of.
Looking and doing are one: who only looks is told what would be done.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from helix_spark.catalog.artifacts import ArtifactLedger
from helix_spark.catalog.held_records import HeldRecords, held_records, missing_iterations, unrecorded
from helix_spark.catalog.history import History
from helix_spark.catalog.journal.examination import Mending
from helix_spark.catalog.journal.mending import mend
from helix_spark.catalog.journal.open_table import Mender
from helix_spark.catalog.journal.syncing import sync
from helix_spark.catalog.leases.holders import this_process
from helix_spark.catalog.leases.leases import SILENCE_SECONDS, Leases
from helix_spark.catalog.places.catalog_folder import Layout, explained, marker_damage, write_marker
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.record_journals import journals_in
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.errors import CatalogError, DamagedRecordsError

LEASE = "repair"
"""The lease of who repairs a catalog."""

_HISTORY = (IterationRecord, NodeRecord)
"""What is lost of these nobody can tell any more; what is lost of others is computed, measured or written again."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What was found of a catalog and done about it, or would be: a sentence each.

    Attributes:
        damage: what is wrong.
        saved: what is taken up again.
        lost: what is not to be had again.
        lost_history: whether some of that is what ran: nothing brings it back.
        aside: the folder of what was put aside; empty if nothing was.
        done: False where it was only looked at.
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


def repair(layout: Layout, leases: Leases, *, dry_run: bool) -> Repair:
    """Repairs a catalog, or says what a repair would do.

    Raises:
        CatalogError: others work on it, or it cannot be read or written.
    """
    if dry_run:
        return _repaired(layout, leases, None)
    with idle(layout, leases):
        return _repaired(layout, leases, _new_aside(layout))


@contextmanager
def idle(layout: Layout, leases: Leases) -> Iterator[None]:
    """While nobody else repairs the catalog or works on it. Raises CatalogError if somebody does."""
    with _alone(layout, leases):
        _check_idle(layout, leases)
        yield


def mends(layout: Layout, leases: Leases, tell: Callable[[str], None]) -> Mender:
    """Repairs a catalog by itself in a run that meets damage, where nothing is lost but what can be computed again, or
    what nobody was told is recorded.

    Args:
        tell: is told what was done.
    """
    def mender(error: DamagedRecordsError) -> bool:
        if error.exists is not None:
            return False  # a person is to be asked, as was found when it was met first
        held = leases.find(LEASE)
        if held is not None and held.holder != this_process():
            leases.wait(LEASE)
            return True
        found = _repaired(layout, leases, None)
        if not found.damage:
            return False
        if found.lost_history:
            raise DamagedRecordsError(
                error.what, exists=f"lost would be {'; '.join(found.lost)}", remedy=error.remedy,
            ) from error
        with leases.alone(LEASE) as alone:
            if alone is not None:
                done = _repaired(layout, leases, _new_aside(layout))
                if done.damage:  # another process may have repaired it since it was looked into
                    tell(_told(done))
        if alone is None:  # another one has begun to since then
            leases.wait(LEASE)
        return True

    return mender


def _told(done: Repair) -> str:
    text = f"the catalog's records were damaged, and are repaired: {'; '.join(done.damage)}"
    saved = f"; taken up again: {'; '.join(done.saved)}" if done.saved else ""
    lost = f"; lost: {'; '.join(done.lost)}" if done.lost else "; nothing is lost"
    return text + saved + lost + (f"; what was unsound lies in {done.aside}" if done.aside else "")


@contextmanager
def _alone(layout: Layout, leases: Leases) -> Iterator[None]:
    """As the only one who repairs the catalog."""
    with leases.alone(LEASE) as alone:
        if alone is None:
            held = leases.find(LEASE)
            holder = held.holder if held is not None else None
            raise CatalogError(f"{holder or 'another process'} repairs the catalog {layout.root} at the moment",
                               remedy="wait until it has ended")
        yield


def _check_idle(layout: Layout, leases: Leases) -> None:
    own = this_process()
    for name in leases.names():
        found = leases.find(name)
        if found is None or found.holder == own or leases.is_dead(name, untouched=SILENCE_SECONDS):
            continue
        raise CatalogError(f"{found.holder or 'another process'} works on the catalog {layout.root} at the moment",
                           remedy="wait until it has ended, or end it; `helix repair --dry-run` looks meanwhile")


def _new_aside(layout: Layout) -> Place:
    return layout.root / "damaged" / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"


def _repaired(layout: Layout, leases: Leases, aside: Place | None) -> Repair:
    """What is found, and done where there is a folder for what is put aside."""
    with explained(layout, "repaired" if aside is not None else "read"):
        damage = [*_marker(layout, aside)]
        held = held_records(layout.records)
        found = _of_journals(held)
        if aside is not None:
            for journal in journals_in(layout.records):
                mend(journal, aside)
        again, lost = _results_again(layout, held, leases, aside)
        gone = _folders_gone(layout, held, aside)
        damage += [*found.damage, *gone]
        lost += [f"{count}, computed again when needed" for count in gone.values()]
        history = found.lost_history
        if again and not held.iterations:
            damage.append("the records are gone")
            lost.append("what ran, but for what is taken up again")
            history = not held.mendings[IterationRecord].survey.never_synced
        held = replace(held, artifacts=(*held.artifacts, *again))
        saved = [
            f"the stored {one.kind} of {one.node!r} (iteration {one.iteration} of {one.workflow})" for one in again
        ]
        iterations = tuple(_iterations_again(layout, held, leases, aside))
        if aside is not None and (again or iterations):
            sync(journals_in(layout.records).ends_first)
        kept = str(aside) if aside is not None and aside.exists() else ""
        return replace(
            found, damage=tuple(damage), saved=(*found.saved, *saved, *iterations), lost=(*found.lost, *lost),
            lost_history=history, aside=kept, done=aside is not None,
        )


def _marker(layout: Layout, aside: Place | None) -> Iterator[str]:
    if not (why := marker_damage(layout)):
        return
    yield f"the marker {layout.marker.name} {why}"
    if aside is not None:
        if layout.marker.exists():
            aside.make_folder()
            layout.marker.move_to(aside / layout.marker.name)
        write_marker(layout)


def _of_journals(held: HeldRecords) -> Repair:
    damage, saved, lost, history = list[str](), list[str](), list[str](), False
    for row_type, mending in held.mendings.items():
        name = mending.survey.folder.name
        damage += mending.damage()
        if mending.found_rows:
            saved.append(f"{_counted(mending.found_rows, 'record')} of {name}")
        lost += _losses(name, mending)
        history = history or (mending.loses and row_type in _HISTORY)
    return Repair(tuple(damage), tuple(saved), tuple(lost), history)


def _losses(name: str, mending: Mending) -> Iterator[str]:
    if mending.cut:
        yield f"what was being written to {name} and was not recorded yet"
    if mending.lost:
        yield f"{_counted(len(mending.lost), 'entry', 'entries')} of {name} ({_listed(mending.lost)})"
    if mending.lost_rows:
        yield f"{_counted(mending.lost_rows, 'record')} of {name}"
    if mending.lost_values:
        yield f"values of another type in {_counted(mending.lost_values, 'record')} of {name}"


def _counted(count: int, one: str, more: str = "") -> str:
    """
    >>> _counted(1, "record"), _counted(2000, "record")
    ('1 record', '2,000 records')
    """
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"


def _listed(versions: Sequence[int]) -> str:
    return ", ".join(map(str, versions[:5])) + (", ..." if len(versions) > 5 else "")


def _folders_gone(layout: Layout, held: HeldRecords, aside: Place | None) -> dict[str, str]:
    """The folders of all results of a kind that are gone, each with what it held; they are made anew."""
    found = {}
    for kind in layout.kinds_with_folders:
        folder, count = layout.attempts(kind), sum(one.kind == kind for one in held.live.values())
        if count and not folder.is_dir():
            found[f"the folder {folder.name} is gone"] = _counted(count, f"stored {kind}")
            if aside is not None:
                folder.make_folder()
    return found


def _results_again(
    layout: Layout, held: HeldRecords, leases: Leases, aside: Place | None
) -> tuple[list[ArtifactRecord], list[str]]:
    """The records of results that are taken up again, and what is not, in words."""
    again, lost = [], []
    for attempt, record in unrecorded(layout, held, leases):
        if isinstance(record, str):
            lost.append(f"the stored {attempt.kind} {attempt.signature[:12]}/{attempt.attempt[:8]}: {record}")
            continue
        again.append(record)
        if aside is not None:
            ArtifactLedger(journals_in(layout.records).artifacts).publish(record)
    return again, lost


def _iterations_again(
    layout: Layout, held: HeldRecords, leases: Leases, aside: Place | None
) -> Iterator[str]:
    for record in missing_iterations(held, leases, time.time()):
        yield f"iteration {record.number} of {record.workflow}, as far as something else tells of it"
        if aside is not None:
            History(journals_in(layout.records)).append(record, ())
