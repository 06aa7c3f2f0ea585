"""Executes a plan: units of work as soon as what they need is there, independent ones at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from helix_spark.capture.captured_function import BuiltFunction
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.table_check import DamagedArtifactError
from helix_spark.dag.node import Dag, Node, computes_with_spark
from helix_spark.engine.execution.filling import Filling
from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.execution.outcome import Outcome, table_outputs
from helix_spark.engine.execution.step_clock import StepClock
from helix_spark.engine.execution.timing import Step
from helix_spark.engine.execution.units import (
    Unit,
    collects,
    lazy_names,
    left_to_do,
    of_unknown_cost,
    pins,
    units,
)
from helix_spark.engine.lowering.built import ColumnsDifferError, as_declared
from helix_spark.engine.lowering.calls import authors_errors, in_turns
from helix_spark.engine.lowering.fits import fit_batch
from helix_spark.engine.lowering.lowering import check_columns, lower
from helix_spark.engine.lowering.randomness import Suspicion
from helix_spark.engine.results.contents import content_here
from helix_spark.engine.results.loading import DamagedResultError, damaged_by, load
from helix_spark.engine.results.memory import MemoryTier
from helix_spark.engine.results.model_contents import content_of_model
from helix_spark.engine.results.results import ModelResult, NodeResult, TableResult
from helix_spark.engine.spark.asked_settings import watch_settings
from helix_spark.engine.spark.gateway import end_of_jvm, exit_status
from helix_spark.engine.spark.settings import is_on_this_machine
from helix_spark.engine.spark.spark_errors import spark_errors
from helix_spark.engine.spark.waiting import let_others_run_meanwhile
from helix_spark.engine.spark.worker_code import guard_functions, send_project_code
from helix_spark.errors import CatalogError, EndedError, OvertakenError, SetupError, SourceError
from helix_spark.hermetic.action import Action, abandon, in_action, waiting
from helix_spark.hermetic.mentions import files_named
from helix_spark.hermetic.task import Purpose, written_for
from helix_spark.hermetic.watch import Watch, seen_in
from helix_spark.hermetic.worker_reports import WorkerReports
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.signature.data_version import DataIdentity, identify
from helix_spark.workflow.operators import ApplyStage, FitStage, Form, Function, Predict, Read, Result
from helix_spark.workflow.sources import Source

if TYPE_CHECKING:
    from pyspark import SparkContext

    from helix_spark.engine.spark.session import Sessions

_THREADS = 4
"""Branches that run at the same time. Two jobs fill a small machine; more would only wait for its cores."""


_GRACE = 2.0
"""Seconds that an interrupted run waits for what is under way: enough for Spark to cancel its jobs."""

_CANCEL_AGAIN = 0.2
"""Seconds after which the jobs are cancelled that a function has begun since the last time."""


class Executor:
    """Runs plans against one session, one catalog and one memory tier.

    Args:
        thread_begun: called by each thread of its own before it works.
    """

    def __init__(
        self, sessions: Sessions, catalog: Catalog, memory: MemoryTier, observer: Observer,
        thread_begun: Callable[[], None] = lambda: None,
    ) -> None:
        self._sessions, self._catalog, self._memory = sessions, catalog, memory
        self._clock, self._observer = StepClock(sessions, observer), observer
        self._thread_begun, self._end = thread_begun, Future[list[Step]]()
        self._overtaken = Future[list[Step]]()
        self._reports = WorkerReports()
        self._pool = self._threads()

    def end(self, why: EndedError) -> None:
        """Ends the run that goes on, and all that are still to come. Any thread may call it."""
        if not self._end.done():
            self._end.set_exception(why)

    def overtake(self, why: OvertakenError) -> None:
        """Ends the run that goes on, if one does. Any thread may call it."""
        with suppress(InvalidStateError):  # it was called before
            self._overtaken.set_exception(why)

    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_THREADS, "helix", self._thread_begun)

    def close(self) -> None:
        """Ends the threads. A function of the author's that an interrupt left behind is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._reports.close()

    def take_reports(self, dag: Dag, plan: Plan, outcome: Outcome) -> frozenset[str]:
        """Takes note of what the author's code has done in Spark's workers since the last time; gives the names of the
        nodes that there is something new of. Behind an answer storing may have it run once more, or for the first time.
        """
        names = {plan[node.name].signature: node.name for node in dag.nodes}
        names |= {key: name for key, name in outcome.purposes.items() if name in names.values()}
        found = self._reports.take(names)
        return frozenset(names[key] for key, seen in found.items() if outcome.note(dag[names[key]], seen))

    def purpose(self, signature: str) -> Purpose:
        """What functions of a node are written for. Workers on other machines see the folder of a catalog that is on a
        disk; with one in an object store they tell nothing."""
        root = self._catalog.root
        if is_on_this_machine(str(self._sessions.get().sparkContext.master)):
            return Purpose(signature, self._reports.folder)
        return Purpose(signature, self._reports.folder_in(root) if isinstance(root, Path) else "")

    def execute(
        self, dag: Dag, plan: Plan, artifacts: Mapping[str, ArtifactRecord], run: str, registering: Collection[str],
        compared: Collection[str] | None = None, so_far: Outcome | None = None,
    ) -> Outcome:
        """Runs a plan until all outputs are known, tables counted, or something fails; or until what was computed turns
        out to be an earlier result (`Outcome.equal`).

        Args:
            artifacts: live artifacts by signature.
            run: tags the run's Spark jobs, so that they can be cancelled.
            registering: names of the nodes whose code may register views or functions with the session: no two of them
                run at the same time.
            compared: names of the nodes of which it is looked up whether an earlier result holds the same; None if no
                digests are to be taken at all.
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
        work = left_to_do(everything, outcome.results)
        outcome.pinned |= pins(dag, plan, work, {*of_unknown_cost(dag, plan), *(compared or ())})
        filling = Filling(outcome.pinned, self._clock, outcome.filled, outcome.contents)
        job = _Job(
            self, dag, plan, artifacts, run, outcome, filling, frozenset(registering), lazy_names(everything),
            frozenset(compared or ()),
        )
        try:
            job.run(work)
        except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt too: what was computed before is kept
            if not job.drain(_GRACE if isinstance(error, KeyboardInterrupt | EndedError) else None):
                # A function that hangs would keep its thread and its turn from all runs to come: they get others.
                abandon()
                self._pool.shutdown(wait=False)
                self._pool = self._threads()
            loaded = [artifacts[n.signature] for n in plan.nodes if n.state is State.LOAD and n.signature in artifacts]
            outcome.failure = damaged_by(error, loaded) or end_of_jvm(error) or self._end_of_session(error) or error
            if self._sessions.ended:  # plans that nobody can look at any more, and what may be made of chance in them
                outcome.results.clear()
        finally:
            job.untag_caller()
            self.take_reports(dag, plan, outcome)
        if outcome.equal and outcome.failure is None:
            outcome.filled = filling.full
        else:
            job.let_go_of_empty_pins()
        ran = {name for step in outcome.steps for name in step.names}
        if self._sessions.started and any(ran_in_spark(name, dag, plan) for name in ran):
            self._sessions.note_work()
        return outcome

    def _end_of_session(self, error: BaseException) -> EndedError | None:
        """An error as what it is about, if that is a session that somebody else stopped; its JVM lives on."""
        told = isinstance(error, KeyboardInterrupt | EndedError | SetupError) or exit_status() is not None
        if told or not self._sessions.ended:
            return None
        found = EndedError(
            "the Spark session was stopped while the run went on",
            remedy="run it again: a new one is started, unless you gave the session (spark=...): then give a new one. "
            "What was stored before is kept",
        )
        found.__cause__ = error
        return found

    def _check(self, record: ArtifactRecord) -> None:
        try:
            self._catalog.check_table(record)
        except DamagedArtifactError as damage:
            raise DamagedResultError(record, damage.what) from damage

    def _cancel(self, run: str) -> None:
        if self._sessions.started and not self._sessions.ended:
            with suppress(SetupError, *spark_errors()):  # a JVM whose end is the failure has no jobs left
                self._sessions.get().sparkContext.cancelJobsWithTag(run)


@dataclass(slots=True)
class _Job:
    """One execution of one plan.

    Attributes:
        registering: as of `Executor.execute`.
        lazy: names of the nodes that are computed by extending a plan.
        compared: as of `Executor.execute`.
        running: names of the nodes that each call of the pool's is for.
        tagged: the context of which the caller's thread has the run's tag; None before that.
    """

    executor: Executor
    dag: Dag
    plan: Plan
    artifacts: Mapping[str, ArtifactRecord]
    run_id: str
    outcome: Outcome
    filling: Filling
    registering: frozenset[str] = frozenset()
    lazy: frozenset[str] = frozenset()
    compared: frozenset[str] = frozenset()
    running: dict[Future[list[Step]], tuple[str, ...]] = field(default_factory=dict)
    tagged: SparkContext | None = None

    def run(self, work: Sequence[Unit]) -> None:
        waiting = list(work)
        while self.running or (waiting and not self.outcome.equal):
            if not self.outcome.equal:
                waiting = self._advance(waiting)
            self._take_what_is_done()
        if self.outcome.equal:
            return
        for name in self._uncounted():
            self.running[self.executor._pool.submit(self._count, name)] = (name,)
        while self.running:
            self._take_what_is_done()

    def drain(self, grace: float | None) -> bool:
        """Waits for what is still running after a failure; its results count, its errors are the same failure's.

        Spark's jobs are cancelled, and those that a function begins meanwhile as well: a fit that is between two of its
        jobs would run to its end. A function of the author's cannot be cancelled.

        Args:
            grace: seconds to wait at most.

        Returns whether all came to an end.
        """
        until = None if grace is None else time.monotonic() + grace
        left = {future for future in self.running if not future.cancel()}
        self.executor._cancel(self.run_id)
        while left and (until is None or time.monotonic() < until):
            done, left = wait(left, timeout=_CANCEL_AGAIN)
            for future in done:
                if future.exception() is None:
                    self.outcome.steps.extend(future.result())
            if left:
                self.executor._cancel(self.run_id)
        return not left

    def let_go_of_empty_pins(self) -> None:
        """Once all is over: what is taken to be in memory has its rows there. A pin that was never filled has the next
        run compute them where it thinks to read them, and of files that may have changed since."""
        full = self.filling.full
        for name in self.outcome.pinned - full:
            if isinstance(result := self.outcome.results.get(name), TableResult):
                result.unpin()
        self.outcome.pinned = full

    def _take_what_is_done(self) -> None:
        """Waits for the first of what is running.

        Raises:
            EndedError: the executor was ended meanwhile, or before, or what it runs was edited.
        """
        ends = {self.executor._end, self.executor._overtaken}
        if self.running or any(end.done() for end in ends):
            done, _ = wait({*self.running, *ends}, return_when=FIRST_COMPLETED)
            for end in ends & done:
                end.result()
            for future in done:
                self.running.pop(future)
                self.outcome.steps.extend(future.result())

    def _advance(self, waiting: list[Unit]) -> list[Unit]:
        """Extends the plans of lazy units, and starts the forced ones whose needs are there. Lazy ones go first: what
        is wrong with them is found before any job runs."""
        progress = True
        while progress:
            progress = False
            for unit in [unit for unit in waiting if not unit.forced and self._ready(unit)]:
                self._tag_caller(unit)
                self._have(unit)
                waiting.remove(unit)
                progress = True
        ready = [unit for unit in waiting if unit.forced and self._ready(unit)]
        for unit in ready:
            self._check(unit)
        for unit in ready:
            if not self._must_wait(unit):  # for one that was started right before it
                self.running[self.executor._pool.submit(self._step, unit)] = unit.names
                waiting.remove(unit)
        return waiting

    def _ready(self, unit: Unit) -> bool:
        return unit.needs <= self.outcome.results.keys() and not self._must_wait(unit)

    def _must_wait(self, unit: Unit) -> bool:
        """Whether a unit may register something with the session while another one does that is under way. It waits
        here and not for the lock, which is for what functions do in the steps of others (see `in_turns`): so it takes
        no thread meanwhile, and no time of its step."""
        if unit.state is not State.COMPUTE or self.registering.isdisjoint(unit.names):
            return False
        return any(not self.registering.isdisjoint(names) for names in self.running.values())

    def _check(self, unit: Unit) -> None:
        if len(unit.names) > 1:
            for name in unit.names:
                node = self.dag[name]
                check_columns(node, [self.outcome.results[source] for source in node.inputs])

    def _step(self, unit: Unit) -> list[Step]:
        computes = unit.state is State.COMPUTE
        steps = self._fill(unit.names) if computes else []
        if computes and self._is_overtaken(unit.names):
            return steps
        with waiting() as waited:
            step = self.executor._clock.step(unit.names, lambda: self._have(unit))
        steps.append(replace(step, start=step.start + waited()))
        for name in unit.names:
            self._compare(name)
        return steps

    def _is_overtaken(self, names: Collection[str]) -> bool:
        """Whether something that nodes are made of turned out to be an earlier result: they are planned anew first."""
        equal = self.outcome.equal.keys()
        return bool(equal) and any(not equal.isdisjoint(self.dag.ancestors(name)) for name in names)

    def _compare(self, name: str) -> None:
        """Looks up whether an earlier result holds what was just computed; what may be chance is not compared."""
        if name not in self.compared or self.outcome.contents is None or self._is_doubtful(name):
            return
        result = self.outcome.results[name]
        content = self.outcome.contents.get(name) or content_here(result)
        if isinstance(result, ModelResult):
            self._tag((name,))
            content = content_of_model(result.model, self.plan[name].signature, self.executor._catalog)
        if content is None:
            return
        self.outcome.contents[name] = content
        try:
            earlier = self.executor._catalog.with_content(self.plan.workflow, name, content)
        except CatalogError as error:  # the run can do without
            self.executor._observer.warning(f"whether an earlier result equals {name!r} is not known: {error.what}")
            return
        if earlier is not None and earlier != self.plan[name].signature:
            self.outcome.equal[name] = earlier

    def _is_doubtful(self, name: str) -> bool:
        """Whether a plan that Spark has tells of chance in a result, or in what it was made of in this run. Each was
        looked at before anything that reads it began, so nobody waits here for a thread."""
        made = [one for one in (name, *self.dag.ancestors(name)) if self.plan[one].state is State.COMPUTE]
        had = [(self.dag[one], self.outcome.results[one]) for one in made if one in self.outcome.results]
        self.executor.take_reports(self.dag, self.plan, self.outcome)
        return any(self.outcome.suspicion.of(node, result) is not None for node, result in had)

    def _fill(self, names: Collection[str]) -> list[Step]:
        """Computes the tables that are kept for several readers, of which these nodes are one; inputs first. Whatever
        pins the jobs of these nodes read, none of them is filled on the way."""
        extended = {
            source for name in self.dag.upstream_within(names, self.lazy) for source in self.dag[name].inputs
        }
        given = [(name, source) for name in names for source in self.dag[name].inputs]
        collected = {
            source for name, source in given
            if self.dag[source].result is Result.TABLE and collects(self.dag[name], source)
        }
        read = extended.union(source for _, source in given if source not in collected)
        steps = []
        for name in (node.name for node in self.dag.nodes if node.name in collected or node.name in read):
            if self._is_overtaken((name,)):
                break
            if name in collected:
                steps.append(self._filled(name, self.filling.collect))
            if name in read and name in self.outcome.pinned:
                steps.append(self._filled(name, self.filling.fill))
        return [step for step in steps if step is not None]

    def _filled(self, name: str, fill: Callable[[str, TableResult], Step | None]) -> Step | None:
        result = self.outcome.results[name]
        assert isinstance(result, TableResult)
        self._tag((name,))
        with authors_errors(self.dag[name]):
            step = fill(name, result)
        self._compare(name)
        return step

    def _uncounted(self) -> list[str]:
        """Output tables whose rows are to be counted. Those of a stored one are on record: no Spark is needed."""
        found = []
        for name in table_outputs(self.plan, self.outcome):
            own = self.plan[name]
            record = self.artifacts.get(own.signature) if own.state is State.LOAD and not own.held else None
            if record is None or record.rows is None:
                found.append(name)
            else:
                self.executor._check(record)
                self.outcome.rows[name] = record.rows
        return found

    def _count(self, name: str) -> list[Step]:
        """Computes an output table, and counts its rows."""
        result = self.outcome.results[name]
        assert isinstance(result, TableResult)
        steps = self._fill((name,)) if self.plan[name].state is State.COMPUTE else []
        if name in self.outcome.pinned and (filled := self._filled(name, self.filling.fill)) is not None:
            steps.append(filled)
        if name in self.filling.rows:
            self.outcome.rows[name] = self.filling.rows[name]
            return steps

        def counted() -> None:
            self.outcome.rows[name] = result.frame().count()

        self._tag((name,))
        with authors_errors(self.dag[name]):
            return [*steps, self.executor._clock.step((name,), counted)]

    def _have(self, unit: Unit) -> None:
        if unit.forced:
            self._tag(unit.names)
        loads = unit.state is State.LOAD
        made: Sequence[NodeResult] = [self._load(unit.names[0])] if loads else self._computed(unit)
        for name, result in zip(unit.names, made, strict=True):
            if unit.state is State.COMPUTE:
                of = [self.outcome.results[source] for source in self.dag[name].inputs]
                self.outcome.suspicion.begin(self.dag[name], result, of)
            if name in self.outcome.pinned and isinstance(result, TableResult):
                with authors_errors(self.dag[name]):  # persisting optimises the plan, which may fold constants and fail
                    result.pin()
            self.outcome.results[name] = result

    def _computed(self, unit: Unit) -> Sequence[NodeResult]:
        nodes = [self.dag[name] for name in unit.names]
        inputs = [[self.outcome.results[source] for source in node.inputs] for node in nodes]
        if len(nodes) > 1:
            with authors_errors(nodes[0]):
                return fit_batch(nodes, inputs)
        node = in_turns(nodes[0]) if nodes[0].name in self.registering else nodes[0]
        if isinstance(node.operator, BuiltFunction):
            watch = Watch()
            for function in node.operator.built.code:
                watch.named(files_named(function))
            self.outcome.note(node, seen_in(watch.events))
        with self._written_for(node) if isinstance(node.operator, BuiltFunction) else nullcontext():
            try:
                return [lower(node, inputs[0], self.executor._sessions, self)]
            except ColumnsDifferError as error:
                self.outcome.suspicion.note(node, f"is called on what it reads, for {error}")
                return [lower(as_declared(node), inputs[0], self.executor._sessions, self)]

    @contextmanager
    def acting(self, node: Node) -> Iterator[None]:
        """While a function of the author's runs: what it draws follows from the identity of its node."""
        action = Action(self.plan[node.name].signature)
        started = self.executor._sessions.started
        if started:
            let_others_run_meanwhile()
            watch_settings()
        with self._written_for(node) if started else nullcontext(), in_action(action):
            yield
        if action.watch is not None and isinstance(node.operator, Function):
            action.watch.named(files_named(node.operator.call))
        self.outcome.note(node, action.seen())

    def _written_for(self, node: Node) -> AbstractContextManager[None]:
        """While functions of a node's are written for workers."""
        purpose = self.executor.purpose(self.plan[node.name].signature)
        self.outcome.purposes[purpose.key] = node.name
        return written_for(purpose)

    def opened(self, name: str, source: Source) -> None:
        """Takes note of which files a source has."""
        self.outcome.opened[name] = DataIdentity("")
        with suppress(SourceError, OSError):  # it is gone again
            self.outcome.opened[name] = identify(source, contents=False)

    def _load(self, name: str) -> NodeResult:
        signature = self.plan[name].signature
        held = self.executor._memory.get(signature)
        if held is not None:
            return held
        return load(self.artifacts[signature], self.executor._catalog, self.executor._sessions)

    def _tag(self, names: Sequence[str]) -> None:
        """Names the jobs of this thread, which is one of ours, after nodes, and has them cancelled with the run. Where
        they take a session, it is waited for: the first jobs of a process are tagged, too."""
        if self.executor._sessions.started or any(ran_in_spark(name, self.dag, self.plan) for name in names):
            context = self.executor._sessions.get().sparkContext
            context.clearJobTags()
            context.addJobTag(self.run_id)
            context.setJobDescription(f"helix: {', '.join(names)}")

    def _tag_caller(self, unit: Unit) -> None:
        """Has the jobs of the caller's thread cancelled with the run: functions may look at their data while they
        declare. Its own tags, group and description stay what they are. A session is waited for only where a lazy unit
        takes one at once: a source is read when its readers ask for it."""
        takes_one = any(
            name in self.outcome.pinned
            or (ran_in_spark(name, self.dag, self.plan) and not isinstance(self.dag[name].operator, Read))
            for name in unit.names
        )
        if takes_one and self.tagged is None:
            self.tagged = self.executor._sessions.get().sparkContext
            self.tagged.addJobTag(self.run_id)

    def untag_caller(self) -> None:
        """Gives the caller's thread back as it was."""
        if self.tagged is not None and not self.executor._sessions.ended:
            with suppress(*spark_errors()):  # a JVM that has ended knows no tags any more
                self.tagged.removeJobTag(self.run_id)


def _may_send_code(node: Node) -> bool:
    """Whether code of the author's, or of a stage's, may reach Spark's Python workers."""
    operator = node.operator
    if isinstance(operator, Function):
        return bool({Form.SPARK, Form.COLUMN, Form.MODEL, Form.ANY} & {*operator.forms, operator.returns})
    return isinstance(operator, Read | FitStage | ApplyStage | Predict)


def ran_in_spark(name: str, dag: Dag, plan: Plan) -> bool:
    """Whether a step of a node has had Spark do something."""
    own, node = plan[name], dag[name]
    if own.state is State.COMPUTE:
        return computes_with_spark(node, dag)
    return node.result is Result.MODEL and not own.held
