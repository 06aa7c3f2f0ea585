"""What `--set NAME=VALUE` says, as values of the types that a workflow's function takes."""

from __future__ import annotations

import datetime
import inspect
import operator
import pathlib
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial, reduce
from pathlib import Path
from types import GenericAlias, NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from helix_spark.errors import ParameterError, nearest
from helix_spark.workflow.functions import location_of


class UnsettableError(Exception):
    """No text stands for a value of a type."""


def arguments_of(factory: Callable[..., Any], settings: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of a workflow's function; of several values of one parameter the last counts.

    Raises:
        ParameterError: a parameter that the function does not take, one without a value, or a value of the wrong type.
    """
    parameters = inspect.signature(factory).parameters
    arguments: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ParameterError(f"--set {setting!r} has no value", remedy="write --set NAME=VALUE")
        if name not in parameters:
            raise ParameterError(f"the workflow takes no parameter {name!r}", remedy=nearest(name, parameters))
        arguments[name] = _value(parameters[name], text, factory)
    needed = [p.name for p in parameters.values() if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    missing = [name for name in needed if name not in arguments]
    if missing:
        raise ParameterError(
            f"the workflow needs a value for {', '.join(missing)}", remedy=f"write --set {missing[0]}=VALUE"
        )
    return arguments


def _value(parameter: inspect.Parameter, text: str, factory: Callable[..., Any]) -> Any:
    """Return text as the type of the parameter's annotation, else of its default, else as text."""
    kinds = _kinds(parameter, _names(factory))
    takes = f"parameter {parameter.name!r} takes {' | '.join(map(_shown, kinds))}"
    try:
        return _first_that_fits(kinds, text)
    except ValueError:
        raise ParameterError(
            f"{takes}, and {text!r} is not one", where=location_of(factory),
            remedy=f"write --set {parameter.name}=VALUE; values of a list are divided by commas",
        ) from None
    except UnsettableError:
        raise ParameterError(
            f"{takes}, which cannot be set on the command line", where=location_of(factory), exists="what can be: int, "
            "float, bool, str, Path, date, Literal, and list or tuple of these, such as list[int]",
            remedy="annotate it as one of these, or change its default in the file",
        ) from None


# Which types a parameter takes


def _kinds(parameter: inspect.Parameter, names: Mapping[str, Any]) -> list[Any]:
    """Return the types that a parameter takes: as annotated, else as its default has, else text.

    Args:
        names: what annotations may name.

    >>> def workflow(a: float | None, b: "int", c=0.5, d=None, e=(1, 2), f: "Unknown | int" = 1): ...
    >>> parameters = inspect.signature(workflow).parameters.values()
    >>> ["|".join(map(_shown, _kinds(parameter, {}))) for parameter in parameters]
    ['float|None', 'int', 'float', 'str|None', 'tuple[int, ...]', 'Unknown|int']
    """
    hints = [] if parameter.annotation is parameter.empty else _hints(parameter.annotation, names)
    if hints and Any not in hints:
        return hints
    known = parameter.default is not parameter.empty and parameter.default is not None
    return [_kind_of(parameter.default)] if known else [str, NoneType]


def _hints(annotation: Any, names: Mapping[str, Any]) -> list[Any]:
    """Return the types that an annotation admits; text where it names what is not there while the file runs."""
    try:
        hint = get_type_hints(SimpleNamespace(__annotations__={"it": annotation}), dict(names))["it"]
    except (NameError, AttributeError, TypeError, SyntaxError):
        parts = annotation.strip("'\"").split(" | ") if isinstance(annotation, str) else [annotation]
        return parts if len(parts) == 1 else [hint for part in parts for hint in _hints(part, names)]
    return list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]


def _names(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return what a function's annotations may name: what its file has, and what it may import for the type checker
    alone."""
    function = inspect.unwrap(factory.func if isinstance(factory, partial) else factory)
    known: dict[str, Any] = {
        "Any": Any, "Literal": Literal, "Optional": typing.Optional, "Path": Path, "Sequence": Sequence, "Union": Union,
        "date": datetime.date, "pathlib": pathlib, "typing": typing,
    }
    return known | getattr(function, "__globals__", {})


def _kind_of(default: Any) -> Any:
    """Return the type that a parameter takes which has such a default."""
    if isinstance(default, Enum):
        return type(default)
    if isinstance(default, list | tuple):
        inside = sorted(dict.fromkeys(map(_kind_of, default)), key=lambda kind: kind in (str, Path))  # text fits always
        if not inside:
            return type(default)
        kinds = reduce(operator.or_, inside)
        return GenericAlias(tuple, (kinds, ...)) if isinstance(default, tuple) else GenericAlias(list, (kinds,))
    return next((kind for kind in _CONVERSIONS if isinstance(default, kind)), type(default))


# From text


def _first_that_fits(kinds: Sequence[Any], text: str) -> Any:
    """Return text as the first of these types that it fits. Raises ValueError if it is of none of them, and
    UnsettableError if no text is."""
    is_settable = False
    for kind in sorted(kinds, key=lambda kind: kind is not NoneType):  # where nothing is a value, `none` says so
        try:
            return _converted(kind, text)
        except ValueError:
            is_settable = is_settable or kind is not NoneType
        except UnsettableError:
            continue
    raise ValueError(text) if is_settable else UnsettableError


def _converted(kind: Any, text: str) -> Any:
    """Return text as a type. Raises as `_first_that_fits`."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _choice(inside, text)
    if origin in (Union, UnionType):
        return _first_that_fits(inside, text)
    if origin in _ROWS:
        items = [one for one in inside if one is not ...]
        if any(get_origin(one) in _ROWS for one in items):
            raise UnsettableError
        texts = [one.strip() for one in text.split(",")] if text.strip() else []
        is_open = origin is not tuple or inside[1:] == (...,)
        each = items * len(texts) if is_open else items
        return _ROWS[origin]([_converted(item, one) for item, one in zip(each, texts, strict=True)])
    if not isinstance(kind, type) or kind not in _CONVERSIONS:
        raise UnsettableError
    return _CONVERSIONS[kind](text)


def _choice(values: Sequence[Any], text: str) -> Any:
    for value in values:
        if text == value or (not isinstance(value, str) and text.lower() == str(value).lower()):
            return value
    raise ValueError(text)


def _bool(text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


def _none(text: str) -> None:
    if text.lower() not in ("none", "null"):
        raise ValueError(text)


_CONVERSIONS: Mapping[type, Callable[[str], Any]] = {
    bool: _bool, int: int, float: float, Path: Path, datetime.datetime: datetime.datetime.fromisoformat,
    datetime.date: datetime.date.fromisoformat, str: str, NoneType: _none,
}
"""A type before those that it is one of: what is True is an int, too."""

_ROWS: Mapping[Any, Callable[[Sequence[Any]], Any]] = {list: list, tuple: tuple, Sequence: tuple}


# For people


def _shown(kind: Any) -> str:
    """Return a type as its author writes it.

    >>> _shown(Literal["a", "b"]), _shown(list[datetime.date]), _shown(NoneType), _shown(float)
    ("Literal['a', 'b']", 'list[date]', 'None', 'float')
    """
    if kind is NoneType:
        return "None"
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    return re.sub(r"\b(?:typing|collections\.abc|datetime|pathlib)\.", "", str(kind))
