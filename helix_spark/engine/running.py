"""One run from plan to answer, and what follows the answer: storing, evicting, recording."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import IterationRecord, NodeRecord, Status
from helix_spark.engine import recording
from helix_spark.engine.executor import Executor, Outcome, lasting, seconds_by_node
from helix_spark.engine.influence import fitted_influences
from helix_spark.engine.iteration import Iteration
from helix_spark.engine.leasing import PlanAgain, after_others
from helix_spark.engine.loading import DamagedResultError
from helix_spark.engine.memory import MemoryTier
from helix_spark.engine.observer import Observer
from helix_spark.engine.preparation import Prepared
from helix_spark.engine.provenance import Provenance
from helix_spark.engine.randomness import found_random
from helix_spark.engine.results import ModelResult, TableResult
from helix_spark.engine.second_chance import lowered_digests
from helix_spark.engine.session import SessionProvider
from helix_spark.engine.settling import settled
from helix_spark.engine.storing import NotStoredError, store
from helix_spark.engine.storing import Origin as Maker
from helix_spark.engine.tracker import Finished, Tracker, tell
from helix_spark.errors import CatalogError, HelixError, SourceError
from helix_spark.planner.plan import Plan
from helix_spark.planner.planning import make_plan
from helix_spark.planner.storage import Policy
from helix_spark.signature.data_version import version_of
from helix_spark.workflow.operators import Read

_REPLANS = 5
"""How often a run plans anew because a stored result turned out to be damaged, before it gives up on loading."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with.

    Attributes:
        recording: records answers; the next run waits for it, to plan on them.
        behind: stores what follows the answers; nobody waits for it.
    """

    sessions: SessionProvider
    catalog: Catalog
    memory: MemoryTier
    observer: Observer
    executor: Executor
    recording: ThreadPoolExecutor
    behind: ThreadPoolExecutor
    policy: Policy
    tracker: Tracker | None


def run_prepared(
    prepared: Prepared, plan: Plan, again: Callable[[], Prepared], tools: Tools, message: str, begun: float,
    provenance: Provenance,
) -> Iteration:
    """Runs a plan and returns at its answer; the rest follows in the background.

    Args:
        again: looks the workflow up once more, when a stored result turned out to be damaged.
        begun: `time.perf_counter()` at the start of the run.
        provenance: where the workflow comes from.

    Raises:
        NodeError: the author's code or a Spark job failed; what was computed before is kept.
    """
    def plan_again() -> tuple[Prepared, Plan]:
        found = again()
        return found, make_plan(found.situation, tools.policy)

    prepared, plan, leased = after_others(prepared, plan, plan_again, tools.catalog, tools.observer)
    tools.catalog.leases.take(prepared.run)
    leased = (prepared.run, *leased)
    try:
        return _run_leased(prepared, plan, plan_again, tools, message, begun, leased, provenance)
    except BaseException:
        _release(leased, tools)
        raise


def _run_leased(
    prepared: Prepared, plan: Plan, plan_again: PlanAgain, tools: Tools, message: str, begun: float,
    leased: tuple[str, ...], provenance: Provenance,
) -> Iteration:
    session_before = tools.sessions.start_seconds
    tools.memory.next_version(node.signature for node in plan.nodes)
    record = tools.catalog.start_iteration(recording.begun(plan, prepared.run, message))
    tools.observer.planned(replace(plan, iteration=record.number))
    _end_missing(prepared, tools)
    outcome = tools.executor.execute(prepared.dag, plan, prepared.view.artifacts, prepared.run)
    for _ in range(_REPLANS):
        if not isinstance(outcome.failure, DamagedResultError):
            break
        _hold(plan, outcome, tools.memory)
        _quarantine(outcome.failure, tools)
        prepared, plan = plan_again()
        tools.observer.planned(replace(plan, iteration=record.number))
        outcome = tools.executor.execute(prepared.dag, plan, prepared.view.artifacts, prepared.run)
    seconds = time.perf_counter() - begun
    node_seconds = seconds_by_node(prepared.dag, plan, outcome)
    random = found_random(prepared.dag, plan, outcome.results, outcome.suspicion)
    after = _After(prepared, plan, outcome, record, begun, seconds, node_seconds, tools, random, leased, provenance)
    if outcome.failure is not None:
        after.fail()
        raise outcome.failure
    tools.observer.answered(seconds)
    started_in = tools.sessions.start_seconds - session_before
    outputs = recording.described_outputs(prepared.whole.outputs, plan, outcome)
    _hold(plan, outcome, tools.memory, after.spoiled)
    behind = tools.behind.submit(after.finish, tools.recording.submit(after.recorded, outputs))
    return Iteration(
        record.number, replace(plan, iteration=record.number), prepared.dag, lasting(outcome), outputs, seconds,
        node_seconds, started_in, behind,
    )


def _release(leased: Collection[str], tools: Tools) -> None:
    for name in leased:
        tools.catalog.leases.release(name)


def _hold(plan: Plan, outcome: Outcome, memory: MemoryTier, spoiled: Collection[str] = ()) -> None:
    for name, result in lasting(outcome).items():
        if not plan[name].random and name not in spoiled:
            memory.put(plan[name].signature, result, persisted=name in outcome.pinned)
        elif name in outcome.pinned and isinstance(result, TableResult):
            memory.keep_apart(result)


def _quarantine(damage: DamagedResultError, tools: Tools) -> None:
    tools.observer.warning(f"{damage.what}; it is computed again")
    tools.catalog.quarantine(damage.record.signature, damage.what, attempt=damage.record.attempt)


def _end_missing(prepared: Prepared, tools: Tools) -> None:
    """Ends stored results whose folder is gone: a live record without data would keep new data from being published."""
    for record in prepared.view.missing:
        if tools.catalog.quarantine(record.signature, "its folder is gone", attempt=record.attempt) is not None:
            tools.observer.warning(f"the stored result of {record.node!r} is gone; it is computed again when needed")


Recorded = tuple[IterationRecord, list[NodeRecord]]
"""The rows of an iteration's end."""


@dataclass(frozen=True, slots=True)
class _After:
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
            sizes = self._store(self._settled())
            self._record_sizes(sizes)
            if ended is not None:
                self._track(*ended, sizes)
            self._tidy()
        except (HelixError, OSError) as error:
            self.tools.observer.warning(f"what follows the answer could not be done: {error}")
            return {}
        finally:
            _release(self.leased, self.tools)
        return sizes

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

    def fail(self) -> None:
        """Keeps what was computed before a failure, and records the failure."""
        error = self.outcome.failure
        interrupted = isinstance(error, KeyboardInterrupt)
        _hold(self.plan, self.outcome, self.tools.memory, self.spoiled)
        try:
            sizes = {} if interrupted else self._store(self.plan)
            text = str(error) if isinstance(error, HelixError) else f"{type(error).__name__}: {error}"
            recorded = self._record("interrupted" if interrupted else "failed", {}, text)
            self._record_sizes(sizes)
            self._track(*recorded, sizes)
        except HelixError as second:
            self.tools.observer.warning(f"the iteration could not be recorded: {second.what}")

    def _store(self, plan: Plan) -> dict[str, int]:
        for signature, why in plan.evict.items():
            self._evict(signature, why)
        moved = self._moved_sources()
        spoiled = self.spoiled | moved | self.prepared.dag.descendants(moved)
        had = lasting(self.outcome).keys() - spoiled
        wanted = [node for node in plan.nodes if node.keep and not node.stored and node.name in had]
        # A run that planned while an earlier one was still storing, here or in another process, wants the same again.
        there = self.tools.catalog.live_among([node.signature for node in wanted])
        sizes: dict[str, int] = {}
        for node in wanted:
            if node.signature in there:
                sizes[node.name] = there[node.signature].bytes
            else:
                self._store_one(node.name, plan, sizes)
        return sizes

    def _store_one(self, name: str, plan: Plan, sizes: dict[str, int]) -> None:
        tools, node, budget = self.tools, plan[name], plan.budget
        tools.observer.storing(name)
        try:
            again = sum(plan[made].compute_seconds for made in {name, *self.prepared.dag.ancestors(name)})
            maker = Maker(node.signature, plan.workflow, name, self.record.number, again)
            stored = store(self.outcome.results[name], maker, tools.catalog)
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
        record = self.provenance.stamped(replace(
            self.record, status=status, seconds=self.seconds, outputs=json.dumps(dict(outputs)), error=error
        ))
        if (file := self.provenance.file_record()) is not None:
            self.tools.catalog.keep_file(file)
        nodes = recording.node_records(self.prepared, self.plan, self.outcome, seconds, number, self.begun)
        influences = fitted_influences(
            self.prepared, self.plan, self.outcome.results, number, self.tools.observer.warning
        ) if status != "interrupted" else {}
        self.tools.catalog.append_iteration(
            record, nodes,
            recording.result_records(
                self.prepared, self.plan, self.outcome, seconds, number, self.random, lowered, influences
            ),
        )
        return record, nodes

    def _record_sizes(self, sizes: Mapping[str, int]) -> None:
        self.tools.catalog.append_results(
            recording.size_records(self.prepared, self.plan, self.record.number, sizes)
        )

    def _track(self, record: IterationRecord, nodes: list[NodeRecord], sizes: Mapping[str, int]) -> None:
        models = {
            node.name: result.model for node in self.prepared.dag.nodes
            if node.kind == "learner" and isinstance(result := self.outcome.results.get(node.name), ModelResult)
        }
        finished = Finished(record, tuple(nodes), replace(self.plan, iteration=record.number), models, sizes)
        tell(self.tools.tracker, finished, self.tools.observer.warning)
