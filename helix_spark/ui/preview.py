"""The first rows of a stored table, or a stored value, as texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST, _MOST_COLUMNS = 120, 60


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
    columns: tuple[tuple[str, str], ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    total: int | None = None
    value: str = ""
    note: str = ""


def preview_of(
    table: pa.Table, unreadable: tuple[str, ...], total: int | None, left_out: tuple[str, ...] = ()
) -> Preview:
    """A table's texts; wide tables and long texts are cut, and it says so.

    Args:
        unreadable: columns that only Spark can read.
        left_out: columns that were not stored.
    """
    shown = table.select(list(range(min(table.num_columns, _MOST_COLUMNS))))
    columns = [[_cell(value.as_py()) for value in column] for column in shown.columns]
    notes = []
    if shown.num_columns < table.num_columns:
        notes.append(f"the first {_MOST_COLUMNS} of {table.num_columns} columns")
    if unreadable:
        notes.append(f"not shown, for only Spark can read them: {', '.join(unreadable)}")
    if left_out:
        notes.append(f"not stored, for nothing read them: {', '.join(left_out)}")
    rows = tuple(zip(*columns, strict=True))
    types = tuple((field.name, str(field.type).replace(" not null", "")) for field in shown.schema)
    return Preview(types, rows, total, note="; ".join(notes))


def _cell(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, list) and value and all(isinstance(each, float) for each in value):
        text = "[" + ", ".join(f"{each:.4g}" for each in value[:40]) + ("…" if len(value) > 40 else "") + "]"
    else:
        text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
