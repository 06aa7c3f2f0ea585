"""Steps that plan, and steps that find a reason to plan again: a function that builds another plan than recorded,
results that must be verified first."""

from __future__ import annotations

from dataclasses import replace

from helix_spark.planner.planning import make_plan
from helix_spark.planner.problem import State
from helix_spark.run.preparation import auditable_nodes, look_up
from helix_spark.run.run import Run


def decide(run: Run) -> Run:
    """Decide what to load, to compute and to store.

    Raises:
        PlanError: an output cannot be had.
    """
    return replace(run, plan=make_plan(run.situation, run.tools.policy))


def plan_again(run: Run) -> Run:
    """Look up and decide again, as others stored something, or the run found something out."""
    return decide(look_up(run))


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
