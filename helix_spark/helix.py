"""`Helix`, the engine of workflows: it connects the rooms that compile, sign, estimate, plan, execute and record."""

from __future__ import annotations

import inspect
import math
import os
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, overload

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import RunLeases
from helix_spark.catalog.places.place import spark_options
from helix_spark.engine.execution.executor import Executor
from helix_spark.engine.execution.observer import Followed, Lines, NotebookBar, Observer, Quiet, in_kernel
from helix_spark.engine.results.node_results import MemoryTier
from helix_spark.engine.server.session import Sessions
from helix_spark.errors import CatalogError, EndedError, ParameterError, nearest
from helix_spark.hermetic.generators import AUTHOR_SEEDS
from helix_spark.history.comparison import Comparison, compare
from helix_spark.history.iteration_lookup import check_workflow, find_iteration
from helix_spark.planner.joint import policy_named
from helix_spark.planner.plan import Plan
from helix_spark.planner.storage import Policy
from helix_spark.plans.current_program import session_restored
from helix_spark.run.admission import Admission, Task
from helix_spark.run.auditor import WHENS, Auditor, Job, When, job_for
from helix_spark.run.executing import compute_output
from helix_spark.run.expiry import Expiry
from helix_spark.run.iteration import Iteration, NamedResults, RecordedIteration, RecordedIterations, node_named
from helix_spark.run.run import Run, Tools, through
from helix_spark.run.steps import LOOKING, SHOWING, answered
from helix_spark.run.tracker import Tracker
from helix_spark.sizes import parse_size
from helix_spark.views import notebook_views as _notebook_views  # noqa: F401 - what plans and comparisons show
from helix_spark.waits import result_of
from helix_spark.workflow.declared_at import caller
from helix_spark.workflow.workflow import Workflow

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from typing_extensions import Self

    from helix_spark.catalog.records import ArtifactRecord, IterationRecord
    from helix_spark.engine.results.node_results import NodeResult
    from helix_spark.run.audit import Audit


class Helix:
    """A runner of workflows, with a catalog of earlier results.

    Args:
        catalog: its folder, or its address in an object store (``s3a://BUCKET/PATH``); created by the first run.
        budget: the most that may be stored in all: bytes, or text such as "2 GiB"; None for no limit.
        policy: the rule for what to keep: "joint", "always", "never", or a `Policy`.
        spark: the session to use. By default the active one; without one, Helix starts its own when something must be
            computed, and `close` stops it.
        settings: Spark settings for a session that Helix starts.
        observer: an `Observer` of the run's events. By default warnings go to stderr, and a notebook shows a progress
            bar below the cell until the answer is there. `hx.Silent()` prints nothing.
        progress: print computed, loaded and stored results to stderr, too.
        tracker: a tracker, such as `MlflowTracker`, that gets each iteration after its answer; closed with this.
        one_run: True if this process runs once, as ``helix run`` does, so that the next run has to start Spark again.
            If False or None (unknown), the first plans assume that it runs more than once, and later plans use the
            record.
        cut_off: compare newly computed results with earlier ones, so that results computed from equal ones are reused.
            A number is the least downstream work, in seconds, for which this is done (True: half a second, about what
            planning again takes).
        audit: when results of code that is not known to be pure are computed again in a background process, and
            compared: "idle", after an answer until the next run begins, for 3 % of the time that reuse has saved;
            "all", for as long as it takes; "off", never.
        audit_seconds: the seconds that one background audit may take.
        expiry: the age or number at which iterations are forgotten, such as ``hx.Expiry(iterations=200)``; None for
            never.
        shared: a team's catalogs, from which results are loaded too; they are never written.

    Raises:
        CatalogError: the folder is not a catalog, is of a newer version, or cannot be written; or a shared one is not
            a catalog.
        ParameterError: the budget is not a size, or negative; or both `observer` and `progress` are set.
        SetupError: a setting leaves Delta out.

    Use it as a context manager, or call `close`, which waits until everything is stored.
    """

    def __init__(
        self, catalog: str | os.PathLike[str] = "catalog", *, budget: int | str | None = None,
        policy: str | Policy = "joint", spark: SparkSession | None = None,
        settings: Mapping[str, str] | None = None, observer: Observer | None = None,
        progress: bool = False, tracker: Tracker | None = None, one_run: bool | None = None,
        cut_off: bool | float = True, audit: When = "idle", audit_seconds: float = 60.0,
        expiry: Expiry | None = None, shared: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        room = parse_size(budget) if isinstance(budget, str) else budget
        if room is not None and room < 0:
            raise ParameterError(
                f"the budget is negative: {room:,} bytes", remedy="0 stores nothing, None has no limit"
            )
        if observer is not None and progress:
            raise ParameterError(
                "observer and progress cannot be combined: your observer gets the progress",
                remedy="leave out one of the two",
            )
        if audit not in WHENS:
            raise ParameterError(f"there is no audit {audit!r}", remedy=nearest(str(audit), WHENS))
        self._catalog = Catalog.open(catalog, create=True, shared=[os.fspath(path) for path in shared])
        self._admission = Admission(str(self._catalog.root), lambda: self.sessions.theirs())
        self.observer = observer or (Lines() if progress else NotebookBar() if in_kernel() else Quiet())
        self._followed = Followed(self.observer, self.catalog)
        self.sessions = Sessions(
            spark, settings or {}, self._followed.session_starting, spark_options(self.catalog.roots),
            self.observer.note,
        )
        self.waiting_since: float | None = None
        self._auditor = Auditor(audit, audit_seconds, self.observer.warning, self._catalog, is_left=bool(one_run))
        self._memory, self._writable, take_on = MemoryTier(), False, self._admission.take_on
        self._executor = Executor(self.sessions, self.catalog, self._memory, self._followed, partial(take_on, Task.RUN))
        self._recording = ThreadPoolExecutor(1, "helix-recording", take_on, (Task.RECORD,))
        self._background = ThreadPoolExecutor(1, "helix-background", take_on, (Task.STORE,))
        self._tools = Tools(
            self.sessions, self._catalog, self._memory, self._followed, self._executor, self._recording,
            self._background, policy_named(policy) if isinstance(policy, str) else policy, room, one_run, tracker,
            cut_off if not isinstance(cut_off, bool) else 0.5 if cut_off else math.inf, self._admission.check,
            expiry or Expiry(),
        )

    @property
    def catalog(self) -> Catalog:
        """The open catalog. Raises HelixError in a forked child."""
        self._admission.home.check(f"the open catalog {self._catalog.root}")
        return self._catalog

    def plan(self, workflow: Workflow) -> Plan:
        """Return what a run would do now, and why. Nothing runs, nothing is written, no JVM starts.

        Raises:
            WorkflowError, SignatureError, SourceError, CatalogError: the input is invalid.
        """
        self._admission.check()
        _check_workflow(workflow, "plan")
        with AUTHOR_SEEDS.untouched(), session_restored():
            return through(SHOWING, self._run(workflow)).plan

    def run(self, workflow: Workflow, message: str = "") -> Iteration:
        """Run one iteration; return once its outputs are known. Results are stored in the background.

        Args:
            message: a message for the log.

        Raises:
            WorkflowError, SignatureError, SourceError, CatalogError: the input is invalid; nothing was run.
            NodeError: the author's code or a Spark job failed; results computed before that are kept.
            SetupError: Spark could not be started, or its JVM ended; results stored before that are kept.
            EndedError: another thread closed this, or stopped the session; results computed before that are kept.
            HelixError: an observer, a tracker or a function of a run calls this, or a forked child.
        """
        with self._admission.run():
            turn = self._auditor.stop()
            _check_workflow(workflow, "run")
            if not self._writable:
                self.catalog.check_writable()
                self._writable = True

            def compute(name: str, signature: str) -> NodeResult:  # for an output that was answered from the record
                with self._admission.run(), AUTHOR_SEEDS.untouched():
                    self._auditor.stop()
                    return compute_output(through(LOOKING, self._run(workflow)), name, signature)

            try:
                with AUTHOR_SEEDS.untouched():
                    run = answered(self._run(workflow, message))
                if run.outcome.failure is not None:
                    raise run.outcome.failure
                iteration = Iteration(run, compute)
            finally:
                self.observer.close()
            if self._auditor.when != "off":
                begin = partial(self._audit_job, workflow)
                self._background.submit(self._auditor.answered, turn, iteration.plan, begin)
            return iteration

    def audit(
        self, workflow: Workflow, *, everything: bool = False, seconds: float | None = None,
        wanted: Collection[str] | None = None, since: float | None = None,
    ) -> Audit:
        """Compute the stored results of a workflow again, without reuse, and compare.

        Equal results are verified for a day, or until code or environment change. Different ones are never reused.

        Audit in a process of its own, as ``helix audit`` does: a result may depend on this process's memory.

        Args:
            everything: also compute results that are verified already.
            seconds: the time that the audit is expected to take at most; results with the most work at risk come first.
            wanted: signatures of the only results to audit, verified or not, from their stored inputs; None for all
                stored results.
            since: start of a process that only runs this audit, by `time.perf_counter`.

        Raises:
            WorkflowError, SignatureError, SourceError, CatalogError: the input is invalid; nothing was run.
            NodeError: the author's code or a Spark job failed; nothing was recorded.
        """
        from helix_spark.run.audit import audit

        with self._admission.run():
            self._auditor.stop()
            _check_workflow(workflow, "audit")
            self.wait()
            with_verified = everything or wanted is not None
            with AUTHOR_SEEDS.untouched():
                run = through(LOOKING, self._run(workflow))
                return audit(run, everything=with_verified, seconds=seconds, wanted=wanted, since=since)

    def end_audits(self) -> None:
        """End a background audit at once, as the next run does."""
        self._auditor.stop()

    def iterations(self, workflow: str | None = None, limit: int | None = 20) -> RecordedIterations:
        """Return the recorded iterations of a workflow, or of all, newest first; `to_pandas` has them as a table.

        Args:
            limit: the number of iterations at most; None for all.

        Raises:
            ParameterError: the catalog has no such workflow.
            CatalogError: the records cannot be read.
        """
        self._admission.check()
        self._wait_for(self._recording, Task.RECORD)
        check_workflow(self.catalog, workflow)
        return RecordedIterations(self.catalog.iterations(workflow, limit))

    @overload
    def iteration(self, number: int, /) -> RecordedIteration: ...
    @overload
    def iteration(self, workflow: str, number: int, /) -> RecordedIteration: ...
    def iteration(self, first: int | str, second: int | None = None, /) -> RecordedIteration:
        """Return a recorded iteration: ``helix.iteration(3)``; if the catalog has several workflows,
        ``helix.iteration("census", 3)``. Its values, and its tables as pandas or pyarrow, need no Spark.

        Raises:
            ParameterError: there is no such iteration, or the workflow is ambiguous.
            CatalogError: the records cannot be read.
        """
        self.wait()
        workflow = first if isinstance(first, str) else None
        number = second if isinstance(first, str) else first
        if number is None or (workflow is None and second is not None):
            raise ParameterError(
                "an iteration is named by its number, or by its workflow and its number",
                remedy='write helix.iteration(3), or helix.iteration("census", 3)',
            )
        record = find_iteration(self.catalog, workflow, number)
        return RecordedIteration(record, self.catalog, self._tools.find_result)

    def compare(self, before: int | NamedResults, after: int | NamedResults, workflow: str | None = None) -> Comparison:
        """Return how two iterations differ: parameters, nodes, code, outputs, seconds.

        Args:
            before, after: iterations, just run or recorded, or their numbers.
            workflow: its name; needed for numbers if the catalog has several.

        Raises:
            ParameterError: there is no such iteration, the workflow is ambiguous, or there are two workflows.
            CatalogError: the records cannot be read.
        """
        self.wait()
        names = {side.workflow for side in (before, after) if isinstance(side, NamedResults)}
        workflows = sorted(names if workflow is None else names | {workflow})
        if len(workflows) > 1:
            raise ParameterError(
                f"only iterations of one workflow can be compared, not of {' and '.join(map(repr, workflows))}",
                where=caller(),
            )
        numbers = (side.number if isinstance(side, NamedResults) else side for side in (before, after))
        return compare(self.catalog, *(find_iteration(self.catalog, next(iter(workflows), None), n) for n in numbers))

    def wait(self) -> None:
        """Wait until everything is stored. Raises HelixError in an observer, a tracker or a function of a run."""
        self._wait_for(self._background, Task.RECORD, Task.STORE)

    def close(self) -> None:
        """Wait until everything is stored, release memory, and stop the session that Helix started. A run in another
        thread ends with an EndedError. No-op in a forked child.

        Raises:
            HelixError: an observer, a tracker or a function of a run calls this.
        """
        with self._admission.end() as is_open:
            if is_open:
                self._close()

    def _close(self) -> None:
        if not self._auditor.is_left:
            self._auditor.stop()
        self._executor.end(EndedError(
            f"the Helix of {self.catalog.root} was closed while the run went on",
            remedy="create another Helix, and run again: results stored before that are kept",
        ))
        with self._admission.running:
            self._recording.shutdown()
        self._background.shutdown()
        self._followed.close()
        if self._tools.tracker is not None:
            self._tools.tracker.close()
        self._executor.close()
        self.sessions.release_ended()
        self._memory.hand_over(lambda signature, frame: self.sessions.leave_rows(self._catalog.id + signature, frame))
        self._memory.clear()
        self.sessions.close()
        self._auditor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _wait_for(self, pool: ThreadPoolExecutor, *tasks: Task) -> None:
        """Wait until a thread has done its queued work. Raises HelixError within one of these tasks."""
        self._admission.check_waits(*tasks)
        try:
            queued_work = pool.submit(lambda: None)
        except RuntimeError:  # another thread has closed it meanwhile
            self._admission.check()
            raise
        result_of(queued_work)

    def _run(self, workflow: Workflow, message: str = "") -> Run:
        start = time.perf_counter()
        self._wait_for(self._recording, Task.RECORD)
        try:
            self.catalog.check()
        except CatalogError as error:  # it was moved, or deleted, since the last run
            self._wait_for(self._background)  # pending writes fail with a warning
            if self.catalog.reopen():
                self.observer.warning(f"{error.what}; this run uses the catalog that is there now")
                self._memory.clear()
                self._writable = False
        if self.sessions.release_ended():
            self.observer.warning("the Spark session has ended; its cached results are loaded or computed again")
            self._memory.clear()
        since, self.waiting_since = self.waiting_since, None
        waited = 0.0 if since is None else max(0.0, start - since)
        return Run(
            workflow, self._tools, uuid.uuid4().hex, start, RunLeases(self.catalog.leases), message, waited=waited
        )

    def recompute(
        self, workflow: Workflow, record: IterationRecord, name: str, announce: Callable[[Plan], None]
    ) -> tuple[ArtifactRecord, bool]:
        """Compute and store the result of a node of a recorded iteration. Return its record, and whether to keep it.

        Args:
            announce: called with the plan before anything runs.

        Raises:
            NotStoredError: the result would differ now; the error says why.
            NodeError, StoringError: the author's code or a Spark job failed, or the result cannot be stored.
        """
        from helix_spark.run.recomputing import is_kept, recompute

        with self._admission.run(), AUTHOR_SEEDS.untouched():
            self._auditor.stop()
            run, nodes = through(LOOKING, self._run(workflow)), self.catalog.nodes(record)
            stored = recompute(run, record, nodes, node_named(record, nodes, name), announce)
            return stored, is_kept(run, stored)

    def _audit_job(self, workflow: Workflow, signatures: Collection[str], seconds: float) -> Job | None:
        settings = self.sessions.settings_elsewhere()
        if settings is None:  # on a cluster an audit would start another driver
            return None
        job = job_for(workflow, signatures, seconds, str(self.catalog.root), settings)
        return replace(job, shared=self.catalog.shared.names)


def _check_workflow(value: object, verb: str) -> None:
    if not isinstance(value, Workflow):
        is_function = inspect.isroutine(value)
        called = getattr(value, "__name__", "the function")
        raise ParameterError(
            f"helix.{verb} takes a workflow, not a {'function' if is_function else type(value).__name__}",
            where=caller(), remedy=f"call it: helix.{verb}({called}())" if is_function else "pass a hx.Workflow",
        )
