"""Columns of files whose types are not those that records have, as types that they do have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.journal.rows import PLACE, SEQUENCE, Row, table_schema

if TYPE_CHECKING:
    import pyarrow as pa


def is_kind(one: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a type holds the same values as another: texts are written in several ways."""
    import pyarrow as pa

    if pa.types.is_list(wanted):
        is_list = bool(pa.types.is_list(one) or pa.types.is_large_list(one))
        return is_list and is_kind(one.value_type, wanted.value_type)
    if pa.types.is_string(wanted):
        return any(is_text(one) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))
    return bool(one == wanted)


def rows_that_lose(table: pa.Table, known: pa.Schema) -> int:
    """How many rows have a value that is none of its column's type."""
    losing = set[int]()
    for name in table.column_names:
        before, after = table.column(name).is_null(), _as_type(table.column(name), known.field(name).type).is_null()
        losing.update(place for place, (had, has) in enumerate(zip(before, after, strict=True))
                      if has.as_py() and not had.as_py())
    return len(losing)


def in_columns(tables: Sequence[pa.Table], row_type: type[Row]) -> pa.Table | None:
    """Rows in their order, in those columns of a journal that they have; None where there are none."""
    import pyarrow as pa

    if not tables:
        return None
    known = pa.schema(table_schema(row_type))
    parts = []
    for table in tables:
        names = [name for name in table.column_names if name in known.names]
        columns = [_as_type(table.column(name), known.field(name).type) for name in names]
        parts.append(pa.Table.from_arrays(columns, schema=pa.schema([known.field(name) for name in names])))
    whole = pa.concat_tables(parts, promote_options="default")
    return whole.sort_by([(SEQUENCE, "ascending"), (PLACE, "ascending")])


def _as_type(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """A column as one of another type; what is none of its values becomes null. Then its row may not fit."""
    import pyarrow as pa

    try:
        return column.cast(wanted)
    except pa.ArrowNotImplementedError:
        return pa.chunked_array([pa.nulls(len(column), wanted)])
    except pa.ArrowInvalid:
        return pa.chunked_array([pa.array([_as_value(value, wanted) for value in column], wanted)])


def _as_value(value: pa.Scalar, wanted: pa.DataType) -> Any:
    import pyarrow as pa

    try:
        return value.cast(wanted).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
        return None
