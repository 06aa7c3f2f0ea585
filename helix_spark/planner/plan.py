"""The plan as data, for `plan`, `run`, `explain` and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from helix_spark.drawing.notebook import Displayed
from helix_spark.errors import Location, WorkflowError, nearest
from helix_spark.planner.problem import Certificate, State

if TYPE_CHECKING:
    from helix_spark.catalog.records import Proof


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node's state, with the reason. Times are seconds, sizes physical bytes.

    Attributes:
        declared, signature: see `identity.signing.Signed`.
        state, reason: load, compute or prune, and a sentence that says why.
        predicted_seconds: expected seconds of the chosen state; 0 for a pruned node.
        compute_seconds, load_seconds, write_seconds, bytes: estimates.
        bytes_known: True if the size of this version, or else of an earlier one, was measured.
        origin: the source of `compute_seconds`, in words.
        held: True if the session has the result in memory.
        stored: True if the result is stored before the run.
        keep: True if the result is stored after the run.
        storage_reason: why the result is kept, not kept or evicted.
        output: True for an output.
        random: nodes that make the result nondeterministic; such a result is not reused.
        proof: evidence that the result is the same when it is computed again.
        is_instance: True if the result is one of several right answers, or fixed; downstream results depend on it.
        by_code: why a function of Spark tables is identified by its code and not by its plan.
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
    """The decisions for one iteration. ``plan["model"]`` is the plan of a node.

    Attributes:
        workflow, iteration: the workflow's name, and the number that the iteration gets.
        nodes: planned nodes, inputs first.
        outputs: names of the outputs, as the author wrote them.
        dropped: names of declared nodes that no output needs.
        certificate: proven quality of the plan; after a run, of the second decision on storage.
        policy: name of the policy.
        budget, used: bytes that stored results may take, or None, and bytes that are stored before the run.
        evict: reasons of evictions, by signature.
        run_all_seconds: expected seconds to compute every node, a session included; savings are relative to it.
        warnings: sentences.
        parameters: the workflow's parameters.
        session_seconds: expected seconds that Spark adds to the chosen states: its start, and the delay of a session's
            first work.
        session_runs: True if Spark runs already; then `session_seconds` is only that delay.
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
        """The end of a sentence with the number of nodes with guessed seconds; empty if there are none."""
        from helix_spark.costs.model import EstimateSource  # it imports graphs, which pages that show a plan do without

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
        """The certificate, the policy and the expected seconds in JSON's types, for records and ``--json``."""
        return {
            **asdict(self.certificate), "policy": self.policy, "predicted_seconds": self.predicted_seconds,
            "run_all_seconds": self.run_all_seconds, "session_seconds": self.session_seconds,
        }
