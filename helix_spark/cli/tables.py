"""How the terminal shows things: tables as wide as it is, 80 columns where there is none; no colour where none is
wanted (NO_COLOR, a file, a pipe)."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from helix_spark.history.table_preview import COLUMNS, TableDifference, TablePreview
from helix_spark.views.comparison_view import Line
from helix_spark.visible_text import cut, visible

WIDE = 100
"""Columns from which tables show more."""

STATE_STYLES = {
    "compute": "yellow", "load": "blue", "prune": "dim", "failed": "red", "running": "yellow", "waiting": "dim",
}

_LINES = {"same": (" ", ""), "added": ("+", "green"), "removed": ("-", "red"), "gap": ("...", "cyan")}


class _Terminal(Console):
    """A console that leaves it to the commands what becomes of a reader that has gone, and prints nothing that tells
    the terminal what to do but what it is told by these."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield the segments of what is printed, each text made visible."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text, self.encoding))

    def on_broken_pipe(self) -> None:
        """Raise the error, for `options.reporting_errors`: rich would end the program with exit code 1."""
        raise BrokenPipeError


def console(*, to_stderr: bool = False) -> Console:
    """Return where to print: a new console for each command, as stdout may be another one."""
    file = sys.stderr if to_stderr else sys.stdout
    # Below a notebook's cell it is the same text, in the order in which it is printed.
    return _Terminal(file=file, highlight=False, markup=False, emoji=False, force_jupyter=False)


def table(*columns: tuple[str, str], grow: str = "") -> Table:
    """Return a table without lines.

    Args:
        columns: (title, "left" or "right").
        grow: the column that takes the room that the others leave.
    """
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for title, side in columns:
        right = side == "right"
        made.add_column(
            title, justify="right" if right else "left", no_wrap=right, overflow="fold",
            ratio=1 if title == grow else None,
            # A long name is folded, so that the column that says why keeps its room.
            max_width=console().width // 3 if title.strip() == "node" else None,
        )
    return made


def print_lines(lines: Iterable[str]) -> None:
    """Print sentences as wide as the terminal, their further lines set in. Paths and signatures stay whole."""
    out = console()
    for line in lines:
        inside, style = " " * (len(line) - len(line.lstrip()) + 2), "yellow" if line.startswith("warning: ") else ""
        for part in textwrap.wrap(
            line, out.width, subsequent_indent=inside, break_long_words=False, break_on_hyphens=False
        ):
            out.print(Text(part, style=style), soft_wrap=True)


def print_code(lines: Iterable[Line]) -> None:
    """Print the lines of a difference, coloured; the signs say the same without colours."""
    out = console()
    for sort, line in lines:
        sign, style = _LINES[sort]
        out.print(Text(f"  {sign}{line}", style=style), soft_wrap=True)


# The first rows of output tables, as many columns as there is room for

ROWS_OF_DIFF = 10
_WIDEST = 32
"""Letters of a cell."""

_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def print_tables(tables: Mapping[str, TablePreview], rows: int) -> None:
    """Print the first rows of each table.

    Args:
        rows: of each, at most.
    """
    for name, found in tables.items():
        one = found.shown(rows, COLUMNS)
        _print(name, one.total, [head for head, _ in one.columns], [right for _, right in one.columns], one.rows)


def print_differences(differences: Mapping[str, TableDifference]) -> None:
    for name, found in differences.items():
        rows = [[sign, *cells] for sign, cells in found.lines(ROWS_OF_DIFF)]
        _print(name, found.summary, ("", *found.columns), [False] * (1 + len(found.columns)), rows)


def _print(
    name: str, summary: str, heads: Sequence[str], right: Sequence[bool], rows: Sequence[Sequence[str]]
) -> None:
    out = console()
    heads, *texts = ([cut(cell.replace("\n", " "), _WIDEST) for cell in row] for row in (heads, *rows))
    left = len(heads) - _fitting(heads, texts, out.width - 2)
    out.print()
    out.print(
        Text(f"  {name}", style="bold"),
        Text(summary + (f", {left} more {'column' if left == 1 else 'columns'}" if left else ""), style="dim"),
    )
    if rows:
        print_fitting(heads, texts, right, 2)


def print_fitting(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], indent: int) -> int:
    """Print a table with as many columns as there is room for, one at least. Return how many are left out."""
    fitting = _fitting(heads, rows, console().width - indent)
    made = table(*((head, "right" if right[place] else "left") for place, head in enumerate(heads[:fitting])))
    for row in rows:
        made.add_row(*row[:fitting], style=_STYLES.get(row[0], "") if heads[0] == "" else "")
    console().print(Padding(made, (0, 0, 0, indent), expand=False))
    return len(heads) - fitting


def _fitting(heads: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> int:
    """Return how many columns fit, one at least."""
    fitting = 0
    for place, head in enumerate(heads):
        room -= max(map(len, (head, *(row[place] for row in rows)))) + 2
        if room < 0 and fitting:
            break
        fitting += 1
    return fitting
