"""How one output table differs between two iterations: rows and cells, as far as both are on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from helix_spark.history.table_preview import TablePreview, cell_text

Row = tuple[Any, ...]
Sign = Literal["+", "-", "~"]

_MOST_KEYS = 3
"""Columns that name a row at most."""


@dataclass(frozen=True, slots=True)
class TableDifference:
    """How a table differs.

    Attributes:
        columns: of both, those of the later one first.
        key: the columns by which rows are found in the other; empty where rows go by all of their values.
        added, removed: rows that only the later one, only the earlier one has, as values of `columns`.
        changed: rows that both have by their key, before and after.
        partly: whether only the first rows of one of them are on record.
    """

    columns: tuple[str, ...]
    key: tuple[str, ...]
    added: tuple[Row, ...]
    removed: tuple[Row, ...]
    changed: tuple[tuple[Row, Row], ...]
    partly: bool

    @property
    def count(self) -> int:
        """How many rows differ."""
        return len(self.changed) + len(self.added) + len(self.removed)

    @property
    def summary(self) -> str:
        """How much differs, in words."""
        parts = [
            f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} {word}"
            for rows, word in ((self.changed, "changed"), (self.added, "added"), (self.removed, "removed")) if rows
        ]
        return ", ".join(parts or ["the same"]) + (" among the rows on record" if self.partly else "")

    def lines(self, most: int) -> list[tuple[Sign, list[str]]]:
        """Return the first differences with their signs: a changed cell as before and after."""
        found: list[tuple[Sign, list[str]]] = [
            ("~", [_cell(old, new) for old, new in zip(before, after, strict=True)]) for before, after in self.changed
        ]
        found += [("+", [*map(cell_text, row)]) for row in self.added]
        found += [("-", [*map(cell_text, row)]) for row in self.removed]
        return found[:most]


def _cell(before: Any, after: Any) -> str:
    return cell_text(after) if before == after else f"{cell_text(before) or 'none'} → {cell_text(after) or 'none'}"


def table_differences(
    before: Mapping[str, TablePreview], after: Mapping[str, TablePreview]
) -> dict[str, TableDifference]:
    """Return how each output differs that both iterations have as a table."""
    both = [name for name in after if name in before and before[name] != after[name]]
    return {name: table_difference(before[name].named, after[name].named) for name in both}


def table_difference(before: TablePreview, after: TablePreview) -> TableDifference:
    """Return how a table differs. Rows are found in the other one by the first columns that name each row once in both;
    where none do, a row is there or it is not.

    >>> old = TablePreview((("label", "string"), ("f1", "double")), (("a", 0.5), ("b", 0.25)), 2)
    >>> new = TablePreview((("label", "string"), ("f1", "double")), (("a", 0.75), ("c", 1.0)), 2)
    >>> found = table_difference(old, new)
    >>> found.summary, found.changed
    ('1 row changed, 1 row added, 1 row removed', ((('a', 0.5), ('a', 0.75)),))
    """
    columns = tuple(dict.fromkeys((*after.names, *before.names)))
    olds, news = _rows(before, columns), _rows(after, columns)
    shared = [name for name in after.names if name in before.names]
    width = _key_width(olds, news, columns, shared)
    partly = not (before.whole and after.whole)
    if not width:
        old_counts, new_counts = Counter(olds), Counter(news)
        return TableDifference(
            columns, (), tuple((new_counts - old_counts).elements()), tuple((old_counts - new_counts).elements()), (),
            partly,
        )
    old_by, new_by = ({row[:width]: row for row in rows} for rows in (olds, news))
    return TableDifference(
        columns, columns[:width], tuple(row for key, row in new_by.items() if key not in old_by),
        tuple(row for key, row in old_by.items() if key not in new_by),
        tuple((old_by[key], row) for key, row in new_by.items() if key in old_by and old_by[key] != row), partly,
    )


def _rows(table: TablePreview, columns: Sequence[str]) -> list[Row]:
    places = {name: place for place, name in enumerate(table.names)}
    return [tuple(row[places[name]] if name in places else None for name in columns) for row in table.rows]


def _key_width(olds: Sequence[Row], news: Sequence[Row], columns: Sequence[str], shared: Sequence[str]) -> int:
    """Return how many of the first columns name each row once in both tables; 0 where none do. Numbers with a fraction
    name nothing."""
    for width in range(1, min(_MOST_KEYS, len(columns)) + 1):
        if columns[width - 1] not in shared or any(type(row[width - 1]) is float for row in (*olds, *news)):
            return 0
        if all(len({row[:width] for row in rows}) == len(rows) for rows in (olds, news)):
            return width
    return 0
