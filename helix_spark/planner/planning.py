"""From what is known of each node to a plan, with why a node is loaded, computed or pruned.

A `Situation` is what a plan starts from: one row a node, and what else is known of the catalog, the session and the
days to come."""

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
    """Return the other workflow than this one whose author insists on a stored result, of several the first by
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
        proof: what is known of whether its result is the same when it is computed again.
        pin: which pinned iteration has its stored result, as a sentence; empty if none has.
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
    # Columns live in their table; a result that differs each time is of use to no one; some sources are stored already.
    is_storable = node.result is not Result.COLUMN and not own.random
    match node.operator:
        case Read(source=DeltaSource() | MemorySource() | FileSource(format="parquet", version=None)):
            is_storable = False
    return as_stored(NodeCosts(
        name=node.name, kind=node.kind, signature=own.signature, inputs=tuple(dict.fromkeys(node.inputs)),
        compute_seconds=costs.compute_seconds, load_seconds=costs.load_seconds, write_seconds=costs.write_seconds,
        bytes=costs.bytes, storable=is_storable, held=one.held, served=one.served,
        recompute=node.wishes.recompute and not node.wishes.fixed,
        compute_needs_spark=computes_with_spark(node, dag), load_needs_spark=node.result is Result.MODEL,
        fixed=bool(own.instance), differs=bool(own.random),
        shown=node.kind == Kind.LEARNER or node.result is Result.VALUE or node.name in dag.outputs,
    ), one.artifact, node.wishes, dag.workflow, one.pin)


def as_stored(
    costs: NodeCosts, artifact: ArtifactRecord | None, wishes: Wishes, workflow: str, pin: str = ""
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


def make_plan(situation: Situation, policy: Policy) -> Plan:
    """Return the policy's decision, with everything that people and the engine need to know of it. Raises HelixError if
    an output cannot be had."""
    problem = situation.problem
    decision = policy.decide(problem)
    if (recorded := _states_from_record(situation, problem, decision.solution)) is not None:
        decision = policy.decide(replace(problem, done=recorded))
    dag, nodes = situation.dag, problem.nodes
    stored = {node.signature: node.bytes for node in nodes if node.stored}
    session = problem.session_seconds if any(node.compute_needs_spark for node in nodes) else 0.0
    warnings = [warning for one in situation.nodes for warning in one.described.warnings]
    warnings += [*fixed_in_vain(situation), *warnings_of(dag), *situation.notices]
    return Plan(
        workflow=dag.workflow, iteration=situation.iteration,
        nodes=tuple(_planned(one, situation, decision) for one in situation.nodes),
        outputs=dag.outputs, dropped=dag.dropped, certificate=decision.certificate, policy=policy.name,
        budget=problem.budget, evict=decision.evictions,
        used=problem.overhead + sum(stored.values()) + sum(other.bytes for other in problem.others),
        run_all_seconds=session + sum(node.compute_seconds for node in nodes),
        session_seconds=problem.session_seconds if _needs_spark(problem, decision.solution) else 0.0,
        session_runs=situation.session_runs,
        warnings=tuple(dict.fromkeys(warnings)), parameters=dag.parameters,
    )


def _states_from_record(situation: Situation, problem: PlanningProblem, solution: Solution) -> Solution | None:
    """Return the states of an iteration that starts no Spark, where it is needed for nothing but outputs on record:
    these are told from there. None for any other iteration."""
    if situation.session_runs or not situation.recorded or not _needs_spark(problem, solution):
        return None
    there = {node.name for node in problem.nodes if node.held or (node.stored and not node.load_needs_spark)}
    recorded = situation.recorded.keys() - there
    found = plan_execution(replace(execution_problem(problem), outputs=problem.outputs - recorded))
    return None if _needs_spark(problem, found) else found


def _needs_spark(problem: PlanningProblem, solution: Solution) -> bool:
    def needs(node: NodeCosts) -> bool:
        if solution.state(node.name) is State.LOAD:
            return (node.load_needs_spark or (node.served and not node.stored)) and not node.held
        return node.compute_needs_spark and solution.state(node.name) is State.COMPUTE

    return any(map(needs, problem.nodes))


def _planned(one: KnownNode, situation: Situation, decision: Decision) -> PlannedNode:
    node, own, costs, artifact = one.node, one.signed, one.costs, one.artifact
    way, shared = decision.solution.chosen.get(node.name), artifact.shared if artifact is not None else ""
    why_kept = f"it is stored in the shared catalog {shared}" if shared else decision.reasons.get(own.signature, "")
    known: Proof = "instance" if own.instance else one.proof
    return PlannedNode(
        name=node.name, kind=node.kind, result=node.result, inputs=node.inputs, where=node.where,
        declared=own.declared, signature=own.signature, state=decision.solution.state(node.name),
        reason=_reason(one, situation, decision.solution),
        predicted_seconds=way.seconds if way is not None else 0.0, compute_seconds=costs.compute_seconds,
        load_seconds=costs.load_seconds, write_seconds=costs.write_seconds, bytes=costs.bytes, origin=costs.origin,
        held=one.held, stored=artifact is not None, keep=own.signature in decision.keep, storage_reason=why_kept,
        output=node.name in situation.dag.outputs, random=own.random, aliases=node.aliases,
        bytes_known=costs.bytes_known, proof="chance" if own.random else known, is_instance=bool(own.instance),
        by_code=node.operator.by_code if isinstance(node.operator, Function) else "",
    )


def _reason(one: KnownNode, situation: Situation, solution: Solution) -> str:
    match solution.state(one.name):
        case State.PRUNE:
            if (number := situation.recorded.get(one.name)) is not None:
                how = "loaded" if one.artifact is not None else "computed"
                return f"unchanged: iteration {number} has it on record; it is {how} when you ask for it"
            readers = situation.dag.readers(one.name)
            if loaded := [name for name in readers if solution.state(name) is State.LOAD]:
                return f"not needed: {named(loaded)} {'is' if len(loaded) == 1 else 'are'} loaded"
            return f"not needed: nothing that runs reads it ({named(readers)}: not needed either)"
        case State.LOAD:
            why = _loaded(one, situation.dag)
        case State.COMPUTE:
            why = _computed(one)
    if one.signed.seen.drew:
        mine = " and ".join(f"`{name}`" for name in one.signed.seen.seeded)
        why += f"; it draws from {mine} as your code seeds it" if mine else "; Helix gives the seed of what it draws"
    if one.signed.instance and not one.node.wishes.fixed:
        why += "; one of several right answers" + "".join(f" ({choice})" for choice in one.described.choices[:1])
    return why


def _computed(one: KnownNode) -> str:
    wishes, own = one.node.wishes, one.signed
    if wishes.recompute and not wishes.fixed:
        return "you asked for it to be computed in every run"
    if own.random:
        if one.name not in own.random:
            return f"reads {named(own.random)}, whose result may differ each time"
        return ": ".join(("its result may differ each time", *one.described.random[:1]))
    if one.before is None:
        return "never run before" if one.artifact is None else "cheaper to compute than to load"
    found = list(changes(one.before, own.parts))
    if not own.seen.reads and not wishes.depends_on:  # what its code reads is missing only until it runs
        of_reads = (Group.FILE, Group.VARIABLE)
        found = [change for change in found if change.group not in of_reads or change.sort != "removed"]
    if found := [change for change in found if change.group is not Group.INPUT] or found:
        return "; ".join(map(str, found[:3])) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
    if one.artifact is not None:
        return "cheaper to compute than to load"
    if one.ended:
        return f"unchanged, but its result is gone: {one.ended}"
    return "unchanged, but its result was not stored"


def _loaded(one: KnownNode, dag: Dag) -> str:
    found, own = one.artifact, one.signed
    if found is None:
        return "held in memory" if one.held else "in the memory of this folder's server"
    text = f"stored by iteration {found.iteration}"
    if found.workflow != dag.workflow:
        text += f" of workflow `{found.workflow}`"
    if found.node != one.name:
        text += f" as `{found.node}`"
    if found.shared:
        text += f" in the shared catalog {found.shared}"
    if own.declared != own.signature and not (own.random or own.instance or own.seen.reads):
        text += "; the code or the data changed, this result did not"
    return text


def fixed_in_vain(situation: Situation) -> list[str]:
    """Return warnings of fixed nodes that differ each time all the same: as their inputs do, or as they are columns,
    whose results cannot be kept, or as they are to be computed in every run, too."""
    found: list[str] = []
    for one in situation.nodes:
        node = one.node
        if not node.wishes.fixed:
            continue
        for wish in ("recompute", "fresh"):
            if getattr(node.wishes, wish):
                found.append(f"`{node.name}` is fixed: what was computed once stands, and {wish}=True is in vain")
        if blamed := one.signed.random:
            fixes = ", ".join(_how_to_fix(situation.dag[name]) for name in blamed)
            found.append(f"`{node.name}` is fixed, but what differs is {named(blamed)}, which it reads: {fixes}")
        elif node.result is Result.COLUMN and one.described.random:
            found.append(f"`{node.name}` is fixed, but it is a column, never stored by itself: {_how_to_fix(node)}")
    return found


def _how_to_fix(node: Node) -> str:
    if node.result is Result.COLUMN:
        return f"make `{node.name}` in a scanner, and fix that"
    return f"hx.fixed({node.name.removesuffix('.fit')})"
