"""One run of a workflow, frozen, which each step passes on with more fields filled; and the tools that it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.engine.execution.executor import Executor
from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.execution.outcome import NodeTime
from helix_spark.engine.results.node_results import MemoryTier, NodeResult
from helix_spark.engine.results.stored_results import load
from helix_spark.engine.server.session import Sessions
from helix_spark.planner.plan import Plan
from helix_spark.planner.planning import Situation
from helix_spark.planner.problem import State
from helix_spark.planner.storage import Policy
from helix_spark.run.tracker import Tracker
from helix_spark.workflow.workflow import Workflow

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogView
    from helix_spark.catalog.leases import RunLeases
    from helix_spark.catalog.records import IterationRecord
    from helix_spark.dag.node import Dag
    from helix_spark.engine.execution.outcome import Chance, Outcome
    from helix_spark.history.table_preview import TablePreview
    from helix_spark.identity.code import Description
    from helix_spark.run.expiry import Expiry
    from helix_spark.run.foresight import RecordsRead
    from helix_spark.run.function_answers import FunctionAnswers
    from helix_spark.run.recording import Provenance
    from helix_spark.run.workflow_results import WorkflowResults


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of a run.

    Attributes:
        recording: the thread that records answers; the next run waits for it, as its plan depends on them.
        storing: the thread that stores after answers.
        one_run: True if this process is for one run alone; None if unknown.
        cut_off: the least expected seconds of the work below a result for which it is compared with earlier ones before
            the run goes on; infinite: never.
        check_open: raises EndedError once another thread closes the Helix.
    """

    sessions: Sessions
    catalog: Catalog
    memory: MemoryTier
    observer: Observer
    executor: Executor
    recording: ThreadPoolExecutor
    storing: ThreadPoolExecutor
    policy: Policy
    budget: int | None
    one_run: bool | None
    tracker: Tracker | None
    cut_off: float
    check_open: Callable[[], None]
    expiry: Expiry

    def find_result(self, signature: str) -> NodeResult | None:
        """Return a result from memory or the catalog; None where neither has it."""
        if (result := self.memory.get(signature)) is not None:
            return result
        record = self.catalog.artifact(signature)
        return None if record is None else load(record, self.catalog, self.sessions)


NOT_YET: Any = None
"""Placeholder of a field that a later step fills."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a workflow. Steps fill the fields: declare, look up, decide, execute, measure, record, keep.

    Attributes:
        begun: `time.perf_counter()` at the start of the run.
        waited: seconds that the author had waited by then.
        declared_dag: the graph as declared.
        described: descriptions of its nodes, by name.
        equal: signatures of the earlier results that computed results are equal to, by declared signature.
        renewed: declared signatures of the instances that this run computes again.
        takes_from_server: False once a server has lost rows from its memory.
        times: times of the nodes, by name, by `time.perf_counter()`.
        chance: nondeterministic results, and why.
        start_seconds: seconds that Spark took to start; 0 if it ran already, or was not needed.
        results: the results as retention needs them.
        tables: previews of output tables, by the author's names.
        storing: physical bytes of results, by node, once all is stored.
    """

    workflow: Workflow
    tools: Tools
    id: str
    begun: float
    leases: RunLeases
    message: str = ""
    provenance: Provenance = NOT_YET
    waited: float = 0.0

    declared_dag: Dag = NOT_YET
    described: Mapping[str, Description] = NOT_YET
    calls: FunctionAnswers = NOT_YET

    equal: Mapping[str, str] = field(default_factory=dict)
    renewed: frozenset[str] = frozenset()
    takes_from_server: bool = True
    records: RecordsRead = NOT_YET
    situation: Situation = NOT_YET

    plan: Plan = NOT_YET
    record: IterationRecord = NOT_YET
    outcome: Outcome = NOT_YET

    times: Mapping[str, NodeTime] = field(default_factory=dict)
    chance: Chance = NOT_YET
    seconds: float = 0.0
    start_seconds: float = 0.0
    results: WorkflowResults = NOT_YET
    outputs: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, TablePreview] = field(default_factory=dict)

    storing: Future[Mapping[str, int]] = NOT_YET
    stored: Mapping[str, int] = field(default_factory=dict)

    @property
    def view(self) -> CatalogView:
        return self.records.view

    @property
    def dag(self) -> Dag:
        """The graph to run: equal nodes are merged."""
        return self.situation.dag

    @property
    def numbered(self) -> Plan:
        """The plan, with the recorded number of the iteration."""
        return replace(self.plan, iteration=self.record.number)

    @property
    def computed(self) -> frozenset[str]:
        """Names of the nodes that the plan computes."""
        return frozenset(node.name for node in self.plan.nodes if node.state is State.COMPUTE)

    def time(self, name: str) -> NodeTime:
        return self.times.get(name, NodeTime())

    @property
    def is_interrupted(self) -> bool:
        return isinstance(self.outcome.failure, KeyboardInterrupt)


RunStep = Callable[[Run], Run]


def through(steps: Iterable[RunStep], run: Run) -> Run:
    for step in steps:
        run = step(run)
    return run
