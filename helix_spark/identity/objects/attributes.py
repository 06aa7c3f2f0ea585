"""What an object holds: its attributes, and whether they are all there is."""

from __future__ import annotations

import copyreg
import enum
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import WRAPPER_ASSIGNMENTS, cached_property
from types import BuiltinFunctionType, FunctionType, GenericAlias, MethodType
from typing import TypeGuard

_ABOUT_CODE = frozenset(WRAPPER_ASSIGNMENTS)
"""What `functools.update_wrapper` copies from a function to an object that wraps it: name, module, docstring, ..."""

_OWN_TEXTS = frozenset({"__name__", "__qualname__", "__doc__"})
_CODE = (type, FunctionType, BuiltinFunctionType, MethodType)


def attributes(value: object) -> list[tuple[str, object]]:
    """Return the attributes an object holds itself, by name: in `__dict__` or slots, without values cached by its
    class.

    >>> class Scale:
    ...     __slots__ = ("factor",)
    >>> scale = Scale(); scale.factor = 2
    >>> attributes(scale)
    [('factor', 2)]
    """
    found: dict[str, object] = {}
    for name in _slot_names(type(value)):
        try:
            found[name] = object.__getattribute__(value, name)
        except AttributeError:  # a slot not set yet
            continue
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


def declares_itself(value: object) -> bool:
    """Return whether the class of an object says what counts of it."""
    return class_attribute(type(value), "__helix_signature__") is not None


def _slot_names(kind: type) -> list[str]:
    # Private to the standard library and older than most of it: names mangled, `__dict__` and `__weakref__` left out.
    return list(copyreg._slotnames(kind))  # type: ignore[attr-defined]  # in no stub


_OF_MEMBERS = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"})
"""What Python keeps in each member of an enum, the last one once a flag was inverted."""


def beside_value(member: enum.Enum) -> Iterator[tuple[str, object]]:
    """Yield what a member of an enum holds beside its name and value: attributes of its own, and the number or text
    that it is, where the `__new__` of its class made that another.

    >>> class Level(int, enum.Enum):
    ...     def __new__(cls, text, number):
    ...         made = int.__new__(cls, number); made._value_ = text; made.half = number / 2
    ...         return made
    ...     HIGH = "high", 3
    >>> list(beside_value(Level.HIGH))
    [('int', 3), ('half', 1.5)]
    """
    base, content = builtin_content(member)
    value: object = member._value_
    if base is not object and not (type(content) is type(value) and content == value):
        yield base.__name__, content
    yield from ((name, held) for name, held in attributes(member) if name not in _OF_MEMBERS)


_BUILTIN_CONTENT: tuple[tuple[type, Callable[..., object]], ...] = (
    (dict, dict.copy),
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
            plain = dict(dict.items(value)) if isinstance(value, dict) else content(value)
            return base, plain
    return object, None


_MANAGED_DICT = 1 << 4
"""Py_TPFLAGS_MANAGED_DICT, Include/object.h: the instance's dict is not part of its basic size."""


def has_hidden_state(value: object, base: type) -> bool:
    """Return whether an object holds more than its attributes and what makes it a `base` (``object``, ``dict``, ...).

    The test by which `pickle` refuses an object (``object_getstate_default`` in Objects/typeobject.c).
    """
    kind = type(value)
    words = len(_slot_names(kind)) + _header_words(kind) - _header_words(base)
    room = base.__basicsize__ + words * struct.calcsize("P")
    return kind.__itemsize__ != base.__itemsize__ or kind.__basicsize__ > room


def _header_words(kind: type) -> int:
    return (kind.__dictoffset__ != 0 and not kind.__flags__ & _MANAGED_DICT) + (kind.__weakrefoffset__ > 0)


def is_class(value: object) -> TypeGuard[type]:
    """Return whether something is a class itself. To `isinstance`, ``list[int]`` is one in Python 3.10.

    >>> is_class(list), is_class(list[int])
    (True, False)
    """
    return isinstance(value, type) and not isinstance(value, GenericAlias)
