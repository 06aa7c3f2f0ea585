"""A plan as a notebook shows it: the graph with what is to happen to each node, why, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from helix_spark.drawing import DrawnGraph, DrawnNode
from helix_spark.drawing.notebook import folded, heading, page, paragraph, picture, table
from helix_spark.planner.explain import dropped_text, kept_text, totals
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds, format_size


def plan_graph(plan: Plan, seconds: Mapping[str, float] | None = None, stored: frozenset[str] = frozenset()) \
        -> DrawnGraph:
    """The graph of a plan, or of what became of it.

    Args:
        seconds: measured, by name; without, what is expected.
        stored: names of nodes that are stored by now, beyond those that were.
    """
    def took(node: PlannedNode) -> float | None:
        if node.state is State.PRUNE:
            return None
        return node.predicted_seconds if seconds is None else seconds.get(node.name)

    def drum(node: PlannedNode) -> Literal["", "stored", "evicted"]:
        if node.signature in plan.evict:
            return "evicted"
        return "stored" if node.stored or node.name in stored else ""

    return DrawnGraph(
        tuple(
            DrawnNode(
                node.name, node.inputs, kind=node.kind, state=node.state, seconds=took(node), stored=drum(node),
                title=f"{node.name}: {node.state}: {node.reason}",
            )
            for node in plan.nodes
        ),
        title=f"{plan.workflow}, iteration {plan.iteration}",
    )


def plan_html(plan: Plan) -> str:
    """The graph, the totals, and a table of the nodes."""
    rows = [
        (
            node.name, node.state, node.reason, format_seconds(node.compute_seconds),
            format_seconds(node.load_seconds), format_size(node.bytes), kept_text(node, plan),
        )
        for node in plan.nodes
    ]
    heads = ["node", "state", "why", "compute s", "load s", "size", "kept"]
    return page(
        heading(f"plan of {plan.workflow}, iteration {plan.iteration}"), picture(plan_graph(plan)),
        *(paragraph(line) for line in totals(plan)), paragraph(dropped_text(plan)),
        *(paragraph(f"warning: {warning}") for warning in plan.warnings),
        folded("why, node by node", table(heads, rows, numbers=["compute s", "load s", "size"])),
    )
