"""What an object holds: attributes, and whether they are all there is; what functions and objects of libraries hold:
closure values, defaults, the functions they are wrapped around."""

from __future__ import annotations

import copyreg
import inspect
import struct
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import WRAPPER_ASSIGNMENTS, cached_property, singledispatch
from types import BuiltinFunctionType, CodeType, FunctionType, GenericAlias, MethodType
from typing import Any, TypeGuard

from helix_spark.identity.objects.origin import PYTHON, package_of_module

_ABOUT_CODE = frozenset(WRAPPER_ASSIGNMENTS)
"""What `functools.update_wrapper` copies from a function to an object that wraps it: name, module, docstring, ..."""

_OWN_TEXTS = frozenset({"__name__", "__qualname__", "__doc__"})
_CODE = (type, FunctionType, BuiltinFunctionType, MethodType)


def attributes(value: object) -> list[tuple[str, object]]:
    """Return the attributes an object holds itself, by name: in `__dict__` or slots, without values cached by its
    class."""
    found: dict[str, object] = {}
    for name in _slot_names(type(value)):
        with suppress(AttributeError):  # a slot not set yet
            found[name] = object.__getattribute__(value, name)
    with suppress(AttributeError):  # has slots only
        found |= object.__getattribute__(value, "__dict__")
    return sorted(
        (name, attribute)
        for name, attribute in found.items()
        if not _is_about_code(name, attribute, found.values())
        and not isinstance(class_attribute(type(value), name), cached_property)
    )


def _is_about_code(name: str, attribute: object, held: Iterable[object]) -> bool:
    """Return whether an attribute says of an object what it says of code that the object holds. A name or a docstring
    that it was given itself may be read, as pandas does to name columns."""
    if name not in _OWN_TEXTS:
        return name in _ABOUT_CODE
    return any(isinstance(one, _CODE) and getattr(one, name, None) == attribute for one in held)


def class_attribute(kind: type, name: str) -> object | None:
    """Return what a class or one of its bases has under a name, without asking a `__getattr__` of its metaclass, which
    may answer anything."""
    return next((vars(one)[name] for one in kind.__mro__ if name in vars(one)), None)


def own_attribute(value: object, name: str) -> object | None:
    """Return an attribute that the object or its class has, without asking a `__getattr__`, which may answer anything;
    None also where an object answers for itself and raises."""
    with suppress(Exception):
        return getattr(value, name) if inspect.getattr_static(value, name, None) is not None else None
    return None


def declares_itself(value: object) -> bool:
    """Return whether the class of an object says what counts of it."""
    return class_attribute(type(value), "__helix_signature__") is not None


def _slot_names(kind: type) -> list[str]:
    # Private to the standard library and older than most of it: names mangled, `__dict__` and `__weakref__` left out.
    return list(copyreg._slotnames(kind))  # type: ignore[attr-defined]  # in no stub


_BUILTIN_CONTENT: tuple[tuple[type, Callable[..., object]], ...] = (
    (dict, lambda value: dict(dict.items(value))),
    (list, lambda value: list.__getitem__(value, slice(None))),
    (tuple, lambda value: tuple.__getitem__(value, slice(None))),
    (set, lambda value: set().union(set.__iter__(value))),
    (frozenset, lambda value: frozenset().union(frozenset.__iter__(value))),
    (str, str.__str__),
    (bytes, lambda value: bytes(memoryview(value))),
    (int, int.__int__),
    (float, float.__float__),
    (complex, lambda value: complex(value.real, value.imag)),
    (BaseException, lambda value: value.args),
)


def builtin_content(value: object) -> tuple[type, object]:
    """Return the builtin that an object's class extends, and what the object is as one: ``int`` and 3; else
    ``object``."""
    for base, content in _BUILTIN_CONTENT:
        if issubclass(type(value), base):  # a proxy says of itself that it is an instance
            return base, content(value)
    return object, None


_MANAGED_DICT = 1 << 4
"""Py_TPFLAGS_MANAGED_DICT, Include/object.h: the instance's dict is not part of its basic size."""


def has_hidden_state(value: object, base: type) -> bool:
    """Return whether an object holds more than its attributes and what makes it a `base` (``object``, ``dict``, ...):
    the test by which `pickle` refuses an object (``object_getstate_default`` in Objects/typeobject.c)."""
    kind = type(value)
    words = len(_slot_names(kind)) + _header_words(kind) - _header_words(base)
    room = base.__basicsize__ + words * struct.calcsize("P")
    return kind.__itemsize__ != base.__itemsize__ or kind.__basicsize__ > room


def _header_words(kind: type) -> int:
    return (kind.__dictoffset__ != 0 and not kind.__flags__ & _MANAGED_DICT) + (kind.__weakrefoffset__ > 0)


def is_class(value: object) -> TypeGuard[type]:
    """Return whether something is a class itself. To `isinstance`, ``list[int]`` is one in Python 3.10."""
    return isinstance(value, type) and not isinstance(value, GenericAlias)


def wrapped_functions(value: object) -> dict[str, object]:
    """Return the functions inside an object of a library that stands for a function (numba's, joblib's, wrapt's), by
    name."""
    kind = type(value)
    if is_class(value) or kind is FunctionType:
        return {}
    package = package_of_module(kind.__module__)
    # A compiled class may claim a module that does not exist (wrapt's does); it shows by what it keeps out of sight.
    if package == PYTHON or (package is None and not has_hidden_state(value, object)):
        return {}
    held = {name: own_attribute(value, name) for name in ("__wrapped__", "py_func", "_self_wrapper")}
    return {name: inner for name, inner in held.items() if type(inner) in (FunctionType, MethodType) or is_class(inner)}


def closure_of(function: FunctionType) -> dict[str, object]:
    """Return the values of a function's closure, by name; without those not bound yet, as a class is while its body
    runs."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):
            found[name] = cell.cell_contents
    return found


def defaults_of(function: FunctionType) -> dict[str, object]:
    """Return the parameters that have defaults, with their values, in order."""
    code, defaults = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    with_default = positional[len(positional) - len(defaults) :]
    return dict(zip(with_default, defaults, strict=True)) | (function.__kwdefaults__ or {})


def held_values(function: FunctionType) -> Iterable[tuple[str, object]]:
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


def is_compiled_in(code: CodeType, function: Any) -> bool:
    """Return whether code is that of a function which this one defines."""
    return any(one is code for one in function.__code__.co_consts)


def hints_of(annotated: type | FunctionType) -> Mapping[str, object]:
    """Return the meaning of annotations, of which a library may make a schema; as text where that names nothing yet."""
    try:
        return typing.get_type_hints(annotated, include_extras=True)
    except Exception:  # noqa: BLE001 - evaluating what an author wrote may raise anything
        return inspect.get_annotations(annotated)
