"""One node of a run that has come to its answer: what was known of it, what was planned, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from helix_spark.engine.execution.outcome import (
    load_seconds_by_node,
    seconds_by_node,
    starts_by_node,
    warm_seconds_by_node,
)
from helix_spark.planner.known_node import KnownNode
from helix_spark.planner.plan import PlannedNode
from helix_spark.planner.problem import State

if TYPE_CHECKING:
    from helix_spark.dag.node import Node
    from helix_spark.engine.results.node_results import NodeResult
    from helix_spark.iteration.run import Run


@dataclass(frozen=True, slots=True)
class NodeRun:
    """One row a node, inputs first.

    Attributes:
        known: when it was planned.
        planned: what was to happen to it.
        result: None where it was not had.
        seconds: that it took, measured or attributed; None where it did not run.
        warm_seconds: the same without what a young JVM takes longer.
        load_seconds: of a load that had a step of its own.
        started: `time.perf_counter()` at its begin.
    """

    known: KnownNode
    planned: PlannedNode
    result: NodeResult | None = None
    seconds: float | None = None
    warm_seconds: float | None = None
    load_seconds: float | None = None
    started: float | None = None

    @property
    def node(self) -> Node:
        return self.known.node

    @property
    def name(self) -> str:
        return self.known.name

    @property
    def computed(self) -> bool:
        """Whether it was to be."""
        return self.planned.state is State.COMPUTE


def node_runs(run: Run) -> tuple[NodeRun, ...]:
    """What became of each node, once all that was executed is over."""
    given = run.dag, run.plan, run.outcome
    seconds, warm = seconds_by_node(*given), warm_seconds_by_node(*given)
    loads, starts = load_seconds_by_node(*given), starts_by_node(*given)
    return tuple(
        NodeRun(
            one, run.plan[one.name], run.outcome.results.get(one.name), seconds.get(one.name), warm.get(one.name),
            loads.get(one.name), starts.get(one.name),
        )
        for one in run.situation.nodes
    )
