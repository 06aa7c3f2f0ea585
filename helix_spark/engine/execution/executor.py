"""Executor of plans: runs each unit of work as soon as its inputs are there, independent units at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.dag.node import Dag, Node
from helix_spark.engine.execution.node_work import NodeWork, ran_in_spark
from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.execution.units import Unit, is_lazy, pins, units
from helix_spark.engine.lowering.watcher import BeginCall, Watcher, begin_in_spark
from helix_spark.engine.results.node_results import MemoryTier
from helix_spark.engine.results.stored_results import unread_by_spark
from helix_spark.engine.spark.borrowed import note_end
from helix_spark.engine.spark.gateway import end_of_jvm, how_ended, is_end_of_server
from helix_spark.engine.spark.worker_code import guard_functions, send_project_code
from helix_spark.errors import EndedError, SetupError
from helix_spark.hermetic.action import abandon, actions_to_come
from helix_spark.hermetic.thread_context import ThreadContext
from helix_spark.hermetic.worker_reports import WorkerReports
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.waits import first_done

if TYPE_CHECKING:
    from helix_spark.engine.server.session import Sessions

_THREADS = 4
"""Units that run at the same time. Two jobs fill a small machine; more than four would only wait for its cores."""

_GRACE = 2.0
"""Seconds that an interrupted run waits for running units: enough for Spark to cancel its jobs."""

_EXECUTIONS = count()


class Executor:
    """Runs plans with one session, catalog and memory tier, in threads that call `thread_begun` first."""

    def __init__(
        self, sessions: Sessions, catalog: Catalog, memory: MemoryTier, observer: Observer,
        thread_begun: Callable[[], None] = lambda: None,
    ) -> None:
        self._sessions, self._catalog, self._memory, self._observer = sessions, catalog, memory, observer
        self.reports = WorkerReports()
        self._thread_begun, self._end = thread_begun, Future[None]()
        self._pool = ThreadPoolExecutor(_THREADS, "helix", thread_begun)

    def end(self, why: EndedError) -> None:
        """End the current run and all later ones. Any thread may call it."""
        if not self._end.done():
            self._end.set_exception(why)

    def close(self) -> None:
        """End the threads, without waiting for functions that an interrupt left running."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.reports.close()

    def execute(
        self, dag: Dag, plan: Plan, artifacts: Mapping[str, ArtifactRecord], run: str, registering: frozenset[str],
        compared: Collection[str] = (), so_far: Outcome | None = None,
        begin_call: BeginCall = begin_in_spark, change_of: Callable[[Node], str] = lambda _: "",
    ) -> Outcome:
        """Run a plan until all outputs are known and tables counted, something fails, or a computed result equals an
        earlier one (`Outcome.equal`).

        Args:
            run: prefix of the tag of the run's Spark jobs, by which they are cancelled.
            registering: names of nodes whose code may register names with the session; no two of them run at once.
            compared: names of nodes that are compared with earlier results.
            so_far: the outcome of the plan that this one continues; the new results are added to it.
            change_of: describes the change of a node since it was signed.
        """
        sessions = self._sessions
        outcome = so_far or Outcome()
        work_units = units(dag, plan, outcome.results)
        if any(ran_in_spark(name, dag, plan) for unit in work_units for name in unit.names):
            send_project_code()
            guard_functions()
        outcome.pinned |= pins(dag, plan, work_units)
        watcher = Watcher(sessions, plan, outcome, self.reports, self._catalog.root, begin_call, change_of)
        work = NodeWork(
            # Late cancels of one execution must spare the next one of the same run, so each has its own tag.
            self._catalog, self._memory, dag, plan, artifacts, outcome, watcher, self._observer,
            f"{run}_{next(_EXECUTIONS)}", registering, compared,
            {node.name for node in dag.nodes if plan[node.name].state is State.COMPUTE and is_lazy(node)},
        )
        dispatch = Dispatch(work, self._pool, self._end)
        try:
            dispatch.run(work_units)
        except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt too: earlier results are kept
            if not dispatch.drain(_GRACE if isinstance(error, KeyboardInterrupt | EndedError) else None):
                # A function that hangs would block later runs: they get new threads.
                abandon()
                self._pool.shutdown(wait=False)
                self._pool = ThreadPoolExecutor(_THREADS, "helix", self._thread_begun)
            loaded = [artifacts[n.signature] for n in plan.nodes if n.state is State.LOAD and n.signature in artifacts]
            unread = unread_by_spark(error, loaded, self._catalog)
            outcome.failure = unread or end_of_jvm(error) or self._end_of_session(error) or error
            if sessions.ended:  # their plans are of the ended session
                outcome.results.clear()
        finally:
            outcome.take_reports(self.reports, dag, plan)
        if not outcome.equal or outcome.failure is not None:
            work.release_empty_pins()
        if sessions.started and any(ran_in_spark(name, dag, plan) for step in outcome.steps for name in step.names):
            sessions.note_work()
        return outcome

    def _end_of_session(self, error: BaseException) -> EndedError | None:
        """Return an error for a session that was stopped while its JVM runs on, or for a server that ended."""
        sessions = self._sessions
        is_known = isinstance(error, KeyboardInterrupt | EndedError | SetupError) or bool(how_ended())
        is_gone = is_end_of_server(error)
        if is_gone and sessions.started and not sessions.ended:
            note_end(sessions.get())
        if is_known or not sessions.ended:
            return None
        end = EndedError(
            "the server of Spark Connect ended, or was restarted, during the run" if is_gone
            else "the Spark session was stopped during the run",
            remedy="run it again: a new one is started; if you passed the session (spark=...), pass a new one. "
            "Stored results are kept",
        )
        end.__cause__ = error
        return end


@dataclass(slots=True)
class Dispatch:
    """One execution of one plan: starts its units in order, until the future `end` has an error. Threads of the pool
    work in the calling thread's `context`; `running` has the node names of each started call."""

    work: NodeWork
    pool: ThreadPoolExecutor
    end: Future[None]
    context: ThreadContext = field(default_factory=ThreadContext)
    running: dict[Future[None], tuple[str, ...]] = field(default_factory=dict)
    over: bool = False

    def run(self, units: Iterable[Unit]) -> None:
        """Run these units, then count the rows of the outputs; end early if a result equals an earlier one."""
        with actions_to_come():
            waiting = list(units)
            while self.running or (waiting and not self.work.outcome.equal):
                if not self.work.outcome.equal:
                    self._advance(waiting)
                self._take_finished()
        for name in () if self.work.outcome.equal else self.work.uncounted():
            self._start((name,), self.work.count, name)
        while self.running:
            self._take_finished()

    def drain(self, grace: float | None) -> bool:
        """Cancel the running calls after a failure and wait at most `grace` seconds for them; their results count. Jobs
        that they start meanwhile are cancelled, too: a fit starts many. Return whether all calls ended: Python code
        cannot be cancelled."""
        until = None if grace is None else time.monotonic() + grace
        self.over = True
        unfinished = {future for future in self.running if not future.cancel()}
        self.work.cancel()
        while unfinished and (until is None or time.monotonic() < until):
            _, unfinished = wait(unfinished, timeout=0.2)
            if unfinished:
                self.work.cancel()
        if self.running:
            self.work.cancel(late=True)
        return not unfinished

    def _start(self, names: tuple[str, ...], call: Callable[..., None], *arguments: object) -> Future[None]:
        future = self.pool.submit(self.context.call, call, *arguments)
        self.running[future] = names
        return future

    def _take_finished(self) -> None:
        """Wait for the first running call to end; raise its error, or the error of `end`."""
        if self.running or self.end.done():
            done = first_done({*self.running, self.end})
            if self.end in done:
                self.end.result()
            for future in done:
                self.running.pop(future)
                future.result()

    def _advance(self, waiting: list[Unit]) -> None:
        """Extend the plans of lazy units, to find their mistakes before any job; start ready forced units."""
        while any(not unit.forced and self._ready(unit) for unit in waiting):
            extending = self._start((), self._extend, waiting)
            while extending in self.running:
                self._take_finished()
        for unit in waiting[:]:
            if unit.forced and self._ready(unit):
                self._start(unit.names, self.work.step, unit)
                waiting.remove(unit)

    def _extend(self, waiting: list[Unit]) -> None:
        for unit in waiting[:]:  # needs before their readers
            if not (unit.forced or self.over) and self._ready(unit):
                self.work.have(unit)
                waiting.remove(unit)

    def _ready(self, unit: Unit) -> bool:
        """Return whether a unit's inputs are there. Units that may register views or functions with the session wait
        for each other: one might read the other's view `p` as its own."""
        if not unit.needs <= self.work.outcome.results.keys():
            return False
        registering = self.work.registering
        if unit.state is not State.COMPUTE or registering.isdisjoint(unit.names):
            return True
        return all(registering.isdisjoint(names) for names in list(self.running.values()))
