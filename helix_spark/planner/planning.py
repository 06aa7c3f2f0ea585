"""Make plans, with the reason why each node is loaded, computed or pruned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from helix_spark.catalog.records import ArtifactRecord, Proof
from helix_spark.costs.model import Costs
from helix_spark.dag.leakage import warnings_of
from helix_spark.dag.node import Dag, Node, computes_with_spark
from helix_spark.identity.code import Description
from helix_spark.identity.difference import changes
from helix_spark.identity.parts import Group, Part
from helix_spark.identity.signing import Signed
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import Solution, State, plan_execution
from helix_spark.planner.storage import Decision, NodeCosts, PlanningProblem, Policy, execution_problem
from helix_spark.visible_text import named
from helix_spark.workflow.declaration import Wishes
from helix_spark.workflow.operators import Function, Kind, Read, Result
from helix_spark.workflow.sources import DeltaSource, FileSource, MemorySource


def kept_for(artifact: ArtifactRecord, workflow: str) -> str:
    """Return a sentence that names another workflow whose author pins a stored result, or an empty text."""
    name = min(artifact.insisting - {workflow}, default="")
    return name and f"workflow `{name}` asked for it"


@dataclass(frozen=True, slots=True)
class KnownNode:
    """The facts about one node that a plan needs.

    Attributes:
        described: the node's own parts, without its inputs.
        held: True if the session has its result in memory.
        served: True if a warm server has its result in memory since an earlier run.
        before: its signature's parts in the newest earlier iteration; None if it never ran.
        ended: why the result that the last iteration had stored is gone; else empty.
        proof: evidence that computing it again gives the same result.
        pin: a sentence that names the pinned iteration with its stored result; else empty.
    """

    node: Node
    described: Description
    signed: Signed
    costs: Costs
    artifact: ArtifactRecord | None = None
    held: bool = False
    served: bool = False
    before: tuple[Part, ...] | None = None
    ended: str = ""
    proof: Proof = "unproven"
    pin: str = ""

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def signature(self) -> str:
        return self.signed.signature


@dataclass(frozen=True)
class Situation:
    """The input of a plan, known without Spark.

    Attributes:
        dag: the graph of the current version.
        nodes: facts about its nodes, in the same order.
        ahead: the planning problem without nodes and outputs: budget, other results, scenarios, costs of a session.
        notices: sentences about requests that are not fulfilled.
        recorded: numbers of the iterations that recorded the current outputs, by output.
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
        return {node.name: node for node in self.nodes}

    @cached_property
    def problem(self) -> PlanningProblem:
        nodes = tuple(_node_costs(node, self.dag) for node in self.nodes)
        return replace(self.ahead, nodes=nodes, outputs=frozenset(self.dag.outputs))

    def on(self, dag: Dag) -> Situation:
        """Return the situation of another graph of these nodes."""
        return replace(self, dag=dag, nodes=tuple(replace(self[node.name], node=node) for node in dag.nodes))

    def alone(self, dag: Dag) -> Situation:
        """Return the situation of a part of the graph that is computed by itself, without other results or a budget."""
        part = self.on(dag)
        return replace(part, recorded={}, ahead=replace(part.ahead, others=(), scenarios=(), budget=None))


def _node_costs(known: KnownNode, dag: Dag) -> NodeCosts:
    node, own, costs = known.node, known.signed, known.costs
    # Columns are stored in their table, nondeterministic results cannot be reused, and some sources are stored already.
    is_storable = node.result is not Result.COLUMN and not own.random
    match node.operator:
        case Read(source=DeltaSource() | MemorySource() | FileSource(format="parquet", version=None)):
            is_storable = False
    return as_stored(NodeCosts(
        name=node.name, kind=node.kind, signature=own.signature, inputs=tuple(dict.fromkeys(node.inputs)),
        compute_seconds=costs.compute_seconds, load_seconds=costs.load_seconds, write_seconds=costs.write_seconds,
        bytes=costs.bytes, storable=is_storable, held=known.held, served=known.served,
        recompute=node.wishes.recompute and not node.wishes.fixed,
        compute_needs_spark=computes_with_spark(node, dag), load_needs_spark=node.result is Result.MODEL,
        fixed=bool(own.instance), differs=bool(own.random),
        shown=node.kind == Kind.LEARNER or node.result is Result.VALUE or node.name in dag.outputs,
    ), known.artifact, node.wishes, dag.workflow, known.pin)


def as_stored(
    costs: NodeCosts, artifact: ArtifactRecord | None, wishes: Wishes, workflow: str, pin: str = ""
) -> NodeCosts:
    """Return a node's costs with its stored result, or None if it is not stored. A result in a shared catalog takes no
    room and is always kept. For `pin` see `KnownNode`."""
    if artifact is None:
        return replace(costs, stored=False, keep="always" if wishes.insisted else wishes.keep)
    if artifact.shared:
        return replace(costs, stored=True, bytes=0, storable=True, keep="always")
    claim = pin or ("" if wishes.insisted else kept_for(artifact, workflow))
    return replace(
        costs, stored=True, bytes=artifact.bytes, keep="always" if wishes.insisted or claim else wishes.keep,
        kept_for=claim, pinned=bool(pin),
    )


def make_plan(situation: Situation, policy: Policy) -> Plan:
    """Return the policy's decision as a plan. Raises HelixError if an output can be neither loaded nor computed."""
    problem = situation.problem
    decision = policy.decide(problem)
    if (recorded := _states_from_record(situation, problem, decision.solution)) is not None:
        decision = policy.decide(replace(problem, done=recorded))
    dag, nodes = situation.dag, problem.nodes
    stored = {node.signature: node.bytes for node in nodes if node.stored}
    session = problem.session_seconds if any(node.compute_needs_spark for node in nodes) else 0.0
    warnings = [warning for known in situation.nodes for warning in known.described.warnings]
    warnings += [*fixed_in_vain(situation), *warnings_of(dag), *situation.notices]
    return Plan(
        workflow=dag.workflow, iteration=situation.iteration,
        nodes=tuple(_planned(known, situation, decision) for known in situation.nodes),
        outputs=dag.outputs, dropped=dag.dropped, certificate=decision.certificate, policy=policy.name,
        budget=problem.budget, evict=decision.evictions,
        used=problem.overhead + sum(stored.values()) + sum(other.bytes for other in problem.others),
        run_all_seconds=session + sum(node.compute_seconds for node in nodes),
        session_seconds=problem.session_seconds if _needs_spark(problem, decision.solution) else 0.0,
        session_runs=situation.session_runs,
        warnings=tuple(dict.fromkeys(warnings)), parameters=dag.parameters,
    )


def _states_from_record(situation: Situation, problem: PlanningProblem, solution: Solution) -> Solution | None:
    """Return states that start no Spark if only recorded outputs need it; None for any other iteration."""
    if situation.session_runs or not situation.recorded or not _needs_spark(problem, solution):
        return None
    available = {node.name for node in problem.nodes if node.held or (node.stored and not node.load_needs_spark)}
    recorded = situation.recorded.keys() - available
    states = plan_execution(replace(execution_problem(problem), outputs=problem.outputs - recorded))
    return None if _needs_spark(problem, states) else states


def _needs_spark(problem: PlanningProblem, solution: Solution) -> bool:
    def needs(node: NodeCosts) -> bool:
        if solution.state(node.name) is State.LOAD:
            return (node.load_needs_spark or (node.served and not node.stored)) and not node.held
        return node.compute_needs_spark and solution.state(node.name) is State.COMPUTE

    return any(map(needs, problem.nodes))


def _planned(known: KnownNode, situation: Situation, decision: Decision) -> PlannedNode:
    node, own, costs, artifact = known.node, known.signed, known.costs, known.artifact
    derivation, shared = decision.solution.chosen.get(node.name), artifact.shared if artifact is not None else ""
    why_kept = f"it is stored in the shared catalog {shared}" if shared else decision.reasons.get(own.signature, "")
    proof: Proof = "instance" if own.instance else known.proof
    return PlannedNode(
        name=node.name, kind=node.kind, result=node.result, inputs=node.inputs, where=node.where,
        declared=own.declared, signature=own.signature, state=decision.solution.state(node.name),
        reason=_reason(known, situation, decision.solution),
        predicted_seconds=derivation.seconds if derivation is not None else 0.0, compute_seconds=costs.compute_seconds,
        load_seconds=costs.load_seconds, write_seconds=costs.write_seconds, bytes=costs.bytes, origin=costs.origin,
        held=known.held, stored=artifact is not None, keep=own.signature in decision.keep, storage_reason=why_kept,
        output=node.name in situation.dag.outputs, random=own.random, aliases=node.aliases,
        bytes_known=costs.bytes_known, proof="chance" if own.random else proof, is_instance=bool(own.instance),
        by_code=node.operator.by_code if isinstance(node.operator, Function) else "",
    )


def _reason(known: KnownNode, situation: Situation, solution: Solution) -> str:
    match solution.state(known.name):
        case State.PRUNE:
            if (number := situation.recorded.get(known.name)) is not None:
                how = "loaded" if known.artifact is not None else "computed"
                return f"unchanged: iteration {number} recorded it; it is {how} when you ask for it"
            readers = situation.dag.readers(known.name)
            if loaded := [name for name in readers if solution.state(name) is State.LOAD]:
                return f"not needed: {named(loaded)} {'is' if len(loaded) == 1 else 'are'} loaded"
            return f"not needed: nothing that runs reads it ({named(readers)}: not needed either)"
        case State.LOAD:
            why = _why_loaded(known, situation.dag)
        case State.COMPUTE:
            why = _why_computed(known)
    if known.signed.seen.drew:
        names = " and ".join(f"`{name}`" for name in known.signed.seen.seeded)
        why += f"; it draws from {names} as your code seeds it" if names else "; Helix seeds its random numbers"
    if known.signed.instance and not known.node.wishes.fixed:
        why += "; one of several right answers" + "".join(f" ({choice})" for choice in known.described.choices[:1])
    return why


def _why_computed(known: KnownNode) -> str:
    wishes, own = known.node.wishes, known.signed
    if wishes.recompute and not wishes.fixed:
        return "you asked for it to be computed in every run"
    if own.random:
        if known.name not in own.random:
            return f"reads {named(own.random)}, whose result may differ each time"
        return ": ".join(("its result may differ each time", *known.described.random[:1]))
    if known.before is None:
        return "never run before" if known.artifact is None else "cheaper to compute than to load"
    differences = list(changes(known.before, own.parts))
    if not own.seen.reads and not wishes.depends_on:  # files and variables that code reads are noted when it runs
        reads = (Group.FILE, Group.VARIABLE)
        differences = [change for change in differences if change.group not in reads or change.sort != "removed"]
    differences = [change for change in differences if change.group is not Group.INPUT] or differences
    if differences:
        more = f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
        return "; ".join(map(str, differences[:3])) + more
    if known.artifact is not None:
        return "cheaper to compute than to load"
    if known.ended:
        return f"unchanged, but its result is gone: {known.ended}"
    return "unchanged, but its result was not stored"


def _why_loaded(known: KnownNode, dag: Dag) -> str:
    artifact, own = known.artifact, known.signed
    if artifact is None:
        return "held in memory" if known.held else "in the memory of this folder's server"
    text = f"stored by iteration {artifact.iteration}"
    if artifact.workflow != dag.workflow:
        text += f" of workflow `{artifact.workflow}`"
    if artifact.node != known.name:
        text += f" as `{artifact.node}`"
    if artifact.shared:
        text += f" in the shared catalog {artifact.shared}"
    if own.declared != own.signature and not (own.random or own.instance or own.seen.reads):
        text += "; the code or the data changed, but not this result"
    return text


def fixed_in_vain(situation: Situation) -> list[str]:
    """Return warnings where `fixed` overrides `recompute` or `fresh`, or has no effect: with nondeterministic inputs,
    and for a column, which is never stored by itself."""
    warnings: list[str] = []
    for known in situation.nodes:
        node = known.node
        if not node.wishes.fixed:
            continue
        for wish in ("recompute", "fresh"):
            if getattr(node.wishes, wish):
                warnings.append(f"`{node.name}` is fixed: it keeps its first result, and {wish}=True has no effect")
        if blamed := known.signed.random:
            fixes = ", ".join(_how_to_fix(situation.dag[name]) for name in blamed)
            warnings.append(f"`{node.name}` is fixed, but it reads {named(blamed)}, which may differ: {fixes}")
        elif node.result is Result.COLUMN and known.described.random:
            warnings.append(f"`{node.name}` is fixed, but it is a column, never stored by itself: {_how_to_fix(node)}")
    return warnings


def _how_to_fix(node: Node) -> str:
    if node.result is Result.COLUMN:
        return f"make `{node.name}` in a scanner, and fix that"
    return f"hx.fixed({node.name.removesuffix('.fit')})"
