"""What `plan`, `run`, `log` and `show` print: an iteration that may be, is, or was."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from helix_spark.catalog.records import IterationRecord
from helix_spark.cli.table_text import ROWS_OF_RUN, ROWS_OF_SHOW, print_tables
from helix_spark.cli.tables import WIDE, console, print_lines, state_text, table
from helix_spark.cli.terminal import say
from helix_spark.history.edit_message import edit_of
from helix_spark.history.metrics import metrics_of
from helix_spark.sizes import format_seconds, format_size
from helix_spark.views.iteration_view import IterationView, OutputLine, commit_text, ending_text, output_lines
from helix_spark.views.plan_view import PlanView

if TYPE_CHECKING:
    from helix_spark.planner.plan import Plan

_WIDTH = 80
_WIDEST_NAME = 40

_MOST, _MOST_WIDE = 3, 6
"""Outputs of an iteration in a log, on a narrow and on a wide terminal."""


def print_plan(plan: Plan) -> None:
    """Print a line or two for each node with a part in the plan, a sentence for the rest, and totals."""
    out, view = console(), PlanView(plan)
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


def print_log(iterations: Sequence[IterationRecord], *, verbose: bool = False) -> None:
    """Print a line for each iteration; with what else is known of it where `verbose`."""
    out = console()
    if not iterations:
        out.print("no iterations yet")
        return
    wide = out.width >= WIDE
    more = (("commit", "left"),) if wide else ()
    shown = table(
        ("workflow", "left"), ("no", "right"), ("when", "left"), ("seconds", "right"), *more, ("outcome", "left"),
        grow="outcome",
    )
    for record in iterations:
        shown.add_row(
            record.workflow, str(record.number), time.strftime("%m-%d %H:%M", time.localtime(record.started)),
            format_seconds(record.seconds), *((commit_text(record),) if wide else ()),
            _outcome(record, _MOST_WIDE if wide else _MOST) if verbose else _short_outcome(record, wide=wide),
        )
    out.print(shown)


def _short_outcome(record: IterationRecord, *, wide: bool) -> Text:
    """Say in a line how it ended, else its first outputs, and what its author said of it, or edited."""
    text, said = _ending(record), record.message or edit_of(record)
    if not text.plain:
        outputs = [f"{line.name} {line.text}" for line in output_lines(metrics_of(record), None)]
        text.append(", ".join(outputs[: _MOST if wide or not said else 1]))
    if said and record.status in ("done", "running"):
        text.append(("; " if text.plain else "") + said, style="dim")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _ending(record: IterationRecord) -> Text:
    if record.status == "running":
        return Text("running", style="yellow")
    ending = ending_text(record.status, record.error.split("\n")[0])
    return Text(ending, style="red" if record.status == "failed" else "yellow")


def _outcome(record: IterationRecord, most: int) -> Text:
    """Say how it ended, its first outputs, the one by which iterations are compared first, and what is said of it."""
    text = _ending(record)
    outputs = [f"{line.name} {line.text}" for line in output_lines(metrics_of(record), None)]
    more = [f"and {len(outputs) - most} more"] if len(outputs) > most else []
    if outputs:
        text.append(("\n" if text.plain else "") + ", ".join([*outputs[:most], *more]), style="none")
    warned = record.error if record.status == "done" else ""
    for line, style in ((warned, "yellow"), (record.message, "italic"), (edit_of(record), "dim")):
        if line:
            text.append(("\n" if text.plain else "") + line, style=style)
    return text


def _shorten_path(file: str) -> str:
    """Return a path, and what follows it, relative to the current folder where it is below that."""
    return file.removeprefix(f"{Path.cwd()}{os.sep}")


def print_iteration(view: IterationView) -> None:
    """One iteration: what it was, its outputs, then a line or two a node with actual beside predicted seconds."""
    out = console()
    out.print(Text(view.title, style="bold"), Text(view.status))
    edit, parameters = view.edit and f"edit: {view.edit}", ", ".join(f"{name}={text}" for name, text in view.parameters)
    sentences = (
        f"{view.when}, {view.took}", view.message, edit, parameters and f"parameters: {parameters}",
        _shorten_path(view.file),
    )
    print_lines(f"  {line}" for line in sentences if line)
    out.print()
    if view.error:
        out.print(Text(view.error, style="red"))
    print_outputs(view.outputs)
    print_tables(view.tables, ROWS_OF_SHOW)
    out.print()
    wide = out.width >= WIDE
    more = (("rows", "right"), ("size", "right"), ("stored", "left")) if wide else ()
    shown = table(
        ("state", "left"), ("seconds", "right"), ("expected", "right"), *more, ("node", "left"), ("why", "left"),
        grow="why",
    )
    for row in view.needed:
        sizes = (
            "" if row.rows is None else f"{row.rows:,}", "" if row.bytes is None else format_size(row.bytes),
            row.proof if row.stored == "stored" else "",
        )
        shown.add_row(
            state_text(row.state), format_seconds(row.seconds), format_seconds(row.expected),
            *(sizes if wide else ()), row.title, row.why,
        )
    out.print(shown)
    print_lines(view.unused)
