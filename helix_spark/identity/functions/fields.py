"""One field of a configuration: what ``CFG.alpha``, ``PARAMS["model"]["reg"]`` lead to in a value that is there now.

Code that reads a field depends on that field, and on no other of the object that holds it, as long as reading it runs
no code of anybody's and what it leads to is plain data. Whatever else is done to the object refers to the whole of it.
"""

from __future__ import annotations

import argparse
import ast
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from types import MemberDescriptorType, SimpleNamespace

from helix_spark.identity.functions.code_form import path_text
from helix_spark.identity.objects.leaves import LEAVES
from helix_spark.identity.objects.origin import package_of_module
from helix_spark.identity.objects.references import Reference

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

    >>> from helix_spark.identity.functions.code_form import key_step
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
    if step.startswith("["):
        key = ast.literal_eval(step[1:-1])
        return holder, holder.get(key, _MISSING) if isinstance(holder, dict) and kind is dict else _MISSING
    own = holder if isinstance(holder, type) and kind is type else kind
    if (step.startswith("__") and step.endswith("__")) or not (kind in _NAMESPACES or _is_ours(own)):
        return holder, _MISSING
    found, on_class = inspect.getattr_static(holder, step, _MISSING), inspect.getattr_static(own, step, _MISSING)
    base = next((base for base in own.__mro__ if vars(base).get(step, _MISSING) is found), holder)
    if type(on_class) is MemberDescriptorType or type(on_class).__name__ == "_tuplegetter":  # of a slot, a named tuple
        try:
            return holder, on_class.__get__(holder) if own is kind else _MISSING
        except AttributeError:  # a slot not set yet
            return holder, _MISSING
    if own is kind and hasattr(type(on_class), "__get__"):  # a property, a method, something cached
        return holder, _MISSING
    return base, found


def _is_ours(kind: type) -> bool:
    """Whether a class is the project's, and says nothing of how its objects are read or what they are identified by."""
    if package_of_module(kind.__module__) is not None:
        return False
    said = (vars(base) for base in kind.__mro__ if base not in _READ_PLAINLY)
    return not any("__getattribute__" in names or "__helix_signature__" in names for names in said)


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
