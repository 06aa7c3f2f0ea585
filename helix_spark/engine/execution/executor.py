"""Executes a plan: units of work as soon as what they need is there, independent ones at the same time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.dag.node import Dag, Node
from helix_spark.engine.execution.dispatch import Dispatch
from helix_spark.engine.execution.filling import Filling
from helix_spark.engine.execution.job_tags import JobTags, ran_in_spark
from helix_spark.engine.execution.node_work import BeginCall, NodeWork, begin_anew
from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.execution.timing import Step
from helix_spark.engine.execution.units import lazy_names, left_to_do, of_unknown_cost, pins, units
from helix_spark.engine.execution.workbench import StepClock, Workbench
from helix_spark.engine.lowering.chance_in_plans import Suspicion
from helix_spark.engine.results.loading import damaged_by
from helix_spark.engine.results.memory import MemoryTier
from helix_spark.engine.spark.borrowed import note_end
from helix_spark.engine.spark.connect import is_end_of_server
from helix_spark.engine.spark.gateway import end_of_jvm, exit_status
from helix_spark.engine.spark.worker_code import guard_functions, send_project_code
from helix_spark.errors import EndedError, OvertakenError, SetupError
from helix_spark.hermetic.action import abandon
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.workflow.operators import ApplyStage, FitStage, Form, Function, Predict, Read

if TYPE_CHECKING:
    from helix_spark.engine.spark.session import Sessions

_THREADS = 4
"""Branches that run at the same time. Two jobs fill a small machine; more would only wait for its cores."""

_GRACE = 2.0
"""Seconds that an interrupted run waits for what is under way: enough for Spark to cancel its jobs."""


_EXECUTIONS = count()


class Executor:
    """Runs plans against one session, one catalog and one memory tier.

    Args:
        thread_begun: called by each thread of its own before it works.
    """

    def __init__(
        self, sessions: Sessions, catalog: Catalog, memory: MemoryTier, observer: Observer,
        thread_begun: Callable[[], None] = lambda: None,
    ) -> None:
        self._sessions = sessions
        self._bench = Workbench(sessions, catalog, memory, observer, StepClock(sessions, observer))
        self._thread_begun, self._end = thread_begun, Future[list[Step]]()
        self._overtaken = Future[list[Step]]()
        self._pool = self._threads()

    def end(self, why: EndedError) -> None:
        """End the run that goes on, and all that are still to come. Any thread may call it."""
        if not self._end.done():
            self._end.set_exception(why)

    def overtake(self, why: OvertakenError) -> None:
        """End the run that goes on, if one does. Any thread may call it."""
        with suppress(InvalidStateError):  # it was called before
            self._overtaken.set_exception(why)

    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_THREADS, "helix", self._thread_begun)

    def close(self) -> None:
        """End the threads. A function of the author's that an interrupt left behind is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._bench.reports.close()

    def take_reports(self, dag: Dag, plan: Plan, outcome: Outcome) -> frozenset[str]:
        """Call `Workbench.take_reports`."""
        return self._bench.take_reports(dag, plan, outcome)

    def execute(
        self, dag: Dag, plan: Plan, artifacts: Mapping[str, ArtifactRecord], run: str, registering: frozenset[str],
        compared: Collection[str] | None = None, so_far: Outcome | None = None,
        begin_call: BeginCall = begin_anew,
    ) -> Outcome:
        """Run a plan until all outputs are known, tables counted, or something fails; or until what was computed turns
        out to be an earlier result (`Outcome.equal`).

        Args:
            artifacts: live artifacts by signature.
            run: begins the tag of the run's Spark jobs, so that they can be cancelled.
            registering: names of the nodes whose code may register views or functions with the session: no two of them
                run at the same time.
            compared: names of the nodes of which it is looked up whether an earlier result holds the same; None if no
                digests are to be taken at all.
            begin_call: begins calls of functions, answered from a record and put on it.
            so_far: what was done by a plan that this one goes on from; it is added to.
        """
        if any(plan[node.name].state is State.COMPUTE and _may_send_code(node) for node in dag.nodes):
            send_project_code()
            guard_functions()
        self._overtaken = Future()
        outcome = so_far or Outcome(
            Suspicion(self._pool, apart=not any(node.wishes.fixed for node in dag.nodes)),
            contents=None if compared is None else {},
        )
        everything = units(dag, plan)
        left = left_to_do(everything, outcome.results)
        outcome.pinned |= pins(dag, plan, left, {*of_unknown_cost(dag, plan), *(compared or ())})
        filling = Filling(outcome.pinned, self._bench.clock, outcome.filled, outcome.contents, compared or ())
        # What is cancelled late of one execution must not be of the next, which the same run may begin.
        tags = JobTags(self._sessions, dag, plan, f"{run}_{next(_EXECUTIONS)}", outcome.pinned | registering)
        work = NodeWork(
            self._bench, dag, plan, artifacts, outcome, filling, tags, registering, lazy_names(everything),
            compared or (), begin_call,
        )
        dispatch = Dispatch(work, self._pool, frozenset({self._end, self._overtaken}))
        try:
            dispatch.run(left)
        except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt too: what was computed before is kept
            if not dispatch.drain(_GRACE if isinstance(error, KeyboardInterrupt | EndedError) else None):
                # A function that hangs would keep its thread and its turn from all runs to come: they get others.
                abandon()
                self._pool.shutdown(wait=False)
                self._pool = self._threads()
            loaded = [artifacts[n.signature] for n in plan.nodes if n.state is State.LOAD and n.signature in artifacts]
            outcome.failure = damaged_by(error, loaded) or end_of_jvm(error) or self._end_of_session(error) or error
            if self._sessions.ended:  # plans that nobody can look at any more, and what may be made of chance in them
                outcome.results.clear()
        finally:
            tags.untag_caller()
            self._bench.take_reports(dag, plan, outcome)
        if outcome.equal and outcome.failure is None:
            outcome.filled = filling.full
        else:
            work.let_go_of_empty_pins()
        ran = {name for step in outcome.steps for name in step.names}
        if self._sessions.started and any(ran_in_spark(name, dag, plan) for name in ran):
            self._sessions.note_work()
        return outcome

    def _end_of_session(self, error: BaseException) -> EndedError | None:
        """Return what an error is about, if that is a session that was stopped while its JVM lives on, or a server of
        Spark Connect that is gone."""
        told = isinstance(error, KeyboardInterrupt | EndedError | SetupError) or exit_status() is not None
        gone = is_end_of_server(error)
        if gone and self._sessions.started and not self._sessions.ended:
            note_end(self._sessions.get())
        if told or not self._sessions.ended:
            return None
        found = EndedError(
            "the server of Spark Connect ended, or was started anew, while the run went on" if gone
            else "the Spark session was stopped while the run went on",
            remedy="run it again: a new one is started, unless you gave the session (spark=...): then give a new one. "
            "What was stored before is kept",
        )
        found.__cause__ = error
        return found


def _may_send_code(node: Node) -> bool:
    """Return whether code of the author's, or of a stage's, may reach Spark's Python workers."""
    operator = node.operator
    if isinstance(operator, Function):
        return bool({Form.SPARK, Form.COLUMN, Form.MODEL, Form.ANY} & {*operator.forms, operator.returns})
    return isinstance(operator, Read | FitStage | ApplyStage | Predict)
