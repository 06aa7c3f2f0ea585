"""What follows an answer, and what follows a failure: recording, keeping (`retention.py`), telling a tracker."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from helix_spark.catalog.records import FileRecord, IterationRecord, NodeRecord, Status
from helix_spark.engine.execution.outcome import Outcome, lasting
from helix_spark.engine.lowering.randomness import Chance
from helix_spark.engine.results.memory import MemoryTier
from helix_spark.engine.results.results import ModelResult, TableResult
from helix_spark.engine.spark.spark_errors import first_line, spark_errors
from helix_spark.errors import CatalogError, HelixError, OvertakenError, SetupError
from helix_spark.iteration import recording
from helix_spark.iteration.influence import fitted_cards, fitted_influences
from helix_spark.iteration.output_tables import tables_elsewhere, tables_here
from helix_spark.iteration.preparation import Prepared
from helix_spark.iteration.provenance import Provenance
from helix_spark.iteration.retention import Kept, Retention
from helix_spark.iteration.told_reads import reads_after
from helix_spark.iteration.tools import Tools
from helix_spark.iteration.tracker import Finished, Tracker, tell
from helix_spark.past.edit_message import edit_message
from helix_spark.past.table_preview import TablePreview
from helix_spark.planner.plan import Plan
from helix_spark.planner.serving import PlanReads


def release(leased: Collection[str], tools: Tools) -> None:
    """Gives up leases."""
    for name in leased:
        tools.catalog.leases.release(name)


def hold(plan: Plan, outcome: Outcome, memory: MemoryTier, spoiled: Collection[str] = ()) -> None:
    """Puts what a run had into the memory tier; what may differ each time is held apart."""
    for name, result in lasting(outcome).items():
        if not plan[name].random and name not in spoiled:
            memory.put(plan[name].signature, result, persisted=name in outcome.pinned)
        elif name in outcome.pinned and isinstance(result, TableResult):
            memory.keep_apart(result)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The rows of an iteration's end, what the plans of functions told of the columns they read, and the tables among
    its outputs."""

    iteration: IterationRecord
    nodes: list[NodeRecord]
    reads: PlanReads
    tables: Mapping[str, TablePreview]


@dataclass(frozen=True)
class AfterAnswer:
    """What follows an answer, or a failure.

    Attributes:
        begun: `time.perf_counter()` at the start of the run.
        seconds: to its answer.
        start_seconds: what starting Spark took in it; 0 if it ran already, or was not needed.
        node_seconds: of each node that ran; `warm_seconds` is the same without what a young JVM takes longer.
        chance: which results may differ each time, and why.
        leased: names of the leases that the run holds.
    """

    prepared: Prepared
    plan: Plan
    outcome: Outcome
    record: IterationRecord
    begun: float
    seconds: float
    start_seconds: float
    node_seconds: Mapping[str, float]
    warm_seconds: Mapping[str, float]
    tools: Tools
    chance: Chance
    leased: tuple[str, ...]
    provenance: Provenance

    @cached_property
    def retention(self) -> Retention:
        """What the run keeps."""
        return Retention(
            self.prepared, self.plan, self.outcome, self.record.number, self.start_seconds, self.warm_seconds,
            self.chance.found, self.leased, self.tools,
        )

    def outputs(self) -> dict[str, Any]:
        """As they are recorded, by the author's names; none after a failure."""
        if self.outcome.failure is not None:
            return {}
        return recording.described_outputs(self.prepared.whole.outputs, self.plan, self.outcome)

    def recorded(self, outputs: Mapping[str, Any]) -> Recorded | None:
        """Records the answer or the failure, and what it took to get there. Never raises: it stands. None if it could
        not be recorded."""
        try:
            for name in self.retention.storable.void:
                self.tools.memory.drop(self.plan[name].signature)
            return self._record(outputs)
        except (HelixError, OSError) as error:
            self.tools.observer.warning(f"the iteration could not be recorded: {error}")
            return None

    def finish(self, recorded: Future[Recorded | None]) -> Mapping[str, int]:
        """Stores and evicts, once the iteration is recorded; returns physical bytes stored by node. They survive a loss
        of power by then, and so does the record. Never raises."""
        try:
            ended = recorded.result()
            stored = self._stored(ended)
            if ended is not None and self.tools.tracker is not None:
                self._track(ended, stored, self.tools.tracker)
        except (HelixError, OSError) as error:
            self.tools.observer.warning(f"what follows the answer could not be done: {error}")
            return {}
        finally:
            release(self.leased, self.tools)
        return stored

    def _stored(self, ended: Recorded | None) -> dict[str, int]:
        """Physical bytes by node of what was stored and is still there. The records of the run are synced, whatever
        becomes of its results."""
        gone = frozenset[str]()
        try:
            kept = self._kept(ended)
            self._record_sizes(kept.sizes)
            self._record_late()
            if not self._interrupted:
                gone = self._tidied()
        finally:
            self.retention.acknowledgement.give(gone)
        return {name: size for name, size in kept.stored.items() if self.plan[name].signature not in gone}

    @property
    def _interrupted(self) -> bool:
        """By a person, who wants an end to it."""
        return isinstance(self.outcome.failure, KeyboardInterrupt)

    def _kept(self, ended: Recorded | None) -> Kept:
        """After a failure what was computed before it is stored as it was planned to be. Nothing goes for it: that
        would make room for more than was had."""
        if self._interrupted:
            return Kept()
        if self.outcome.failure is not None:
            return self.retention.store(replace(self.plan, evict={}), {})
        return self.retention.keep(ended.reads if ended is not None else {})

    def _tidied(self) -> frozenset[str]:
        """Keeps the records quick to read, and gives back the bytes of writers that died, which count for the budget;
        then evicts what is too much. Returns the signatures that this took."""
        try:
            self.tools.catalog.maintain(budget=self.plan.budget)
            self.tools.catalog.gc(dry_run=False)
            return frozenset(self.retention.evict_overflow())
        except (CatalogError, OSError) as error:
            self.tools.observer.warning(f"the catalog could not be tidied: {first_line(error)}")
            return frozenset()

    def _told_reads(self) -> PlanReads:
        """What functions read of the tables that could be stored with less, and what was told before the run."""
        tools, prepared = self.tools, self.prepared
        if not tools.sessions.started:
            return prepared.reads
        with self._spark_may_end("what functions read is not known; tables are stored whole"):
            tables = [name for name in self.retention.storable.narrowable() if not self.plan[name].stored]
            found = reads_after(prepared, tables, self.outcome.results, tools.sessions, tools.memory)
            return {**prepared.reads, **found}
        return prepared.reads

    @contextmanager
    def _spark_may_end(self, unknown: str) -> Iterator[None]:
        """Spark is asked behind an answer. The answer stands and is recorded also where nobody is there any more to be
        asked: what pyspark raises of a session that was stopped meanwhile may be anything.

        Args:
            unknown: what is not known then.
        """
        try:
            yield
        except Exception as error:
            if not (isinstance(error, (SetupError, *spark_errors())) or self.tools.sessions.ended):
                raise
            self.tools.observer.warning(f"{unknown}: {first_line(error)}")

    @cached_property
    def tables_here(self) -> Mapping[str, TablePreview]:
        """The output tables whose rows are in this process."""
        return tables_here(self.prepared, self.plan, self.outcome) if self.outcome.failure is None else {}

    def _tables(self) -> dict[str, TablePreview]:
        """The output tables as they go on record: not those that hold for no signature, or may differ each time they
        are looked at."""
        found = dict(self.tables_here)
        with self._spark_may_end("the first rows of some outputs are not known"):
            for name, table in tables_elsewhere(
                self.prepared, self.plan, self.outcome, self.tools.catalog, self.node_seconds.get
            ):
                found[name] = table
        spoiled = self.retention.storable.spoiled | self.retention.storable.void
        return {
            name: table for name, table in found.items()
            if name in self.tables_here or self.plan[name].name not in spoiled
        }

    def _influences(self) -> dict[str, str]:
        """What each fit of the run gave its features."""
        with self._spark_may_end("what fits gave their features is not known"):
            return fitted_influences(
                self.prepared, self.plan, self.outcome.results, self.record.number, self.tools.observer.warning
            )
        return {}

    def _cards(self) -> dict[str, FileRecord]:
        """What each fit of the run gave, as records by node name."""
        with self._spark_may_end("what fits gave is not known"):
            return fitted_cards(self.prepared, self.plan, self.outcome.results)
        return {}

    def _record(self, outputs: Mapping[str, Any]) -> Recorded:
        status, error = self._ending()
        number = self.record.number
        reads = self._told_reads() if status == "done" else {}
        tables = self._tables() if status == "done" else {}
        void = self.retention.storable.void
        nodes = recording.node_records(
            self.prepared, self.plan, self.outcome, self.node_seconds, number, self.begun, void
        )
        view = self.prepared.view
        edit = edit_message(view.last, view.nodes, self.prepared.whole.parameters, nodes)
        record = self.provenance.stamped(replace(
            self.record, status=status, seconds=self.seconds, outputs=recording.outputs_json(outputs),
            plan=recording.with_ending(self.record.plan, edit, tables),
            error="\n".join(filter(None, (error, *self.retention.storable.changes))),
            start_seconds=self.start_seconds or None,
        ))
        cards = self._cards() if status != "interrupted" else {}
        texts = (self.provenance.file_record(), *(one.record(name) for name, one in tables.items()), *cards.values())
        for file in texts:
            if file is not None:
                self.tools.catalog.keep_file(file)
        influences = self._influences() if status != "interrupted" else {}
        results = recording.result_records(
            self.prepared, self.plan, self.outcome, self.warm_seconds, number,
            {**self.chance.drawn, **self.chance.found}, influences,
            {name: card.digest for name, card in cards.items()},
        )
        told = recording.read_records(self.prepared, self.plan, number, reads)
        learnt = [one for one in (*results, *told) if one.node not in void]
        self.tools.catalog.append_iteration(record, nodes, learnt)
        return Recorded(record, nodes, reads, tables)

    def _ending(self) -> tuple[Status, str]:
        """How the run ended, and why if not well."""
        failure = self.outcome.failure
        if failure is None:
            return "done", ""
        text = str(failure) if isinstance(failure, HelixError) else f"{type(failure).__name__}: {failure}"
        # A path that is no text, say, must not keep the end from being recorded.
        told = text.encode(errors="backslashreplace").decode()
        ended_by_somebody = self._interrupted or isinstance(failure, OvertakenError)
        return ("interrupted" if ended_by_somebody else "failed"), told

    def _record_sizes(self, sizes: Mapping[str, int]) -> None:
        self.tools.catalog.append_results(
            recording.size_records(self.prepared, self.plan, self.record.number, sizes, self.retention.contents)
        )

    def _record_late(self) -> None:
        """What code did in Spark's workers while results were stored."""
        late = self.tools.executor.take_reports(self.prepared.dag, self.plan, self.outcome)
        told = late - self.retention.storable.void
        if told:
            self.tools.catalog.append_results(
                recording.late_records(self.prepared, self.plan, self.outcome, self.record.number, told)
            )

    def _track(self, ended: Recorded, sizes: Mapping[str, int], tracker: Tracker) -> None:
        record, nodes = ended.iteration, ended.nodes
        models = {
            node.name: result.model for node in self.prepared.dag.nodes
            if node.kind == "learner" and isinstance(result := self.outcome.results.get(node.name), ModelResult)
        }
        live = frozenset(self.tools.catalog.live_among({node.signature for node in nodes}))
        plan = replace(self.plan, iteration=record.number)
        finished = Finished(record, tuple(nodes), plan, models, sizes, live, ended.tables)
        tell(tracker, finished, self.tools.observer.warning)
