"""Parse JSON from untrusted sources, with limited nesting, as typed values."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, TypeVar

from msgspec import Meta, ValidationError, convert

from helix_spark.visible_text import cut

T = TypeVar("T")

Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]

DEEPEST = 100
"""Maximum nesting of lists and objects: Python allows a thousand nested calls, and readers use several per level."""


def parsed(text: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError if it is invalid, or nested deeper than `DEEPEST`.

    >>> parsed('{"a": [1]}')
    {'a': [1]}
    >>> parsed("[" * 101 + "]" * 101)
    Traceback (most recent call last):
    ...
    ValueError: it is nested more than 100 levels deep
    """
    try:
        value = json.loads(text)
        marks = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
        if marks <= DEEPEST or not is_too_deep(value):
            return value
    except RecursionError:
        pass
    raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def as_type(value: Any, type_: type[T]) -> T:
    """Convert a value of JSON's types to a type, see `msgspec.convert`. Raises ValueError if it does not fit."""
    try:
        return convert(value, type_)
    except ValidationError as error:  # it may quote a whole text
        raise ValueError(cut(str(error), 300)) from error


def parsed_as(text: str | bytes, type_: type[T]) -> T:
    """Convert a JSON text to a type. Raises ValueError if it does not fit, or is nested too deep.

    >>> parsed_as('{"a": 1}', dict[str, int])
    {'a': 1}
    >>> parsed_as('{"a": true}', dict[str, int])
    Traceback (most recent call last):
    ...
    ValueError: Expected `int`, got `bool` - at `$[...]`
    """
    return as_type(parsed(text), type_)


def mapping(text: str) -> dict[str, Any]:
    """Return a JSON object; empty for an invalid text.

    >>> mapping('{"a": 1}'), mapping("[1]"), mapping("{")
    ({'a': 1}, {}, {})
    """
    try:
        return parsed_as(text, dict[str, Any])
    except ValueError:
        return {}


def is_too_deep(value: Any) -> bool:
    """True if a value of JSON's types is nested deeper than `DEEPEST`."""
    level = [value]
    for _ in range(DEEPEST + 1):
        nested = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, list | dict)]
        if not nested:
            return False
        level = [inner for items in nested for inner in items]
    return True
