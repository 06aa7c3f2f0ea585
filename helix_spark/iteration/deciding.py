"""Steps that plan, and steps that find a reason to plan again: a function that builds another plan than recorded,
results that must be verified first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from helix_spark.capture.capture_nodes import builds_as_planned, with_uncalled_called
from helix_spark.dag.node import Dag, Node
from helix_spark.iteration.preparation import auditable_nodes, declare, look_up
from helix_spark.iteration.run import Run
from helix_spark.planner.planning import make_plan
from helix_spark.planner.problem import State


def decide(run: Run) -> Run:
    """Decide what to load, to compute and to store.

    Raises:
        PlanError: an output cannot be had.
    """
    return replace(run, plan=make_plan(run.situation, run.tools.policy))


def plan_again(run: Run) -> Run:
    """Look up and decide again, as others stored something, or the run found something out."""
    return decide(look_up(run))


def call_what_computes(run: Run) -> Run:
    """Call the functions to compute that were not called because their plans are recorded.

    Where one builds another plan by now, all is planned again by what functions build.

    Raises:
        WorkflowError, SignatureError, SourceError, CatalogError, PlanError: see there.
    """
    computed = (node for node in run.dag.nodes if run.plan[node.name].state is State.COMPUTE)
    called = {node.name: made for node in computed if (made := with_uncalled_called(node)) is not node}
    if not called:
        return run
    others = {name for name, made in called.items() if not builds_as_planned(run.dag[name], made)}
    if not others:
        return replace(run, whole=_with_operators(run.whole, called), dag=_with_operators(run.dag, called))
    return call_what_computes(plan_again(declare(replace(run, distrusted=run.distrusted | others))))


def _with_operators(dag: Dag, of: Mapping[str, Node]) -> Dag:
    """Return a graph with the operators of other nodes, by name."""
    nodes = (replace(one, operator=of[one.name].operator) if one.name in of else one for one in dag.nodes)
    return replace(dag, nodes=tuple(nodes))


def say_what_is_verified(run: Run) -> Run:
    """Say in the plan which results are verified before they are reused."""
    if run.tools.auditor.when != "before reuse":
        return run
    names = _to_be_verified(run)
    return replace(run, plan=replace(run.plan, nodes=tuple(
        replace(node, reason=f"{node.reason}; unproven, so it is computed again and compared before it is reused")
        if node.name in names else node for node in run.plan.nodes
    )))


def verify(run: Run) -> Run:
    """Have an audit compute again what the plan would reuse unverified, then plan again.

    Only verified results are reused from then on.
    """
    auditor = run.tools.auditor
    if auditor.when != "before reuse":
        return run
    names = _to_be_verified(run)
    for name in names:
        run.tools.observer.waiting(name, "an audit, which verifies it before it is reused")
    auditor.verify(run.workflow, [run.plan[name].signature for name in names])
    return plan_again(replace(run, only_proven=True))


def _to_be_verified(run: Run) -> tuple[str, ...]:
    """Return the nodes whose results the plan reuses, an audit can verify, and none has verified yet."""
    doubtful = frozenset(auditable_nodes(run)).intersection(run.plan.in_state(State.LOAD))
    return tuple(
        node.name for node in run.plan.nodes
        if node.name in doubtful and node.proof == "unproven" and node.signature not in run.tools.auditor.excused
    )
