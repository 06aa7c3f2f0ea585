"""The fields of records as columns, and whether what a file says of a record fits them.

A field's type gives its column: str, int (64 bit), float, bool and tuples of str; each may be None where the field
allows it. A field that an older writer did not know has its default. Types have rules (`msgspec.Meta`), with which what
is read is compared: records may be from anybody.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields
from functools import cache, lru_cache
from types import UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Meta

from helix_spark.catalog.places.json_text import as_type, parsed_as

Plain = Literal["str", "int", "float", "bool", "strs"]


class RecordType(Protocol):
    """A frozen dataclass of plain fields."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Record = TypeVar("Record", bound=RecordType)


@dataclass(frozen=True, slots=True)
class Json:
    """Says of a text that it is JSON of a type, unless it is the field's default."""

    of: Any


@dataclass(frozen=True, slots=True)
class RecordColumn:
    """A field as a column.

    Attributes:
        default: of the field; MISSING where it has none.
        longest: letters to which a text for people is cut; None for others.
        json: the type of what a JSON text says; None for others.
    """

    plain: Plain
    default: Any
    longest: int | None
    json: Any

    def value(self, cell: Any) -> Any:
        """Return the value of the field that a cell holds."""
        if self.plain == "strs" and cell is not None:
            return tuple(json.loads(cell))
        return bool(cell) if self.plain == "bool" and cell is not None else cell


@cache
def columns_of(record_type: type[RecordType]) -> Mapping[str, RecordColumn]:
    """Return the columns of a dataclass by name, in order.

    >>> @dataclass(frozen=True)
    ... class Seen:
    ...     name: str
    ...     seconds: float | None = None
    ...     inputs: tuple[str, ...] = ()
    >>> [(name, one.plain) for name, one in columns_of(Seen).items()]
    [('name', 'str'), ('seconds', 'float'), ('inputs', 'strs')]
    """
    hints = get_type_hints(record_type, include_extras=True)
    return {field.name: _column(hints[field.name], field.default) for field in fields(record_type)}


def _column(hint: Any, default: Any) -> RecordColumn:
    if get_origin(hint) in (UnionType, Union):
        (hint,) = (arg for arg in get_args(hint) if arg is not type(None))
    rules = getattr(hint, "__metadata__", ())
    type_ = getattr(hint, "__origin__", hint) if rules else hint
    names: dict[Any, Plain] = {str: "str", int: "int", float: "float", bool: "bool", Literal: "str", tuple: "strs"}
    plain = names[get_origin(type_) or type_]
    said = next((one.of for one in rules if isinstance(one, Json)), None)
    is_prose = plain == "str" and said is None
    longest = next((one.max_length for one in rules if is_prose and isinstance(one, Meta) and not one.pattern), None)
    return RecordColumn(plain, default, longest, said)


def fields_of(record: RecordType) -> dict[str, Any]:
    """Return the fields of a record that do not hold their default, texts for people as long as they may be."""
    found = dict[str, Any]()
    for name, column in columns_of(type(record)).items():
        value = getattr(record, name)
        if column.longest is not None and value is not None:
            value = value[: column.longest]
        if value != column.default:
            found[name] = value
    return found


def record_of(said: Mapping[str, Any], record_type: type[Record]) -> Record:
    """Return the record with these fields, from JSON; unknown ones are left out. Raises ValueError for what does not
    fit."""
    record = as_type(said, record_type)
    for name, column in columns_of(record_type).items():
        text = getattr(record, name) if column.json is not None else None
        if text is not None and text != column.default:
            try:
                _check_json(text, column.json)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
    return record


@lru_cache(maxsize=4096)
def _check_json(text: str, type_: Any) -> None:
    """Check what a JSON text says; records of unchanged nodes say the same again and again. Raises ValueError."""
    parsed_as(text, type_)


def cells_of(record: RecordType) -> list[Any]:
    """Return the cells of a record in SQLite, in the order of its columns."""
    values = (getattr(record, name) for name in columns_of(type(record)))
    return [json.dumps(value) if isinstance(value, tuple) else value for value in values]


def record_from_cells(record_type: type[Record], cells: Iterable[Any]) -> Record:
    """Return the record of a row's cells, in the order of its columns."""
    columns = columns_of(record_type)
    return record_type(**{name: one.value(cell) for (name, one), cell in zip(columns.items(), cells, strict=True)})
