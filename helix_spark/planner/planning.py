"""From a signed graph, its costs and what is stored to a plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from helix_spark.costs.model import NodeEstimate, Origin
from helix_spark.costs.starting import first_work_seconds, start_price, start_seconds
from helix_spark.dag.influence import Influence
from helix_spark.dag.leakage import learned_of_test_rows
from helix_spark.dag.node import Dag, Node, computes_with_spark
from helix_spark.planner.influence import planned_influences, planned_left_out
from helix_spark.planner.lineage import Lineage
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import Solution, State
from helix_spark.planner.reasons import Stored, fixed_in_vain, kept_for, reasons
from helix_spark.planner.serving import Gap, columns_text
from helix_spark.planner.storage import (
    Decision,
    NodeCosts,
    OtherArtifact,
    PlanningProblem,
    Policy,
    Scenario,
    seconds_now,
)
from helix_spark.signature.parts import Part
from helix_spark.signature.signing import Description, Signed
from helix_spark.workflow.operators import Read, Result
from helix_spark.workflow.sources import DeltaSource, MemorySource


@dataclass(frozen=True, slots=True)
class Situation:
    """What a plan starts from, as far as it is known without Spark.

    Attributes:
        dag, signed, described, estimates: the current version, by node name.
        iteration: its number.
        stored: live artifacts by signature, of all workflows; without those in `unserved`.
        unserved: by signature, stored results that lack columns which this version reads, or may read.
        held: signatures that the session holds in memory.
        previous: each node's signature parts in the newest earlier iteration.
        ended: signature -> why its artifact is gone.
        budget: bytes, or None; `overhead` of it is taken by records and leftovers.
        others: stored results that no node of the current version has, and those in `unserved`, by their attempts.
        scenarios: what may come next.
        horizon: how many further iterations to plan for.
        session_runs: whether Spark is started; `session_worked` whether the session has run something yet.
        starts: seconds that starts of Spark took, oldest first.
        fresh_process: probability that the next iteration runs in a process of its own.
        influences: what fits of the learners gave their features, by learner.
        left_out_seconds: what computing the nodes that are left out takes, by name.
        notices: in words, what was asked for and is not done.
        verified: signatures of results that an audit computed once more, and that came out the same.
        lineage: what the results on record are made from, where it matters what stored ones cost to have again.
    """

    dag: Dag
    signed: Mapping[str, Signed]
    described: Mapping[str, Description]
    estimates: Mapping[str, NodeEstimate]
    iteration: int
    stored: Mapping[str, Stored]
    held: Collection[str] = frozenset()
    previous: Mapping[str, Sequence[Part]] = field(default_factory=dict)
    ended: Mapping[str, str] = field(default_factory=dict)
    budget: int | None = None
    overhead: int = 0
    others: tuple[OtherArtifact, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    horizon: float = 2.0
    session_runs: bool = True
    session_worked: bool = True
    starts: tuple[float, ...] = ()
    fresh_process: float = 0.0
    influences: Mapping[str, Influence] = field(default_factory=dict)
    left_out_seconds: Mapping[str, float] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    unserved: Mapping[str, Gap] = field(default_factory=dict)
    lineage: Lineage = field(default_factory=dict)
    verified: Collection[str] = frozenset()

    @property
    def session_seconds(self) -> float:
        """Seconds that this iteration is expected to take longer if it needs Spark."""
        start = 0.0 if self.session_runs else start_seconds(self.starts)
        return start + (0.0 if self.session_worked else first_work_seconds(self.starts))


def make_plan(situation: Situation, policy: Policy) -> Plan:
    """The policy's decision, with everything that people and the engine need to know of it.

    Raises:
        PlanError: if an output cannot be had.
    """
    problem = planning_problem(situation)
    decision = policy.decide(problem)
    dag = situation.dag
    why = reasons(
        dag, decision.solution, situation.signed, situation.described, situation.stored, situation.previous,
        situation.ended, situation.influences, {signature: gap.why for signature, gap in situation.unserved.items()},
    )
    return Plan(
        workflow=dag.workflow, iteration=situation.iteration,
        nodes=tuple(_planned(node, situation, decision, why[node.name]) for node in dag.nodes),
        outputs=dag.outputs, dropped=dag.dropped, certificate=decision.certificate, policy=policy.name,
        budget=situation.budget,
        used=situation.overhead + sum(artifact.bytes for artifact in situation.stored.values())
        + sum(gap.stored.bytes for gap in situation.unserved.values()),
        evict=_evictions(situation, decision),
        run_all_seconds=_seconds_of_all(problem), session_seconds=_session_seconds(problem, decision.solution),
        session_runs=situation.session_runs,
        warnings=_warnings(situation), parameters=dag.parameters,
        left_out=planned_left_out(dag, situation.left_out_seconds),
        influences=planned_influences(
            dag, situation.influences, {name: own.declared for name, own in situation.signed.items()},
            {name: costs.compute.amount for name, costs in situation.estimates.items()},
        ),
    )


def planning_problem(situation: Situation, done: Solution | None = None) -> PlanningProblem:
    """The numbers that a policy decides on."""
    return PlanningProblem(
        nodes=tuple(_costs(node, situation) for node in situation.dag.nodes),
        outputs=frozenset(situation.dag.outputs), budget=situation.budget, overhead=situation.overhead,
        others=situation.others, scenarios=situation.scenarios, horizon=situation.horizon,
        session_seconds=situation.session_seconds, start_price=start_price(situation.starts), done=done,
        fresh_process=situation.fresh_process, young=not situation.session_worked,
    )


def _seconds_of_all(problem: PlanningProblem) -> float:
    """What computing every node takes."""
    session = problem.session_seconds if any(node.compute_needs_spark for node in problem.nodes) else 0.0
    return session + sum(seconds_now(problem, node, State.COMPUTE) for node in problem.nodes)


def _session_seconds(problem: PlanningProblem, solution: Solution) -> float:
    """What a solution takes because it needs Spark. Told from its states: not every policy has the session in it."""
    def needs_spark(node: NodeCosts) -> bool:
        if solution.state(node.name) is State.LOAD:
            return node.load_needs_spark and not node.held
        return node.compute_needs_spark and solution.state(node.name) is State.COMPUTE

    return problem.session_seconds if any(map(needs_spark, problem.nodes)) else 0.0


def replan_storage(plan: Plan, situation: Situation, policy: Policy, solution: Solution) -> Plan:
    """The same plan with storage decided once more, now that the run's costs are known; with that decision's
    certificate."""
    decision = policy.decide(planning_problem(situation, done=solution))
    nodes = tuple(
        replace(
            node, keep=node.signature in decision.keep,
            storage_reason=_storage_reason(decision, node.signature, node.left_out),
            bytes=int(situation.estimates[node.name].bytes.amount),
            compute_seconds=situation.estimates[node.name].compute.amount,
        )
        for node in plan.nodes
    )
    return replace(plan, nodes=nodes, evict=_evictions(situation, decision), certificate=decision.certificate)


def _evictions(situation: Situation, decision: Decision) -> dict[str, str]:
    """Signature -> why its stored result is to go. What is to be stored with more columns replaces it by itself."""
    gone = {signature: signature for signature in decision.evict} | {
        gap.stored.attempt: signature for signature, gap in situation.unserved.items()
    }
    return {
        gone[name]: decision.reasons.get(name, "evicted") for name in sorted(decision.evict)
        if gone[name] == name or gone[name] not in decision.keep
    }


def _costs(node: Node, situation: Situation) -> NodeCosts:
    own, costs = situation.signed[node.name], situation.estimates[node.name]
    artifact = situation.stored.get(own.signature)
    asked = node.wishes.insisted
    theirs = "" if asked or artifact is None else kept_for(artifact, situation.dag.workflow)
    return NodeCosts(
        name=node.name, kind=node.kind, signature=own.signature, inputs=tuple(dict.fromkeys(node.inputs)),
        compute_seconds=costs.compute.amount, load_seconds=costs.load.amount, write_seconds=costs.write.amount,
        bytes=artifact.bytes if artifact is not None else int(costs.bytes.amount), stored=artifact is not None,
        storable=_is_storable(node, own), held=own.signature in situation.held,
        keep="always" if asked or theirs else node.wishes.keep,
        # Another draw under the signature of the one that stands would be mixed up with what is made of that.
        recompute=node.wishes.recompute and not node.wishes.fixed,
        compute_needs_spark=computes_with_spark(node, situation.dag), load_needs_spark=node.result is Result.MODEL,
        fixed=node.wishes.fixed, kept_for=theirs, differs=bool(own.random),
    )


def _is_storable(node: Node, own: Signed) -> bool:
    """Columns live in their table; a result that differs each time is of use to no one; some sources are stored."""
    if node.result is Result.COLUMN or own.random:
        return False
    return not (isinstance(node.operator, Read) and _is_stored_already(node.operator))


def _is_stored_already(read: Read) -> bool:
    source = read.source
    columnar = getattr(source, "format", "") == "parquet" and getattr(source, "version", None) is None
    return columnar or isinstance(source, DeltaSource | MemorySource)


def _planned(node: Node, situation: Situation, decision: Decision, reason: str) -> PlannedNode:
    own, costs = situation.signed[node.name], situation.estimates[node.name]
    artifact = situation.stored.get(own.signature)
    left_out = artifact.left_out if artifact is not None else ()
    way = decision.solution.chosen.get(node.name)
    return PlannedNode(
        name=node.name, kind=node.kind, result=node.result, inputs=node.inputs, where=node.where,
        declared=own.declared, signature=own.signature, state=decision.solution.state(node.name), reason=reason,
        predicted_seconds=way.seconds if way is not None else 0.0, compute_seconds=costs.compute.amount,
        load_seconds=costs.load.amount, write_seconds=costs.write.amount,
        bytes=int(costs.bytes.amount), origin=costs.compute.origin,
        held=own.signature in situation.held, stored=own.signature in situation.stored,
        keep=own.signature in decision.keep, storage_reason=_storage_reason(decision, own.signature, left_out),
        output=node.name in situation.dag.outputs, random=own.random, aliases=node.aliases, left_out=left_out,
        bytes_known=costs.bytes.origin is not Origin.KIND,
        proof="chance" if own.random else "verified" if own.signature in situation.verified else "unproven",
    )


def _storage_reason(decision: Decision, signature: str, left_out: tuple[str, ...]) -> str:
    why = decision.reasons.get(signature, "")
    return f"{why}; without {columns_text(left_out)}, which nothing reads" if left_out and why else why


def _warnings(situation: Situation) -> tuple[str, ...]:
    found = [warning for node in situation.dag.nodes for warning in situation.described[node.name].warnings]
    vain = fixed_in_vain(situation.dag, situation.signed, situation.described)
    return tuple(dict.fromkeys([*found, *vain, *learned_of_test_rows(situation.dag), *situation.notices]))


