"""Output tables on the terminal: their first rows, as many columns as it has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.padding import Padding
from rich.text import Text

from helix_spark.cli.tables import console, table
from helix_spark.history.table_difference import TableDifference
from helix_spark.history.table_preview import TablePreview, cell_text, is_number
from helix_spark.visible_text import cut

ROWS_OF_RUN, ROWS_OF_SHOW, ROWS_OF_DIFF = 5, 20, 10

_WIDEST = 32
"""Letters of a cell."""

_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def print_tables(tables: Mapping[str, TablePreview], rows: int) -> None:
    """Print the first rows of each table.

    Args:
        rows: of each, at most.
    """
    for name, found in ((name, one.named) for name, one in tables.items()):
        shown = min(rows, len(found.rows))
        right = [is_number(found.column(one)) for one in found.names]
        _print(name, found.rows_text(shown), found.names, right, [[*map(cell_text, row)] for row in found.rows[:shown]])


def print_differences(differences: Mapping[str, TableDifference]) -> None:
    """Print the rows and cells that differ, of each table."""
    for name, found in differences.items():
        right = [False, *([False] * len(found.columns))]
        rows = [[sign, *cells] for sign, cells in found.lines(ROWS_OF_DIFF)]
        _print(name, found.summary, ("", *found.columns), right, rows)


def _print(
    name: str, summary: str, heads: Sequence[str], right: Sequence[bool], rows: Sequence[Sequence[str]]
) -> None:
    out = console()
    texts = [[_cut(cell) for cell in row] for row in rows]
    room, fitting = out.width - 2, 0
    for place, head in enumerate(heads):
        room -= max(map(len, (_cut(head), *(row[place] for row in texts)))) + 2
        if room < 0 and fitting:
            break
        fitting += 1
    left = len(heads) - fitting
    out.print()
    out.print(
        Text(f"  {name}", style="bold"),
        Text(summary + (f", {left} more {'column' if left == 1 else 'columns'}" if left else ""), style="dim"),
    )
    if not rows:
        return
    made = table(*((_cut(head), "right" if right[place] else "left") for place, head in enumerate(heads[:fitting])))
    for row in texts:
        made.add_row(*row[:fitting], style=_STYLES.get(row[0], "") if heads[0] == "" else "")
    out.print(Padding(made, (0, 0, 0, 2), expand=False))


def _cut(text: str) -> str:
    return cut(text.replace("\n", " "), _WIDEST)
