"""Executes a plan: units of work as soon as what they need is there, independent ones at the same time."""

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
from helix_spark.engine.lowering.watcher import BeginCall, Watcher, begin_anew
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
"""Branches that run at the same time. Two jobs fill a small machine; more would only wait for its cores."""

_GRACE = 2.0
"""Seconds that an interrupted run waits for what is under way: enough for Spark to cancel its jobs."""

_EXECUTIONS = count()


class Executor:
    """Runs plans against one session, one catalog and one memory tier, in threads that call `thread_begun` first."""

    def __init__(
        self, sessions: Sessions, catalog: Catalog, memory: MemoryTier, observer: Observer,
        thread_begun: Callable[[], None] = lambda: None,
    ) -> None:
        self._sessions, self._catalog, self._memory, self._observer = sessions, catalog, memory, observer
        self.reports = WorkerReports()
        self._thread_begun, self._end = thread_begun, Future[None]()
        self._pool = ThreadPoolExecutor(_THREADS, "helix", thread_begun)

    def end(self, why: EndedError) -> None:
        """End the run that goes on, and all that are still to come. Any thread may call it."""
        if not self._end.done():
            self._end.set_exception(why)

    def close(self) -> None:
        """End the threads. A function of the author's that an interrupt left behind is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.reports.close()

    def execute(
        self, dag: Dag, plan: Plan, artifacts: Mapping[str, ArtifactRecord], run: str, registering: frozenset[str],
        compared: Collection[str] = (), so_far: Outcome | None = None,
        begin_call: BeginCall = begin_anew, change_of: Callable[[Node], str] = lambda _: "",
    ) -> Outcome:
        """Run a plan until all outputs are known, tables counted, or something fails; or until what was computed turns
        out to be an earlier result (`Outcome.equal`).

        Args:
            run: begins the tag of the run's Spark jobs, so that they can be cancelled.
            registering: names of nodes whose code may register names with the session: no two of them run at once.
            compared: names of nodes that are compared with earlier results.
            so_far: what was done by a plan that this one goes on from; it is added to.
            change_of: returns what has changed of a node since it was signed, in words.
        """
        sessions = self._sessions
        outcome = so_far or Outcome()
        left = units(dag, plan, outcome.results)
        if any(ran_in_spark(name, dag, plan) for unit in left for name in unit.names):
            send_project_code()
            guard_functions()
        outcome.pinned |= pins(dag, plan, left)
        watcher = Watcher(sessions, plan, outcome, self.reports, self._catalog.root, begin_call, change_of)
        work = NodeWork(
            # What is cancelled late of one execution must not be of the next, which the same run may begin.
            self._catalog, self._memory, dag, plan, artifacts, outcome, watcher, self._observer,
            f"{run}_{next(_EXECUTIONS)}", registering, compared,
            {node.name for node in dag.nodes if plan[node.name].state is State.COMPUTE and is_lazy(node)},
        )
        dispatch = Dispatch(work, self._pool, self._end)
        try:
            dispatch.run(left)
        except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt too: what was computed before is kept
            if not dispatch.drain(_GRACE if isinstance(error, KeyboardInterrupt | EndedError) else None):
                # A function that hangs would keep its thread and its turn from all runs to come: they get others.
                abandon()
                self._pool.shutdown(wait=False)
                self._pool = ThreadPoolExecutor(_THREADS, "helix", self._thread_begun)
            loaded = [artifacts[n.signature] for n in plan.nodes if n.state is State.LOAD and n.signature in artifacts]
            unread = unread_by_spark(error, loaded, self._catalog)
            outcome.failure = unread or end_of_jvm(error) or self._end_of_session(error) or error
            if sessions.ended:  # their plans are of a session that is gone
                outcome.results.clear()
        finally:
            outcome.take_reports(self.reports, dag, plan)
        if not outcome.equal or outcome.failure is not None:
            work.let_go_of_empty_pins()
        if sessions.started and any(ran_in_spark(name, dag, plan) for step in outcome.steps for name in step.names):
            sessions.note_work()
        return outcome

    def _end_of_session(self, error: BaseException) -> EndedError | None:
        """Return an error about a session that was stopped while its JVM lives on, or a server that is gone."""
        sessions = self._sessions
        is_known = isinstance(error, KeyboardInterrupt | EndedError | SetupError) or bool(how_ended())
        is_gone = is_end_of_server(error)
        if is_gone and sessions.started and not sessions.ended:
            note_end(sessions.get())
        if is_known or not sessions.ended:
            return None
        end = EndedError(
            "the server of Spark Connect ended, or was started anew, while the run went on" if is_gone
            else "the Spark session was stopped while the run went on",
            remedy="run it again: a new one is started, unless you gave the session (spark=...): then give a new one. "
            "What was stored before is kept",
        )
        end.__cause__ = error
        return end


@dataclass(slots=True)
class Dispatch:
    """One execution of one plan: the order of its units. The error of `end` ends it, once it has one.
    Threads of the pool work in the calling thread's `context`; `running` has the names of nodes that each works for."""

    work: NodeWork
    pool: ThreadPoolExecutor
    end: Future[None]
    context: ThreadContext = field(default_factory=ThreadContext)
    running: dict[Future[None], tuple[str, ...]] = field(default_factory=dict)
    over: bool = False

    def run(self, units: Iterable[Unit]) -> None:
        """Run these units, then count the rows of the outputs; end early where a result equals an earlier one."""
        with actions_to_come():
            waiting = list(units)
            while self.running or (waiting and not self.work.outcome.equal):
                if not self.work.outcome.equal:
                    self._advance(waiting)
                self._take_what_is_done()
        for name in () if self.work.outcome.equal else self.work.uncounted():
            self._start((name,), self.work.count, name)
        while self.running:
            self._take_what_is_done()

    def drain(self, grace: float | None) -> bool:
        """Cancel and wait for what is still running after a failure, for at most `grace` seconds; its results count.
        Jobs that a function begins meanwhile are cancelled as well: a fit between two of its jobs would run to its end.
        Return whether all came to an end: a function of the author's cannot be cancelled."""
        until = None if grace is None else time.monotonic() + grace
        self.over = True
        left = {future for future in self.running if not future.cancel()}
        self.work.cancel()
        while left and (until is None or time.monotonic() < until):
            _, left = wait(left, timeout=0.2)
            if left:
                self.work.cancel()
        if self.running:
            self.work.cancel(late=True)
        return not left

    def _start(self, names: tuple[str, ...], call: Callable[..., None], *arguments: object) -> Future[None]:
        future = self.pool.submit(self.context.call, call, *arguments)
        self.running[future] = names
        return future

    def _take_what_is_done(self) -> None:
        """Wait for the first of what is running, or raise why this execution is to end."""
        if self.running or self.end.done():
            done = first_done({*self.running, self.end})
            if self.end in done:
                self.end.result()
            for future in done:
                self.running.pop(future)
                future.result()

    def _advance(self, waiting: list[Unit]) -> None:
        """Extend the plans of lazy units, whose mistakes are found before any job runs, and start ready forced ones."""
        while any(not unit.forced and self._ready(unit) for unit in waiting):
            extending = self._start((), self._extend, waiting)
            while extending in self.running:
                self._take_what_is_done()
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
        """Return whether what a unit needs is there. One that may register views or functions with the session waits
        for others that may: what one registers as `p`, the other would read as its own `p`."""
        if not unit.needs <= self.work.outcome.results.keys():
            return False
        registering = self.work.registering
        if unit.state is not State.COMPUTE or registering.isdisjoint(unit.names):
            return True
        return all(registering.isdisjoint(names) for names in list(self.running.values()))
