"""What an object holds: its attributes, and whether they are all there is."""

from __future__ import annotations

import copyreg
import struct
from contextlib import suppress
from functools import WRAPPER_ASSIGNMENTS, cached_property

_ABOUT_CODE = frozenset(WRAPPER_ASSIGNMENTS)
"""What `functools.update_wrapper` copies from a function to an object that wraps it: name, module, docstring, ..."""


def attributes(value: object) -> list[tuple[str, object]]:
    """The attributes an object holds itself, by name: in `__dict__` or slots, without values cached by its class.

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
        if name not in _ABOUT_CODE and not isinstance(getattr(type(value), name, None), cached_property)
    )


def _slot_names(kind: type) -> list[str]:
    # Private to the standard library and older than most of it: names mangled, `__dict__` and `__weakref__` left out.
    return list(copyreg._slotnames(kind))  # type: ignore[attr-defined]


_MANAGED_DICT = 1 << 4
"""Py_TPFLAGS_MANAGED_DICT, Include/object.h: the instance's dict is not part of its basic size."""


def has_hidden_state(value: object, base: type) -> bool:
    """Whether an object holds more than its attributes and what makes it a `base` (``object``, ``dict``, ...).

    The test by which `pickle` refuses an object (``object_getstate_default`` in Objects/typeobject.c).
    """
    kind = type(value)
    words = len(_slot_names(kind)) + _header_words(kind) - _header_words(base)
    room = base.__basicsize__ + words * struct.calcsize("P")
    return kind.__itemsize__ != base.__itemsize__ or kind.__basicsize__ > room


def _header_words(kind: type) -> int:
    return (kind.__dictoffset__ != 0 and not kind.__flags__ & _MANAGED_DICT) + (kind.__weakrefoffset__ > 0)
