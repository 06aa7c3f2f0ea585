"""Nothing is reused before an audit has verified it: what of a plan that takes."""

from __future__ import annotations

from dataclasses import replace

from helix_spark.iteration.deciding import plan_again
from helix_spark.iteration.proven import auditable
from helix_spark.iteration.run import Run
from helix_spark.planner.problem import State


def say_what_is_verified(run: Run) -> Run:
    """The plan says of what it reuses that it is verified first, where that is so."""
    if run.tools.auditor.when != "before reuse":
        return run
    names = _to_be_verified(run)
    return replace(run, plan=replace(run.plan, nodes=tuple(
        replace(node, reason=f"{node.reason}; unproven, so it is computed again and compared before it is reused")
        if node.name in names else node for node in run.plan.nodes
    )))


def verify(run: Run) -> Run:
    """Has computed again what the plan reuses and no audit has verified yet, waits for that, and has it planned again:
    nothing else is reused from then on."""
    auditor = run.tools.auditor
    if auditor.when != "before reuse":
        return run
    names = _to_be_verified(run)
    for name in names:
        run.tools.observer.waiting(name, "an audit, which verifies it before it is reused")
    auditor.verify(run.workflow, [run.plan[name].signature for name in names])
    return plan_again(replace(run, only_proven=True))


def _to_be_verified(run: Run) -> tuple[str, ...]:
    """Names of the nodes whose results the plan reuses, and no audit has computed again yet; without those of which no
    audit can tell whether they come out the same."""
    doubtful = frozenset(auditable(run)).intersection(run.plan.in_state(State.LOAD))
    return tuple(
        node.name for node in run.plan.nodes
        if node.name in doubtful and node.proof == "unproven" and node.signature not in run.tools.auditor.excused
    )
