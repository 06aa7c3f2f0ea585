"""A plan in words: what fits a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections import Counter

from helix_spark.drawing.style import PROOFS
from helix_spark.planner.influence import left_out_lines
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds, format_size

_WIDTH = 80


def plan_text(plan: Plan) -> str:
    """The whole plan: a line or two a node, then totals."""
    name_width = min(24, max([4, *(len(node.name) for node in plan.nodes)]))
    head = f"{plan.workflow}, iteration {plan.iteration}"
    lines = [head, "", f"{'state':8}{'seconds':>8}  {'node':{name_width}}  why"]
    for node in plan.nodes:
        lines += _node_lines(node, plan, name_width)
    lines += ["", *textwrap.wrap(dropped_text(plan), _WIDTH)] if plan.dropped else []
    lines += ["", *left_out_lines(plan)] if plan.left_out else []
    lines += [f"warning: {warning}" for warning in plan.warnings]
    return "\n".join([*lines, "", *totals(plan)])


def dropped_text(plan: Plan) -> str:
    """Which declared nodes no output needs; empty where each is needed."""
    return f"not used by any output: {', '.join(plan.dropped)}" if plan.dropped else ""


def kept_text(node: PlannedNode, plan: Plan) -> str:
    """Whether a node's result is stored, and whether that is to change."""
    if node.signature in plan.evict:
        return "to be evicted"
    return "yes" if node.stored else "to be stored" if node.keep else "no"


def why_text(node: PlannedNode, plan: Plan) -> str:
    """Why a node is in its state, and what is to change of what is stored."""
    kept = kept_text(node, plan)
    size = f" ({format_size(node.bytes)})" if kept == "to be stored" and node.bytes else ""
    return f"{proven(node)}; {kept}{size}" if kept.startswith("to be") else proven(node)


def proven(node: PlannedNode) -> str:
    """Why a node is in its state, and whether what is reused was verified."""
    return f"{node.reason}; verified" if node.proof == "verified" and node.state is State.LOAD else node.reason


def totals(plan: Plan) -> list[str]:
    """What the plan costs and saves, and how good it is known to be."""
    everything = plan.run_all_seconds
    saved = f"; saves {format_seconds(plan.saved_seconds)} s of {format_seconds(everything)} s" if everything else ""
    proof = plan.certificate
    quality = f"{proof.status}, {proof.solver}, {proof.solver_seconds * 1000:.0f} ms"
    quality += f"; {proof.notice}" if proof.notice else ""
    limit = format_size(plan.budget) if plan.budget is not None else "no limit"
    kept = [node for node in plan.nodes if node.keep and not node.stored]
    storing = f"{len(kept)} to store" if kept else "nothing to store"
    return [
        f"expected {format_seconds(plan.predicted_seconds)} s{saved} ({quality})",
        *session_lines(plan), *reuse_lines(plan),
        f"stored {format_size(plan.used)} of {limit}; {storing}, {len(plan.evict)} to evict (policy {plan.policy})",
    ]


def session_lines(plan: Plan) -> list[str]:
    """What a plan takes because it needs Spark, a line; none where that is nothing."""
    if not plan.session_seconds:
        return []
    what = "first work" if plan.session_runs else "start and first work"
    return [f"Spark's {what}: ~{format_seconds(plan.session_seconds)} s of these"]


def reuse_lines(plan: Plan) -> list[str]:
    """How many of the results that a plan reuses are verified, a line; none where it reuses nothing."""
    counts: Counter[str] = Counter(node.proof for node in plan.nodes if node.state is State.LOAD)
    told = ", ".join(f"{counts[proof]} {proof}" for proof in PROOFS if counts[proof])
    return [f"reused: {told}"] if told else []


def node_text(node: PlannedNode) -> str:
    """Everything a plan says of one node."""
    lines = [
        f"{node.name} ({node.kind}, makes a {node.result})" + (f" at {node.where}" if node.where else ""),
        f"  {node.state}: {node.reason}",
        f"  {node.proof}: {PROOFS[node.proof]}",
        f"  compute {format_seconds(node.compute_seconds)} s ({node.origin}), load "
        f"{format_seconds(node.load_seconds)} s, write {format_seconds(node.write_seconds)} s, "
        f"{format_size(node.bytes)}",
    ]
    if node.storage_reason:
        lines.append(f"  {node.storage_reason}")
    if node.inputs:
        lines.append(f"  reads {', '.join(node.inputs)}")
    return "\n".join([*lines, f"  signature {node.signature}"])


def _node_lines(node: PlannedNode, plan: Plan, name_width: int) -> list[str]:
    seconds = format_seconds(node.predicted_seconds) if node.state is not State.PRUNE else ""
    start = f"{node.state:8}{seconds:>8}  {node.name:{name_width}}  "
    why = why_text(node, plan)
    return textwrap.wrap(why, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start)) or [start]
