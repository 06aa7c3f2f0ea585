"""What a plan starts from: one row a node, and what else is known of the catalog, the session and the days to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from helix_spark.costs.starting import first_work_seconds, start_seconds
from helix_spark.dag.node import Dag
from helix_spark.planner.known_node import KnownNode
from helix_spark.planner.lineage import Lineage
from helix_spark.planner.plan import PlannedLeftOut
from helix_spark.planner.storage import OtherArtifact, Scenario


@dataclass(frozen=True)
class Situation:
    """What a plan starts from, as far as it is known without Spark.

    Attributes:
        dag: the current version; `nodes` what is known of its nodes, in the same order.
        iteration: its number.
        budget: bytes, or None; `overhead` of it is taken by records and leftovers.
        others: stored results that no node of the current version has.
        scenarios: what may come next.
        horizon: how many further iterations to plan for.
        session_runs: whether Spark is started; `session_worked` whether the session has run something yet.
        starts: seconds that starts of Spark took, oldest first.
        fresh_process: probability that the next iteration runs in a process of its own.
        left_out: features that synthesizers go without.
        notices: in words, what was asked for and is not done.
        recorded: by name, the numbers of iterations that have outputs on record as they are now.
        lineage: what the results on record are made from, where it matters what stored ones cost to have again.
    """

    dag: Dag
    nodes: tuple[KnownNode, ...]
    iteration: int
    budget: int | None = None
    overhead: int = 0
    others: tuple[OtherArtifact, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    horizon: float = 2.0
    session_runs: bool = True
    session_worked: bool = True
    starts: tuple[float, ...] = ()
    fresh_process: float = 0.0
    left_out: tuple[PlannedLeftOut, ...] = ()
    notices: tuple[str, ...] = ()
    recorded: Mapping[str, int] = field(default_factory=dict)
    lineage: Lineage = field(default_factory=dict)

    def __getitem__(self, name: str) -> KnownNode:
        return self._by_name[self.dag[name].name]

    @cached_property
    def _by_name(self) -> Mapping[str, KnownNode]:
        return {one.name: one for one in self.nodes}

    @property
    def used(self) -> int:
        """Bytes that are stored."""
        own = {one.signature: one.artifact.bytes for one in self.nodes if one.artifact is not None}
        return self.overhead + sum(own.values()) + sum(other.bytes for other in self.others)

    @property
    def session_seconds(self) -> float:
        """Seconds that this iteration is expected to take longer if it needs Spark."""
        start = 0.0 if self.session_runs else start_seconds(self.starts)
        return start + (0.0 if self.session_worked else first_work_seconds(self.starts))

    def on(self, dag: Dag) -> Situation:
        """The same for another graph of these nodes."""
        return replace(self, dag=dag, nodes=tuple(replace(self[node.name], node=node) for node in dag.nodes))
