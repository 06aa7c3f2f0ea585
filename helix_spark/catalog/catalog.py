"""The catalog of one root folder: the journals and the folders of data, kept in agreement. Decides nothing.

Who only looks at it asks for less: pages have a Protocol of what they read, so that no page can change a catalog.

The order of steps carries the safety. To store: data first, under a path of its own, synced, then one record. To
remove: the record's end first, synced, then the data. Whoever stops in between, or loses power, leaves bytes that
nothing refers to, which `gc` finds. A record is seen at once, and counts as acknowledged after the next `sync`: records
are many and small, and one sync serves all of a run.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from helix_spark.catalog.artifacts import ArtifactLedger, End
from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.history import History
from helix_spark.catalog.journal.open_table import Mender, refuses
from helix_spark.catalog.journal.syncing import sync
from helix_spark.catalog.journal.upkeep import MOST_BYTES, maintain
from helix_spark.catalog.known_results import AnswerLedger, KnownResults, ResultLedger
from helix_spark.catalog.leases.leases import GRACE_SECONDS, SILENCE_SECONDS, Leases
from helix_spark.catalog.leftovers import Leftover, bytes_of_results, find_leftovers
from helix_spark.catalog.merge import Merge, merge
from helix_spark.catalog.places.catalog_folder import Layout, check_writable, explained, locate
from helix_spark.catalog.places.folder_bytes import FolderBytes
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.same_place import SamePlace
from helix_spark.catalog.record_journals import journals_in
from helix_spark.catalog.records import (
    ArtifactKind,
    ArtifactRecord,
    FileRecord,
    IterationRecord,
    NodeRecord,
    ResultRecord,
)
from helix_spark.catalog.repair import Repair, idle, mends, repair
from helix_spark.catalog.run_progress import Progress, read_progress, remove_progress, write_progress
from helix_spark.catalog.tables import attempts as folders
from helix_spark.catalog.tables.attempts import Attempt, has_manifest, write_manifest
from helix_spark.catalog.tables.model_files import checked_digest
from helix_spark.catalog.tables.table_check import CheckedTable, check_table, written_digest
from helix_spark.catalog.tables.table_reading import FirstRows, check_rows, read_arrow, read_first
from helix_spark.catalog.tables.table_writing import TableStats, write_arrow
from helix_spark.catalog.view import CatalogView, without_past
from helix_spark.errors import CatalogError, DamagedRecordsError

if TYPE_CHECKING:
    import pyarrow as pa

    from helix_spark.workflow.declaration import Wishes

REMEMBERED = 40
"""Iterations that a snapshot holds: a forecast weighs those further back with less than a third (`FRESHNESS`)."""


class Catalog:
    """A catalog. Make one with `Catalog.open`; it may be used from several threads and processes at once."""

    def __init__(self, layout: Layout) -> None:
        self._mender: Mender = refuses
        self._begin(layout)

    def _begin(self, layout: Layout) -> None:
        self._layout, self._place = layout, SamePlace(layout)
        check = self._place.check
        self._journals = journals_in(layout.records, check, self._mended)
        self._artifacts = ArtifactLedger(self._journals.artifacts)
        self._history = History(self._journals)
        self._results = ResultLedger(self._journals.results)
        self.answers = AnswerLedger(self._journals.answers)
        self._records_bytes = FolderBytes(layout.records)
        self.leases = Leases(layout.leases, check)
        self._in_doubt: set[str] = set()

    @classmethod
    def open(cls, root: str | os.PathLike[str], *, create: bool) -> Catalog:
        """The catalog at `root`. Writes nothing: with `create` a new one is made by its first write.

        Raises:
            CatalogError: `root` holds something else, is of a newer layout, or does not exist (without `create`).
        """
        return cls(locate(root, create=create))

    def reopen(self) -> bool:
        """Whether something else is in the catalog's place, or its name leads elsewhere: that is the catalog from now
        on. To be asked between runs, while nothing is written.

        Raises CatalogError as `open` does.
        """
        try:
            self._place.check()
        except CatalogError:
            self._begin(locate(str(self._layout.name), create=True))
            return True
        return False

    def check(self) -> None:
        """Raises CatalogError if something else is in the catalog's place, or its name leads elsewhere."""
        self._place.check()

    def check_writable(self) -> tuple[str, ...]:
        """Raises CatalogError if it cannot be written, or be made; returns what the disk of one that is to be made can
        not do, in words."""
        return check_writable(self._layout)

    def repair_by_itself(self, tell: Callable[[str], None]) -> None:
        """From now on, damage of the records that is met is repaired where nothing is lost that cannot be computed
        again, and told; else it stays an error, as it is for who only reads."""
        self._mender = mends(self._layout, self.leases, tell)

    def repair(self, *, dry_run: bool = False) -> Repair:
        """Repair the catalog, whatever state it is in, or say what that would do; see `repair`.

        Raises CatalogError if others work on it, or if it cannot be read or written.
        """
        return repair(self._layout, self.leases, dry_run=dry_run)

    def merge(self, other: str | os.PathLike[str], *, dry_run: bool = False) -> Merge:
        """Take over what another copy of this catalog has, or say what that would be; see `merge`. Repair it first.

        Raises CatalogError if others work on this one, for what is no other copy of it, or if either cannot be read.
        """
        if dry_run:
            return merge(self, self._layout, other, dry_run=True)
        with idle(self._layout, self.leases):
            return merge(self, self._layout, other, dry_run=False)

    def _mended(self, error: DamagedRecordsError) -> bool:
        self._place.check()  # what is damaged may be another catalog that was put there
        return self._mender(error)

    @property
    def root(self) -> Place:
        return self._layout.root

    # What is known -------------------------------------------------------------------------------------------------

    @property
    def left_out(self) -> tuple[str, ...]:
        """Why records were left out of what was read so far, in words: they do not fit."""
        return tuple(why for journal in self._journals for why in journal.left_out)

    def snapshot(self, workflow: str) -> CatalogView:
        """What `workflow` needs to know to plan, in one reading. Raises CatalogError for damaged records.

        Of all that is stored it reads the records, without what is long in them. Whether it is there is seen only of
        what the remembered iterations had; and folders in which something is live are not searched for leftovers.
        """
        past = self._history.recent(workflow, REMEMBERED)
        near = {node.signature for one in past for node in one.nodes}
        live = self._artifacts.live_for_plan(near)
        if not past and not live:
            self._check_recorded()
        with explained(self._layout, "read"):
            folders.check_folders(self._layout, {record.kind for record in live.values()})
            missing, leftovers = folders.looked_for(
                self._layout, [live[one] for one in sorted(near & live.keys())], lambda signature: signature not in live
            )
        lost = {record.signature for record in missing}
        past_wishes = self._past_wishes(live.values(), workflow)
        ended = [one.record for one in past if one.record.status != "running"]
        last = ended[-1] if ended else self._history.last_ended(workflow) if past else None
        return CatalogView(
            workflow,
            MappingProxyType({
                signature: without_past(record, past_wishes)
                for signature, record in live.items() if signature not in lost
            }),
            tuple(missing),
            last,
            self._history.nodes_of(last) if last else (),
            past,
            past[-1].record.number + 1 if past else 1,
            self._bytes_from_records({record.attempt: record.bytes for record in live.values()}, leftovers),
            past_wishes,
        )

    def results(
        self, declared: Collection[str], signatures: Collection[str] = ()
    ) -> KnownResults:
        """What declared signatures stand for, and what signatures cost; see `KnownResults`."""
        return self._results.known(declared, signatures)

    def with_content(self, workflow: str, node: str, content: str, *, in_any_order: bool = False) -> str | None:
        """The signature of an earlier result of a node that holds the same, or the same rows in another order, if there
        is one to go by; of several the newest."""
        return self._results.with_content(workflow, node, content, in_any_order=in_any_order)

    def measured(self, workflow: str, names: Collection[str]) -> dict[str, ResultRecord]:
        """The newest record with measured compute seconds of each named node of a workflow, whatever its signature."""
        return self._results.last_measured(workflow, names)

    def live(self) -> tuple[ArtifactRecord, ...]:
        """All live artifacts, of all workflows, whether their data is there or not."""
        return tuple(self._artifacts.live().values())

    def artifact(self, signature: str) -> ArtifactRecord | None:
        """The live artifact of a signature."""
        return self._artifacts.live_of(signature)

    def live_among(self, signatures: Collection[str]) -> dict[str, ArtifactRecord]:
        """The live artifacts of some signatures, by signature, in one look."""
        return self._artifacts.live_among(signatures)

    def ends_among(self, signatures: Collection[str]) -> dict[str, ArtifactRecord]:
        """When and why results of some signatures ceased to be stored, by signature."""
        return self._artifacts.ends_among(signatures)

    def last_events(self) -> dict[str, ArtifactRecord]:
        """The newest record of every signature that was ever stored: live if its event is `published`."""
        return self._artifacts.newest()

    def last_event(self, signature: str) -> ArtifactRecord | None:
        """The newest record of a signature's artifacts: tells when and why something is no longer stored."""
        return self._artifacts.last_of(signature)

    def iterations(self, workflow: str | None = None, limit: int | None = None) -> tuple[IterationRecord, ...]:
        """Iterations of one workflow or of all, newest first. Running ones whose process is gone have died."""
        found = self._history.iterations(workflow, limit) or self._check_recorded()
        return self.concluded(found, workflow, limit)

    def concluded(
        self, found: Sequence[IterationRecord], workflow: str | None = None, limit: int | None = None
    ) -> tuple[IterationRecord, ...]:
        """Iterations that were read some time ago: some of those that ran may have died since."""
        dead = {
            record.run for record in found
            if record.status == "running" and self.leases.is_dead(record.run, untouched=SILENCE_SECONDS)
        }
        # Those that came to their end after they were read have given back their lease, too.
        again = self._history.iterations(workflow, limit) if dead else found
        return tuple(
            replace(record, status="died") if record.run in dead and record.status == "running" else record
            for record in again
        )

    def nodes(self, iteration: IterationRecord) -> tuple[NodeRecord, ...]:
        """What happened to each node of an iteration, inputs first; none before it has ended."""
        return self._history.nodes_of(iteration)

    def progress(self, iteration: IterationRecord) -> Progress | None:
        """How far an iteration is that runs or, after its answer, still stores; how far one came that died. None
        otherwise."""
        ended = iteration.status not in ("running", "died")
        if ended and self.leases.is_dead(iteration.run, untouched=SILENCE_SECONDS):
            return None
        return read_progress(self._layout, iteration.workflow, iteration.number)

    def loads(self) -> dict[str, tuple[int, str, int]]:
        """How often each signature was loaded, and by which workflow and iteration last."""
        return self._history.loads()

    def file_text(self, digest: str) -> str | None:
        """The text of the workflow file that an iteration names by its digest; None if it was never kept."""
        found = self._history.file(digest) if digest else None
        return found.text if found else None

    def nodes_recorded(self) -> int:
        """How many records of nodes there are, of all iterations."""
        return self._history.nodes_recorded()

    def workflows(self) -> tuple[str, ...]:
        return self._history.workflows()

    def version(self) -> str:
        """Differs whenever something was recorded that people look at."""
        return "-".join(map(str, (*self._history.version(), self._artifacts.version())))

    # What ran ------------------------------------------------------------------------------------------------------

    def start_iteration(self, record: IterationRecord) -> IterationRecord:
        """Record that an iteration runs. Its number is given here, and no two runs of a workflow get the same."""
        self._place.make()
        return self._history.start(record)

    def take_over_iteration(self, record: IterationRecord) -> IterationRecord:
        """Record the start of an iteration of another copy; see `History.take_over`."""
        self._place.make()
        return self._history.take_over(record)

    def make(self) -> None:
        """Make it, unless it exists. Before the first lease: a folder that holds leases alone is no catalog.

        Raises CatalogError if something else is in its place since it was opened: a link was turned elsewhere, or a
        folder moved. All else that writes raises the same.
        """
        self._place.make()

    def append_iteration(
        self, record: IterationRecord, nodes: Sequence[NodeRecord] = (), results: Sequence[ResultRecord] = ()
    ) -> None:
        """Record an iteration, usually its end, with its nodes and what was learnt of results."""
        self._place.make()
        self._results.append(results)
        reach("iteration.results")
        self._history.append(record, nodes)

    def note_progress(self, progress: Progress) -> None:
        """Let those who watch know how far a run is. Never raises: a note that cannot be written is no loss."""
        with contextlib.suppress(OSError, CatalogError):
            self._place.make()
            write_progress(self._layout, progress)

    def forget_progress(self, workflow: str, number: int) -> None:
        """The end of what `note_progress` began."""
        with contextlib.suppress(CatalogError):
            self._place.check()
            remove_progress(self._layout, workflow, number)

    def keep_file(self, record: FileRecord) -> None:
        """Record the text of a workflow file, once for each content."""
        self._place.make()
        self._history.keep_file(record)

    def sync(self) -> None:
        """Have all that is on record by now, whoever recorded it, survive a loss of power. Until then nobody is told
        that it is stored. Behind an answer, once for many records. Raises CatalogError if that cannot be had."""
        sync(self._journals.ends_first)

    def append_results(self, results: Sequence[ResultRecord]) -> None:
        """Record what is known of results apart from an iteration."""
        self._place.make()
        self._results.append(results)

    # What is stored ------------------------------------------------------------------------------------------------

    def begin_attempt(self, signature: str, kind: ArtifactKind) -> Attempt:
        """A fresh, private place to store a result. Nobody sees it until it is published."""
        self._place.make()
        attempt = folders.new_attempt(self._layout, signature, kind, self._place.check)
        if attempt.path is not None:
            # Taken before the folder is made: `gc` never sees the folder of a live writer without a lease.
            self.leases.take(attempt.attempt)
        return attempt

    def abandon(self, attempt: Attempt) -> None:
        """Delete what was written for an attempt that is not to be published. Raises CatalogError if it is live."""
        try:
            self._leave_no_folder_elsewhere(attempt)
            if attempt.attempt in self._in_doubt:
                published = not self._ended_unpublished({attempt: "publishing it failed"})
            else:
                live = self._artifacts.live_of(attempt.signature)
                published = live is not None and live.attempt == attempt.attempt
            if published:
                raise CatalogError(f"attempt {attempt.attempt} is published", remedy="evict it instead")
            self._delete([attempt])
        finally:
            self.leases.release(attempt.attempt)

    def vouch(self, record: ArtifactRecord) -> ArtifactRecord:
        """Have what is stored say of itself what its record will say, once all of it is written and checked: where
        records are lost, it is taken up again by that. Publish what this returns.

        Raises CatalogError if it cannot be written.
        """
        path = self.path_of(record)
        if path is None:
            return record
        with explained(self._layout, "written"):
            return write_manifest(path, record)

    def publish(self, record: ArtifactRecord) -> ArtifactRecord:
        """Make a written result exist, and return the record that counts.

        The first record of a signature wins: if there is a live one already, that is returned and the folder of
        `record` is deleted. Only a table that lacks columns which `record` has gives way to it, and is deleted.

        What is seen to be published survives a loss of power; that it is published does after the next `sync`.

        Raises CatalogError if the folder of `record` is not there, or it or the record cannot be written.
        """
        self._place.make()
        record = self._synced(record)
        try:
            live, replaced = self._artifacts.publish(record)
        except BaseException:
            # An answer that was lost, or that comes late, may be one of success.
            self._in_doubt.add(record.attempt)
            raise
        try:
            reach("publish.recorded")
            surplus = replaced if live.attempt == record.attempt else record
            if surplus is not None:
                # What cannot be deleted is for `gc` to find, which says so: the result is there all the same.
                with contextlib.suppress(CatalogError):
                    if surplus is replaced:
                        sync([self._journals.artifacts])
                    self._delete([_attempt_of(surplus, self.path_of(surplus))])
        finally:
            self.leases.release(record.attempt)
        return live

    def evict(self, signature: str, why: str, *, attempt: str | None = None) -> ArtifactRecord | None:
        """End the live artifact of a signature, then delete its data. Returns what it was; None if nothing was live.
        With `attempt`, only if that is still the live one.

        Raises CatalogError if the end cannot be recorded (nothing happened), or if the data cannot be deleted (it is
        not used any more; `gc` tries again).
        """
        return self._end_one(signature, why, "evicted", attempt)

    def evict_all(
        self, why: Mapping[str, str], *, attempts: Collection[str] | None = None, seen: int | None = None
    ) -> tuple[ArtifactRecord, ...]:
        """The same for several, by signature: all their ends are recorded at once, and then all their data is deleted.

        Args:
            attempts: only of these: what was stored since it was decided stays.
            seen: nothing happens if anything was stored or ended since this `stored_version`.

        Raises CatalogError as `evict` does; for data that cannot be deleted once all other data is.
        """
        return self._end_all(why, "evicted", attempts, seen)

    def stored_version(self) -> int:
        """Grows whenever it is recorded that something is stored or not any more."""
        return self._artifacts.version()

    def quarantine(self, signature: str, why: str, *, attempt: str | None = None) -> ArtifactRecord | None:
        """The same as `evict` for a damaged artifact."""
        return self._end_one(signature, why, "quarantined", attempt)

    def quarantine_missing(self, records: Collection[ArtifactRecord]) -> tuple[ArtifactRecord, ...]:
        """The same at once for those of some artifacts whose folder is gone: it is asked for once more, as an end is
        final. Returns these."""
        if not records:
            return ()
        with explained(self._layout, "read"):
            gone, _ = folders.looked_for(self._layout, records, lambda signature: False)
        why = dict.fromkeys((record.signature for record in gone), "its folder is gone")
        return self._end_all(why, "quarantined", {record.attempt for record in gone})

    def note_wishes(self, workflow: str, wishes: Mapping[str, Wishes]) -> None:
        """Record what a workflow's author wishes of what is stored already, by signature, where that is news."""
        self._artifacts.note_wishes(workflow, wishes)

    def path_of(self, record: ArtifactRecord) -> Place | None:
        """The folder of an artifact; None for a value."""
        if record.kind == "value":
            return None
        return self._layout.attempt(record.kind, record.signature, record.attempt)

    def written_digest(self, attempt: Attempt) -> str | None:
        """The digest for the record of what was just written; None for a value. Raises CatalogError."""
        if attempt.path is None:
            return None
        return written_digest(attempt.path) if attempt.kind == "table" else checked_digest(attempt.path)

    def check_table(self, record: ArtifactRecord) -> CheckedTable:
        """Check a stored table against its record, without reading its pages; see `table_check.check_table`."""
        return check_table(self._table_path(record), record)

    def check_rows(self, record: ArtifactRecord) -> tuple[str, ...]:
        """Read all of a stored table without a JVM and keep nothing; see `table_reading.check_rows`."""
        return check_rows(self._table_path(record), record)

    def read_arrow(self, record: ArtifactRecord, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a stored table without a JVM; see `table_reading.read_arrow`."""
        return read_arrow(self._table_path(record), record, columns)

    def first_rows(self, record: ArtifactRecord, rows: int, most_columns: int) -> FirstRows:
        """The first rows of a stored table without a JVM; see `table_reading.read_first`."""
        return read_first(self._table_path(record), record, rows, most_columns)

    def write_arrow(self, attempt: Attempt, table: pa.Table) -> TableStats:
        """Write a table without a JVM; see `table_writing.write_arrow`. Publish it afterwards."""
        return write_arrow(attempt, table)

    # What it takes -------------------------------------------------------------------------------------------------

    def bytes_used(self) -> int:
        """Physical bytes of the catalog: records, leftovers, and live artifacts, as their own records say."""
        with explained(self._layout, "read"):
            stored = list(folders.stored_attempts(self._layout))
        return self._bytes_from_records(self._artifacts.live_bytes(), stored)

    def gc(self, *, dry_run: bool, grace_seconds: float = GRACE_SECONDS) -> tuple[Leftover, ...]:
        """Delete what nobody refers to, and return it; see `leftovers.find_leftovers`. Nothing happens while another
        process does it.

        What a writer may only have been stopped at is ended on record first, so that it cannot be published later.

        Raises CatalogError when something cannot be deleted, once all else is.
        """
        self._place.check()
        if dry_run or not self._layout.marker.exists():
            return self._leftovers(self.leases.dead(untouched=grace_seconds), grace_seconds)
        with self.leases.alone("gc") as alone:
            if alone is None:
                return ()
            dead = self.leases.dead(untouched=grace_seconds)
            leftovers = self._leftovers(dead, grace_seconds)
            reach("gc.found")
            if leftovers:
                sync([self._journals.artifacts])  # an end may be another process's, which is about to delete the same
            self._delete(leftover.attempt for leftover in leftovers if leftover.certain)
            silent = {leftover.attempt: leftover.why for leftover in leftovers if not leftover.certain}
            ended = self._ended_unpublished(silent)
            self._delete(ended)
            self.leases.clear(dead, untouched=grace_seconds)
            return tuple(one for one in leftovers if one.certain or one.attempt in ended)

    def maintain(self, *, budget: int | None = None) -> None:
        """Keep the records quick to read. Not needed for a right answer: call it after a run, in the background.
        Nothing happens while another process does it.

        Args:
            budget: bytes of the whole catalog, if limited; the less it is, the sooner goes what was replaced.

        Raises CatalogError if they cannot be kept so.
        """
        self._place.check()
        if not self._layout.marker.exists():
            return
        waiting = MOST_BYTES if budget is None else min(MOST_BYTES, budget // 100)
        with self.leases.alone("upkeep") as alone:
            if alone is None:
                return
            for journal in self._journals:
                maintain(journal, alone, waiting)

    def _leftovers(self, dead: Collection[str], grace_seconds: float) -> tuple[Leftover, ...]:
        with explained(self._layout, "read"):
            return find_leftovers(self._layout, self._artifacts, self.leases, dead, grace_seconds)

    def _ended_unpublished(self, why: Mapping[Attempt, str]) -> list[Attempt]:
        """Those of some attempts that are not live, and cannot be published any more: their ends are on record."""
        if not why:
            return []
        ended = self._artifacts.end_unpublished(why)
        sync([self._journals.artifacts])
        reach("gc.recorded")
        return [attempt for attempt in why if attempt.attempt in ended]

    def _check_recorded(self) -> tuple[IterationRecord, ...]:
        """Raises DamagedRecordsError if the journal of iterations is gone, though finished results are stored; else
        returns that there are none."""
        if not self._history.workflows() and self._journals.iterations.is_gone():
            stored = (one.path for one in folders.stored_attempts(self._layout))
            if any(path is not None and has_manifest(path) for path in stored):
                raise DamagedRecordsError(
                    f"the records of the catalog {self.root} are gone, and results are stored there",
                    remedy="copy them back; or have `helix repair` take up again what is stored",
                )
        return ()

    def _past_wishes(self, live: Collection[ArtifactRecord], workflow: str) -> frozenset[tuple[str, str]]:
        """See `CatalogView`: what another workflow insists on is wanted as long as the newest version of that one has
        it."""
        theirs = [(name, record) for record in live for name in record.insisting - {workflow}]
        current = self._history.in_newest_versions({name for name, _ in theirs})
        return frozenset((name, record.attempt) for name, record in theirs if (name, record.signature) not in current)

    def _end_one(self, signature: str, why: str, event: End, attempt: str | None) -> ArtifactRecord | None:
        return next(iter(self._end_all({signature: why}, event, None if attempt is None else {attempt})), None)

    def _end_all(
        self, why: Mapping[str, str], event: End, attempts: Collection[str] | None = None, seen: int | None = None
    ) -> tuple[ArtifactRecord, ...]:
        ended = self._artifacts.end_all(why, event, attempts=attempts, seen=seen)
        if ended:
            reach("end.recorded")
            if event == "evicted":  # damage whose end is lost is met again, and this may be before an answer
                sync([self._journals.artifacts])
            self._delete(_attempt_of(record, self.path_of(record)) for record in ended)
        return ended

    def _leave_no_folder_elsewhere(self, attempt: Attempt) -> None:
        """Raises CatalogError if something else is in the catalog's place, without what was written of an attempt."""
        try:
            self._place.check()
        except CatalogError:
            folders.delete(self._layout, attempt)
            raise

    def _delete(self, attempts: Iterable[Attempt]) -> None:
        """Deletes what nobody can use any more. A copy of this catalog in its place may still use it."""
        def checked() -> Iterator[Attempt]:
            for attempt in attempts:
                self._place.check()
                yield attempt

        folders.delete_all(self._layout, checked())

    def _synced(self, record: ArtifactRecord) -> ArtifactRecord:
        """A record whose folder survives a loss of power. That takes time as well: it is part of the writing."""
        path = self.path_of(record)
        if path is None:
            return record
        begun = time.perf_counter()
        try:
            self.root.sync(list(path.files()))
        except FileNotFoundError as error:
            raise CatalogError(f"node {record.node!r} is not published: its folder {path} is gone") from error
        except OSError as error:
            raise CatalogError(f"node {record.node!r} is not published: {path} cannot be synced: {error}") from error
        if not record.write_seconds:
            return record
        return replace(record, write_seconds=record.write_seconds + time.perf_counter() - begun)

    def _table_path(self, record: ArtifactRecord) -> Place:
        path = self.path_of(record)
        if record.kind != "table" or path is None:
            raise CatalogError(f"the stored result of node {record.node!r} is a {record.kind}, not a table")
        return path

    def _bytes_from_records(self, live: Mapping[str, int], stored: Sequence[Attempt]) -> int:
        with explained(self._layout, "read"):
            return bytes_of_results(live, stored) + self._records_bytes.total()


def _attempt_of(record: ArtifactRecord, path: Place | None) -> Attempt:
    return Attempt(record.signature, record.attempt, record.kind, path)
