"""The tables among an iteration's outputs, as a page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from helix_spark.history.table_difference import TableDifference
from helix_spark.history.table_preview import TablePreview, cell_text, is_number
from helix_spark.ui.shapes import Matrix, shape_of

ROWS, COLUMNS = 20, 30
"""Shown at once."""


@dataclass(frozen=True, slots=True)
class OutputTable:
    """One table.

    Attributes:
        columns: name, and whether it is to the right.
        rows: the first ones, as texts.
        total: rows of the whole table, in words.
        matrix, drawn: what it looks like, if like anything known; `told` says what that is.
    """

    name: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    total: str
    matrix: Matrix | None
    drawn: Markup
    told: str


@dataclass(frozen=True, slots=True)
class TableChange:
    """How one table differs between two iterations.

    Attributes:
        told: how much, in words.
        lines: the first rows that do, with their signs; `more` is how many there are beyond.
    """

    name: str
    columns: tuple[str, ...]
    told: str
    lines: tuple[tuple[str, tuple[str, ...]], ...]
    more: int


def output_tables(tables: Mapping[str, TablePreview]) -> tuple[OutputTable, ...]:
    """The tables in the order of the outputs."""
    return tuple(output_table(name, table) for name, table in tables.items())


def output_table(name: str, table: TablePreview) -> OutputTable:
    """One table as it is shown."""
    table = table.named
    shape, names = shape_of(table), table.names[:COLUMNS]
    rows = tuple(tuple(map(cell_text, row[:COLUMNS])) for row in table.rows[:ROWS])
    words = table.rows_text(len(rows))
    if len(names) < len(table.columns):
        words += f", {len(names)} of {len(table.columns)} columns"
    return OutputTable(
        name, tuple((one, is_number(table.column(one))) for one in names), rows, words, shape.matrix,
        Markup(shape.svg), shape.told,
    )


def table_changes(differences: Mapping[str, TableDifference]) -> tuple[TableChange, ...]:
    """Of each table that differs, the first rows that do."""
    return tuple(
        TableChange(
            name, one.columns, one.told, tuple((sign, tuple(cells)) for sign, cells in one.lines(ROWS)),
            max(0, len(one.changed) + len(one.added) + len(one.removed) - ROWS),
        )
        for name, one in differences.items()
    )
