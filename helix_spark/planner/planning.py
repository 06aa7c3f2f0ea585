"""From a signed graph, its costs and what is stored to a plan."""

from __future__ import annotations

from dataclasses import replace

from helix_spark.dag.leakage import doubted, learned_of_test_rows
from helix_spark.dag.node import Dag
from helix_spark.planner.execution import plan_execution
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import Solution, State
from helix_spark.planner.situation import KnownNode, Situation
from helix_spark.planner.state_reasons import fixed_in_vain, reasons
from helix_spark.planner.storage import Decision, NodeCosts, PlanningProblem, Policy, execution_problem, seconds_now
from helix_spark.workflow.operators import Function


def make_plan(situation: Situation, policy: Policy) -> Plan:
    """Return the policy's decision, with everything that people and the engine need to know of it.

    Raises:
        PlanError: if an output cannot be had.
    """
    problem = situation.problem
    decision = policy.decide(problem)
    if (recorded := _states_from_record(situation, problem, decision.solution)) is not None:
        decision = policy.decide(replace(problem, done=recorded))
    dag = situation.dag
    why = reasons(situation, decision.solution)
    return Plan(
        workflow=dag.workflow, iteration=situation.iteration,
        nodes=tuple(_planned(one, dag, decision, why[one.name]) for one in situation.nodes),
        outputs=dag.outputs, dropped=dag.dropped, certificate=decision.certificate, policy=policy.name,
        budget=problem.budget,
        used=_used(problem), evict=decision.evictions,
        run_all_seconds=_seconds_of_all(problem), session_seconds=_session_seconds(problem, decision.solution),
        session_runs=situation.session_runs,
        warnings=_warnings(situation), parameters=dag.parameters,
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


def _used(problem: PlanningProblem) -> int:
    """Return the bytes that are stored."""
    own = {node.signature: node.bytes for node in problem.nodes if node.stored}
    return problem.overhead + sum(own.values()) + sum(other.bytes for other in problem.others)


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
