"""What `plan` prints."""

from __future__ import annotations

from rich.text import Text

from helix_spark.cli.tables import WIDE, console, print_lines, state_text, table
from helix_spark.planner.plan import Plan
from helix_spark.sizes import format_seconds, format_size
from helix_spark.views.plan_view import plan_view


def print_plan(plan: Plan) -> None:
    """The whole plan: a line or two a node that has a part in it, those that are not needed in a sentence, totals."""
    out, view = console(), plan_view(plan)
    wide = out.width >= WIDE
    more = (("compute", "right"), ("load", "right"), ("size", "right"), ("kept", "left")) if wide else ()
    shown = table(("state", "left"), ("seconds", "right"), *more, ("node", "left"), ("why", "left"), grow="why")
    for row in view.needed:
        sizes = (format_seconds(row.compute), format_seconds(row.load), format_size(row.bytes or 0), row.kept)
        shown.add_row(
            state_text(row.state), format_seconds(row.expected), *(sizes if wide else ()), row.name,
            row.why if wide else row.why_and_kept,
        )
    out.print(Text(view.title, style="bold"))
    out.print()
    out.print(shown)
    out.print()
    print_lines([view.not_needed, *view.notes])
    print_lines(view.totals)
