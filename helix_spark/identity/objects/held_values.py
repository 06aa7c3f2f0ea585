"""What functions and the objects of libraries hold: closure values, defaults, the functions they are wrapped around."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import _lru_cache_wrapper, partial, singledispatch
from typing import Any

from helix_spark.identity.bytecode import is_compiled_in
from helix_spark.identity.objects.attributes import has_hidden_state, is_class
from helix_spark.identity.objects.origin import PYTHON, package_of_function, package_of_module

HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE, Include/object.h: classes made at run time have it."""

def own_attribute(value: object, name: str) -> object | None:
    """Return an attribute that the object or its class has, without asking a `__getattr__`, which may answer anything;
    None also where an object answers for itself and raises."""
    with suppress(Exception):
        return getattr(value, name) if inspect.getattr_static(value, name, None) is not None else None
    return None


def wrapped_functions(value: object) -> dict[str, object]:
    """Return the functions inside an object of a library that stands for a function (numba's, joblib's, wrapt's), by
    name."""
    kind = type(value)
    if is_class(value) or kind is types.FunctionType:
        return {}
    package = package_of_module(kind.__module__)
    # A compiled class may claim a module that does not exist (wrapt's does); it shows by what it keeps out of sight.
    if package == PYTHON or (package is None and not has_hidden_state(value, object)):
        return {}
    held = {name: own_attribute(value, name) for name in ("__wrapped__", "py_func", "_self_wrapper")}
    return {
        name: inner
        for name, inner in held.items()
        if type(inner) in (types.FunctionType, types.MethodType) or is_class(inner)
    }


def closure_of(function: types.FunctionType) -> dict[str, object]:
    """Return the values of a function's closure, by name; without those not bound yet, as a class is while its body
    runs."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def defaults_of(function: types.FunctionType) -> dict[str, object]:
    """Return the parameters that have defaults, with their values, in order.

    >>> def f(a, b=1, *, c=2): ...
    >>> defaults_of(f)
    {'b': 1, 'c': 2}
    """
    code, defaults = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    with_default = positional[len(positional) - len(defaults) :]
    return dict(zip(with_default, defaults, strict=True)) | (function.__kwdefaults__ or {})


def held_values(function: types.FunctionType) -> Iterable[tuple[str, object]]:
    """Yield what a function of a library holds: closure values, defaults, what it wraps, what it dispatches to."""
    registry = function.__dict__.get("registry")
    dispatched: Mapping[Any, object] = registry if isinstance(registry, types.MappingProxyType) else {}
    # The closure of a dispatcher has a cache besides, which fills as it is called.
    if not dispatched or not is_compiled_in(function.__code__, singledispatch):
        yield from closure_of(function).items()
        yield from defaults_of(function).items()
    if "__wrapped__" in function.__dict__:
        yield "__wrapped__", function.__dict__["__wrapped__"]
    for kind, implementation in dispatched.items():
        yield f"dispatch type {kind.__qualname__}", kind
        yield f"dispatch {kind.__qualname__}", implementation


def is_project(value: object, depth: int = 2) -> bool:
    """Return whether a value is code of the project, an object of its classes, or holds such `depth` levels down."""
    kind = type(value)
    if kind is types.FunctionType:
        assert isinstance(value, types.FunctionType)
        if package_of_function(value) is None:
            return True
        return depth > 0 and any(is_project(inner, depth - 1) for _, inner in held_values(value))
    if is_class(value):
        return package_of_module(value.__module__) is None
    inside: Iterable[object] = ()
    match value:
        case types.MethodType():
            inside = (value.__func__, value.__self__)
        case partial():
            inside = (value.func, *value.args, *value.keywords.values())
        case _lru_cache_wrapper():
            inside = (value.__wrapped__,)
        case list() | tuple() | set() | frozenset() | dict() if len(value) < 1000:
            inside = value.values() if isinstance(value, dict) else value
    if depth > 0 and any(is_project(inner, depth - 1) for inner in inside):
        return True
    return package_of_module(kind.__module__) is None
