"""JSON that somebody else may have written: as deep as people nest things, and no deeper."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, TypeVar

from msgspec import Meta, ValidationError, convert

from helix_spark.visible_text import cut

T = TypeVar("T")

Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]

DEEPEST = 100
"""Levels of lists and objects inside each other: Python allows a thousand nested calls, readers take some a level."""


def parsed(text: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError for what is none, or is nested deeper than `DEEPEST`.

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
    """Return a value of JSON's types as one of a type, see `msgspec.convert`. Raises ValueError for what is none."""
    try:
        return convert(value, type_)
    except ValidationError as error:  # which may quote all of a text
        raise ValueError(cut(str(error), 300)) from error


def parsed_as(text: str | bytes, type_: type[T]) -> T:
    """Return the value of a JSON text as one of a type. Raises ValueError for what is none, or is nested too deep.

    >>> parsed_as('{"a": 1}', dict[str, int])
    {'a': 1}
    >>> parsed_as('{"a": true}', dict[str, int])
    Traceback (most recent call last):
    ...
    ValueError: Expected `int`, got `bool` - at `$[...]`
    """
    return as_type(parsed(text), type_)


def mapping(text: str) -> dict[str, Any]:
    """Return a JSON object; what is damaged reads as an empty one.

    >>> mapping('{"a": 1}'), mapping("[1]"), mapping("{")
    ({'a': 1}, {}, {})
    """
    try:
        return parsed_as(text, dict[str, Any])
    except ValueError:
        return {}


def is_too_deep(value: Any) -> bool:
    """Whether a value of JSON's types is nested deeper than `DEEPEST`."""
    level = [value]
    for _ in range(DEEPEST + 1):
        nested = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, list | dict)]
        if not nested:
            return False
        level = [inner for one in nested for inner in one]
    return True
