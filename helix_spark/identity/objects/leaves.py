"""Values with no other value inside: their canonical bytes, and a short text of any value for people."""

from __future__ import annotations

import datetime as dt
import enum
import logging
import re
import struct
import uuid
import zoneinfo
from array import array
from collections.abc import Callable, Iterable
from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath
from types import EllipsisType, NoneType, NotImplementedType

from helix_spark.identity.objects.attributes import is_class
from helix_spark.identity.objects.held_values import own_attribute
from helix_spark.identity.parts import encode


def _leaf(name: str, text: Callable[..., bytes | str]) -> Callable[[object], bytes]:
    return lambda value: encode(name, text(value))


def _float(value: float) -> bytes:
    return b"nan" if value != value else struct.pack(">d", value)


def _decimal(value: Decimal) -> str:
    return repr(value.as_tuple())


def _context(value: Context) -> str:
    """Return how a context calculates; its flags note what happened since, and say nothing of what will."""
    traps = sorted(signal.__name__ for signal, is_trapped in value.traps.items() if is_trapped)
    return f"{value.prec} {value.rounding} {value.Emin} {value.Emax} {value.capitals} {value.clamp} {traps}"


LEAVES: dict[type, Callable[[object], bytes]] = {
    NoneType: _leaf("None", lambda _: b""),
    EllipsisType: _leaf("Ellipsis", lambda _: b""),
    NotImplementedType: _leaf("NotImplemented", lambda _: b""),
    bool: _leaf("bool", str),
    int: _leaf("int", hex),
    float: _leaf("float", _float),
    complex: _leaf("complex", lambda value: encode(_float(value.real), _float(value.imag))),
    str: _leaf("str", lambda value: value.encode("utf-8", "surrogatepass")),
    bytes: _leaf("bytes", bytes),
    bytearray: _leaf("bytearray", bytes),
    array: _leaf("array", lambda value: encode(value.typecode, value.tobytes())),
    range: _leaf("range", lambda value: f"{value.start} {value.stop} {value.step}"),
    Decimal: _leaf("Decimal", _decimal),
    Context: _leaf("Context", _context),
    Fraction: _leaf("Fraction", str),
    dt.date: _leaf("date", dt.date.isoformat),
    dt.timedelta: _leaf("timedelta", lambda value: f"{value.days} {value.seconds} {value.microseconds}"),
    uuid.UUID: _leaf("UUID", str),
    zoneinfo.ZoneInfo: _leaf("ZoneInfo", str),
    re.Pattern: _leaf("Pattern", lambda value: encode(str(value.flags), LEAVES[type(value.pattern)](value.pattern))),
    # What a logger is called says nothing of results, and is another in `__main__` than in the module of the same file.
    logging.Logger: _leaf("Logger", lambda _: b""),
    logging.RootLogger: _leaf("Logger", lambda _: b""),
    **{kind: _leaf("Path", str) for kind in (Path, PosixPath, PurePath, PurePosixPath)},
    PureWindowsPath: _leaf("PureWindowsPath", str),
}

_IMMUTABLE = (*LEAVES.keys() - {bytearray, array, Context}, tuple, frozenset, slice, dt.datetime, dt.time, dt.timezone)


def is_immutable(value: object) -> bool:
    """Return whether a value is plain and cannot change, so that it does not matter which object it is.

    >>> is_immutable((1, 2)), is_immutable([1, 2])
    (True, False)
    """
    return type(value) in _IMMUTABLE or issubclass(type(value), enum.Enum)


def shown(value: object, limit: int = 60) -> str:
    """Return a short text of a value for people: ``0.1``, ``['a', 'b']``, ``LogisticRegression``, else the name of its
    type.

    >>> shown([1, 2]), shown(len), shown(object())
    ('[1, 2]', 'len', 'object')
    """
    text = ""
    if type(value) in _SHORT or (type(value) in (list, tuple, dict, set, frozenset) and _is_short(value)):
        text = repr(value) if type(value) is not set else f"{{{', '.join(sorted(map(repr, value)))}}}"
    elif is_class(value) or callable(value):
        text = str(own_attribute(value, "__qualname__") or "").rpartition("<locals>.")[2]
    text = text or type(value).__qualname__
    return text if len(text) <= limit else text[: limit - 3] + "..."


_SHORT = (NoneType, bool, int, float, complex, str, bytes, Decimal, Fraction, dt.date, dt.datetime, dt.timedelta)


def _is_short(value: object) -> bool:
    assert isinstance(value, list | tuple | dict | set | frozenset)
    items: Iterable[object] = [*value, *value.values()] if isinstance(value, dict) else value
    return len(value) <= 20 and all(type(item) in _SHORT for item in items)
