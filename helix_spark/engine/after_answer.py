"""What follows an answer: recording, storing, evicting, telling a tracker. And what is kept after a failure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from helix_spark.catalog.records import IterationRecord, NodeRecord, Status
from helix_spark.engine import recording
from helix_spark.engine.executor import Outcome, lasting
from helix_spark.engine.influence import fitted_influences
from helix_spark.engine.memory import MemoryTier
from helix_spark.engine.preparation import Prepared
from helix_spark.engine.provenance import Provenance
from helix_spark.engine.results import ModelResult, TableResult
from helix_spark.engine.second_chance import lowered_digests
from helix_spark.engine.settling import settled
from helix_spark.engine.storing import NotStoredError, first_line, spark_errors, store
from helix_spark.engine.storing import Origin as Maker
from helix_spark.engine.told_reads import reads_after
from helix_spark.engine.tools import Tools
from helix_spark.engine.tracker import Finished, tell
from helix_spark.engine.unread_columns import candidates, unread_columns
from helix_spark.errors import CatalogError, HelixError, SourceError
from helix_spark.planner.overflow import Held, overflow
from helix_spark.planner.plan import Plan
from helix_spark.planner.serving import PlanReads
from helix_spark.signature.data_version import version_of
from helix_spark.workflow.operators import Read


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


OVERFLOW_ROUNDS = 3
"""An eviction is recorded as well, in some kilobytes, and may so ask for another one."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The rows of an iteration's end, and what the plans of functions told of the columns they read."""

    iteration: IterationRecord
    nodes: list[NodeRecord]
    reads: PlanReads


@dataclass(frozen=True, slots=True)
class AfterAnswer:
    """What follows an answer, or a failure.

    Attributes:
        begun: `time.perf_counter()` at the start of the run.
        seconds: to its answer.
        node_seconds: of each node that ran.
        random: by node name, why its own result may differ each time.
        leased: names of the leases that the run holds.
    """

    prepared: Prepared
    plan: Plan
    outcome: Outcome
    record: IterationRecord
    begun: float
    seconds: float
    node_seconds: Mapping[str, float]
    tools: Tools
    random: Mapping[str, str]
    leased: tuple[str, ...]
    provenance: Provenance

    @property
    def spoiled(self) -> frozenset[str]:
        """Names of the results that may differ each time, by themselves or by what they are made of."""
        return frozenset(self.random) | self.prepared.dag.descendants(self.random)

    def recorded(self, outputs: Mapping[str, Any]) -> Recorded | None:
        """Records the answer, and what it took to have it. Never raises: the answer stands. None if it could not."""
        try:
            return self._record("done", outputs)
        except (HelixError, OSError) as error:
            self.tools.observer.warning(f"the iteration could not be recorded: {error}")
            return None

    def finish(self, recorded: Future[Recorded | None]) -> Mapping[str, int]:
        """Stores and evicts, once the answer is recorded; returns physical bytes stored by node. Never raises."""
        try:
            ended = recorded.result()
            sizes = self._store(self._settled(), ended.reads if ended is not None else {})
            self._record_sizes(sizes)
            if ended is not None:
                self._track(ended, sizes)
            self._tidy()
            gone = self._evict_overflow()
        except (HelixError, OSError) as error:
            self.tools.observer.warning(f"what follows the answer could not be done: {error}")
            return {}
        finally:
            release(self.leased, self.tools)
        return {name: size for name, size in sizes.items() if self.plan[name].signature not in gone}

    def _settled(self) -> Plan:
        """The plan with storage decided on what is known by now; what the run itself has recorded takes its room."""
        tools, situation = self.tools, self.prepared.situation
        if situation.budget is not None:
            overhead = tools.catalog.bytes_used() - sum(record.bytes for record in tools.catalog.live())
            situation = replace(situation, overhead=overhead)
        prepared = replace(self.prepared, situation=situation)
        return settled(prepared, self.plan, self.outcome, self.node_seconds, tools.policy, tools.memory.held)

    def _tidy(self) -> None:
        """Keeps the records quick to read, and gives back the bytes of writers that died: they count for the budget."""
        try:
            self.tools.catalog.maintain()
            self.tools.catalog.gc(dry_run=False)
        except CatalogError as error:
            self.tools.observer.warning(f"the catalog could not be tidied: {error.what}")

    def _evict_overflow(self) -> set[str]:
        """Keeps the catalog within its budget once all is recorded; returns the signatures that had to go."""
        catalog, budget = self.tools.catalog, self.plan.budget
        gone = set[str]()
        if budget is None:
            return gone
        insisted = {self.plan[node.name].signature for node in self.prepared.dag.nodes if node.wishes.insisted}
        for _ in range(OVERFLOW_ROUNDS):
            excess = catalog.bytes_used() - budget
            if excess <= 0:
                break
            chosen = overflow([
                Held(one.signature, one.bytes, one.recompute_seconds, one.signature in insisted)
                for one in catalog.live() if one.signature not in gone
            ], excess)
            for signature in chosen:
                self._evict(signature, "records of the run took the room that the budget had left for it")
            gone.update(chosen)
        return gone

    def fail(self) -> None:
        """Keeps what was computed before a failure, and records the failure."""
        error = self.outcome.failure
        interrupted = isinstance(error, KeyboardInterrupt)
        hold(self.plan, self.outcome, self.tools.memory, self.spoiled)
        try:
            sizes = {} if interrupted else self._store(self.plan, {})
            text = str(error) if isinstance(error, HelixError) else f"{type(error).__name__}: {error}"
            recorded = self._record("interrupted" if interrupted else "failed", {}, text)
            self._record_sizes(sizes)
            self._track(recorded, sizes)
        except HelixError as second:
            self.tools.observer.warning(f"the iteration could not be recorded: {second.what}")

    def _store(self, plan: Plan, reads: PlanReads) -> dict[str, int]:
        """Evicts, stores, and returns bytes by node.

        Args:
            reads: what this run was told of the columns that functions read, beside that on record.
        """
        for signature, why in plan.evict.items():
            self._evict(signature, why)
        moved = self._moved_sources()
        spoiled = self.spoiled | moved | self.prepared.dag.descendants(moved)
        had = lasting(self.outcome).keys() - spoiled
        wanted = [node for node in plan.nodes if node.keep and not node.stored and node.name in had]
        # A run that planned while an earlier one was still storing, here or in another process, wants the same again.
        there = self.tools.catalog.live_among([node.signature for node in wanted])
        narrow, told = self._candidates(), {**self.prepared.told, **reads}
        sizes: dict[str, int] = {}
        for node in wanted:
            before = there.get(node.signature)
            left_out: tuple[str, ...] = ()
            if node.name in narrow:
                left_out = unread_columns(
                    node.name, before, self.prepared, self.outcome.results, told, self.tools.catalog
                )
            if before is not None and set(before.left_out) <= set(left_out):
                sizes[node.name] = before.bytes
            else:
                self._store_one(node.name, plan, sizes, left_out)
        return sizes

    def _candidates(self) -> tuple[str, ...]:
        varying = self.spoiled.union(node.name for node in self.plan.nodes if node.random)
        return candidates(self.prepared, self.outcome.results, varying)

    def _told_reads(self) -> PlanReads:
        """What functions read of the tables that could be stored with less, and what was told before the run."""
        tools, prepared = self.tools, self.prepared
        if not tools.sessions.started:
            return prepared.reads
        try:
            tables = [name for name in self._candidates() if not self.plan[name].stored]
            found = reads_after(prepared, tables, self.outcome.results, tools.sessions, tools.memory)
        except spark_errors() as error:
            tools.observer.warning(f"what functions read is not known; tables are stored whole: {first_line(error)}")
            return prepared.reads
        return {**prepared.reads, **found}

    def _store_one(self, name: str, plan: Plan, sizes: dict[str, int], left_out: tuple[str, ...]) -> None:
        tools, node, budget = self.tools, plan[name], plan.budget
        tools.observer.storing(name)
        try:
            again = sum(plan[made].compute_seconds for made in {name, *self.prepared.dag.ancestors(name)})
            maker = Maker(node.signature, plan.workflow, name, self.record.number, again)
            stored = store(self.outcome.results[name], maker, tools.catalog, left_out)
        except NotStoredError as error:
            tools.observer.warning(error.what)
            return
        finally:
            if node.signature in self.leased:
                tools.catalog.leases.release(node.signature)
        if budget is not None and tools.catalog.bytes_used() > budget:
            self._evict(node.signature, "it turned out larger than what the budget had left")
            return
        sizes[name] = stored.bytes
        tools.observer.stored(name, stored.bytes)

    def _evict(self, signature: str, why: str) -> None:
        try:
            self.tools.catalog.evict(signature, why)
        except CatalogError as error:
            self.tools.observer.warning(error.what)

    def _moved_sources(self) -> set[str]:
        """Sources whose data changed while the iteration ran: nothing made of them may be kept."""
        moved = set()
        for node in self.prepared.dag.nodes:
            before = self.prepared.described[node.name].version
            if before is None or not isinstance(node.operator, Read) or node.name not in self.outcome.results:
                continue
            try:
                same = version_of(node.operator.source).digest == before.digest
            except SourceError:
                same = False
            if not same:
                moved.add(node.name)
                self.tools.observer.warning(
                    f"source `{node.name}` changed while the iteration ran: nothing made of it is stored"
                )
        return moved

    def _record(self, status: Status, outputs: Mapping[str, Any], error: str = "") -> Recorded:
        seconds, number = self.node_seconds, self.record.number
        lowered = lowered_digests(
            self.prepared, self.plan, self.outcome.results, self.tools.sessions, self.tools.memory
        ) if status == "done" else {}
        reads = self._told_reads() if status == "done" else {}
        record = self.provenance.stamped(replace(
            self.record, status=status, seconds=self.seconds, outputs=json.dumps(dict(outputs)), error=error
        ))
        if (file := self.provenance.file_record()) is not None:
            self.tools.catalog.keep_file(file)
        nodes = recording.node_records(self.prepared, self.plan, self.outcome, seconds, number, self.begun)
        influences = fitted_influences(
            self.prepared, self.plan, self.outcome.results, number, self.tools.observer.warning
        ) if status != "interrupted" else {}
        results = recording.result_records(
            self.prepared, self.plan, self.outcome, seconds, number, self.random, lowered, influences
        )
        told = recording.read_records(self.prepared, self.plan, number, reads)
        self.tools.catalog.append_iteration(record, nodes, [*results, *told])
        return Recorded(record, nodes, reads)

    def _record_sizes(self, sizes: Mapping[str, int]) -> None:
        self.tools.catalog.append_results(
            recording.size_records(self.prepared, self.plan, self.record.number, sizes)
        )

    def _track(self, ended: Recorded, sizes: Mapping[str, int]) -> None:
        record, nodes = ended.iteration, ended.nodes
        models = {
            node.name: result.model for node in self.prepared.dag.nodes
            if node.kind == "learner" and isinstance(result := self.outcome.results.get(node.name), ModelResult)
        }
        finished = Finished(record, tuple(nodes), replace(self.plan, iteration=record.number), models, sizes)
        tell(self.tools.tracker, finished, self.tools.observer.warning)
