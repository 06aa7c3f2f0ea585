"""What a plan starts from: one row a node, and what else is known of the catalog, the session and the days to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from helix_spark.costs.model import Costs
from helix_spark.dag.node import Dag, Node, computes_with_spark
from helix_spark.identity.code import Description
from helix_spark.identity.parts import Part
from helix_spark.identity.signing import Signed
from helix_spark.planner.storage import NodeCosts, PlanningProblem
from helix_spark.workflow.declaration import Wishes
from helix_spark.workflow.operators import Kind, Read, Result
from helix_spark.workflow.sources import DeltaSource, FileSource, MemorySource


class Stored(Protocol):
    """What the planner needs to know of a live artifact."""

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
    @property
    def shared(self) -> str: ...


def kept_for(artifact: Stored, workflow: str) -> str:
    """Return which other workflow than this one has an author who insists on a stored result, of several the first by
    name, as a sentence; empty if there is none."""
    name = min(artifact.insisting - {workflow}, default="")
    return name and f"workflow `{name}` asked for it"


@dataclass(frozen=True, slots=True)
class KnownNode:
    """What is known of one node when it is planned.

    Attributes:
        described: what it is, apart from its inputs.
        held: whether the session holds its result in memory.
        served: whether a server that stays has it in memory since an earlier run.
        before: its signature's parts in the newest earlier iteration; None if it never ran.
        ended: why its stored result is gone, where it was there in the iteration before; else empty.
        verified: whether an audit computed its result once more, and it came out the same.
        pin: which pinned iteration has its stored result, as a sentence; empty if none has.
    """

    node: Node
    described: Description
    signed: Signed
    costs: Costs
    artifact: Stored | None = None
    held: bool = False
    served: bool = False
    before: tuple[Part, ...] | None = None
    ended: str = ""
    verified: bool = False
    pin: str = ""

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
        ahead: the planning problem but for nodes and outputs: room, other results, what may come, a session's costs.
        notices: in words, what was asked for and is not done.
        recorded: by name, the numbers of iterations that have outputs on record as they are now.
    """

    dag: Dag
    nodes: tuple[KnownNode, ...]
    iteration: int
    ahead: PlanningProblem
    session_runs: bool = True
    notices: tuple[str, ...] = ()
    recorded: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> KnownNode:
        return self._by_name[self.dag[name].name]

    @cached_property
    def _by_name(self) -> Mapping[str, KnownNode]:
        return {one.name: one for one in self.nodes}

    @cached_property
    def problem(self) -> PlanningProblem:
        nodes = tuple(_node_costs(one, self.dag) for one in self.nodes)
        return replace(self.ahead, nodes=nodes, outputs=frozenset(self.dag.outputs))

    def on(self, dag: Dag) -> Situation:
        """Return the same for another graph of these nodes."""
        return replace(self, dag=dag, nodes=tuple(replace(self[node.name], node=node) for node in dag.nodes))

    def alone(self, dag: Dag) -> Situation:
        """Return the same for a part of the graph that is computed by itself, whatever else is stored or follows."""
        found = self.on(dag)
        return replace(found, recorded={}, ahead=replace(found.ahead, others=(), scenarios=(), budget=None))


def _node_costs(one: KnownNode, dag: Dag) -> NodeCosts:
    node, own, costs = one.node, one.signed, one.costs
    return as_stored(NodeCosts(
        name=node.name, kind=node.kind, signature=own.signature, inputs=tuple(dict.fromkeys(node.inputs)),
        compute_seconds=costs.compute_seconds, load_seconds=costs.load_seconds, write_seconds=costs.write_seconds,
        bytes=costs.bytes, storable=_is_storable(node, own), held=one.held, served=one.served,
        recompute=node.wishes.recompute and not node.wishes.fixed,
        compute_needs_spark=computes_with_spark(node, dag), load_needs_spark=node.result is Result.MODEL,
        fixed=bool(own.instance), differs=bool(own.random),
        shown=node.kind == Kind.LEARNER or node.result is Result.VALUE or node.name in dag.outputs,
    ), one.artifact, node.wishes, dag.workflow, one.pin)


def as_stored(
    costs: NodeCosts, artifact: Stored | None, wishes: Wishes, workflow: str, pin: str = ""
) -> NodeCosts:
    """Return the costs of a node whose stored result is this one, None if it is not stored. What a shared catalog has
    takes no room and stays, whatever is wished of it. `pin` is that of `KnownNode`."""
    if artifact is None:
        return replace(costs, stored=False, keep="always" if wishes.insisted else wishes.keep)
    if artifact.shared:
        return replace(costs, stored=True, bytes=0, storable=True, keep="always")
    theirs = pin or ("" if wishes.insisted else kept_for(artifact, workflow))
    return replace(
        costs, stored=True, bytes=artifact.bytes, keep="always" if wishes.insisted or theirs else wishes.keep,
        kept_for=theirs, pinned=bool(pin),
    )


def _is_storable(node: Node, own: Signed) -> bool:
    """Columns live in their table; a result that differs each time is of use to no one; some sources are stored."""
    if node.result is Result.COLUMN or own.random:
        return False
    match node.operator:
        case Read(source=DeltaSource() | MemorySource() | FileSource(format="parquet", version=None)):
            return False
    return True
