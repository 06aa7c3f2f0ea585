"""The answer of a run: outputs beside the previous ones, what ran, what was reused, what that saved."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from helix_spark.cli.shown_tables import ROWS_OF_RUN, print_tables
from helix_spark.cli.tables import print_lines
from helix_spark.cli.terminal import say
from helix_spark.sizes import format_seconds
from helix_spark.views.iteration_view import IterationView, OutputLine

_WIDTH = 80
_WIDEST_NAME = 40


def print_answer(view: IterationView) -> None:
    """One screen, and the first rows of the tables among the outputs."""
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
    """A line an output, with the value before where it differs."""
    outputs = tuple(outputs)
    width = min(_WIDEST_NAME, max((len(one.name) for one in outputs), default=0))
    for one in outputs:
        say(f"  {one.name:{width}}  {one.text}" + (f"  ({one.was})" if one.was else ""))
