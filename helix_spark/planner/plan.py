"""The plan as data: what `plan`, `run`, `explain` and tests all read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from helix_spark.drawing.notebook import Displayed, text_of
from helix_spark.errors import Location, WorkflowError, nearest
from helix_spark.planner.problem import Certificate, State

if TYPE_CHECKING:
    from helix_spark.catalog.records import Proof


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """What is to happen to one node, and why. Seconds and physical bytes.

    Attributes:
        declared, signature: see `signature.signing.Signed`.
        state, reason: load, compute or prune, and why, in words.
        predicted_seconds: what the chosen state is expected to take; 0 for a pruned node.
        compute_seconds, load_seconds, write_seconds, bytes: estimates; `bytes_known` where the size of this version, or
            else of an earlier one, was measured.
        origin: where `compute_seconds` comes from, in words.
        stored: whether a live artifact exists before the run.
        storage_reason: why it is kept, not kept or evicted.
        random: the nodes that make the result differ each time; such a result is not reused.
        proof: what is known of whether it is the same when it is computed again.
        is_instance: whether it is one of several right answers, or fixed: what is made of it belongs to it.
        by_code: of a function of Spark's tables that is known by its code and not by what it builds, why.
    """

    name: str
    kind: str
    result: str
    inputs: tuple[str, ...]
    where: Location | None
    declared: str
    signature: str
    state: State
    reason: str
    predicted_seconds: float
    compute_seconds: float
    load_seconds: float
    write_seconds: float
    bytes: int
    origin: str
    held: bool = False
    stored: bool = False
    keep: bool = False
    storage_reason: str = ""
    output: bool = False
    random: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    bytes_known: bool = False
    proof: Proof = "unproven"
    is_instance: bool = False
    by_code: str = ""


@dataclass(frozen=True)
class Plan(Displayed):
    """The decision on one iteration. ``plan["model"]`` is the plan of a node.

    Attributes:
        workflow, iteration: the workflow's name, and the number that the iteration gets.
        nodes: inputs first.
        outputs: names, as the author gave them.
        dropped: declared nodes that no output needs.
        certificate: how good the plan is known to be; once storage was decided again, how good that decision is.
        policy: who decided what to keep.
        budget: bytes, or None; `used` are the bytes that are stored before the run.
        evict: signature -> why, of stored results that are to go.
        run_all_seconds: seconds that computing every node is expected to take, a session for it included; the saving
            is measured against them.
        warnings: in words.
        parameters: of the workflow.
        session_seconds: seconds that the chosen states are expected to take beside their own because they need Spark:
            its start, and what the first work of a session takes longer.
        session_runs: whether Spark is started, so that it is the first work alone.
    """

    workflow: str
    iteration: int
    nodes: tuple[PlannedNode, ...]
    outputs: tuple[str, ...]
    dropped: tuple[str, ...]
    certificate: Certificate
    policy: str
    budget: int | None
    used: int
    evict: Mapping[str, str] = field(default_factory=dict)
    run_all_seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    session_seconds: float = 0.0
    session_runs: bool = True

    @cached_property
    def by_name(self) -> Mapping[str, PlannedNode]:
        """Nodes by name; merged nodes by each of their names."""
        return {name: node for node in self.nodes for name in (node.name, *node.aliases)}

    def __getitem__(self, name: str) -> PlannedNode:
        """Return the plan of a node. Raises WorkflowError if the plan has no such node."""
        if name not in self.by_name:
            raise WorkflowError(f"the plan has no node {name!r}", remedy=nearest(name, self.by_name))
        return self.by_name[name]

    def in_state(self, state: State) -> tuple[str, ...]:
        """Return names of the nodes in a state ("load", "compute" or "prune"), inputs first."""
        return tuple(node.name for node in self.nodes if node.state == state)

    @property
    def guess(self) -> str:
        """The number of nodes with guessed seconds, as the end of a sentence; empty if there are none."""
        from helix_spark.costs.model import EstimateSource  # with graphs, which pages that show a plan do without

        computed = [node for node in self.nodes if node.state is State.COMPUTE]
        unknown = sum(node.origin is EstimateSource.KIND for node in computed)
        return f", guessed for {unknown} of {len(computed)} nodes that never ran" if unknown else ""

    @property
    def predicted_seconds(self) -> float:
        """Expected seconds of the whole run, Spark's start included."""
        return self.session_seconds + sum(node.predicted_seconds for node in self.nodes)

    @property
    def saved_seconds(self) -> float:
        """Expected seconds that reuse saves over computing every node."""
        return max(0.0, self.run_all_seconds - self.predicted_seconds)

    @property
    def figures(self) -> dict[str, Any]:
        """The certificate, the policy and the expected seconds, as JSON's types: for records and for ``--json``."""
        return {
            **asdict(self.certificate), "policy": self.policy, "predicted_seconds": self.predicted_seconds,
            "run_all_seconds": self.run_all_seconds, "session_seconds": self.session_seconds,
        }

    def __str__(self) -> str:
        return text_of(self)
