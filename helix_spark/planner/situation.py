"""What a plan starts from: one row a node, and what else is known of the catalog, the session and the days to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from helix_spark.costs.model import Costs, first_work_seconds, start_seconds
from helix_spark.dag.influence import Influence
from helix_spark.dag.node import Dag, LeftOut, Node
from helix_spark.identity.node_description import Description
from helix_spark.identity.parts import Part
from helix_spark.identity.signing import Signed
from helix_spark.planner.lineage import Lineage
from helix_spark.planner.storage import OtherArtifact, Scenario


class Stored(Protocol):
    """What the planner needs to know of a live artifact."""

    @property
    def signature(self) -> str: ...
    @property
    def attempt(self) -> str: ...
    @property
    def workflow(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def iteration(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def insisting(self) -> frozenset[str]: ...


def kept_for(artifact: Stored, workflow: str) -> str:
    """Return the other workflow than this one whose author insists on a stored result, of several the first by name;
    empty if there is none."""
    return min(artifact.insisting - {workflow}, default="")


@dataclass(frozen=True, slots=True)
class KnownNode:
    """What is known of one node when it is planned.

    Attributes:
        described: what it is, apart from its inputs.
        signed: its signatures.
        costs: estimates.
        artifact: its stored result.
        held: whether the session holds its result in memory.
        before: its signature's parts in the newest earlier iteration; None if it never ran.
        ended: why its stored result is gone, where it was there in the iteration before; else empty.
        influence: what a learner's fit on record gave its features.
        verified: whether an audit computed its result once more, and it came out the same.
    """

    node: Node
    described: Description
    signed: Signed
    costs: Costs
    artifact: Stored | None = None
    held: bool = False
    before: tuple[Part, ...] | None = None
    ended: str = ""
    influence: Influence | None = None
    verified: bool = False

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def signature(self) -> str:
        return self.signed.signature


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
    left_out: tuple[LeftOut, ...] = ()
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
        """Return the same for another graph of these nodes."""
        return replace(self, dag=dag, nodes=tuple(replace(self[node.name], node=node) for node in dag.nodes))
