"""The contents of objects: attributes, and whether there is hidden state; closure values, defaults and wrapped
functions of functions and of library objects."""

from __future__ import annotations

import copyreg
import inspect
import struct
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import WRAPPER_ASSIGNMENTS, cached_property, singledispatch
from types import BuiltinFunctionType, FunctionType, GenericAlias, MethodType
from typing import Any, TypeGuard

from helix_spark.identity.objects.origin import PYTHON, package_of_module


def attributes(value: object) -> list[tuple[str, object]]:
    """Return the attributes in an object's `__dict__` or slots, by name, without values that its class caches."""
    values: dict[str, object] = {}
    for name in _slot_names(type(value)):
        with suppress(AttributeError):  # a slot not set yet
            values[name] = object.__getattribute__(value, name)
    with suppress(AttributeError):  # has slots only
        values |= object.__getattribute__(value, "__dict__")
    code = [item for item in values.values() if isinstance(item, (type, FunctionType, BuiltinFunctionType, MethodType))]

    def is_about_code(name: str, attribute: object) -> bool:  # as `functools.update_wrapper` copies it from a function
        if name not in ("__name__", "__qualname__", "__doc__"):
            return name in WRAPPER_ASSIGNMENTS
        # Its own name may be read, as pandas does to name columns.
        return any(getattr(item, name, None) == attribute for item in code)

    return sorted(
        (name, attribute)
        for name, attribute in values.items()
        if not is_about_code(name, attribute) and not isinstance(class_attribute(type(value), name), cached_property)
    )


def class_attribute(kind: type, name: str) -> object | None:
    """Return an attribute of a class or its bases, without a `__getattr__` of its metaclass."""
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def own_attribute(value: object, name: str) -> object | None:
    """Return an attribute of an object or its class, without a `__getattr__`; None if it raises."""
    with suppress(Exception):
        return getattr(value, name) if inspect.getattr_static(value, name, None) is not None else None
    return None


def declares_itself(value: object) -> bool:
    """Return whether the class of an object defines its identity."""
    return class_attribute(type(value), "__helix_signature__") is not None


def _slot_names(kind: type) -> list[str]:
    # A private function of the standard library: it mangles names and omits `__dict__` and `__weakref__`.
    return list(copyreg._slotnames(kind))  # type: ignore[attr-defined]  # in no stub


_BUILTIN_CONTENT: tuple[tuple[type, Callable[..., object]], ...] = (
    (dict, lambda value: dict(dict.items(value))),
    (list, lambda value: list.__getitem__(value, slice(None))),
    (tuple, lambda value: tuple.__getitem__(value, slice(None))),
    (set, lambda value: set().union(set.__iter__(value))),
    (frozenset, lambda value: frozenset().union(frozenset.__iter__(value))),
    (bytes, lambda value: bytes(memoryview(value))),
    (str, str.__str__), (int, int.__int__), (float, float.__float__),
    (complex, lambda value: complex(value.real, value.imag)),
    (BaseException, lambda value: value.args),
)


def builtin_content(value: object) -> tuple[type, object]:
    """Return the builtin that an object's class extends, and its content as one, such as 3; or ``object`` and None."""
    for base, content in _BUILTIN_CONTENT:
        if issubclass(type(value), base):  # `isinstance` would believe a proxy
            return base, content(value)
    return object, None


def has_hidden_state(value: object, base: type) -> bool:
    """Return whether an object has state besides its attributes and that of its `base` (``object``, ``dict``, ...): the
    test by which `pickle` refuses an object (``object_getstate_default`` in Objects/typeobject.c)."""
    kind = type(value)
    words = len(_slot_names(kind)) + _header_words(kind) - _header_words(base)
    room = base.__basicsize__ + words * struct.calcsize("P")
    return kind.__itemsize__ != base.__itemsize__ or kind.__basicsize__ > room


def _header_words(kind: type) -> int:
    # With Py_TPFLAGS_MANAGED_DICT (Include/object.h), the basic size excludes the instance's dict.
    return (kind.__dictoffset__ != 0 and not kind.__flags__ & (1 << 4)) + (kind.__weakrefoffset__ > 0)


def is_class(value: object) -> TypeGuard[type]:
    """Return whether a value is a class. In Python 3.10, `isinstance` takes ``list[int]`` for one."""
    return isinstance(value, type) and not isinstance(value, GenericAlias)


def wrapped_code(value: object) -> dict[str, object]:
    """Return the functions inside a library's wrapper object (numba's, joblib's, wrapt's), by name."""
    kind = type(value)
    if is_class(value) or kind is FunctionType:
        return {}
    package = package_of_module(kind.__module__)
    # A compiled class may claim a missing module (wrapt's does); its hidden state reveals it.
    if package == PYTHON or (package is None and not has_hidden_state(value, object)):
        return {}
    wrapped = ((name, own_attribute(value, name)) for name in ("__wrapped__", "py_func", "_self_wrapper"))
    return {name: code for name, code in wrapped if type(code) in (FunctionType, MethodType) or is_class(code)}


def closure_of(function: FunctionType) -> dict[str, object]:
    """Return the bound values of a function's closure, by name. A class is not bound while its body runs."""
    values = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):
            values[name] = cell.cell_contents
    return values


def defaults_of(function: FunctionType) -> dict[str, object]:
    """Return the parameters that have defaults, with their values, in order."""
    code, defaults = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    surplus = max(len(defaults) - len(positional), 0)  # copied from a function with more parameters
    names = [*map("default {}".format, range(surplus)), *positional[len(positional) - len(defaults) + surplus :]]
    return dict(zip(names, defaults, strict=True)) | (function.__kwdefaults__ or {})


def held_values(function: FunctionType) -> Iterable[tuple[str, object]]:
    """Yield the closure values, defaults, wrapped function and dispatch table of a library's function."""
    registry = function.__dict__.get("registry")
    dispatched: Mapping[Any, object] = registry if isinstance(registry, types.MappingProxyType) else {}
    # The closure of a dispatcher also has a cache, which calls fill.
    if not dispatched or function.__code__ not in singledispatch.__code__.co_consts:
        yield from closure_of(function).items()
        yield from defaults_of(function).items()
    if "__wrapped__" in function.__dict__:
        yield "__wrapped__", function.__dict__["__wrapped__"]
    for kind, implementation in dispatched.items():
        yield f"dispatch type {kind.__qualname__}", kind
        yield f"dispatch {kind.__qualname__}", implementation


def hints_of(annotated: type | FunctionType) -> Mapping[str, object]:
    """Return the evaluated annotations, from which a library may build a schema; as texts if that fails."""
    try:
        return typing.get_type_hints(annotated, include_extras=True)
    except Exception:  # noqa: BLE001 - evaluating the author's texts may raise anything
        return inspect.get_annotations(annotated)
