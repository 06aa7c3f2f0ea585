"""One run of a workflow as its steps hand it on: frozen, and fuller with each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from helix_spark.engine.execution.timing import NodeTime
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import State
from helix_spark.planner.situation import KnownNode, Situation
from helix_spark.run.retention import Retention, WrittenResults
from helix_spark.workflow.workflow import Workflow

if TYPE_CHECKING:
    from concurrent.futures import Future

    from helix_spark.catalog.leases.leases import RunLeases
    from helix_spark.catalog.records import IterationRecord, NodeRecord
    from helix_spark.catalog.view import CatalogView
    from helix_spark.dag.node import Dag, Node
    from helix_spark.engine.execution.outcome import Outcome
    from helix_spark.engine.lowering.chance_in_plans import Chance
    from helix_spark.engine.results.node_results import NodeResult
    from helix_spark.history.table_preview import TablePreview
    from helix_spark.identity.node_description import Description
    from helix_spark.run.function_answers import FunctionAnswers
    from helix_spark.run.provenance import Provenance
    from helix_spark.run.records_read import RecordsRead
    from helix_spark.run.tools import Tools
    from helix_spark.run.workflow_results import WorkflowResults


class _NotYet:
    """Stands for what a later step makes."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no step of this run has made what {name!r} is asked of")


NOT_YET: Any = _NotYet()


@dataclass(frozen=True, slots=True)
class NodeRun:
    """What a run knew, planned and did of one node.

    Attributes:
        known: when it was planned.
        planned: what was to happen to it.
        result: None where it was not had.
        time: what it took, by `time.perf_counter()`.
    """

    known: KnownNode
    planned: PlannedNode
    result: NodeResult | None = None
    time: NodeTime = field(default_factory=NodeTime)

    @property
    def node(self) -> Node:
        return self.known.node

    @property
    def name(self) -> str:
        return self.known.name

    @property
    def computed(self) -> bool:
        """True if the plan computes this node."""
        return self.planned.state is State.COMPUTE


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a workflow.

    Attributes:
        id: no other run has it.
        begun: `time.perf_counter()` at its start.
        waited: seconds that whoever waits for its answer had waited by then.
        leased: the leases that it holds.
        message: what its author says of it.
        provenance: where the workflow comes from.

        whole: the graph as it is declared; `described` its nodes, by name.
        answered: what Spark answered the functions of nodes, and what slow ones built.
        equal: declared signatures of results that this run computed, and the earlier ones that these turned out to be.
        had: names of the nodes whose results this run had when it was last planned again.
        only_proven: whether nothing is reused that no audit has verified.

        records: as they were read.
        dag: the graph to run: merged, without the features that are left out.
        situation: what the planner needs.
        recorded: by name, the iterations that have outputs on record as they are now.
        comparable: names of the nodes of which it is on record what an earlier version's result holds.
        plan: what is to happen.
        planning_seconds: from the begin of the run to a plan that nothing waits for.

        before: the newest iteration on record when this one began.
        record: of the iteration, from its begin.
        outcome: what was done by the plan; `goes_on_from` is that of an earlier plan, where this one goes on from it.
        unfinished: whether the plan that was executed last is not the last one.
        set_aside: attempts of stored results that turned out to be damaged.
        seconds: to the answer, since somebody waits for it.
        start_seconds: what starting Spark took in it; 0 if it ran already, or was not needed.
        nodes: one row a node: what was known of it, planned, and became of it.
        chance: which results may differ each time, and why.
        results: what can be stored of what it came to.
        retention: what the run keeps of these.
        outputs: as they are recorded, by the author's names; none after a failure.
        tables: the output tables of which rows are known, by the author's names.
        behind: gives physical bytes by node once all is stored.
        node_records: what happened to each node, as it is on record; none before it is.
        kept: what was written; `gone` are signatures of what had to go at the end.
    """

    workflow: Workflow
    tools: Tools
    id: str
    begun: float
    leased: RunLeases
    message: str = ""
    provenance: Provenance = NOT_YET
    waited: float = 0.0

    whole: Dag = NOT_YET
    described: Mapping[str, Description] = NOT_YET
    answered: FunctionAnswers = NOT_YET
    equal: Mapping[str, str] = field(default_factory=dict)
    had: frozenset[str] = frozenset()
    only_proven: bool = False

    records: RecordsRead = NOT_YET
    dag: Dag = NOT_YET
    situation: Situation = NOT_YET
    recorded: Mapping[str, IterationRecord] = field(default_factory=dict)
    comparable: frozenset[str] = frozenset()
    plan: Plan = NOT_YET
    planning_seconds: float = 0.0

    before: IterationRecord | None = None
    record: IterationRecord = NOT_YET
    goes_on_from: Outcome | None = None
    outcome: Outcome = NOT_YET
    unfinished: bool = False
    set_aside: frozenset[str] = frozenset()
    seconds: float = 0.0
    start_seconds: float = 0.0
    nodes: tuple[NodeRun, ...] = ()
    chance: Chance = NOT_YET
    results: WorkflowResults = NOT_YET
    retention: Retention = NOT_YET
    outputs: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, TablePreview] = field(default_factory=dict)
    behind: Future[Mapping[str, int]] = NOT_YET
    node_records: tuple[NodeRecord, ...] = ()
    kept: WrittenResults = field(default_factory=WrittenResults)
    gone: frozenset[str] = frozenset()

    @property
    def view(self) -> CatalogView:
        """The catalog as it was read."""
        return self.records.view

    @property
    def numbered(self) -> Plan:
        """The plan, with the number that the iteration has on record."""
        return replace(self.plan, iteration=self.record.number)

    @property
    def stored(self) -> dict[str, int]:
        """Physical bytes by node of what was stored and is still there."""
        return {name: size for name, size in self.kept.stored.items() if self.plan[name].signature not in self.gone}


RunStep = Callable[[Run], Run]


def through(steps: Iterable[RunStep], run: Run) -> Run:
    """A run after these steps."""
    for step in steps:
        run = step(run)
    return run


def repeated(*steps: RunStep) -> RunStep:
    """A step that goes through these until the run is finished."""
    def again(run: Run) -> Run:
        run = through(steps, run)
        while run.unfinished:
            run = through(steps, run)
        return run

    return again
