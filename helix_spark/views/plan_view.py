"""What is told of a plan besides its nodes' rows: what it costs and saves, how good it is known to be, all of one node,
and the weight of features."""

from __future__ import annotations

from collections import Counter

from helix_spark.dag.influence import FeatureWeight, Influence
from helix_spark.drawing.graph import PROOFS
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds, format_size


def plan_totals(plan: Plan) -> tuple[str, ...]:
    """Return what a plan costs and saves, what is reused and stored, a line each."""
    return (*_costs(plan), *_reused(plan), _stored(plan))


def planned_node_lines(plan: Plan, name: str) -> list[str]:
    """Return everything that a plan knows of one node."""
    node = plan[name]
    readers = [other.name for other in plan.nodes if node.name in other.inputs]
    return [
        f"{node.name} ({node.kind}, makes a {node.result})" + (f" at {node.where}" if node.where else ""),
        f"  {node.state}: {node.reason}",
        f"  {node.proof}: {PROOFS[node.proof]}",
        f"  compute {format_seconds(node.compute_seconds)} s ({node.origin}), load "
        f"{format_seconds(node.load_seconds)} s, write {format_seconds(node.write_seconds)} s, "
        f"{format_size(node.bytes)}",
        *([f"  {node.storage_reason}"] if node.storage_reason else []),
        *([f"  reads {', '.join(node.inputs)}"] if node.inputs else []),
        *([f"  known by its code, not by what it builds: it {node.by_code}"] if node.by_code else []),
        f"  signature {node.signature}",
        *([f"  read by {', '.join(readers)}"] if readers else []),
        *influence_lines(plan, node.name),
    ]


def _costs(plan: Plan) -> list[str]:
    """Return what it takes and saves, and how good it is known to be."""
    everything, proof = plan.run_all_seconds, plan.certificate
    saved = f"; saves {format_seconds(plan.saved_seconds)} s of {format_seconds(everything)} s" if everything else ""
    quality = f"{proof.status}, {proof.solver}, {proof.solver_seconds * 1000:.0f} ms"
    quality += f"; {proof.notice}" if proof.notice else ""
    lines = [f"expected {format_seconds(plan.predicted_seconds)} s{plan.guess}{saved} ({quality})"]
    if plan.session_seconds:
        what = "first work" if plan.session_runs else "start and first work"
        lines.append(f"Spark's {what}: ~{format_seconds(plan.session_seconds)} s of these")
    return lines


def _reused(plan: Plan) -> list[str]:
    """Return how many of the results that it reuses are verified; no line where it reuses nothing."""
    counts: Counter[str] = Counter(node.proof for node in plan.nodes if node.state is State.LOAD)
    proofs = ", ".join(f"{counts[proof]} {proof}" for proof in PROOFS if counts[proof])
    return [f"reused: {proofs}"] if proofs else []


def _stored(plan: Plan) -> str:
    limit = format_size(plan.budget) if plan.budget is not None else "no limit"
    kept = [node for node in plan.nodes if node.keep and not node.stored]
    storing = f"{len(kept)} to store" if kept else "nothing to store"
    return f"stored {format_size(plan.used)} of {limit}; {storing}, {len(plan.evict)} to evict (policy {plan.policy})"


# Features without influence


def influence_lines(plan: Plan, name: str) -> list[str]:
    """Return what is known of the features of a learner, or of an extractor as a feature; set in."""
    lines: list[str] = []
    for one in plan.influences:
        if name == one.learner:
            lines += _learner_lines(one, _when(one, plan))
        lines += [f"  {_feature_text(one, f, _when(one, plan))}" for f in one.features if name == f.feature]
    return lines


def _learner_lines(one: Influence, when: str) -> list[str]:
    ranked = sorted(one.features, key=lambda feature: -feature.share)
    carrying = ", ".join(f"{f.feature} {f.share:.1%}" for f in ranked if not f.weightless)
    none = [f"{f.feature} ({format_seconds(f.seconds)} s)" for f in one.features if f.weightless]
    lines = [f"  weight by feature in {when}: {carrying}"] if carrying else []
    if none:
        lines.append(f"  without influence in {when}: {', '.join(none)}")
    return lines


def _feature_text(one: Influence, feature: FeatureWeight, when: str) -> str:
    if not feature.weightless:
        return f"`{one.learner}` gave it {feature.share:.1%} of the weight in {when}"
    return (
        f"`{one.learner}` gave it no weight in {when}; it and what only it needs take "
        f"{format_seconds(feature.seconds)} s"
    )


def _when(one: Influence, plan: Plan) -> str:
    return f"iteration {one.iteration}" + (f" of `{one.workflow}`" if one.workflow != plan.workflow else "")
