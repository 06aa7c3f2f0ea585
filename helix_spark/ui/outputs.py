"""Tables and plots among an iteration's outputs, as a page shows them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord
from helix_spark.history.table_preview import SHOWN_COLUMNS, SHOWN_ROWS, TablePreview, cell_text, is_number
from helix_spark.plots import is_plot, plot_text


@dataclass(frozen=True, slots=True)
class OutputTable:
    """One table.

    Attributes:
        columns: name, and whether it is to the right.
        rows: the first ones, as texts.
        total: rows of the whole table, in words.
    """

    name: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    total: str


def output_table(name: str, table: TablePreview) -> OutputTable:
    """One table as it is shown."""
    table = table.named
    names = table.names[:SHOWN_COLUMNS]
    rows = tuple(tuple(map(cell_text, row[:SHOWN_COLUMNS])) for row in table.rows[:SHOWN_ROWS])
    words = table.rows_text(len(rows))
    if len(names) < len(table.columns):
        words += f", {len(names)} of {len(table.columns)} columns"
    return OutputTable(name, tuple((one, is_number(table.column(one))) for one in names), rows, words)


@dataclass(frozen=True, slots=True)
class OutputPlot:
    """A plot: its output's name, what it is in words, and its specification as JSON."""

    name: str
    text: str
    specification: str


def plot_changes(
    before: IterationRecord, after: IterationRecord
) -> tuple[tuple[str, OutputPlot | None, OutputPlot | None], ...]:
    """Return the plots that differ between two iterations, by name, as they were and as they are; None where one has
    none."""
    olds, news = ({plot.name: plot for plot in output_plots(record)} for record in (before, after))
    names = dict.fromkeys((*news, *olds))
    return tuple((name, olds.get(name), news.get(name)) for name in names if olds.get(name) != news.get(name))


def output_plots(record: IterationRecord) -> tuple[OutputPlot, ...]:
    """Return the plots of an iteration on record."""
    return tuple(
        OutputPlot(name, plot_text(value), json.dumps(value))
        for name, value in mapping(record.outputs).items() if is_plot(value)
    )
