"""Frozen dataclasses as columns and back. No files, and no pyarrow: deltalake brings its own small Arrow.

A field's type gives its column: str, int (64 bit), float, bool and tuples of str; every column may be null. A column
that an older writer did not know reads as the field's default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from arro3.core import Array, Schema, Table

SEQUENCE = "sequence"
"""Extra column of every table: the table's version that the row was written for. A row written by someone who saw
another row has the greater number, whatever the clocks say; rows written at the same time may share one."""

PLACE = "place"
"""Extra column of every table: the row's index within its commit."""

Plain = Literal["str", "int", "float", "bool", "strs"]


class RowType(Protocol):
    """A frozen dataclass of plain fields."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


Row = TypeVar("Row", bound=RowType)


@cache
def columns_of(row_type: type[RowType]) -> Mapping[str, Plain]:
    """The columns of a dataclass, in order, without `SEQUENCE` and `PLACE`.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Seen:
    ...     name: str
    ...     seconds: float | None = None
    ...     inputs: tuple[str, ...] = ()
    >>> dict(columns_of(Seen))
    {'name': 'str', 'seconds': 'float', 'inputs': 'strs'}
    """
    hints = get_type_hints(row_type)
    return {field.name: _plain(hints[field.name]) for field in dataclasses.fields(row_type)}


def _plain(hint: Any) -> Plain:
    if isinstance(hint, UnionType):
        (hint,) = (arg for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) is Literal:
        return "str"
    if get_origin(hint) is tuple:
        return "strs"
    names: dict[Any, Plain] = {str: "str", int: "int", float: "float", bool: "bool"}
    return names[hint]


def table_schema(row_type: type[RowType]) -> Schema:
    """The Arrow schema of the table that holds `row_type`."""
    return to_table((), row_type, 0).schema


def to_table(rows: Sequence[RowType], row_type: type[Row], sequence: int) -> Table:
    """Rows as an Arrow table, `SEQUENCE` and `PLACE` first. Raises CatalogError for text that is not Unicode."""
    from arro3.core import Array, DataType, Table

    arrays: dict[str, Any] = {
        SEQUENCE: Array([sequence] * len(rows), type=DataType.int64()),
        PLACE: Array(list(range(len(rows))), type=DataType.int64()),
    }
    for name, plain in columns_of(row_type).items():
        values = [getattr(row, name) for row in rows]
        try:
            arrays[name] = _array(values, plain)
        except UnicodeEncodeError as error:
            raise CatalogError(f"the {name} of a record holds characters that are not Unicode: {error}") from error
    return Table.from_pydict(arrays)


def _array(values: Sequence[Any], plain: Plain) -> Array:
    from arro3.core import Array, DataType, list_array

    if plain == "strs":
        offsets = [0]
        for value in values:
            offsets.append(offsets[-1] + len(value))
        items = Array([item for value in values for item in value], type=DataType.string())
        return list_array(Array(offsets, type=DataType.int32()), items)
    kinds = {
        "str": DataType.string(), "int": DataType.int64(), "float": DataType.float64(), "bool": DataType.bool(),
    }
    return Array(values, type=kinds[plain])


def from_columns(columns: Mapping[str, Iterable[Any]], row_type: type[Row]) -> list[Row]:
    """Rows from columns of Python values; columns that are no field are ignored."""
    known = columns_of(row_type)
    present = [name for name in known if name in columns]
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(row_type)
        if field.default is not dataclasses.MISSING
    }
    cells = [
        [tuple(value or ()) for value in columns[name]] if known[name] == "strs"
        # A column added later is null in older rows, also where its field allows no None.
        else [defaults.get(name) if value is None else value for value in columns[name]]
        for name in present
    ]
    return [row_type(**dict(zip(present, values, strict=True))) for values in zip(*cells, strict=True)]
