"""A damaged catalog made usable again: what can be read is kept, what cannot is set aside, what is lost is said.

Each damaged journal is written anew from its readable files (`journal.salvage`). Stored results without a record are
recorded again by their manifest, once all of each was checked. All else that is lost is computed again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from helix_spark.catalog.artifacts import ArtifactLedger
from helix_spark.catalog.catalog_reader import Journals, journals_in
from helix_spark.catalog.history import History
from helix_spark.catalog.journal.journal import Journal, Mender, sync
from helix_spark.catalog.journal.salvage import remains_of, salvage
from helix_spark.catalog.leases.leases import SILENCE_SECONDS, Leases, this_process
from helix_spark.catalog.places.catalog_folder import Layout, explained, make_catalog
from helix_spark.catalog.places.place import Place, is_out_of_reach
from helix_spark.catalog.records import IterationRecord
from helix_spark.catalog.tables.attempts import read_manifest, stored_attempts
from helix_spark.catalog.tables.table_check import DamagedArtifactError, unreached
from helix_spark.catalog.verification import check_copy
from helix_spark.errors import CatalogError, DamagedRecordsError
from helix_spark.identity.parts import digest

LEASE = "repair"
"""The lease of the process that repairs a catalog."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What was found of a catalog and done about it, or would be in a dry run: a sentence each.

    Attributes:
        saved: what is recorded again.
        lost_history: whether some of what is lost is what ran, which is not computed again.
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


def repair(layout: Layout, leases: Leases, *, dry_run: bool) -> Repair:
    """Repair a catalog, or say what a repair would do. Raises CatalogError if others work on it, or it cannot be read
    or written."""
    if dry_run:
        return _repaired(layout, leases, None)
    with leases.alone(LEASE) as alone:
        if alone is None:
            held = leases.find(LEASE)
            raise CatalogError(
                f"{(held and held.holder) or 'another process'} repairs the catalog {layout.root} at the moment",
                remedy="wait until it has ended",
            )
        _check_idle(layout, leases)
        return _repaired(layout, leases, _new_aside(layout))


def mends(layout: Layout, leases: Leases, tell: Callable[[str], None]) -> Mender:
    """Return what repairs a catalog in a run that meets damage, where nothing is lost but what is computed again, or
    was not acknowledged; `tell` receives a line that says what was done."""
    def mender(error: DamagedRecordsError) -> bool:
        if error.exists is not None:
            return False  # it was refused already, by the reader in which it was met first
        held = leases.find(LEASE)
        if held is None or held.holder == this_process():
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
                        tell(_summary(done))
                    return True
        leases.wait(LEASE)
        return True

    return mender


def _summary(done: Repair) -> str:
    text = f"the catalog's records were damaged, and are repaired: {'; '.join(done.damage)}"
    lost = f"; lost: {'; '.join(done.lost)}" if done.lost else "; nothing is lost"
    return text + lost + (f"; what was set aside lies in {done.aside}" if done.aside else "")


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
    """Look for damage; repair it where there is a folder for what is moved aside."""
    with explained(layout, "read" if aside is None else "repaired"):
        if aside is not None:
            make_catalog(layout)
        journals = journals_in(layout.records)
        found = [(one, remains_of(one) if aside is None else salvage(one, aside)) for one in journals]
        damage = [remains.damage for _, remains in found if remains.damage]
        lost = [text for _, remains in found for text in remains.lost]
        history = any(remains.lost for journal, remains in found if journal in (journals.iterations, journals.nodes))
        saved = list[str]()
        if aside is not None or not damage:  # else the damaged records cannot be compared with what is stored
            again, unsound = _results_again(layout, journals, leases, aside)
            if again and journals.iterations.is_gone():
                damage.append("the records are gone")
                lost.append("what ran")
                history = True
            saved += again
            lost += unsound
            saved += _numbers_again(journals, aside)
        if aside is not None and saved:
            sync(tuple(journals))
    kept = str(aside) if aside is not None and aside.exists() else ""
    return Repair(tuple(damage), tuple(saved), tuple(lost), history, kept, aside is not None)


def _results_again(
    layout: Layout, journals: Journals, leases: Leases, aside: Place | None
) -> tuple[list[str], list[str]]:
    """Record finished results without a record; return what is recorded again and what cannot be, in words."""
    ledger, again, lost = ArtifactLedger(journals.artifacts), list[str](), list[str]()
    live = ledger.live()
    for attempt in stored_attempts(layout):
        if attempt.path is None or attempt.signature in live or ledger.events_of([attempt.attempt]):
            continue
        if not leases.is_dead(attempt.attempt, untouched=SILENCE_SECONDS):
            continue
        try:
            record = read_manifest(attempt.path)
            if record is None:  # it was never finished
                continue
            said = (record.signature, record.attempt, record.kind, record.event)
            if said != (attempt.signature, attempt.attempt, attempt.kind, "published"):
                raise ValueError("its manifest is that of another result")
            check_copy(record, attempt.path)
        except (DamagedArtifactError, OSError, ValueError, TypeError) as error:
            if is_out_of_reach(error):
                raise unreached(attempt.path, error) from error
            lost.append(f"the stored {attempt.kind} {attempt.signature[:12]}/{attempt.attempt[:8]}: {error}")
            continue
        if aside is not None:
            ledger.publish(record)
        again.append(f"the stored {record.kind} of {record.node!r} (iteration {record.iteration} of {record.workflow})")
    return again, lost


def _numbers_again(journals: Journals, aside: Place | None) -> Iterator[str]:
    """Record the newest iteration of each workflow as lost where only other records name it: its number stays taken."""
    named = dict[str, int]()
    for journal in (journals.nodes, journals.results, journals.artifacts):
        for workflow, number in _greatest(journal, "iteration").items():
            named[workflow] = max(number, named.get(workflow, 0))
    known = _greatest(journals.iterations, "number")  # read last: an iteration is recorded before all else of it
    for workflow, number in sorted(named.items()):
        if number > known.get(workflow, 0):
            yield f"the number of iteration {number} of {workflow}"
            if aside is not None:
                run = digest("lost iteration", workflow, str(number))[:32]
                History(journals.iterations, journals.nodes, journals.files).append(IterationRecord(
                    run, workflow, number, "failed", time.time(), error="its record was damaged, and is lost"
                ), ())


def _greatest(journal: Journal[Any], column: str) -> dict[str, int]:
    columns = journal.columns(f"SELECT workflow, max({column}) AS number FROM journal GROUP BY workflow")
    return dict(zip(columns.get("workflow", ()), columns.get("number", ()), strict=True))
