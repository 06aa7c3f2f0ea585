"""The work on an execution's nodes: load, compute, fill, compare with earlier results, count rows.

Pinned tables are filled in their own steps, before their readers run: else Spark would compute them inside the first
job that reads them. So the seconds of table and readers are measured separately, and a fit may read a pinned table in
fewer partitions than it is computed in (`in_few_partitions`).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock, Thread

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.dag.node import Dag, computes_with_spark
from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.execution.outcome import Outcome, Step
from helix_spark.engine.execution.units import Unit, collects
from helix_spark.engine.lowering.authors_errors import authors_errors
from helix_spark.engine.lowering.watcher import Watcher
from helix_spark.engine.results.agreement import content_here
from helix_spark.engine.results.node_results import MemoryTier, NodeResult, TableResult
from helix_spark.engine.results.stored_results import damage_of, load
from helix_spark.engine.spark.driver_client import DriverClient, driver_client
from helix_spark.engine.spark.gateway import spark_errors
from helix_spark.errors import CatalogError, SetupError
from helix_spark.hermetic.action import seconds_waited
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.workflow.operators import Read, Result


def _cancel_late(client: DriverClient, tag: str) -> None:
    with suppress(*spark_errors(), OSError, AttributeError):  # a JVM that has ended starts nothing
        for _ in range(10):  # stages started up to a second after their query was interrupted
            client.cancel(tag)
            time.sleep(0.3)


def ran_in_spark(name: str, dag: Dag, plan: Plan) -> bool:
    """Return whether the step of a node used Spark."""
    own, node = plan[name], dag[name]
    if own.state is State.COMPUTE:
        return computes_with_spark(node, dag)
    return node.result is Result.MODEL and not own.held


@dataclass(slots=True)
class NodeWork:
    """The work of one execution; several threads call it. `run` is the tag of its Spark jobs, until it is cancelled;
    nodes in `lazy` only extend a plan; nodes in `looked_up` were compared with earlier results."""

    catalog: Catalog
    memory: MemoryTier
    dag: Dag
    plan: Plan
    artifacts: Mapping[str, ArtifactRecord]
    outcome: Outcome
    watcher: Watcher
    observer: Observer
    run: str
    registering: frozenset[str] = frozenset()
    compared: Collection[str] = ()
    lazy: Collection[str] = ()
    looked_up: set[str] = field(default_factory=set)
    _filling: dict[str, Lock] = field(default_factory=lambda: defaultdict(Lock))

    def step(self, unit: Unit) -> None:
        """Run a forced unit, after filling the tables that it reads."""
        if unit.state is State.COMPUTE:
            self.fill(unit.names)
            if self._has_equal_ancestor(unit.names):
                return
        self.timed(unit.names, lambda: self.have(unit))
        for name in unit.names:
            self._compare(name)

    def have(self, unit: Unit) -> None:
        """Load or compute a unit's results."""
        self.watcher.sessions.activate()
        name = unit.names[0]
        # A source that is read later need not wait for a session now.
        is_source = isinstance(self.dag[name].operator, Read)
        is_read_later = is_source and name not in self.registering and name not in self.outcome.pinned
        if not unit.forced and not is_read_later:
            self.tag(unit.names)
        results: Sequence[NodeResult]
        if unit.state is not State.LOAD:
            results = self._compute(unit)
        elif (in_memory := self.memory.get(signature := self.plan[name].signature)) is not None:
            results = [in_memory]
        else:
            results = [load(self.artifacts[signature], self.catalog, self.watcher.sessions)]
        for name, result in zip(unit.names, results, strict=True):
            if isinstance(result, TableResult):
                if name in self.outcome.pinned:
                    with authors_errors(self.dag[name]):  # optimising the plan may fail on a constant
                        result.pin()
                    if result.kept:  # a server has its rows from an earlier run
                        self.outcome.filled.add(name)
                elif name in self.registering and isinstance(self.dag[name].operator, Read):
                    result.frame()  # else the source would be read in the step of its first reader
            self.outcome.results[name] = result

    def _compute(self, unit: Unit) -> Sequence[NodeResult]:
        from helix_spark.engine.lowering.lowering import check_columns, fit_batch, lower  # not for loads

        nodes = [self.dag[name] for name in unit.names]
        inputs = [[self.outcome.results[source] for source in node.inputs] for node in nodes]
        if len(nodes) == 1:
            return [lower(nodes[0], inputs[0], self.watcher)]
        for node, results in zip(nodes, inputs, strict=True):
            check_columns(node, results)
        with authors_errors(nodes[0]):
            return fit_batch(nodes, inputs)

    def fill(self, names: Collection[str]) -> None:
        """Fill the tables that these nodes read, if they are pinned or collected; inputs first."""
        extended = {source for name in self.dag.upstream_within(names, self.lazy) for source in self.dag[name].inputs}
        reads = [(name, source) for name in names for source in self.dag[name].inputs]
        collected = {
            source for name, source in reads
            if self.dag[source].result is Result.TABLE and collects(self.dag[name], source)
        }
        read = extended.union(source for _, source in reads if source not in collected)
        for name in (node.name for node in self.dag.nodes if node.name in collected or node.name in read):
            if self._has_equal_ancestor((name,)):
                break
            if name in collected:
                self._fill(name, collects=True)
            if name in read:
                self._fill(name, collects=False)

    def _fill(self, name: str, *, collects: bool) -> None:
        """Fill a table in a step, unless it is filled; other threads wait for the first. If `collects`, its rows are
        fetched into this process, which fills its pin if they come from Spark; else its pin is filled."""
        result, outcome = self.outcome.results.get(name), self.outcome
        if not isinstance(result, TableResult):
            return
        table: TableResult = result
        with self._filling[name], authors_errors(self.dag[name]):
            if table.collected if collects else (name not in outcome.pinned or name in outcome.filled):
                return
            self.timed((name,), table.arrow if collects else lambda: self._count_rows(name, table))
            if table.through_frame or not collects:
                outcome.filled.add(name)
            self._compare(name)

    def _count_rows(self, name: str, table: TableResult) -> None:
        self.outcome.rows[name] = table.frame().count()

    def uncounted(self) -> list[str]:
        """Return the output tables whose rows must be counted; the record of a stored table has their number."""
        names = []
        for node in self.plan.nodes:
            result = self.outcome.results.get(node.name)
            if not node.output or not isinstance(result, TableResult) or result.collected:
                continue
            record = self.artifacts.get(node.signature) if node.state is State.LOAD and not node.held else None
            if record is not None and record.rows is not None:
                with damage_of(record):  # its files may be damaged
                    self.catalog.check_table(record)
                self.outcome.rows[node.name] = record.rows
            elif node.name not in self.outcome.rows:
                names.append(node.name)
        return names

    def count(self, name: str) -> None:
        self.watcher.sessions.activate()
        result = self.outcome.results[name]
        assert isinstance(result, TableResult)
        if self.plan[name].state is State.COMPUTE:
            self.fill((name,))
        self._fill(name, collects=False)
        if name not in self.outcome.rows:
            with authors_errors(self.dag[name]):
                self.timed((name,), lambda: self._count_rows(name, result))

    def _compare(self, name: str) -> None:
        """Look up, once, whether an earlier result has the same content, unless it or an input may be random."""
        if name not in self.compared or name in self.looked_up:
            return
        self.outcome.take_reports(self.watcher.reports, self.dag, self.plan)
        computed = [node for node in (name, *self.dag.ancestors[name]) if self.plan[node].state is State.COMPUTE]
        if any(node in self.outcome.differs or self.outcome.called.get(node) for node in computed):
            return
        if (content := content_here(self.outcome.results[name])) is None:
            return
        self.looked_up.add(name)
        self.outcome.contents[name] = content
        try:
            equal = self.catalog.with_content(self.plan.workflow, name, content)
        except CatalogError as error:  # the run can go on
            self.observer.warning(f"cannot look up whether an earlier result equals {name!r}: {error.what}")
            return
        if equal is not None and equal != self.plan[name].signature:
            self.outcome.equal[name] = equal

    def _has_equal_ancestor(self, names: Collection[str]) -> bool:
        """Return whether an ancestor of these nodes equals an earlier result: then they are planned again first."""
        equal = self.outcome.equal.keys()
        return bool(equal) and any(not equal.isdisjoint(self.dag.ancestors[name]) for name in names)

    def release_empty_pins(self) -> None:
        """Release pins that are not filled: the next run would expect to read their rows, and compute them."""
        for name in self.outcome.pinned - self.outcome.filled:
            if isinstance(result := self.outcome.results.get(name), TableResult):
                result.unpin()
        self.outcome.pinned &= self.outcome.filled

    def timed(self, names: tuple[str, ...], work: Callable[[], object]) -> None:
        """Do and time the work of a step, without its waits for other functions; a failure adds no step."""
        self.tag(names)
        start, compiled, waited = time.perf_counter(), self._compiled(), seconds_waited()
        for name in names:
            self.observer.node_started(name)
        work()
        start += seconds_waited() - waited
        step = Step(names, start, time.perf_counter(), self._compiled() - compiled)
        self.outcome.steps.append(step)
        for name in names:
            self.observer.node_finished(name, step.end - step.start)

    def _compiled(self) -> float:
        """Return the seconds of the driver JVM's compiler threads so far, 0 if they are not counted."""
        sessions = self.watcher.sessions
        client = driver_client(sessions.get()) if sessions.started else None
        return 0.0 if client is None else client.compiler_seconds()

    def tag(self, names: Iterable[str]) -> None:
        """Tag the jobs of this thread, to be cancelled with the run. Wait for a session if the nodes need one."""
        sessions = self.watcher.sessions
        if sessions.started or any(ran_in_spark(name, self.dag, self.plan) for name in names):
            spark = sessions.get()
            spark.clearTags()
            spark.addTag(self.run)

    def cancel(self, *, late: bool = False) -> None:
        """Cancel the jobs of the run. If `late`, go on for a while in this process's JVM: a query that was interrupted
        during its planning may start stages later. Later jobs of the run have another tag."""
        sessions, tag = self.watcher.sessions, self.run
        if not sessions.started or sessions.ended:
            return
        with suppress(SetupError, *spark_errors()):  # a JVM that has ended has no jobs
            spark = sessions.get()
            if not late:
                spark.interruptTag(tag)
                return
            self.run = f"{tag}_after"
            if (client := driver_client(spark)) is not None:
                Thread(target=_cancel_late, args=(client, tag), name="helix-late-jobs", daemon=True).start()
