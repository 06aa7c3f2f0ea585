"""What each field of a record may hold. Records may be from anybody: what does not fit is noticed when it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from helix_spark.catalog.places.json_text import parsed
from helix_spark.visible_text import CONTROL


class Rule(Protocol):
    """What values of a field are to be. A value is never None here."""

    def misfit(self, value: Any) -> str:
        """Return what is wrong with a value, in words; empty if nothing is."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of at most so many letters.

    Attributes:
        form: a pattern of all of it; empty for any.
        named: whether it is a name, which takes one line and has no control characters.

    >>> Text(3).misfit("abcd"), Text(3, form="[0-9]*").misfit("a"), Text(9, named=True).misfit("a\\tb")
    ('it has 4 letters', "it is 'a'", "it is 'a\\\\tb'")
    """

    most: int
    form: str = ""
    named: bool = False

    def misfit(self, value: Any) -> str:
        if not isinstance(value, str):
            return f"it is a {type(value).__name__}"
        if len(value) > self.most:
            return f"it has {len(value):,} letters"
        if self.form:
            odd = _pattern(self.form).fullmatch(value) is None
        else:
            odd = self.named and CONTROL.search(value) is not None
        return f"it is {value[:80]!r}" if odd else ""


_pattern = lru_cache(maxsize=None)(re.compile)


def one_of(*words: str) -> Text:
    return Text(80, form="|".join(words))


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a range, its ends included; a whole one where these are.

    >>> Number(0, 9).misfit(True), Number(0.0, 9.0).misfit(math.nan), Number(0.0, 9.0).misfit(1)
    ('it is a bool', 'it is nan', '')
    """

    least: float
    most: float

    def misfit(self, value: Any) -> str:
        if type(value) is not int and (isinstance(self.least, int) or type(value) is not float):
            return f"it is a {type(value).__name__}"
        # Python compares whole numbers of any size with floats; NaN is in no range.
        if self.least <= value <= self.most:
            return ""
        return f"it is {value:.4g}" if isinstance(value, float) or abs(value) < 10**300 else "it has too many digits"


class Flag:
    """Yes or no."""

    def misfit(self, value: Any) -> str:
        return "" if isinstance(value, bool) else f"it is a {type(value).__name__}"


@dataclass(frozen=True, slots=True)
class Json:
    """JSON text of at most so many letters.

    Attributes:
        shape: of its value, see `is_like`.
        needed: whether the empty text is none.

    >>> Json({}, 20).misfit("[1]"), Json({}, 20).misfit("{}"), Json({}, 20, needed=False).misfit("")
    ('it is JSON of another kind', '', '')
    >>> Json({}, 20).misfit("{")
    'it is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)'
    """

    shape: Any
    most: int
    needed: bool = True

    def misfit(self, value: Any) -> str:
        if wrong := Text(self.most).misfit(value):
            return wrong
        if not value and not self.needed:
            return ""
        return _json_misfit(value, _Shape(self.shape))


class _Shape:
    """The shape of a field, known by where it is: shapes are constants."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shape) and other.shape is self.shape

    def __hash__(self) -> int:
        return id(self.shape)


@lru_cache(maxsize=4096)
def _json_misfit(text: str, shape: _Shape) -> str:
    """Return what is wrong with a JSON text; records of unchanged nodes say the same again and again."""
    try:
        found = parsed(text)
    except ValueError as error:
        return f"it is no JSON: {error}"
    return "" if is_like(found, shape.shape) else "it is JSON of another kind"


@dataclass(frozen=True, slots=True)
class SchemaText:
    """The Spark schema of a table, as JSON of at most so many letters.

    >>> SchemaText(99).misfit('{"type": "struct", "fields": [{"name": "a", "type": "long", "nullable": true}]}')
    ''
    >>> SchemaText(99).misfit('{"type": "struct", "fields": 3}')
    'it is no schema: its fields are none'
    """

    most: int

    def misfit(self, value: Any) -> str:
        if wrong := Text(self.most).misfit(value):
            return wrong
        try:
            parsed_schema(value)
        except ValueError as error:
            return f"it is no schema: {error}"
        return ""


MOST_COLUMNS, LONGEST_COLUMN, _LONGEST_TYPE = 20_000, 10_000, 200
"""Fields of a struct, letters of the name of one, and of a type's."""

_DECIMAL = re.compile(r"decimal\((\d{1,3}), ?(-?\d{1,3})\)")


@lru_cache(maxsize=256)
def parsed_schema(text: str) -> Mapping[str, Any]:
    """Return a table's Spark schema, in which each field and each type has what readers of schemas look for. Raises
    ValueError for what is no schema."""
    schema = parsed(text)
    if not isinstance(schema, dict) or schema.get("type") != "struct":
        raise ValueError("it is no struct")
    _check_type(schema)
    return schema


def _check_type(spark_type: Any) -> None:
    if isinstance(spark_type, str):
        precise = _DECIMAL.fullmatch(spark_type)
        is_decimal = spark_type.startswith("decimal(")
        if len(spark_type) > _LONGEST_TYPE or (is_decimal and not (
            precise and 1 <= int(precise[1]) <= 38 and abs(int(precise[2])) <= 38
        )):
            raise ValueError(f"there is no type {spark_type[:80]!r}")
        return
    kind = spark_type.get("type") if isinstance(spark_type, dict) else None
    if not isinstance(kind, str) or kind not in _INSIDE:
        raise ValueError(f"there is no type {str(kind or spark_type)[:80]!r}")
    inner, flag = _INSIDE[kind]
    if flag and not isinstance(spark_type.get(flag), bool):
        raise ValueError(f"a type {kind} does not tell whether it {flag}")
    for name in inner:
        _check_type(spark_type.get(name))
    if kind == "struct":
        fields = spark_type.get("fields")
        if not is_like(fields, [dict]) or len(fields) > MOST_COLUMNS:
            raise ValueError("its fields are none")
        for field in fields:
            name = field.get("name")
            if not isinstance(name, str) or len(name) > LONGEST_COLUMN:
                raise ValueError("a field has no name")
            if not isinstance(field.get("nullable"), bool) or not isinstance(field.get("metadata", {}), dict):
                raise ValueError(f"the field {name[:80]!r} is none")
            _check_type(field.get("type"))


_INSIDE: Mapping[str, tuple[tuple[str, ...], str]] = {
    "struct": ((), ""), "array": (("elementType",), "containsNull"),
    "map": (("keyType", "valueType"), "valueContainsNull"), "udt": (("sqlType",), ""),
}
"""Kinds of types that have others inside, and what says of them whether these may be null."""


def is_like(value: Any, shape: Any) -> bool:
    """True if a value of JSON's types has a shape: a type, of numbers finite ones; a text or None, which it is to be;
    several of which one fits, as a frozenset; of a list that of each item, or, as a tuple, those of all in order; of an
    object those of some fields, where "NAME?" need not be there, or that of each field by `str`.

    >>> is_like({"a": [1.5, 2], "b": "x"}, {"a": [float]}), is_like([["x", None]], [(str, frozenset({str, None}))])
    (True, True)
    >>> is_like({"a": True}, {"a": int}), is_like({}, {"a?": int}), is_like({"a": 1}, {str: str})
    (False, True, False)
    """
    match shape:
        case type():
            if shape is float:
                return type(value) in (int, float) and abs(value) < math.inf
            return type(value) is shape
        case frozenset():
            return any(is_like(value, one) for one in shape)
        case tuple():
            return isinstance(value, list) and len(value) == len(shape) and all(map(is_like, value, shape))
        case [each]:
            return isinstance(value, list) and all(is_like(one, each) for one in value)
        case dict():
            return isinstance(value, dict) and all(_has(value, name, inner) for name, inner in shape.items())
    return bool(value == shape)


def _has(value: dict[str, Any], name: Any, shape: Any) -> bool:
    if name is str:
        return all(is_like(one, shape) for one in value.values())
    field = name.removesuffix("?")
    return is_like(value[field], shape) if field in value else field != name


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of at most so many texts.

    >>> Texts(Text(3), 1).misfit(["a", "b"]), Texts(Text(1), 2).misfit(["a", "bc"])
    ('it has 2 texts', 'of its texts: it has 2 letters')
    """

    each: Text
    most: int

    def misfit(self, value: Any) -> str:
        if not isinstance(value, list):
            return f"it is a {type(value).__name__}"
        if len(value) > self.most:
            return f"it has {len(value):,} texts"
        wrong = next(filter(None, map(self.each.misfit, value)), "")
        return f"of its texts: {wrong}" if wrong else ""
