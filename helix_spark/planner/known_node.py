"""One node as a plan finds it: what it is, what it costs, and what is there of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from helix_spark.costs.model import NodeEstimate
from helix_spark.dag.influence import Influence
from helix_spark.dag.node import Node
from helix_spark.identity.node_description import Description
from helix_spark.identity.parts import Part
from helix_spark.identity.signing import Signed


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
    """The other workflow than this one whose author insists on a stored result, of several the first by name; empty if
    there is none."""
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
    costs: NodeEstimate
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
