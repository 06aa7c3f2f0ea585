"""An iteration as a notebook shows it: outputs first, then what ran and what was reused."""

from __future__ import annotations

from helix_spark.catalog.shown import short
from helix_spark.drawing.notebook import folded, heading, page, paragraph, picture, table
from helix_spark.iteration.iteration import Iteration, took_text
from helix_spark.planner.picture import plan_graph
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds


def iteration_text(iteration: Iteration) -> str:
    """Outputs, what the plan warns of, and counts of what ran."""
    width = max(map(len, iteration.outputs), default=0)
    lines = [f"{iteration.plan.workflow}, iteration {iteration.number}"]
    lines += [f"  {name:{width}}  {short(value)}" for name, value in iteration.outputs.items()]
    lines += [f"warning: {warning}" for warning in iteration.plan.warnings]
    return "\n".join([*lines, summary(iteration)])


def iteration_html(iteration: Iteration) -> str:
    """Outputs, what the plan warns of, the graph of what happened, and a table of the nodes."""
    stored = frozenset(iteration.wait()) if iteration.stored else frozenset[str]()
    rows = [
        (node.name, node.state, format_seconds(iteration.node_seconds.get(node.name)),
         format_seconds(node.predicted_seconds) if node.state is not State.PRUNE else "", node.reason)
        for node in iteration.plan.nodes
    ]
    outputs = [(name, short(value)) for name, value in iteration.outputs.items()]
    return page(
        heading(f"{iteration.plan.workflow}, iteration {iteration.number}"), table(["output", "value"], outputs),
        *(paragraph(f"warning: {warning}") for warning in iteration.plan.warnings),
        paragraph(summary(iteration)), picture(plan_graph(iteration.plan, iteration.node_seconds, stored)),
        folded(
            "what ran, and why",
            table(["node", "state", "seconds", "expected", "why"], rows, numbers=["seconds", "expected"]),
        ),
    )


def summary(iteration: Iteration) -> str:
    """How much ran, and how long it took, in a sentence."""
    counts = {state: len(iteration.plan.in_state(state)) for state in State}
    return (
        f"{counts[State.COMPUTE]} computed, {counts[State.LOAD]} loaded, {counts[State.PRUNE]} not needed; "
        f"{took_text(iteration)}"
    )
