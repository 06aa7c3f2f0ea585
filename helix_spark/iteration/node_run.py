"""One node of a run that came to its answer: what was known of it, what was planned, and what happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from helix_spark.planner.known_node import KnownNode
from helix_spark.planner.plan import PlannedNode
from helix_spark.planner.problem import State

if TYPE_CHECKING:
    from helix_spark.dag.node import Node
    from helix_spark.engine.results.node_results import NodeResult


@dataclass(frozen=True, slots=True)
class NodeRun:
    """What a run knew, planned and did of one node.

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
        """True if the plan computes this node."""
        return self.planned.state is State.COMPUTE
