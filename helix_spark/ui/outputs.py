"""Tables and plots among an iteration's outputs, as a page shows them. A table of counts is drawn as a matrix."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord
from helix_spark.history.table_preview import TablePreview, cell_text, is_number
from helix_spark.plots import is_plot, plot_text

ROWS, COLUMNS = 20, 60
"""Shown at once."""

SHADES = 9
"""Steps of a matrix' shade, from none to full."""

_MOST_CLASSES = 30


@dataclass(frozen=True, slots=True)
class Matrix:
    """Counts by what is and what was said.

    Attributes:
        across: the name of what stands in the columns, if it has one; `down` of what stands in the rows.
        labels: of both, in order.
        counts: row by row; with a shade of `SHADES`, by the share of its row.
    """

    down: str
    across: str
    labels: tuple[str, ...]
    counts: tuple[tuple[tuple[str, int], ...], ...]


@dataclass(frozen=True, slots=True)
class OutputTable:
    """One table.

    Attributes:
        columns: name, and whether it is to the right.
        rows: the first ones, as texts.
        total: rows of the whole table, in words.
        matrix: the same as counts by class, where it is such a table.
    """

    name: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    total: str
    matrix: Matrix | None


def output_table(name: str, table: TablePreview) -> OutputTable:
    """One table as it is shown."""
    table = table.named
    names = table.names[:COLUMNS]
    rows = tuple(tuple(map(cell_text, row[:COLUMNS])) for row in table.rows[:ROWS])
    words = table.rows_text(len(rows))
    if len(names) < len(table.columns):
        words += f", {len(names)} of {len(table.columns)} columns"
    numbers = tuple((one, is_number(table.column(one))) for one in names)
    is_all = table.total in (None, len(table.rows))
    return OutputTable(name, numbers, rows, words, matrix_of(table) if is_all else None)


def matrix_of(table: TablePreview) -> Matrix | None:
    """Return counts as a square: of columns that are named as the rows are, or of what is, what was said, and how
    often. None where it is neither."""
    if not table.rows:
        return None
    square = _square(table)
    if square is None:
        return None
    down, across, labels, counts = square
    return Matrix(down, across, labels, tuple(
        tuple((f"{count:,}", _shade(count, sum(row))) for count in row) for row in counts
    ))


def _square(table: TablePreview) -> tuple[str, str, tuple[str, ...], list[list[int]]] | None:
    names, first = table.names, [cell_text(row[0]) for row in table.rows]
    if is_number(table.column(names[0])):
        names = (names[0], *(name.removesuffix(".0") for name in names[1:]))
    if 1 < len(first) <= _MOST_CLASSES and len(set(first)) == len(first) and sorted(names[1:]) == sorted(first):
        places = [names.index(label, 1) for label in first]
        counts = [[row[place] for place in places] for row in table.rows]
        return (names[0], table.across, tuple(first), counts) if _are_counts(counts) else None
    if len(names) != 3 or not is_number(table.column(names[2])):
        return None
    pairs = {(cell_text(row[0]), cell_text(row[1])): row[2] for row in table.rows}
    labels = tuple(sorted({label for pair in pairs for label in pair}, key=_as_number_or_text))
    is_square = {one for one, _ in pairs} == {other for _, other in pairs} and len(pairs) == len(table.rows)
    counts = [[pairs.get((row, column), 0) for column in labels] for row in labels]
    fits = is_square and 1 < len(labels) <= _MOST_CLASSES and len(pairs) * 2 >= len(labels) ** 2 and _are_counts(counts)
    return (names[0], names[1], labels, counts) if fits else None


def _as_number_or_text(label: str) -> tuple[float, str]:
    try:
        found = float(label)
    except ValueError:
        return math.inf, label
    return (found if math.isfinite(found) else math.inf), label


def _are_counts(rows: Sequence[Sequence[Any]]) -> bool:
    values = [value for row in rows for value in row]
    return all(type(value) in (int, float) and value >= 0 and float(value).is_integer() for value in values)


def _shade(count: float, total: float) -> int:
    return min(SHADES, math.ceil(SHADES * count / total)) if total else 0


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
