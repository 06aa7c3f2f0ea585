"""What `plan` and `run` print: the plan; the answer with outputs, what was computed, what was reused."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich.text import Text

from helix_spark.cli.shown_tables import ROWS_OF_RUN, print_tables
from helix_spark.cli.tables import WIDE, console, print_lines, state_text, table
from helix_spark.cli.terminal import say
from helix_spark.planner.plan import Plan
from helix_spark.sizes import format_seconds, format_size
from helix_spark.views.iteration_view import IterationView, OutputLine
from helix_spark.views.plan_view import plan_view

_WIDTH = 80
_WIDEST_NAME = 40


def print_plan(plan: Plan) -> None:
    """Print a line or two for each node with a part in the plan, a sentence for the rest, and totals."""
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


def print_answer(view: IterationView) -> None:
    """Print one screen, and the first rows of the tables among the outputs."""
    say(view.title + "\n")
    print_outputs(view.outputs)
    say()
    computed = [row for row in view.rows if row.state == "compute"]
    width = min(24, max((len(row.name) for row in computed), default=0))
    say("computed:" if computed else "nothing had to be computed")
    for row in computed:
        start = f"  {format_seconds(row.seconds):>5}  {row.name:{width}}  "
        inside = textwrap.wrap(row.why, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
        say("\n".join(inside or [start.rstrip()]))
    print_lines([view.loaded, *view.unused])
    say(f"\n{view.took}")
    print_tables(view.tables, ROWS_OF_RUN)


def print_outputs(outputs: Iterable[OutputLine]) -> None:
    """Print a line for each output, with the value before where it differs."""
    outputs = tuple(outputs)
    width = min(_WIDEST_NAME, max((len(one.name) for one in outputs), default=0))
    for one in outputs:
        say(f"  {one.name:{width}}  {one.text}" + (f"  ({one.was})" if one.was else ""))
