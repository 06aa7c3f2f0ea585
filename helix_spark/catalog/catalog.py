"""Write to a catalog: keep its records and its folders of data in agreement.

The order of steps makes it crash-safe. To store: data first, in a new folder, synced, then one record. To remove: the
record's end first, synced, then the data. A process that stops in between, or loses power, leaves bytes without a
record, which `gc` finds. A record is visible at once and durable after the next `sync`: records are many and small, and
one sync serves all of a run.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from helix_spark.catalog.artifacts import End, Leftover, find_leftovers
from helix_spark.catalog.catalog_reader import WHY_MISSING, CatalogReader
from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.forgetting import Forgetting, Selection, forgetting
from helix_spark.catalog.history import Progress, progress_note
from helix_spark.catalog.leases import GRACE_SECONDS
from helix_spark.catalog.older_layout import take_over
from helix_spark.catalog.places.catalog_folder import Layout, check_writable, explained, locate
from helix_spark.catalog.records import (
    ArtifactKind,
    ArtifactRecord,
    FileRecord,
    IterationRecord,
    NodeRecord,
    PinRecord,
    ResultRecord,
)
from helix_spark.catalog.segments.folding import fold, rewrite
from helix_spark.catalog.tables import attempts as folders
from helix_spark.catalog.tables.attempts import Attempt, write_manifest
from helix_spark.catalog.verification import Repair, check_idle, repair
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from helix_spark.workflow.declaration import Wishes


class Catalog(CatalogReader):
    """A catalog. Make one with `Catalog.open`; it may be used from several threads and processes at once."""

    def _begin(self, layout: Layout) -> None:
        super()._begin(layout)
        self._in_doubt: set[str] = set()

    def reopen(self) -> bool:
        """Open the catalog that has replaced this one at its location, if any; return whether there is one. Call it
        between runs, while nothing is written. Raises CatalogError like `open`."""
        try:
            self.check()
        except CatalogError:
            self._begin(locate(str(self._layout.name), create=True))
            return True
        return False

    def check(self) -> None:
        """Raise CatalogError if something else is at the catalog's location, or its name leads elsewhere."""
        self._location.check()

    def check_writable(self) -> None:
        """Raise CatalogError if the catalog cannot be written, or created."""
        check_writable(self._layout)

    def repair(self, *, dry_run: bool = False) -> Repair:
        """Repair the catalog from any state, or propose a repair; see `verification.repair`."""
        if not dry_run:
            self._check_to_write()
        return repair(self._layout, self._records, self.leases, dry_run=dry_run)

    def start_iteration(self, record: IterationRecord) -> IterationRecord:
        """Record that an iteration runs, under the next free number of its workflow; return the numbered record."""
        self.make()
        (numbered,) = self._records.decide_and_append(
            lambda: [replace(record, number=self.next_number(record.workflow), status="running")]
        )
        return numbered

    def make(self) -> None:
        """Create the catalog unless it exists; call it before the first lease. Raises CatalogError like `check`."""
        self._location.make()
        self._take_over()

    def _take_over(self) -> None:
        if self._location.is_older:
            take_over(self._layout, self.leases)
            self._begin(self._layout)

    def _check_to_write(self) -> None:
        """Check that the catalog can be written; it is not created. Raises CatalogError as `check` does."""
        self._location.check()
        self._take_over()

    def append_iteration(
        self, record: IterationRecord, nodes: Sequence[NodeRecord] = (), results: Sequence[ResultRecord] = (),
        texts: Iterable[FileRecord] = (),
    ) -> None:
        """Record an iteration, usually its end, with its nodes and results, and the texts that they name."""
        self._append(lambda: [*results, *nodes, record], texts)

    def add_iteration(
        self, record: IterationRecord, nodes: Sequence[NodeRecord], results: Sequence[ResultRecord],
        texts: Iterable[FileRecord],
    ) -> IterationRecord:
        """Record an iteration of another catalog, unless it is recorded, with its nodes and results, and the texts that
        they name. Return it with its number in this catalog."""
        numbered = record

        def decide() -> Sequence[IterationRecord | NodeRecord | ResultRecord]:
            nonlocal numbered
            rows = self._records.select("SELECT number FROM iterations WHERE run = ?", record.run)
            number = rows[0][0] if rows else self.next_number(record.workflow)
            numbered = replace(record, number=number)
            copies = [replace(result, iteration=number) for result in results]
            return copies if rows else [*copies, *(replace(node, iteration=number) for node in nodes), numbered]

        self._append(decide, texts)
        return numbered

    def append_results(self, results: Sequence[ResultRecord], texts: Iterable[FileRecord] = ()) -> None:
        """Record results outside of an iteration, with the texts that they name."""
        if results:
            self._append(lambda: results, texts)

    def _append(
        self, decide: Callable[[], Sequence[ResultRecord | NodeRecord | IterationRecord]], texts: Iterable[FileRecord]
    ) -> None:
        self.make()
        files = {file.digest: file for file in texts}
        self._records.decide_and_append(
            lambda: [*(file for digest, file in files.items() if self._own_file(digest) is None), *decide()]
        )

    def note_progress(self, progress: Progress) -> None:
        """Write the progress of a run for other processes. Never raises: nothing depends on it."""
        with contextlib.suppress(OSError, CatalogError):
            self.make()
            note = progress_note(self._layout, progress.workflow, progress.number)
            note.parent.make_folder()
            note.replace_text(json.dumps(asdict(progress)))

    def forget_progress(self, workflow: str, number: int) -> None:
        """Remove the progress of a run."""
        with contextlib.suppress(CatalogError, OSError):
            self.check()
            progress_note(self._layout, workflow, number).unlink(missing_ok=True)

    def pin(self, iteration: IterationRecord, *, pinned: bool) -> None:
        """Pin or unpin an iteration. The results of a pinned one are never evicted."""
        self._check_to_write()
        key = iteration.workflow, iteration.number
        record = PinRecord(*key, pinned, time.time())
        self._records.decide_and_append(lambda: () if (key in self.pinned()) == pinned else (record,))
        self._records.sync()

    def sync(self) -> None:
        """Sync all records of all processes, so that they survive a loss of power: only then are results reported as
        stored. Call it after an answer, once for many records. Raises CatalogError."""
        self.check()
        self._records.sync()

    def begin_attempt(self, signature: str, kind: ArtifactKind) -> Attempt:
        """Return a new attempt to store a result, under a lease of its own."""
        self.make()
        attempt = folders.attempt_in(self._layout, signature, uuid.uuid4().hex, kind)
        if attempt.path is not None:
            # Take it before the folder is made: `gc` never sees the folder of a live writer without a lease.
            self.leases.take(attempt.attempt)
        return attempt

    def abandon(self, attempt: Attempt) -> None:
        """Delete the folder of an attempt that will not be published. Raises CatalogError if it is live."""
        try:
            try:
                self.check()
            except CatalogError:
                folders.delete_all(self._layout, [attempt])
                raise
            if attempt.attempt in self._in_doubt:
                published = not self._end_unpublished({attempt: "publishing it failed"})
            else:
                live = self._artifacts.live_among([attempt.signature]).get(attempt.signature)
                published = live is not None and live.attempt == attempt.attempt
            if published:
                raise CatalogError(f"attempt {attempt.attempt} is published", remedy="evict it instead")
            folders.delete_all(self._layout, [attempt])
        finally:
            self.leases.release(attempt.attempt)

    def write_manifest(self, record: ArtifactRecord) -> ArtifactRecord:
        """Write a manifest into the folder, so that repair can rebuild the record. Publish the returned record."""
        if (path := self.path_of(record)) is None:
            return record
        with explained(self._layout, "written"):
            return write_manifest(path, record)

    def publish(self, record: ArtifactRecord) -> ArtifactRecord:
        """Sync a written result, then record it; return the live record. If another is live, delete the folder.

        The data then survives a loss of power; the record does after a `sync`. Raises CatalogError.
        """
        self.make()
        if (path := self.path_of(record)) is not None:
            start = time.perf_counter()
            try:
                self.root.sync(list(path.files()))
            except OSError as error:
                why = f"its folder {path} is gone" if isinstance(error, FileNotFoundError) else \
                    f"{path} cannot be synced: {error}"
                raise CatalogError(f"node {record.node!r} is not published: {why}") from error
            seconds = time.perf_counter() - start  # syncing is a part of writing
            record = replace(record, write_seconds=record.write_seconds + seconds) if record.write_seconds else record
        try:
            live = self._artifacts.publish(record)
        except BaseException:
            # The record may have been appended: perhaps only the answer was lost.
            self._in_doubt.add(record.attempt)
            raise
        try:
            reach("publish.recorded")
            if live.attempt != record.attempt:
                # If deleting fails, `gc` reports the folder; the result is stored in any case.
                with contextlib.suppress(CatalogError):
                    folders.delete_all(self._layout, [folders.attempt_of(self._layout, record)])
        finally:
            self.leases.release(record.attempt)
        return live

    def evict_all(
        self, why: Mapping[str, str], *, attempts: Collection[str] | None = None, seen: int | None = None
    ) -> tuple[ArtifactRecord, ...]:
        """End the live artifacts of some signatures in one append, then delete their data; return their records.

        Results of pinned iterations stay, and with `attempts` all other attempts. No-op if results were stored or ended
        since the `stored_version` `seen`. Raises CatalogError if the ends cannot be recorded (then nothing happened),
        or if data cannot be deleted: it is not used any more, and `gc` tries again.
        """
        return self._end_all(why, "evicted", attempts, seen, self._pinned_results)

    def quarantine(self, signature: str, why: str, *, attempt: str | None = None) -> ArtifactRecord | None:
        """End a damaged artifact like `evict_all`, if `attempt` (if any) is live; skip a shared catalog's."""
        live = self.artifact(signature)
        if live is not None and live.shared and attempt in (None, live.attempt):
            self.shared.damaged.add(live.attempt)
            return live
        attempts = None if attempt is None else {attempt}
        return next(iter(self._end_all({signature: why}, "quarantined", attempts)), None)

    def quarantine_missing(self, records: Collection[ArtifactRecord]) -> tuple[ArtifactRecord, ...]:
        """Quarantine the artifacts whose folder is still gone, and return them."""
        if not records:
            return ()
        with explained(self._layout, "read"):
            missing = folders.missing_among(self._layout, records)
        why = {record.signature: WHY_MISSING for record in missing}
        return self._end_all(why, "quarantined", {record.attempt for record in missing})

    def note_wishes(self, workflow: str, wishes: Mapping[str, Wishes]) -> None:
        """Record changed wishes of a workflow's author for stored results, by signature."""
        self._check_to_write()
        self._artifacts.note_wishes(workflow, wishes)

    def forget(self, selection: Selection, *, dry_run: bool) -> Forgetting:
        """Delete the stored results of a selection, and their records from all files; return what was deleted. Raises
        CatalogError if other processes work on the catalog, if it affects a pinned iteration, or if writing fails."""
        if dry_run:
            return forgetting(self._records, selection, self.pinned())
        self._check_to_write()
        with self.leases.alone("upkeep") as alone:
            check_idle(self._layout, self.leases)
            if alone is None:
                raise CatalogError(f"another process works on the records of the catalog {self.root} at the moment",
                                   remedy="wait until it has ended")
            return self._forget(selection)

    def expire(self, due: Callable[[], Collection[str]]) -> Forgetting | None:
        """Forget the runs that are due, also while other processes work on the catalog: they read its records again.
        Return None if no run is due, or another process does this. Raises CatalogError if writing fails."""
        self._check_to_write()
        with self.leases.alone("upkeep") as alone:
            runs = frozenset(due()) if alone is not None else ()
            return self._forget(Selection(runs=runs)) if runs else None

    def _forget(self, selection: Selection) -> Forgetting:
        effects: Forgetting

        def decide() -> Sequence[FileRecord]:
            nonlocal effects
            effects = forgetting(self._records, selection, self.pinned())
            # A process that names one of these texts from now on appends it again.
            return [FileRecord(digest, "", "") for digest in sorted(effects.texts)] if effects.runs else ()

        self._records.decide_and_append(decide)
        if effects.runs:
            self._end_all(dict.fromkeys(effects.signatures, "forgotten"), "evicted")
            rewrite(self._records, effects.strip)
            self._records.forget_index()
            for iteration in effects.runs.values():
                self.forget_progress(iteration.workflow, iteration.number)
        return effects

    def gc(self, *, dry_run: bool, grace_seconds: float = GRACE_SECONDS) -> tuple[Leftover, ...]:
        """Delete the folders that no live record refers to, and return them. No-op while another process does this.

        Ended artifacts, and unrecorded attempts of writers that have ended, are deleted at once. Those of unknown
        writers are deleted if untouched for the grace: first their end is recorded, so that they cannot be published
        later. Folders of live writers stay; so do finished ones without a record, for `helix repair`. Raises
        CatalogError for a folder that cannot be deleted, once all others are.
        """
        def find(dead: Collection[str]) -> tuple[Leftover, ...]:
            return find_leftovers(self._layout, self._artifacts, self.leases, dead, grace_seconds)

        self.check()
        if dry_run or not self._layout.marker.exists():
            return find(self.leases.dead(untouched=grace_seconds))
        self._take_over()
        with self.leases.alone("gc") as alone:
            if alone is None:
                return ()
            dead = self.leases.dead(untouched=grace_seconds)
            leftovers = find(dead)
            reach("gc.found")
            if leftovers:
                self._records.sync()  # another process may have recorded an end and not synced it
            folders.delete_all(self._layout, [leftover.attempt for leftover in leftovers if leftover.certain])
            silent = {leftover.attempt: leftover.why for leftover in leftovers if not leftover.certain}
            ended = self._end_unpublished(silent)
            folders.delete_all(self._layout, ended)
            self.leases.remove(dead.values())
            return tuple(leftover for leftover in leftovers if leftover.certain or leftover.attempt in ended)

    def maintain(self) -> None:
        """Fold the records to keep them quick to read: call it in the background after a run. Raises CatalogError."""
        self._check_to_write()
        if self._layout.marker.exists():
            with self.leases.alone("upkeep") as alone:
                if alone is not None:
                    fold(self._records)

    def _end_all(
        self, why: Mapping[str, str], event: End, attempts: Collection[str] | None = None, seen: int | None = None,
        spared: Callable[[], Collection[str]] = tuple,
    ) -> tuple[ArtifactRecord, ...]:
        """End live artifacts, by signature, then delete their data; see `ArtifactLedger.end_all`."""
        self._check_to_write()
        ended = self._artifacts.end_all(why, event, attempts=attempts, seen=seen, spared=spared)
        if ended:
            reach("end.recorded")
            if event == "evicted":  # else an answer may wait for this, and damage is found again if its end is lost
                self._records.sync()
            folders.delete_all(self._layout, [folders.attempt_of(self._layout, record) for record in ended])
        return ended

    def _end_unpublished(self, why: Mapping[Attempt, str]) -> list[Attempt]:
        """End attempts that were not published; return the ended ones. Their data stays."""
        if not why:
            return []
        ended = self._artifacts.end_unpublished(why)
        self._records.sync()
        reach("gc.recorded")
        return [attempt for attempt in why if attempt.attempt in ended]
