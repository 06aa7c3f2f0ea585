"""Recorded previews of output tables: their first rows as plain values, all rows of a small table. Tables are shown,
compared and drawn from them without Spark, even after eviction."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from helix_spark.catalog.places.json_text import Finite, mapping, parsed_as
from helix_spark.catalog.records import ArtifactRecord, FileRecord, IterationRecord
from helix_spark.catalog.tables.spark_types import slot_names_of
from helix_spark.visible_text import cut

if TYPE_CHECKING:
    import pyarrow as pa

    from helix_spark.catalog.catalog_reader import CatalogReader
    from helix_spark.catalog.tables.table_reading import FirstRows

ROWS, COLUMNS = 500, 60
"""The most that is recorded: enough for the points of a curve, and for people."""

LARGEST = 64 << 10
"""Bytes of one table as JSON: records are never evicted, and count against the budget."""

_DIGEST = re.compile(r"[0-9a-f]{64}")

_BY_CLASS, _CROSSED = frozenset({"label", "prediction"}), frozenset({"label_prediction", "prediction_label"})
"""Columns of predictions that hold class numbers; first columns of Spark's cross tables of both."""

_LONGEST_TEXT, _MOST_ITEMS = 500, 64


@dataclass(frozen=True, slots=True)
class TablePreview:
    """The first rows of a table.

    Attributes:
        columns: name and type, as pyarrow calls it.
        rows: numbers, texts, booleans and None; lists and other values as texts.
        total: number of rows of the whole table; None if they were not counted.
        cut: True if columns or parts of values are missing.
        across: the variable whose values are the column heads, as in a cross table of pandas; empty if unknown.
        classes: class names of its label, in the order of their numbers; none if unknown.
    """

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str | int | Finite | bool | None, ...], ...]
    total: int | None = None
    cut: bool = False
    across: str = ""
    classes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        return not self.cut and self.total == len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)

    def shown(self, rows: int, columns: int) -> ShownTable:
        """Return its first rows and columns as texts, with the names of classes."""
        table, names, first = self.named, self.named.names[:columns], self.named.rows[:rows]
        omitted = f", {len(names)} of {len(table.names)} columns" if len(names) < len(table.names) else ""
        return ShownTable(
            tuple((name, is_number([row[place] for row in table.rows])) for place, name in enumerate(names)),
            tuple(tuple(map(cell_text, row[:columns])) for row in first), f"{table.rows_text(len(first))}{omitted}",
        )

    def rows_text(self, shown: int) -> str:
        """Return the number of rows as text, if `shown` of them are shown.

        >>> table = TablePreview((("a", "int64"),), ((1,), (2,)), 3)
        >>> table.rows_text(2), table.rows_text(3)
        ('the first 2 of 3 rows', '3 rows')
        """
        total = len(self.rows) if self.total is None else self.total
        return f"{total:,} rows" if total == shown else f"the first {shown} of {total:,} rows"

    @property
    def class_columns(self) -> tuple[int, ...]:
        """Positions of the columns that hold class numbers."""
        if self.names[:1] and self.names[0] in _CROSSED:
            return (0,)
        return tuple(place for place, name in enumerate(self.names) if name in _BY_CLASS)

    @property
    def named(self) -> TablePreview:
        """The table, for people, with class names for numbers, in columns of predictions and heads of counts.

        >>> counts = TablePreview((("label", "double"), ("0.0", "int64"), ("1.0", "int64")), ((0.0, 4, 1), (1.0, 0, 2)),
        ...                       across="prediction", classes=("ham", "spam"))
        >>> counts.named.names, counts.named.rows
        (('label', 'ham', 'spam'), (('ham', 4, 1), ('spam', 0, 2)))
        """
        names = {str(number): name for number, name in enumerate(self.classes)}
        by_class = self.class_columns

        def named(place: int, cell: Any) -> Any:
            return names.get(cell_text(cell).removesuffix(".0")) if place in by_class else cell

        rows = tuple(tuple(named(place, cell) for place, cell in enumerate(row)) for row in self.rows)
        if not by_class or any(row[place] is None for row in rows for place in by_class):
            return self
        columns = [(name, "string" if place in by_class else kind) for place, (name, kind) in enumerate(self.columns)]
        heads = [head.removesuffix(".0") for head in self.names[1:]]
        if (self.names[0] in _CROSSED or self.across in _BY_CLASS) and all(head in names for head in heads):
            columns[1:] = [(names[head], kind) for head, (_, kind) in zip(heads, columns[1:], strict=True)]
        return replace(self, columns=tuple(columns), rows=rows)

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table. Columns whose types cannot be rebuilt are texts."""
        import pyarrow as pa

        arrays: dict[str, pa.Array] = {}
        for place, (name, kind) in enumerate(self.columns):
            values = [row[place] for row in self.rows]
            try:
                arrays[name] = pa.array(values, pa.type_for_alias(kind))
            except (pa.ArrowException, ValueError, TypeError):
                arrays[name] = pa.array([None if value is None else cell_text(value) for value in values], pa.string())
        return pa.table(arrays)

    def text(self) -> str:
        """Return its text for the record.

        >>> TablePreview((("a", "int64"),), ((1,), (None,)), 2).text()
        '{"columns": [["a", "int64"]], "rows": [[1], [null]], "total": 2, "cut": false}'
        """
        fields = {"columns": self.columns, "rows": self.rows, "total": self.total, "cut": self.cut}
        more = {"across": self.across, "classes": self.classes}
        return json.dumps(fields | {name: value for name, value in more.items() if value})

    def record(self, name: str) -> FileRecord:
        """Return the record of this preview for an output's name."""
        text = self.text()
        return FileRecord(sha256(text.encode()).hexdigest(), f"{name[:200]}.table.json", text)


@dataclass(frozen=True, slots=True)
class ShownTable:
    """The first rows of a table as texts. A column is its name, and True if it is aligned to the right. `total` is the
    number of rows of the whole table, as text."""

    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    total: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """Positions of the columns aligned to the right."""
        return tuple(place for place, (_, right) in enumerate(self.columns) if right)


def previewed(table: pa.Table, total: int | None) -> TablePreview:
    """Return the first rows of a table, as many as are recorded.

    >>> import pyarrow as pa
    >>> preview = previewed(pa.table({"a": [1, 2], "b": [[0.5], None]}), 2)
    >>> preview.rows, preview.whole
    (((1, '[0.5]'), (2, None)), True)
    """
    shown = table.slice(0, ROWS).select(range(min(COLUMNS, table.num_columns)))
    columns = tuple((field.name[:_LONGEST_TEXT], str(field.type)) for field in shown.schema)
    whole = [[_plain(value) for value in column.to_pylist()] for column in shown.columns]
    cut = table.num_columns > COLUMNS or any(was_cut for column in whole for _, was_cut in column)
    rows = tuple(zip(*([value for value, _ in column] for column in whole), strict=True))
    kept = TablePreview(columns, rows, total, cut)
    while len(kept.text()) > LARGEST and kept.rows:
        kept = replace(kept, rows=kept.rows[: len(kept.rows) // 2])
    return kept


def _plain(value: Any) -> tuple[Any, bool]:
    """Return a value as JSON can hold it, and True if it was cut."""
    if value is None or isinstance(value, bool):
        return value, False
    if isinstance(value, int):
        return (value, False) if abs(value) < 1 << 62 else (str(value), False)
    if isinstance(value, float):
        return (value, False) if math.isfinite(value) else (str(value), False)
    if isinstance(value, list) and len(value) > _MOST_ITEMS:
        return f"{str(value[:_MOST_ITEMS])[:_LONGEST_TEXT]}…", True
    text = str(value)
    return cut(text, _LONGEST_TEXT), len(text) > _LONGEST_TEXT


def preview_from(text: str) -> TablePreview | None:
    """Parse a text of `TablePreview.text`; None for any other text, as a catalog may come from a stranger.

    >>> preview_from('{"columns": [["a", "int64"]], "rows": [[1]], "total": 1, "cut": false}').whole
    True
    >>> preview_from('{"columns": [["a", "int64"]], "rows": [[1, 2]], "cut": false}') is None
    True
    """
    try:
        preview = parsed_as(text, TablePreview)
    except ValueError:
        return None
    if any(len(row) != len(preview.columns) for row in preview.rows):
        return None
    has_total = preview.total is None or preview.total >= len(preview.rows)
    return preview if has_total else replace(preview, total=None)


def tables_of(record: IterationRecord, texts: CatalogReader) -> dict[str, TablePreview]:
    """Return the recorded tables among an iteration's outputs, by name. Raises CatalogError for damaged records."""
    digests: Mapping[str, str] = mapping(record.plan).get("tables", {})
    previews = {
        name: preview_from(texts.file_text(digest) or "")
        for name, digest in digests.items() if _DIGEST.fullmatch(digest)
    }
    return {name: preview for name, preview in previews.items() if preview is not None}


def cell_text(value: Any) -> str:
    """Return a value of a table as text on one line.

    >>> cell_text(0.123456789), cell_text(None), cell_text(3.0), cell_text(True)
    ('0.123457', '', '3', 'true')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def is_number(values: Sequence[Any]) -> bool:
    """Return whether a column has values, and all of them are numbers."""
    present = [value for value in values if value is not None]
    return bool(present) and all(type(value) in (int, float) for value in present)


# The first rows of a stored table

SHOWN_ROWS, SHOWN_COLUMNS = 20, 60
_LONGEST_CELL, _ITEMS_SHOWN, _MOST_FILLED, _LONGEST_HEAD = 120, 40, 12, 200
_MOST_SLOTS = 20_000
"""The most slots of a vector that is read slot by slot."""


def stored_rows(first: FirstRows, record: ArtifactRecord) -> tuple[TablePreview, str]:
    """Return the first rows of a stored table, long texts cut, and a note on the columns that are not shown."""
    slots, shown = slot_names_of(record.schema or ""), first.table
    columns = [
        [_shown_cell(value, slots.get(name, ())) for value in column]
        for name, column in zip(shown.column_names, shown.columns, strict=True)
    ]
    there = first.columns - len(first.unreadable)
    notes = [f"the first {SHOWN_COLUMNS} of {there:,} columns"] if there > SHOWN_COLUMNS else []
    for why, names in (
        ("not shown, for only Spark can read them", first.unreadable),
        ("not shown, for their first values take too much memory", first.too_long),
    ):
        if names:
            more = f" and {len(names) - SHOWN_COLUMNS:,} more" if len(names) > SHOWN_COLUMNS else ""
            notes.append(f"{why}: {', '.join(cut(name, _LONGEST_HEAD) for name in names[:SHOWN_COLUMNS])}{more}")
    types = tuple((cut(field.name, _LONGEST_HEAD), str(field.type)) for field in shown.schema)
    return TablePreview(types, tuple(zip(*columns, strict=True)), record.rows), "; ".join(notes)


def _shown_cell(scalar: Any, slots: Sequence[str]) -> Any:
    import pyarrow as pa

    if not scalar.is_valid:
        return "null"
    if pa.types.is_list(scalar.type):
        items = scalar.values
        if len(items) <= _MOST_SLOTS and (text := vector_text(items.to_pylist(), slots, _MOST_FILLED)):
            return cut(text, _LONGEST_CELL)
        shown = items.slice(0, _ITEMS_SHOWN).to_pylist()
        is_float = pa.types.is_floating(scalar.type.value_type)
        texts = [f"{item:.4g}" if is_float and item is not None else str(item) for item in shown]
        return cut("[" + ", ".join(texts) + ("…" if len(items) > _ITEMS_SHOWN else "") + "]", _LONGEST_CELL)
    value = scalar.as_py()
    return value if isinstance(value, int | float) else cut(str(value), _LONGEST_CELL)


def vector_text(values: Sequence[Any], slots: Sequence[str], most: int) -> str:
    """Return a vector's nonzero slots as text: by name, if there are names or most are zero; empty for other lists.

    >>> vector_text([0.0, 1.0, 0.0, 0.5], ["a", "b", "c", "d"], 9)
    'b=1, d=0.5'
    >>> vector_text([0.5, 0.5], (), 9)
    ''
    """
    filled = [(place, value) for place, value in enumerate(values) if value]
    named = len(slots) == len(values)
    if not values or any(type(value) is not float for _, value in filled) or not (
        named or (len(values) > most and len(filled) * 2 < len(values))
    ):
        return ""
    shown = [f"{slots[place] if named else place}={value:.4g}" for place, value in filled[:most]]
    return ", ".join([*shown, *(["…"] if len(filled) > most else [])]) or "all zero"


# How a table differs between two iterations

Row = tuple[Any, ...]
Sign = Literal["+", "-", "~"]

_MOST_KEYS = 3
"""The most columns of a key."""


@dataclass(frozen=True, slots=True)
class TableDifference:
    """How a table differs.

    Attributes:
        columns: those of both tables, the later one's first.
        key: columns that match rows; empty if rows match by all of their values.
        added, removed: rows that only the later, only the earlier table has, as values of `columns`.
        changed: rows with one key in both tables, before and after.
        partly: True if only the first rows of one of them are recorded.
    """

    columns: tuple[str, ...]
    key: tuple[str, ...]
    added: tuple[Row, ...]
    removed: tuple[Row, ...]
    changed: tuple[tuple[Row, Row], ...]
    partly: bool

    @property
    def count(self) -> int:
        return len(self.changed) + len(self.added) + len(self.removed)

    @property
    def summary(self) -> str:
        parts = [
            f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} {word}"
            for rows, word in ((self.changed, "changed"), (self.added, "added"), (self.removed, "removed")) if rows
        ]
        return ", ".join(parts or ["the same"]) + (" among the rows on record" if self.partly else "")

    def lines(self, most: int) -> list[tuple[Sign, list[str]]]:
        """Return the first differences with their signs: a changed cell as before and after."""
        def cell(old: Any, new: Any) -> str:
            return cell_text(new) if old == new else f"{cell_text(old) or 'none'} → {cell_text(new) or 'none'}"

        lines: list[tuple[Sign, list[str]]] = [("~", [*map(cell, old, new)]) for old, new in self.changed]
        lines += [("+", [*map(cell_text, row)]) for row in self.added]
        lines += [("-", [*map(cell_text, row)]) for row in self.removed]
        return lines[:most]


def table_differences(
    before: Mapping[str, TablePreview], after: Mapping[str, TablePreview]
) -> dict[str, TableDifference]:
    """Compare the tables that both iterations have as outputs; return those that differ."""
    both = [name for name in after if name in before and before[name] != after[name]]
    return {name: table_difference(before[name].named, after[name].named) for name in both}


def table_difference(before: TablePreview, after: TablePreview) -> TableDifference:
    """Compare two versions of a table. Rows match by the first columns that are a key in both, else by all values.

    >>> old = TablePreview((("label", "string"), ("f1", "double")), (("a", 0.5), ("b", 0.25)), 2)
    >>> new = TablePreview((("label", "string"), ("f1", "double")), (("a", 0.75), ("c", 1.0)), 2)
    >>> difference = table_difference(old, new)
    >>> difference.summary, difference.changed
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
    """Return how many of the first columns are a key of both tables; 0 if there is none. Floats are no keys."""
    for width in range(1, min(_MOST_KEYS, len(columns)) + 1):
        if columns[width - 1] not in shared or any(type(row[width - 1]) is float for row in (*olds, *news)):
            return 0
        if all(len({row[:width] for row in rows}) == len(rows) for rows in (olds, news)):
            return width
    return 0
