"""From a signed graph, its costs and what is stored to a plan."""

from __future__ import annotations

from dataclasses import replace

from helix_spark.costs.model import start_price
from helix_spark.dag.leakage import doubted, learned_of_test_rows
from helix_spark.dag.node import Dag, Node, computes_with_spark
from helix_spark.identity.signing import Signed
from helix_spark.planner.execution import plan_execution
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.planned_features import planned_influences
from helix_spark.planner.problem import Solution, State
from helix_spark.planner.situation import KnownNode, Situation, kept_for
from helix_spark.planner.state_reasons import fixed_in_vain, reasons
from helix_spark.planner.storage import Decision, NodeCosts, PlanningProblem, Policy, execution_problem, seconds_now
from helix_spark.workflow.operators import Function, Read, Result
from helix_spark.workflow.sources import DeltaSource, MemorySource


def make_plan(situation: Situation, policy: Policy) -> Plan:
    """Return the policy's decision, with everything that people and the engine need to know of it.

    Raises:
        PlanError: if an output cannot be had.
    """
    problem = planning_problem(situation)
    decision = policy.decide(problem)
    if (recorded := _states_from_record(situation, problem, decision.solution)) is not None:
        decision = policy.decide(replace(problem, done=recorded))
    dag = situation.dag
    why = reasons(situation, decision.solution)
    return Plan(
        workflow=dag.workflow, iteration=situation.iteration,
        nodes=tuple(_planned(one, dag, decision, why[one.name]) for one in situation.nodes),
        outputs=dag.outputs, dropped=dag.dropped, certificate=decision.certificate, policy=policy.name,
        budget=situation.budget,
        used=situation.used, evict=decision.evictions,
        run_all_seconds=_seconds_of_all(problem), session_seconds=_session_seconds(problem, decision.solution),
        session_runs=situation.session_runs,
        warnings=_warnings(situation), parameters=dag.parameters,
        left_out=situation.left_out, influences=planned_influences(situation),
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


def planning_problem(situation: Situation, done: Solution | None = None) -> PlanningProblem:
    """Return the numbers that a policy decides on."""
    return PlanningProblem(
        nodes=tuple(_costs(one, situation.dag) for one in situation.nodes),
        outputs=frozenset(situation.dag.outputs), budget=situation.budget, overhead=situation.overhead,
        others=situation.others, scenarios=situation.scenarios, horizon=situation.horizon,
        session_seconds=situation.session_seconds, start_price=start_price(situation.starts), done=done,
        fresh_process=situation.fresh_process, young=not situation.session_worked,
    )


def _seconds_of_all(problem: PlanningProblem) -> float:
    """Return the seconds to compute every node."""
    session = problem.session_seconds if any(node.compute_needs_spark for node in problem.nodes) else 0.0
    return session + sum(seconds_now(problem, node, State.COMPUTE) for node in problem.nodes)


def _session_seconds(problem: PlanningProblem, solution: Solution) -> float:
    """Return the seconds that a solution takes for a session, by its states: not every policy plans the session."""
    return problem.session_seconds if _needs_spark(problem, solution) else 0.0


def _needs_spark(problem: PlanningProblem, solution: Solution) -> bool:
    def needs(node: NodeCosts) -> bool:
        if solution.state(node.name) is State.LOAD:
            return node.load_needs_spark and not node.held
        return node.compute_needs_spark and solution.state(node.name) is State.COMPUTE

    return any(map(needs, problem.nodes))


def _costs(one: KnownNode, dag: Dag) -> NodeCosts:
    node, own, costs, artifact = one.node, one.signed, one.costs, one.artifact
    asked = node.wishes.insisted
    theirs = "" if asked or artifact is None else kept_for(artifact, dag.workflow)
    return NodeCosts(
        name=node.name, kind=node.kind, signature=own.signature, inputs=tuple(dict.fromkeys(node.inputs)),
        compute_seconds=costs.compute_seconds, load_seconds=costs.load_seconds, write_seconds=costs.write_seconds,
        bytes=artifact.bytes if artifact is not None else costs.bytes, stored=artifact is not None,
        storable=_is_storable(node, own), held=one.held,
        keep="always" if asked or theirs else node.wishes.keep,
        # Another draw under the signature of the one that stands would be mixed up with what is made of that.
        recompute=node.wishes.recompute and not node.wishes.fixed,
        compute_needs_spark=computes_with_spark(node, dag), load_needs_spark=node.result is Result.MODEL,
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


def _planned(one: KnownNode, dag: Dag, decision: Decision, reason: str) -> PlannedNode:
    node, own, costs, artifact = one.node, one.signed, one.costs, one.artifact
    way = decision.solution.chosen.get(node.name)
    return PlannedNode(
        name=node.name, kind=node.kind, result=node.result, inputs=node.inputs, where=node.where,
        declared=own.declared, signature=own.signature, state=decision.solution.state(node.name), reason=reason,
        predicted_seconds=way.seconds if way is not None else 0.0, compute_seconds=costs.compute_seconds,
        load_seconds=costs.load_seconds, write_seconds=costs.write_seconds, bytes=costs.bytes, origin=costs.origin,
        held=one.held, stored=artifact is not None,
        keep=own.signature in decision.keep, storage_reason=decision.reasons.get(own.signature, ""),
        output=node.name in dag.outputs, random=own.random, aliases=node.aliases,
        bytes_known=costs.bytes_known,
        proof="chance" if own.random else "verified" if one.verified else "unproven",
        by_code=node.operator.by_code if isinstance(node.operator, Function) else "",
    )


def _warnings(situation: Situation) -> tuple[str, ...]:
    found = [warning for one in situation.nodes for warning in one.described.warnings]
    found += [*fixed_in_vain(situation), *learned_of_test_rows(situation.dag), *doubted(situation.dag)]
    found += situation.notices
    return tuple(dict.fromkeys(found))
