"""One run from plan to answer, and what follows the answer: storing, evicting, recording."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import IterationRecord, Status
from helix_spark.costs.model import Estimate, NodeEstimate, Origin
from helix_spark.engine import recording
from helix_spark.engine.executor import Executor, Outcome, lasting, seconds_by_node, table_outputs
from helix_spark.engine.iteration import Iteration
from helix_spark.engine.loading import DamagedResultError
from helix_spark.engine.memory import MemoryTier
from helix_spark.engine.observer import Observer
from helix_spark.engine.preparation import Prepared
from helix_spark.engine.randomness import found_random
from helix_spark.engine.results import TableResult
from helix_spark.engine.second_chance import lowered_digests
from helix_spark.engine.session import SessionProvider
from helix_spark.engine.storing import NotStoredError, store
from helix_spark.engine.storing import Origin as Maker
from helix_spark.errors import CatalogError, HelixError, SourceError
from helix_spark.planner.plan import Plan
from helix_spark.planner.planning import make_plan, replan_storage
from helix_spark.planner.problem import Certificate, Derivation, Solution, State
from helix_spark.planner.storage import Policy
from helix_spark.signature.data_version import version_of
from helix_spark.workflow.operators import Read

_REPLANS = 5
"""How often a run plans anew because a stored result turned out to be damaged, before it gives up on loading."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with."""

    sessions: SessionProvider
    catalog: Catalog
    memory: MemoryTier
    observer: Observer
    executor: Executor
    behind: ThreadPoolExecutor
    policy: Policy


def run_prepared(
    prepared: Prepared, plan: Plan, again: Callable[[], Prepared], tools: Tools, message: str, begun: float
) -> Iteration:
    """Runs a plan and returns at its answer; the rest follows in the background.

    Args:
        again: looks the workflow up once more, when a stored result turned out to be damaged.
        begun: `time.perf_counter()` at the start of the run.

    Raises:
        NodeError: the author's code or a Spark job failed; what was computed before is kept.
    """
    session_before = tools.sessions.start_seconds
    tools.memory.next_version(node.signature for node in plan.nodes)
    record = tools.catalog.start_iteration(recording.begun(plan, prepared.run, message))
    tools.observer.planned(replace(plan, iteration=record.number))
    outcome = _execute(prepared, plan, tools)
    for _ in range(_REPLANS):
        if not isinstance(outcome.failure, DamagedResultError):
            break
        _hold(plan, outcome, tools.memory)
        _quarantine(outcome.failure, tools)
        prepared = again()
        plan = make_plan(prepared.situation, tools.policy)
        tools.observer.planned(replace(plan, iteration=record.number))
        outcome = _execute(prepared, plan, tools)
    seconds = time.perf_counter() - begun
    random = found_random(prepared.dag, plan, outcome.results)
    after = _After(prepared, plan, outcome, record, begun, seconds, tools, random)
    if outcome.failure is not None:
        after.fail()
        raise outcome.failure
    tools.observer.answered(seconds)
    started_in = tools.sessions.start_seconds - session_before
    outputs = recording.described_outputs(prepared.whole.outputs, plan, outcome)
    _hold(plan, outcome, tools.memory, set(random) | prepared.dag.descendants(random))
    behind = tools.behind.submit(after.finish, outputs)
    return Iteration(
        record.number, replace(plan, iteration=record.number), prepared.dag, lasting(outcome), outputs, seconds,
        seconds_by_node(prepared.dag, plan, outcome), started_in, behind,
    )


def _execute(prepared: Prepared, plan: Plan, tools: Tools) -> Outcome:
    outcome = tools.executor.execute(prepared.dag, plan, prepared.view.artifacts, prepared.run)
    if outcome.failure is None:
        for name in table_outputs(plan, outcome):
            result = outcome.results[name]
            assert isinstance(result, TableResult)
            tools.executor.count(name, result, outcome)
    return outcome


def _hold(plan: Plan, outcome: Outcome, memory: MemoryTier, spoiled: Collection[str] = ()) -> None:
    for name, result in lasting(outcome).items():
        if not plan[name].random and name not in spoiled:
            memory.put(plan[name].signature, result, persisted=name in outcome.pinned)


def _quarantine(damage: DamagedResultError, tools: Tools) -> None:
    tools.observer.warning(f"{damage.what}; it is computed again")
    tools.catalog.quarantine(damage.record.signature, damage.what, attempt=damage.record.attempt)


@dataclass(frozen=True, slots=True)
class _After:
    """What follows an answer, or a failure."""

    prepared: Prepared
    plan: Plan
    outcome: Outcome
    record: IterationRecord
    begun: float
    seconds: float
    tools: Tools
    random: Mapping[str, str]

    def finish(self, outputs: Mapping[str, Any]) -> Mapping[str, int]:
        """Stores, evicts and records; returns physical bytes stored by node. Never raises: the answer stands."""
        try:
            sizes = self._store(self._settled())
            self._record("done", outputs, sizes)
            self.tools.catalog.maintain()
        except HelixError as error:
            self.tools.observer.warning(f"the iteration could not be recorded: {error.what}")
            return {}
        return sizes

    def fail(self) -> None:
        """Keeps what was computed before a failure, and records the failure."""
        error = self.outcome.failure
        interrupted = isinstance(error, KeyboardInterrupt)
        spoiled = set(self.random) | self.prepared.dag.descendants(self.random)
        _hold(self.plan, self.outcome, self.tools.memory, spoiled)
        try:
            sizes = {} if interrupted else self._store(self.plan)
            text = str(error) if isinstance(error, HelixError) else f"{type(error).__name__}: {error}"
            self._record("interrupted" if interrupted else "failed", {}, sizes, text)
        except HelixError as second:
            self.tools.observer.warning(f"the iteration could not be recorded: {second.what}")

    def _settled(self) -> Plan:
        """The plan with storage decided on what the run has measured."""
        seconds = seconds_by_node(self.prepared.dag, self.plan, self.outcome)
        situation = self.prepared.situation
        estimates = {
            name: _measured(costs, seconds.get(name)) if self.plan[name].state is State.COMPUTE else costs
            for name, costs in situation.estimates.items() if name in self.plan.by_name
        }
        chosen = {
            node.name: Derivation(
                node.name, node.state, node.inputs if node.state is State.COMPUTE else (),
                seconds.get(node.name, 0.0),
            )
            for node in self.plan.nodes if node.state is not State.PRUNE
        }
        spent = sum(way.seconds for way in chosen.values())
        solution = Solution(chosen, Certificate("optimal", spent, spent, 0.0, "none needed", 0.0))
        held = self.tools.memory.held
        settled = replace(situation, estimates=estimates, held=held)
        return replan_storage(self.plan, settled, self.tools.policy, solution)

    def _store(self, plan: Plan) -> dict[str, int]:
        for signature, why in plan.evict.items():
            self._evict(signature, why)
        spoiled = set(self.random) | self.prepared.dag.descendants(self.random)
        moved = self._moved_sources()
        spoiled |= moved | self.prepared.dag.descendants(moved)
        sizes: dict[str, int] = {}
        room = plan.budget
        for node in plan.nodes:
            if node.keep and not node.stored and node.name in lasting(self.outcome) and node.name not in spoiled:
                self._store_one(node.name, sizes, room)
        return sizes

    def _store_one(self, name: str, sizes: dict[str, int], budget: int | None) -> None:
        tools, node = self.tools, self.plan[name]
        tools.observer.storing(name)
        try:
            maker = Maker(node.signature, self.plan.workflow, name, self.record.number)
            stored = store(self.outcome.results[name], maker, tools.catalog)
        except NotStoredError as error:
            tools.observer.warning(error.what)
            return
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

    def _record(self, status: Status, outputs: Mapping[str, Any], sizes: Mapping[str, int], error: str = "") -> None:
        seconds = seconds_by_node(self.prepared.dag, self.plan, self.outcome)
        number = self.record.number
        lowered = lowered_digests(
            self.prepared, self.plan, self.outcome.results, self.tools.sessions, self.tools.memory
        ) if status == "done" else {}
        self.tools.catalog.append_iteration(
            replace(
                self.record, status=status, seconds=self.seconds, outputs=json.dumps(dict(outputs)), error=error
            ),
            recording.node_records(self.prepared, self.plan, self.outcome, seconds, number, self.begun),
            recording.result_records(
                self.prepared, self.plan, self.outcome, seconds, number, self.random, sizes, lowered
            ),
        )


def _measured(costs: NodeEstimate, seconds: float | None) -> NodeEstimate:
    return costs if seconds is None else replace(costs, compute=Estimate(seconds, Origin.MEASURED))


