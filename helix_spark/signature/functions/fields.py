"""One field of a configuration: what ``CFG.alpha``, ``PARAMS["model"]["reg"]`` lead to in a value that is there now.

Code that reads a field depends on that field, and on no other of the object that holds it, as long as reading it runs
no code of anybody's and what it leads to is plain data. Whatever else is done to the object refers to the whole of it.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Sequence
from dataclasses import dataclass
from types import MemberDescriptorType, SimpleNamespace

from helix_spark.signature.functions.code_form import path_text
from helix_spark.signature.objects.edges import Reference
from helix_spark.signature.objects.leaves import LEAVES
from helix_spark.signature.objects.origin import package_of_module

_NAMESPACES = (SimpleNamespace, argparse.Namespace)
"""Classes of Python's own whose objects hold what they were given, and no more."""

_READ_PLAINLY = (object, tuple, dict, list, str, int, float)
"""Classes of Python's own that say of themselves how their objects are read, which is as all others are."""

_MISSING = object()
_LEVELS = 6
"""How deep plain data may be in lists and dicts to be looked at."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where a path leads.

    Attributes:
        value: plain data.
        steps: how many steps of the path lead there.
        variable: what it was read from, as in `Reference`.
    """

    value: object
    steps: int
    variable: tuple[int, str]


def field_of(value: object, path: Sequence[str]) -> Field | None:
    """The plain data that a path of attributes and keys leads to, as far along it as there is any; None if there is
    none, or if getting there may run code.

    >>> from helix_spark.signature.functions.code_form import key_step
    >>> found = field_of({"model": {"reg": 0.1, "bins": 3}}, (key_step("model"), key_step("reg"), "real"))
    >>> (found.value, found.steps) if found else None
    (0.1, 2)
    >>> field_of({"model": object()}, (key_step("model"),)) is None
    True
    """
    found: Field | None = None
    for steps, step in enumerate(path, start=1):
        if type(value) is dict and step == "get" and path[steps:]:
            continue  # which asks for the key that follows
        holder, value = _read(value, step)
        if value is _MISSING:
            break
        # What a class has as None may be made when it is first asked for, and is the whole class's affair.
        if is_plain(value) and not (value is None and isinstance(holder, type)):
            found = Field(value, steps, (id(holder), step))
    return found


def reference_to(start: Reference, field: Field, path: Sequence[str], owner: str) -> Reference:
    """The edge to a field of what an edge leads to, for the function that reads it."""
    steps = path_text(path[: field.steps])
    label = f"{start.label[:-1]}{steps}`" if start.label.endswith("`") else f"{start.label}{steps}"
    return Reference(field.value, label, start.role, f"{start.name}{steps}", owner, variable=field.variable)


def _read(holder: object, step: str) -> tuple[object, object]:
    """What a step leads to, and the object or class in which it is kept."""
    kind = type(holder)
    if kind is dict:
        assert isinstance(holder, dict)
        return holder, holder.get(ast.literal_eval(step[1:-1]), _MISSING) if step.startswith("[") else _MISSING
    if step.startswith("["):
        return holder, _MISSING
    if step.startswith("__") and step.endswith("__"):
        return holder, _MISSING
    if kind is type:
        assert isinstance(holder, type)
        return _kept_by_class(holder, step) if _is_ours(holder) else (holder, _MISSING)
    return _kept_by_object(holder, step) if kind in _NAMESPACES or _is_ours(kind) else (holder, _MISSING)


def _is_ours(kind: type) -> bool:
    """Whether a class is the project's, and says nothing of how its objects are read or what they are identified by."""
    if package_of_module(kind.__module__) is not None:
        return False
    said = (vars(base) for base in kind.__mro__ if base not in _READ_PLAINLY)
    return not any("__getattribute__" in names or "__helix_signature__" in names for names in said)


def _kept_by_class(kind: type, name: str) -> tuple[object, object]:
    return next(((base, vars(base)[name]) for base in kind.__mro__ if name in vars(base)), (kind, _MISSING))


def _kept_by_object(holder: object, name: str) -> tuple[object, object]:
    """An attribute in the object itself, in a slot of it, or else in its class, where that is plain data."""
    base, on_class = _kept_by_class(type(holder), name)
    if type(on_class) is MemberDescriptorType or type(on_class).__name__ == "_tuplegetter":  # of a slot, a named tuple
        try:
            return holder, object.__getattribute__(holder, name)
        except AttributeError:  # a slot not set yet
            return holder, _MISSING
    if on_class is not _MISSING and hasattr(type(on_class), "__get__"):  # a property, a method, something cached
        return holder, _MISSING
    try:
        own = object.__getattribute__(holder, "__dict__")
    except AttributeError:  # has slots only
        own = {}
    if type(own) is not dict:
        return holder, _MISSING
    return (holder, own[name]) if name in own else (base, on_class)


def is_plain(value: object, levels: int = _LEVELS) -> bool:
    """Whether a value is a number, a text or the like, or a list, tuple, set or dict of such."""
    if type(value) in LEAVES:
        return True
    match value:
        case dict() if type(value) is dict:
            inside = [*value, *value.values()]
        case list() | tuple() | set() | frozenset() if type(value) in (list, tuple, set, frozenset):
            inside = list(value)
        case _:
            return False
    return levels > 0 and all(is_plain(one, levels - 1) for one in inside)
