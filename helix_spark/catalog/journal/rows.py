"""Frozen dataclasses as columns and back, and how their tables are made. No files, and no pyarrow: deltalake brings its
own small Arrow.

A field's type gives its column: str, int (64 bit), float, bool and tuples of str; every column may be null. A column
that an older writer did not know reads as the field's default. What is annotated with a rule (`cells`) is compared with
it when it is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    if _is_optional(hint):
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


def other_types(schema: str, row_type: type[RowType]) -> dict[str, Any]:
    """The columns of a table, by its schema as Delta's JSON, that have another type than their field, each with the one
    that it is to have. Raises ValueError, KeyError or TypeError for what is no schema."""
    wanted = {SEQUENCE: "long", PLACE: "long", **{name: _DELTA[one] for name, one in columns_of(row_type).items()}}
    found = {one["name"]: one["type"] for one in parsed(schema)["fields"]}
    return {name: type_ for name, type_ in wanted.items() if name in found and not _is_same(found[name], type_)}


_DELTA: Mapping[Plain, Any] = {
    "str": "string", "int": "long", "float": "double", "bool": "boolean",
    "strs": {"type": "array", "elementType": "string", "containsNull": True},
}


def _is_same(one: Any, other: Any) -> bool:
    """Whether two types are one, whether or not their items may be null."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(one.get(key) == other.get(key) for key in ("type", "elementType"))
    return bool(one == other)


def to_table(rows: Sequence[RowType], row_type: type[Row], sequence: int) -> Table:
    """Rows as an Arrow table, `SEQUENCE` and `PLACE` first. Raises CatalogError for text that is not Unicode."""
    from arro3.core import Array, DataType, Table

    arrays: dict[str, Any] = {
        SEQUENCE: Array([sequence] * len(rows), type=DataType.int64()),
        PLACE: Array(list(range(len(rows))), type=DataType.int64()),
    }
    for name, plain in columns_of(row_type).items():
        rule, _ = rules_of(row_type)[name]
        values = [_cut(getattr(row, name), rule) for row in rows]
        try:
            arrays[name] = _array(values, plain)
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


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row that is none of its dataclass.

    Attributes:
        wrong: what is wrong with its fields, in words, by name.
    """

    wrong: Mapping[str, str]

    def __str__(self) -> str:
        """Return what is wrong, in a line."""
        return "; ".join(f"{name}: {what}" for name, what in self.wrong.items())


def from_columns(columns: Mapping[str, Sequence[Any]], row_type: type[Row]) -> list[Row | Misfit]:
    """Rows from columns of Python values, some of which may not fit; columns that are no field are ignored."""
    present = [name for name in columns_of(row_type) if name in columns]
    size = len(columns[present[0]]) if present else 0
    needed = {field.name for field in dataclasses.fields(row_type) if field.default is dataclasses.MISSING}
    wrong = misfits(columns, row_type)
    if absent := needed.difference(present):
        wrong = {place: dict.fromkeys(absent, "it is missing") | wrong.get(place, {}) for place in range(size)}
    cells = [_filled(columns[name], name, row_type) for name in present]
    found: list[Row | Misfit] = []
    for place, values in enumerate(zip(*cells, strict=True)):
        row = Misfit(wrong[place]) if place in wrong else row_type(**dict(zip(present, values, strict=True)))
        found.append(row)
    return found


def _filled(values: Sequence[Any], name: str, row_type: type[RowType]) -> list[Any]:
    """A column's values as those of its field. One that was added later is null in older rows, also where its field
    allows no None."""
    if columns_of(row_type)[name] == "strs":
        return [tuple(value) if isinstance(value, list) else () for value in values]
    default = row_type.__dataclass_fields__[name].default
    default = None if default is dataclasses.MISSING else default
    return [default if value is None else value for value in values]


def misfits(columns: Mapping[str, Sequence[Any]], row_type: type[RowType]) -> dict[int, dict[str, str]]:
    """Return what is wrong with the values in columns that are fields, by place and name; nothing of what fits."""
    wrong: dict[int, dict[str, str]] = {}
    for name, (rule, may_be_null) in rules_of(row_type).items():
        if rule is None:
            continue
        for place, value in enumerate(columns.get(name, ())):
            what = rule.misfit(value) if value is not None else "" if may_be_null else "it is missing"
            if what:
                wrong.setdefault(place, {})[name] = what
    return wrong


@cache
def rules_of(row_type: type[RowType]) -> Mapping[str, tuple[Rule | None, bool]]:
    """The rule of each field, and whether its column may be null: where the field may be None, or has a default."""
    hints = get_type_hints(row_type, include_extras=True)
    needed = {field.name for field in dataclasses.fields(row_type) if field.default is dataclasses.MISSING}
    return {
        name: (_rule(hints[name]), name not in needed or _is_optional(hints[name])) for name in columns_of(row_type)
    }


def _rule(hint: Any) -> Rule | None:
    inner = [arg for arg in get_args(hint) if arg is not type(None)] if _is_optional(hint) else [hint]
    return next((one for arg in inner for one in getattr(arg, "__metadata__", ())), None)


def _is_optional(hint: Any) -> bool:
    return get_origin(hint) in (UnionType, Union)


SETTINGS = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": f"interval {GRACE_SECONDS:.0f} seconds",
    "delta.deletedFileRetentionDuration": "interval 10 minutes",
}
"""What Delta is told of each table of records. Its log is cleaned up by `upkeep` alone. How long a checkpoint names
removed files matters to Delta's own vacuum alone, which is never asked."""


def journal_settings(pruned_by: Sequence[str]) -> dict[str, str]:
    """The settings of a journal's table.

    Args:
        pruned_by: the columns of which the log keeps the least and greatest values.
    """
    return {**SETTINGS, "delta.dataSkippingStatsColumns": ",".join(pruned_by)}


def written_as(pruned_by: Sequence[str]) -> WriterProperties:
    """How its files are written: with statistics of those columns alone that skip files.

    A footer has a column's smallest and largest value whole, twice each; of rows with long texts, one or two a
    file, that was half of all bytes of records.
    """
    from deltalake import ColumnProperties, WriterProperties

    with_statistics = {name: ColumnProperties(statistics_enabled="CHUNK") for name in pruned_by}
    return WriterProperties(
        compression="ZSTD", default_column_properties=ColumnProperties(statistics_enabled="NONE"),
        column_properties=with_statistics,
    )
