"""What a run did, complete or not, and what each of its nodes took."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

from helix_spark.dag.node import Dag, Node
from helix_spark.engine.execution.timing import NodeTime, Step, node_times
from helix_spark.engine.lowering.chance_in_plans import Suspicion
from helix_spark.engine.results.node_results import ColumnResult, NodeResult, TableResult
from helix_spark.hermetic.seen import Seen
from helix_spark.identity.data_version import DataIdentity
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State

_noting = Lock()
"""Several threads may tell of one node."""


@dataclass(slots=True)
class Outcome:
    """What a run did, complete or not.

    Attributes:
        results: of every node that was had.
        steps: the forced steps.
        rows: of the tables whose rows were counted.
        pinned: names of the persisted tables; once all is over, of those whose rows are all in memory.
        suspicion: finds results that may differ each time.
        opened: by name, the files of each source when Spark had just listed them; no states where they were gone.
        seen: by name, what the code of each node that is a function did while it ran.
        built: by name, nodes of functions that ask Spark something, with what they built once that was answered.
        left: by name, settings that change results, and that a node's code left other than it found them, in words.
        purposes: nodes by the keys under which their functions were written for Spark's workers.
        failure: what ended the run early.
        contents: digests of what results hold, by name, as far as they were taken (see `contents`); None if nobody
            asks for them.
        equal: by name, the signature of an earlier result that a computed one is equal to, where that was noticed
            before all was done: what is left is to be planned anew.
        filled: names of the persisted tables whose rows were all in memory when that was noticed.
    """

    suspicion: Suspicion
    results: dict[str, NodeResult] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    pinned: frozenset[str] = frozenset()
    failure: BaseException | None = None
    opened: dict[str, DataIdentity] = field(default_factory=dict)
    contents: dict[str, str] | None = field(default_factory=dict)
    equal: dict[str, str] = field(default_factory=dict)
    filled: frozenset[str] = frozenset()
    seen: dict[str, Seen] = field(default_factory=dict)
    built: dict[str, Node] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    purposes: dict[str, str] = field(default_factory=dict)

    def note(self, node: Node, seen: Seen) -> bool:
        """Note what a node's code was seen to do, and return whether that is anything new."""
        with _noting:
            before = self.seen.get(node.name, Seen())
            now = self.seen[node.name] = before | seen
        if why := self.differs(node):
            self.suspicion.note(node, why)
        return now != before

    def differs(self, node: Node) -> str:
        """Return why a node's result may differ each time, as its code was seen to run; empty if nothing says so."""
        seen = self.seen.get(node.name, Seen())
        return next(iter((*seen.chance, *(() if node.wishes.depends_on else seen.outside))), "")


def table_outputs(plan: Plan, outcome: Outcome) -> list[str]:
    """Return the output tables of which nobody has counted the rows yet."""
    return [
        node.name for node in plan.nodes
        if node.output and node.name not in outcome.rows
        and isinstance(result := outcome.results.get(node.name), TableResult) and not result.collected
    ]


def times_by_node(dag: Dag, plan: Plan, outcome: Outcome) -> dict[str, NodeTime]:
    """Return what each node that ran took."""
    forced = {name for step in outcome.steps for name in step.names}
    return node_times(
        dag, outcome.steps, {node.name: node.predicted_seconds for node in plan.nodes},
        lazy=[name for name in outcome.results if name not in forced and not plan[name].held], pinned=outcome.pinned,
        loaded=[node.name for node in plan.nodes if node.state is State.LOAD],
    )


def lasting(outcome: Outcome) -> dict[str, NodeResult]:
    """Return the results that mean something apart from this run's plans: all but columns."""
    return {name: result for name, result in outcome.results.items() if not isinstance(result, ColumnResult)}
