"""Output of `plan`, `run`, `log`, `show` and `diff`: plans, iterations, nodes and comparisons. As wide as the terminal,
or 80 columns without one; no colour in files, in pipes, or with NO_COLOR."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from helix_spark.catalog.records import IterationRecord
from helix_spark.cli.options import say
from helix_spark.history.edit_message import edit_of
from helix_spark.history.metrics import metric_text, metrics_of
from helix_spark.history.table_preview import COLUMNS, TablePreview
from helix_spark.sizes import format_seconds, format_size
from helix_spark.views.iteration_view import (
    IterationView,
    OutputLine,
    commit_text,
    ending_text,
    output_line,
    output_lines,
    view_of_plan,
)
from helix_spark.visible_text import cut, shortened, visible

if TYPE_CHECKING:
    from helix_spark.history.comparison import DifferenceState
    from helix_spark.history.model_card import ModelCard
    from helix_spark.planner.plan import Plan
    from helix_spark.views.comparison_view import ComparisonView, Line, Pair
    from helix_spark.views.node_row import NodeRow
    from helix_spark.views.node_view import NodeView

WIDE = 100
"""Columns from which tables show more."""

STATE_STYLES = {
    "compute": "yellow", "load": "blue", "prune": "dim", "failed": "red", "running": "yellow", "waiting": "dim",
}

_LINES = {"same": (" ", ""), "added": ("+", "green"), "removed": ("-", "red"), "gap": ("...", "cyan")}


class _Terminal(Console):
    """A console that escapes control characters in all printed texts."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield the printed segments, with control characters in texts escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text, self.encoding))

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError for `options.reporting_errors`, where rich would exit with code 1."""
        raise BrokenPipeError


def console(*, to_stderr: bool = False) -> Console:
    """Return a new console, as stdout may have been replaced since the last one."""
    file = sys.stderr if to_stderr else sys.stdout
    # Without Jupyter's display, so that a notebook shows the same text in the order in which it is printed.
    return _Terminal(file=file, highlight=False, markup=False, emoji=False, force_jupyter=False)


def table(*titles: str, right: Collection[str] = (), grow: str = "") -> Table:
    """Return a table without lines; columns of `right` are right-aligned, `grow` takes the remaining width."""
    columns = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for title in titles:
        columns.add_column(
            title, justify="right" if title in right else "left", no_wrap=title in right, overflow="fold",
            ratio=1 if title == grow else None,
            # Fold long names, so that the column of reasons keeps its width.
            max_width=console().width // 3 if title.strip() == "node" else None,
        )
    return columns


def print_lines(lines: Iterable[str]) -> None:
    """Print sentences wrapped to the terminal's width, further lines indented. Paths and signatures are not broken."""
    out = console()
    for line in lines:
        inside, style = " " * (len(line) - len(line.lstrip()) + 2), "yellow" if line.startswith("warning: ") else ""
        for part in textwrap.wrap(
            line, out.width, subsequent_indent=inside, break_long_words=False, break_on_hyphens=False
        ):
            out.print(Text(part, style=style), soft_wrap=True)


def print_code(lines: Iterable[Line]) -> None:
    """Print the lines of a difference, with signs and colours."""
    out = console()
    for kind, line in lines:
        sign, style = _LINES[kind]
        out.print(Text(f"  {sign}{line}", style=style), soft_wrap=True)


# Iterations

ROWS_OF_RUN, ROWS_OF_SHOW = 5, 20
"""Rows of each output table that `run` and `show` print."""

_WIDTH = 80
_WIDEST_NAME = 40

_MOST, _MOST_WIDE = 3, 6
"""Outputs of an iteration in a log, on a narrow and on a wide terminal."""


def print_plan(plan: Plan) -> None:
    """Print a row for each node that the plan needs, a sentence about the other nodes, and totals."""
    out, view = console(), view_of_plan(plan)
    more = ("compute", "load", "size", "kept") if out.width >= WIDE else ()
    out.print(Text(view.title, style="bold"))
    out.print()
    out.print(_table_of(view.needed, "state", "seconds", *more, "node", "why"))
    out.print()
    print_lines([*view.unused, *(f"warning: {warning}" for warning in view.warnings), *view.totals])


def _table_of(rows: Iterable[NodeRow], *columns: str) -> Table:
    """Return a table with a row for each node. The seconds of a plan's nodes are the expected ones."""
    numbers = ("seconds", "expected", "compute", "load", "size", "rows")
    rendered = table(*columns, right=numbers, grow="why")
    for row in rows:
        is_planned = row.seconds is None and row.compute is not None
        cells: dict[str, str | Text] = {
            "state": Text(row.state, style=STATE_STYLES.get(row.state, "")),
            "seconds": format_seconds(row.expected if is_planned else row.seconds),
            "expected": format_seconds(row.expected), "compute": format_seconds(row.compute),
            "load": format_seconds(row.load), "size": "" if row.bytes is None else format_size(row.bytes),
            "rows": "" if row.rows is None else f"{row.rows:,}", "kept": row.kept,
            "stored": row.proof if row.stored == "stored" else "", "node": row.title, "question": row.name,
            "why": row.why if "kept" in columns else row.why_and_kept,
        }
        rendered.add_row(*(cells[name] for name in columns))
    return rendered


def print_answer(view: IterationView) -> None:
    """Print the outputs, what was computed and why, and the first rows of output tables."""
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
    print_lines([view.loaded, view.unproven, *view.unused])
    say(f"\n{view.duration}")
    print_tables(view.tables, ROWS_OF_RUN)


def print_outputs(outputs: Sequence[OutputLine]) -> None:
    """Print a line for each output, with the previous value if it differs."""
    width = min(_WIDEST_NAME, max((len(output.name) for output in outputs), default=0))
    for output in outputs:
        say(f"  {output.name:{width}}  {output.text}" + (f"  ({output.was})" if output.was else ""))


def print_log(
    iterations: Sequence[IterationRecord], pinned: Collection[tuple[str, int]], unproven: Mapping[str, int], *,
    verbose: bool = False,
) -> None:
    """Print a line for each iteration, or several lines if `verbose`.

    Args:
        pinned: workflow and number of the pinned iterations.
        unproven: the number of unproven results that an iteration reused, by its id.
    """
    out = console()
    if not iterations:
        out.print("no iterations yet")
        return
    wide = out.width >= WIDE
    titles = ("workflow", "no", "when", "seconds", *(("commit",) if wide else ()), "outcome")
    rendered = table(*titles, right=("no", "seconds"), grow="outcome")
    for record in iterations:
        rendered.add_row(
            record.workflow, str(record.number), time.strftime("%m-%d %H:%M", time.localtime(record.started)),
            format_seconds(record.seconds), *((commit_text(record),) if wide else ()),
            _outcome(
                record, (record.workflow, record.number) in pinned, unproven.get(record.run, 0), wide=wide,
                verbose=verbose,
            ),
        )
    out.print(rendered)


def _outcome(record: IterationRecord, is_pinned: bool, unproven: int, *, wide: bool, verbose: bool) -> Text:
    outputs = [f"{line.name} {line.text}" for line in output_lines(metrics_of(record), None)]
    ending = "running" if record.status == "running" else ending_text(record.status, record.error.split("\n")[0])
    text = Text(ending, style="red" if record.status == "failed" else "yellow")
    summary = record.message or edit_of(record)
    if verbose:
        most = _MOST_WIDE if wide else _MOST
        more = [f"and {len(outputs) - most} more"] if len(outputs) > most else []
        warned = record.error if record.status == "done" else ""
        commit = record.commit and f"commit {commit_text(record)}"
        origin = ", ".join(filter(None, (record.user and f"by {record.user}", commit)))
        lines = [(", ".join([*outputs[:most], *more]), "none"), (warned, "yellow"), (record.message, "italic"),
                 (edit_of(record), "dim"), (origin, "dim")]
    else:
        first = ", ".join(outputs[: _MOST if wide or not summary else 1])
        lines = [("" if ending else first, "none"), (summary if record.status in ("done", "running") else "", "dim")]
        text.no_wrap, text.overflow = True, "ellipsis"
    lines.insert(1, (f"{unproven} unproven" if unproven else "", "yellow"))
    for line, style in [("pinned" * is_pinned, "bold"), *lines]:
        if line:
            text.append(("\n" if verbose else "; ") * bool(text.plain) + line, style=style)
    return text


def print_iteration(view: IterationView) -> None:
    """Print an iteration: a summary, its outputs, and a row for each node with actual and predicted seconds."""
    out = console()
    out.print(Text(view.title, style="bold"), Text(view.status + ", pinned" * view.pinned))
    edit, parameters = view.edit and f"edit: {view.edit}", ", ".join(f"{name}={text}" for name, text in view.parameters)
    sentences = (
        f"{view.when}, {view.duration}", view.message, edit, parameters and f"parameters: {parameters}",
        view.file.removeprefix(f"{Path.cwd()}{os.sep}"),
    )
    print_lines(f"  {line}" for line in sentences if line)
    out.print()
    if view.error:
        out.print(Text(view.error, style="red"))
    print_outputs(view.outputs)
    print_tables(view.tables, ROWS_OF_SHOW)
    out.print()
    more = ("rows", "size", "stored") if out.width >= WIDE else ()
    out.print(_table_of(view.needed, "state", "seconds", "expected", *more, "node", "why"))
    print_lines(filter(None, (view.unproven, *view.unused)))


# One node

_WEIGHTS, _LABELS = 20, 8
_SLOT, _HEAD = 40, 14
"""Letters of a slot's name and of a class's."""


def print_node_view(view: NodeView) -> None:
    """Print a node: state, reason, changes, code with its difference, value or first rows, fitted model."""
    out = console()
    out.print(Text(view.row.title, style="bold"), Text(view.about))
    print_lines(f"  {line}" for line in view.sentences)
    if view.code:
        out.print()
    print_code(view.code_changes or [("same", line) for line in view.code.splitlines()])
    for value in view.value:
        out.print(f"\n  {output_line(value)}")
    if view.table is not None:
        print_tables({view.row.name: view.table}, ROWS_OF_SHOW)
    if view.note:
        print_lines(["", f"  {view.note}"])
    details = None
    if view.points:  # only a search has points
        details = table("point", "mean", "folds", "", right=("mean",))
        for point in view.points:
            details.add_row(*point.cells)
    elif view.members:
        details = _table_of(view.members, "state", "seconds", "question", "why")
    if details is not None:
        out.print()
        out.print(Padding(details, (0, 0, 0, 2), expand=False))
    if view.card is not None:
        print_card(view.card)


def print_card(card: ModelCard, indent: str = "") -> None:
    """Print a fitted model: figures, labels, the heaviest slots, its parts."""
    out = console()
    settings = ", ".join(f"{name} {value}" for name, value, is_set in card.parameters if is_set)
    out.print()
    out.print(Text(f"  {indent}{card.kind}", style="bold"), Text(settings, style="dim"))
    for name, value in card.figures:
        out.print(f"  {indent}{name} {metric_text(value)}")
    if len(card.history) > 1:
        first, last = metric_text(card.history[0]), metric_text(card.history[-1])
        out.print(f"  {indent}objective {first} -> {last} in {len(card.history) - 1} steps")
    if card.labels:
        labels = ", ".join([*card.labels[:_LABELS], *(["..."] if card.labels[_LABELS:] else [])])
        out.print(f"  {indent}{len(card.labels)} labels: {labels}")
    if card.weights:
        heads = ["slot", *(shortened(head, _HEAD) for head in card.columns)]
        rows = [
            [shortened(name, _SLOT), *(f"{weight:.4g}" for weight in values)]
            for name, values in card.weights[:_WEIGHTS]
        ]
        if more := print_fitting(heads, rows, [False] + [True] * len(card.columns), 2 + len(indent)):
            out.print(f"  {indent}and {more} more column{'s' * (more > 1)} (--json has all)")
        if card.slots > _WEIGHTS:
            out.print(f"  {indent}the {_WEIGHTS} heaviest of {card.slots:,} slots (--json has {len(card.weights)})")
    for part in card.parts:
        print_card(part, f"{indent}  ")


# The first rows of output tables, with as many columns as fit

ROWS_OF_DIFF = 10
_WIDEST = 32
"""Letters of a cell."""

_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def print_tables(tables: Mapping[str, TablePreview], rows: int) -> None:
    """Print the first rows of each table, `rows` at most."""
    for name, preview in tables.items():
        top = preview.shown(rows, COLUMNS)
        _print(name, top.total, [head for head, _ in top.columns], [right for _, right in top.columns], top.rows)


def _print(name: str, summary: str, heads: Sequence[str], right: Sequence[bool], rows: Sequence[Sequence[str]]) -> None:
    out = console()
    heads, *texts = ([cut(cell.replace("\n", " "), _WIDEST) for cell in row] for row in (heads, *rows))
    omitted = len(heads) - _fitting(heads, texts, out.width - 2)
    out.print()
    out.print(
        Text(f"  {name}", style="bold"),
        Text(summary + (f", {omitted} more {'column' if omitted == 1 else 'columns'}" if omitted else ""), style="dim"),
    )
    if rows:
        print_fitting(heads, texts, right, 2)


def print_fitting(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], indent: int) -> int:
    """Print a table with as many columns as fit, at least one. Return the number of omitted columns."""
    fitting = _fitting(heads, rows, console().width - indent)
    fitted = table(*heads[:fitting], right=[head for head, is_right in zip(heads, right, strict=True) if is_right])
    for row in rows:
        fitted.add_row(*row[:fitting], style=_STYLES.get(row[0], "") if heads[0] == "" else "")
    console().print(Padding(fitted, (0, 0, 0, indent), expand=False))
    return len(heads) - fitting


def _fitting(heads: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> int:
    ends = accumulate(max(map(len, column)) + 2 for column in zip(heads, *rows, strict=True))
    return min(len(heads), max(1, sum(end <= room for end in ends)))


# Two iterations

_SIGNS: dict[DifferenceState, tuple[str, str]] = {
    "added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow"), "drawn": ("*", "yellow"),
    "same": ("=", "dim"),
}
MOST_TIMED = 8
"""Nodes whose seconds are shown, the longest first."""
MOST_CODE_LINES = 60
"""Lines of a function's diff that are shown; `--json` has all."""
_LONGEST = 120


def print_comparison(view: ComparisonView) -> None:
    """Print how parameters, nodes, code, outputs and seconds differ, without equal parts."""
    out = console()
    out.print(Text(view.title, style="bold"))
    if view.compared.unrecorded:
        out.print(f"  {view.compared.unrecorded}")
    _print_pairs("parameters", "name", view.parameters, view)
    if view.nodes:
        _print_title("nodes (+ added, - removed, ~ changed, * nondeterministic, . through inputs)")
        rendered = table("  node", "what changed", grow="what changed")
        for state, (sign, style) in _SIGNS.items():
            for node in view.in_state(state):
                rendered.add_row(Text(f"{sign} {node.name}", style=style), node.summary)
        if affected := view.in_state("affected"):
            rendered.add_row(Text(". through inputs", style="dim"), ", ".join(node.name for node in affected))
        out.print(rendered)
    if view.code:
        _print_title("code")
    for name, lines in view.code.items():
        out.print(Text(f"  {name}", style="bold"))
        print_code(lines[:MOST_CODE_LINES])
        if len(lines) > MOST_CODE_LINES:
            out.print(f"  ... {len(lines) - MOST_CODE_LINES} more lines; --json has all")
    _print_pairs("outputs", "name", view.outputs, view)
    for name, difference in view.tables.items():
        rows = [[sign, *cells] for sign, cells in difference.lines(ROWS_OF_DIFF)]
        _print(name, difference.summary, ("", *difference.columns), [False] * (1 + len(difference.columns)), rows)
    _print_pairs("versions", "package", view.versions, view)
    if view.is_equal:
        out.print("  no difference")
    _print_title("seconds")
    rendered = table("  node", *view.heads, right=view.heads)
    rendered.add_row("  to answer", view.seconds.before or "?", view.seconds.after or "?")
    for pair in view.node_seconds[:MOST_TIMED]:
        rendered.add_row(f"  {pair.name}", *pair.sides)
    out.print(rendered)
    if len(view.node_seconds) > MOST_TIMED:
        out.print(f"  ... {len(view.node_seconds) - MOST_TIMED} nodes more; --json has all")
    if view.commits:
        out.print(f"\ngit: {view.commits}")


def _print_title(text: str) -> None:
    console().print(Text(f"\n{text}", style="bold"))


def _print_pairs(title: str, head: str, pairs: Sequence[Pair], view: ComparisonView) -> None:
    if not pairs:
        return
    _print_title(title)
    rendered = table(f"  {head}", *view.heads, "change")
    for pair in pairs:
        rendered.add_row(f"  {pair.name}", *(cut(side, _LONGEST) for side in pair.sides), pair.change)
    console().print(rendered)
