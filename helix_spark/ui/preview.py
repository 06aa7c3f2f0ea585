"""The first rows of a stored table, or a stored value, as texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.vector_slots import slot_names_of
from helix_spark.history.table_profile import vector_text
from helix_spark.visible_text import cut

if TYPE_CHECKING:
    from helix_spark.catalog.tables.table_reading import FirstRows

_LONGEST, _MOST_ITEMS, _MOST_FILLED, _LONGEST_NAME = 120, 40, 12, 200
_MOST_SLOTS = 20_000
"""Of a vector that is looked at slot by slot."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What is shown of a stored result.

    Attributes:
        columns: name and type.
        total: rows of the whole table.
        value: JSON text of a value.
        note: in words, what is not shown and why.
    """

    ROWS: ClassVar[int] = 20
    COLUMNS: ClassVar[int] = 60
    columns: tuple[tuple[str, str], ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    total: int | None = None
    value: str = ""
    note: str = ""


def preview_of(first: FirstRows, record: ArtifactRecord) -> Preview:
    """Return a table's texts; wide tables and long texts are cut, and it says so."""
    shown, total = first.table, record.rows
    slots = slot_names_of(record.schema or "")
    columns = [
        [_cell(value, slots.get(name, ())) for value in column]
        for name, column in zip(shown.column_names, shown.columns, strict=True)
    ]
    there = first.columns - len(first.unreadable)
    notes = [f"the first {Preview.COLUMNS} of {there:,} columns"] if there > Preview.COLUMNS else []
    for why, names in (
        ("not shown, for only Spark can read them", first.unreadable),
        ("not shown, for their first values take too much memory", first.too_long),
    ):
        if names:
            more = f" and {len(names) - Preview.COLUMNS:,} more" if len(names) > Preview.COLUMNS else ""
            notes.append(f"{why}: {', '.join(cut(name, _LONGEST_NAME) for name in names[: Preview.COLUMNS])}{more}")
    rows = tuple(zip(*columns, strict=True))
    named_types = ((field.name, str(field.type).replace(" not null", "")) for field in shown.schema)
    types = tuple((cut(name, _LONGEST_NAME), cut(kind, _LONGEST_NAME)) for name, kind in named_types)
    return Preview(types, rows, total, note="; ".join(notes))


def _cell(scalar: Any, slots: Sequence[str]) -> str:
    """Return an Arrow value as text."""
    import pyarrow as pa

    if not scalar.is_valid:
        return "null"
    if pa.types.is_list(scalar.type):
        items = scalar.values
        if len(items) <= _MOST_SLOTS and (said := vector_text(items.to_pylist(), slots, _MOST_FILLED)):
            return cut(said, _LONGEST)
        shown = items.slice(0, _MOST_ITEMS).to_pylist()
        is_float = pa.types.is_floating(scalar.type.value_type)
        texts = [f"{one:.4g}" if is_float and one is not None else str(one) for one in shown]
        text = "[" + ", ".join(texts) + ("…" if len(items) > _MOST_ITEMS else "") + "]"
    else:
        value = scalar.as_py()
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return cut(text, _LONGEST)
