"""What `plan` and `explain` print."""

from __future__ import annotations

import textwrap

from rich.text import Text

from helix_spark.cli.answers import listed
from helix_spark.cli.tables import WIDE, console, state_text, table
from helix_spark.planner.explain import dropped_text, kept_text, node_text, proven, totals, why_text
from helix_spark.planner.influence import influence_lines, left_out_lines
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds, format_size


def print_plan(plan: Plan) -> None:
    """The whole plan: a line or two a node that has a part in it, those that are not needed in a sentence, totals."""
    out = console()
    wide = out.width >= WIDE
    more = (("compute", "right"), ("load", "right"), ("size", "right"), ("kept", "left")) if wide else ()
    shown = table(("state", "left"), ("seconds", "right"), *more, ("node", "left"), ("why", "left"), grow="why")
    for node in plan.nodes:
        if node.state is State.PRUNE:
            continue
        seconds = format_seconds(node.predicted_seconds)
        sizes = (
            format_seconds(node.compute_seconds), format_seconds(node.load_seconds), format_size(node.bytes),
            kept_text(node, plan),
        ) if wide else ()
        why = proven(node) if wide else why_text(node, plan)
        shown.add_row(state_text(node.state), seconds, *sizes, node.name, why)
    out.print(Text(f"{plan.workflow}, iteration {plan.iteration}", style="bold"))
    out.print()
    out.print(shown)
    out.print()
    for line in listed("not needed", plan.in_state(State.PRUNE), out.width):
        out.print(line)
    if plan.dropped:
        out.print(dropped_text(plan))
    for told in left_out_lines(plan):
        out.print(told)
    for warning in plan.warnings:
        out.print(Text(f"warning: {warning}", style="yellow"))
    for total in totals(plan):
        out.print(total)


def print_node(node: PlannedNode, plan: Plan) -> None:
    """Everything a plan knows of one node."""
    out = console()
    readers = [other.name for other in plan.nodes if node.name in other.inputs]
    lines = node_text(node).splitlines() + ([f"  read by {', '.join(readers)}"] if readers else [])
    lines += influence_lines(plan, node.name)
    for line in lines:
        # Paths and signatures stay whole, to be copied.
        parts = textwrap.wrap(
            line, out.width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        for part in parts:
            out.print(part, soft_wrap=True)
