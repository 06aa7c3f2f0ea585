"""The fields of records as columns, and whether what a file says of a record fits them.

A field's type gives its column: str, int (64 bit), float, bool and tuples of str; each may be None where the field
allows it. A field that an older writer did not know has its default. What is annotated with a rule (`cells`) is
compared with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from types import UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from helix_spark.catalog.cells import Rule, Text

Plain = Literal["str", "int", "float", "bool", "strs"]


class RecordType(Protocol):
    """A frozen dataclass of plain fields."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Record = TypeVar("Record", bound=RecordType)


@dataclass(frozen=True, slots=True)
class RecordColumn:
    """A field as a column.

    Attributes:
        default: of the field; MISSING where it has none.
        may_be_null: whether the field may be None.
    """

    plain: Plain
    rule: Rule | None
    default: Any
    may_be_null: bool

    def misfit(self, value: Any) -> str:
        """Return what is wrong with a value from JSON, in words; empty if nothing is."""
        if value is None:
            return "" if self.may_be_null else "it is missing"
        if self.rule is not None and (wrong := self.rule.misfit(value)):
            return wrong
        kind = type(value)
        if self.plain == "strs":
            is_plain = kind is list and all(isinstance(one, str) for one in value)
        else:
            is_plain = kind in _TYPES[self.plain] and not (kind is int and value.bit_length() > 63)
        return "" if is_plain else f"it is a {kind.__name__}"

    def value(self, cell: Any) -> Any:
        """Return the value of the field that a cell holds."""
        if self.plain == "strs" and cell is not None:
            return tuple(json.loads(cell))
        return bool(cell) if self.plain == "bool" and cell is not None else cell


_TYPES: Mapping[Plain, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (float, int), "bool": (bool,)}


@cache
def columns_of(record_type: type[RecordType]) -> Mapping[str, RecordColumn]:
    """Return the columns of a dataclass by name, in order.

    >>> @dataclass(frozen=True)
    ... class Seen:
    ...     name: str
    ...     seconds: float | None = None
    ...     inputs: tuple[str, ...] = ()
    >>> [(name, one.plain, one.may_be_null) for name, one in columns_of(Seen).items()]
    [('name', 'str', False), ('seconds', 'float', True), ('inputs', 'strs', False)]
    """
    hints = get_type_hints(record_type, include_extras=True)
    return {field.name: _column(hints[field.name], field.default) for field in fields(record_type)}


def _column(hint: Any, default: Any) -> RecordColumn:
    is_optional = get_origin(hint) in (UnionType, Union)
    if is_optional:
        (hint,) = (arg for arg in get_args(hint) if arg is not type(None))
    (rule,) = getattr(hint, "__metadata__", (None,))
    type_ = getattr(hint, "__origin__", hint) if rule is not None else hint
    names: dict[Any, Plain] = {str: "str", int: "int", float: "float", bool: "bool", Literal: "str", tuple: "strs"}
    return RecordColumn(names[get_origin(type_) or type_], rule, default, is_optional)


def fields_of(record: RecordType) -> dict[str, Any]:
    """Return the fields of a record that do not hold their default, texts for people as long as they may be."""
    columns = columns_of(type(record)).items()
    values = {name: (_cut(getattr(record, name), column.rule), column.default) for name, column in columns}
    return {name: value for name, (value, default) in values.items() if value != default}


def _cut(value: Any, rule: Rule | None) -> Any:
    if isinstance(rule, Text) and not rule.form and not rule.named and isinstance(value, str):
        return value[: rule.most]
    return value


def cells_of(said: Mapping[str, Any], record_type: type[RecordType]) -> tuple[list[Any], str]:
    """Return the cells of a record with these fields, from JSON, in SQLite and the order of its columns, unknown fields
    left out; and what does not fit, in words."""
    cells, wrong = list[Any](), list[str]()
    for name, column in columns_of(record_type).items():
        value = said.get(name, column.default)
        if value is not column.default and (what := column.misfit(value)):
            wrong.append(f"{name}: {what}")
        elif value is MISSING:
            wrong.append(f"{name}: it is missing")
        is_list = column.plain == "strs" and not wrong and value is not None
        cells.append(json.dumps(value) if is_list else value)
    return cells, "; ".join(wrong)


def record_of(said: Mapping[str, Any], record_type: type[Record]) -> Record:
    """Return the record with these fields, from JSON; unknown ones are left out. Raises ValueError for what does not
    fit."""
    cells, wrong = cells_of(said, record_type)
    if wrong:
        raise ValueError(wrong)
    return record_from_cells(record_type, cells)


def record_from_cells(record_type: type[Record], cells: Iterable[Any]) -> Record:
    """Return the record of a row's cells, in the order of its columns."""
    columns = columns_of(record_type)
    return record_type(**{name: one.value(cell) for (name, one), cell in zip(columns.items(), cells, strict=True)})
