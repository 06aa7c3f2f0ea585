"""Frozen dataclasses as columns and back, and how their tables are made. No files, and no pyarrow: deltalake brings its
own small Arrow.

A field's type gives its column: str, int (64 bit), float, bool and tuples of str; every column may be null. A column
that an older writer did not know reads as the field's default. What is annotated with a rule (`cells`) is compared with
it when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from helix_spark.catalog.cells import Rule, Text
from helix_spark.catalog.leases.leases import GRACE_SECONDS
from helix_spark.catalog.places.json_text import parsed
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from arro3.core import Array, Schema, Table
    from deltalake import WriterProperties

SEQUENCE = "sequence"
"""Extra column of every table: the table's version that the row was written for. A row written by someone who saw
another row has the greater number, whatever the clocks say; rows written at the same time may share one."""

PLACE = "place"
"""Extra column of every table: the row's index within its commit."""

Plain = Literal["str", "int", "float", "bool", "strs"]


class RowType(Protocol):
    """A frozen dataclass of plain fields."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Row = TypeVar("Row", bound=RowType)


@dataclass(frozen=True, slots=True)
class RecordColumn:
    """A field as a column.

    Attributes:
        default: of the field; MISSING where it has none.
        may_be_null: also where the field has a default: it may have been added later.
    """

    plain: Plain
    rule: Rule | None
    default: Any
    may_be_null: bool


@cache
def columns_of(row_type: type[RowType]) -> Mapping[str, RecordColumn]:
    """Return the columns of a dataclass by name, in order, without `SEQUENCE` and `PLACE`.

    >>> @dataclass(frozen=True)
    ... class Seen:
    ...     name: str
    ...     seconds: float | None = None
    ...     inputs: tuple[str, ...] = ()
    >>> [(name, one.plain, one.may_be_null) for name, one in columns_of(Seen).items()]
    [('name', 'str', False), ('seconds', 'float', True), ('inputs', 'strs', True)]
    """
    hints = get_type_hints(row_type, include_extras=True)
    return {field.name: _column(hints[field.name], field.default) for field in fields(row_type)}


def _column(hint: Any, default: Any) -> RecordColumn:
    is_optional = get_origin(hint) in (UnionType, Union)
    if is_optional:
        (hint,) = (arg for arg in get_args(hint) if arg is not type(None))
    (rule,) = getattr(hint, "__metadata__", (None,))
    type_ = getattr(hint, "__origin__", hint) if rule is not None else hint
    names: dict[Any, Plain] = {str: "str", int: "int", float: "float", bool: "bool", Literal: "str", tuple: "strs"}
    return RecordColumn(names[get_origin(type_) or type_], rule, default, is_optional or default is not MISSING)


def table_schema(row_type: type[RowType]) -> Schema:
    """Return the Arrow schema of the table that holds `row_type`."""
    return to_table((), row_type, 0).schema


def other_types(schema: str, row_type: type[RowType]) -> list[str]:
    """Return the columns of a table, by its schema as Delta's JSON, that have another type than their field. Raises
    ValueError, KeyError or TypeError for what is no schema."""
    wanted: dict[str, Any] = {SEQUENCE: "long", PLACE: "long"}
    wanted |= {name: _DELTA[one.plain] for name, one in columns_of(row_type).items()}
    found = {one["name"]: one["type"] for one in parsed(schema)["fields"]}
    return [name for name, type_ in wanted.items() if name in found and _bare(found[name]) != type_]


_DELTA: Mapping[str, Any] = {
    "str": "string", "int": "long", "float": "double", "bool": "boolean", "strs": ("array", "string"),
}


def _bare(type_: Any) -> Any:
    """A type without whether its items may be null."""
    return (type_.get("type"), type_.get("elementType")) if isinstance(type_, dict) else type_


def to_table(rows: Sequence[RowType], row_type: type[Row], sequence: int) -> Table:
    """Return rows as an Arrow table, `SEQUENCE` and `PLACE` first. Raises CatalogError for text that is not Unicode."""
    from arro3.core import Array, DataType, Table

    arrays: dict[str, Any] = {
        SEQUENCE: Array([sequence] * len(rows), type=DataType.int64()),
        PLACE: Array(list(range(len(rows))), type=DataType.int64()),
    }
    for name, column in columns_of(row_type).items():
        values = [_cut(getattr(row, name), column.rule) for row in rows]
        try:
            arrays[name] = _array(values, column.plain)
        except UnicodeEncodeError as error:
            raise CatalogError(f"the {name} of a record holds characters that are not Unicode: {error}") from error
    return Table.from_pydict(arrays)


def _cut(value: Any, rule: Rule | None) -> Any:
    """A text for people as long as it may be."""
    if isinstance(rule, Text) and not rule.form and not rule.named and isinstance(value, str):
        return value[: rule.most]
    return value


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


Columns = Mapping[str, Sequence[Any]]
"""Columns of Python values by name."""


def from_columns(columns: Columns, row_type: type[Row]) -> tuple[list[Row], list[str]]:
    """Return the rows in columns; and of those that do not fit, why. Columns that are no field are ignored."""
    columns, wrong = fitting(columns, row_type)
    known = columns_of(row_type)
    present = {name: one for name, one in known.items() if name in columns}
    absent = [name for name, one in known.items() if name not in columns and one.default is MISSING]
    if absent:
        return [], wrong or ["; ".join(f"{name}: it is missing" for name in absent)] * any(map(len, columns.values()))
    cells = [_filled(columns[name], one) for name, one in present.items()]
    return [row_type(**dict(zip(present, values, strict=True))) for values in zip(*cells, strict=True)], wrong


def _filled(values: Sequence[Any], column: RecordColumn) -> list[Any]:
    """A column's values as those of its field. One that was added later is null in older rows, also where its field
    allows no None."""
    if column.plain == "strs":
        return [tuple(value) if isinstance(value, list) else () for value in values]
    default = None if column.default is MISSING else column.default
    return [default if value is None else value for value in values]


def fitting(columns: Columns, row_type: type[RowType]) -> tuple[Columns, list[str]]:
    """Return columns without the rows in which a field does not fit; and of each of these, why."""
    wrong: dict[int, list[str]] = {}
    for name, column in columns_of(row_type).items():
        if (rule := column.rule) is None:
            continue
        for place, value in enumerate(columns.get(name, ())):
            what = rule.misfit(value) if value is not None else "" if column.may_be_null else "it is missing"
            if what:
                wrong.setdefault(place, []).append(f"{name}: {what}")
    if wrong:
        columns = {name: [one for place, one in enumerate(values) if place not in wrong]
                   for name, values in columns.items()}
    return columns, ["; ".join(wrong[place]) for place in sorted(wrong)]


def journal_settings(pruned_by: Sequence[str]) -> dict[str, str]:
    """Return the settings of a journal's table, with the columns of which the log keeps the least and greatest
    values."""
    return {
        "delta.enableExpiredLogCleanup": "false",  # but by `upkeep`
        "delta.logRetentionDuration": f"interval {GRACE_SECONDS:.0f} seconds",
        "delta.deletedFileRetentionDuration": "interval 10 minutes",
        "delta.dataSkippingStatsColumns": ",".join(pruned_by),
    }


def written_as(pruned_by: Sequence[str]) -> WriterProperties:
    """Return how its files are written: with statistics of those columns alone that skip files.

    A footer has a column's smallest and largest value whole, twice each; of rows with long texts, one or two a
    file, that was half of all bytes of records.
    """
    from deltalake import ColumnProperties, WriterProperties

    with_statistics = {name: ColumnProperties(statistics_enabled="CHUNK") for name in pruned_by}
    return WriterProperties(
        compression="ZSTD", default_column_properties=ColumnProperties(statistics_enabled="NONE"),
        column_properties=with_statistics,
    )
