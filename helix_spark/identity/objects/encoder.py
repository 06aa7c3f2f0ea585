"""Canonical bytes of values: two values have the same bytes if and only if they are of the same type and equal. And a
short text of a value, for people.

Never `repr` or pickle of an unknown object, `hash` or an id: what cannot be told apart for certain is an error. Code in
a value (a function, a class) is handed to a `Refer`, which stands for it by a slot; without one it is an error too.
"""

from __future__ import annotations

import datetime as dt
import enum
import logging
import random
import re
import struct
import threading
import typing
import uuid
import zoneinfo
from array import array
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from decimal import Decimal
from fractions import Fraction
from functools import partial
from operator import attrgetter, itemgetter, methodcaller
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath
from types import EllipsisType, MappingProxyType, NoneType, NotImplementedType, SimpleNamespace
from typing import Any

from helix_spark.identity.objects import library_values
from helix_spark.identity.objects.attributes import (
    attributes,
    builtin_content,
    declares_itself,
    has_hidden_state,
    is_class,
    own_attribute,
)
from helix_spark.identity.objects.origin import module_of, package_of_module
from helix_spark.identity.parts import PLAIN_DATA, UnidentifiedError, digest, encode

Refer = Callable[[object, str], bytes | None]
"""Given a value and the path to it (``['a'].scale``): what stands for it if it is code, None if it is data."""


_LONG_TEXT, _LONG = 10_000, 1000
"""Characters of a text, and items of a container, that hold data: no query, and no name of anything."""


def canonical(value: object, refer: Refer | None = None) -> bytes:
    """Return the canonical bytes of a value: plain data, an object made of such, numpy's, pandas', pyarrow's.

    Args:
        refer: what to do with functions, classes and other code in it.

    Raises:
        UnidentifiedError: it holds something whose state cannot be seen.

    >>> canonical([1, 2.0]) == canonical([1, 2]), canonical({2, 1}) == canonical({1, 2})
    (False, True)
    """
    return Encoder(refer or _refuse).whole(value)


def is_identifiable(value: object, refer: Refer | None = None) -> bool:
    """Return whether a value has canonical bytes."""
    try:
        canonical(value, refer)
    except UnidentifiedError:
        return False
    return True


def _refuse(value: object, path: str) -> bytes | None:
    if is_class(value) or (callable(value) and not declares_itself(value)):
        raise UnidentifiedError(f"it holds code ({shown(value)})", "pass plain data")
    return None


class Encoder:
    """Canonical bytes of one value and all that is in it. One encoder per value: it remembers stages of Spark ML that
    the value holds or names, numbered by identifier, its texts, and the SQL of transformers."""

    def __init__(self, refer: Refer) -> None:
        self.refer = refer
        self.stages: dict[str, int] = {}
        self.texts: dict[str, None] = {}
        self.statements: list[str] = []
        self._open: dict[int, int] = {}
        self._done: dict[int, tuple[object, bytes]] = {}
        self._outermost = 0
        self._path: list[str] = []

    def whole(self, value: object) -> bytes:
        """Return the bytes of the outermost value. Raises UnidentifiedError."""
        try:
            return self(value)
        except RecursionError:
            raise UnidentifiedError("it is nested too deeply to be read", "pass it in a flatter form") from None

    def __call__(self, value: object, step: str = "") -> bytes:
        """Return the bytes of a value found at `step` (``[3]``, ``.scale``) of the one around it."""
        leaf = LEAVES.get(type(value))
        if leaf is not None:
            if isinstance(value, str) and len(value) < _LONG_TEXT:
                self.texts[value] = None
            return leaf(value)
        key, depth = id(value), len(self._open)
        if key in self._open:  # it holds itself: say how far up
            self._outermost = min(self._outermost, self._open[key])
            return encode("cycle", str(depth - self._open[key]))
        if key in self._done:
            return self._done[key][1]
        around, self._outermost = self._outermost, depth
        self._open[key] = depth
        self._path.append(step)
        try:
            result = bytes.fromhex(digest(*self._fields(value)))
        except UnidentifiedError as error:
            error.path = "".join(self._path) if error.path is None else error.path
            raise
        finally:
            del self._open[key]
            self._path.pop()
        if self._outermost >= depth:  # what depends on where it stands is not the same elsewhere
            self._done[key] = (value, result)
        self._outermost = min(around, self._outermost)
        return result

    def stage(self, identifier: str) -> str:
        """Return the number of a stage of Spark ML, whose identifier ends in random letters."""
        return str(self.stages.setdefault(identifier, len(self.stages)))

    def reduced(self, value: Any) -> Iterable[bytes | str]:
        """Return the fields of an object of Python's or a library's: what it says, where it is pickled, that it is made
        of."""
        made, *of = value.__reduce_ex__(4)
        # `operator.methodcaller` with keywords is made by a partial, which has its name and them.
        by = [made.args, made.keywords] if isinstance(made, partial) else []
        content = [list(one) if isinstance(one, Iterator) else one for one in of]
        return "made of", type(value).__qualname__, self([*by, *content])

    def _fields(self, value: object) -> Iterable[bytes | str]:
        container = _CONTAINERS.get(type(value))
        if container is not None:
            return container(self, value)
        if declares_itself(value) and not is_class(value):
            return "declared", self(value.__helix_signature__())  # type: ignore[attr-defined]  # it has been found
        hint = _hint(self, value)
        if hint is not None:
            return hint
        reference = self.refer(value, "".join(self._path))
        if reference is not None:
            return "code", reference
        for kind in type(value).__mro__:
            library = _LIBRARIES.get(module_of(kind).partition(".")[0])
            fields = library(self, value) if library is not None else None
            if fields is not None:
                # A class of somebody else's that extends the library's has methods of its own.
                return fields if kind is type(value) else (*fields, "extended", self(type(value)))
        return _object(self, value)


# -- values with no other value inside ---------------------------------------------------------------------------------


def _leaf(name: str, text: Callable[..., bytes | str]) -> Callable[[object], bytes]:
    return lambda value: encode(name, text(value))


def _float(value: float) -> bytes:
    return b"nan" if value != value else struct.pack(">d", value)


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
    Decimal: _leaf("Decimal", lambda value: repr(value.as_tuple())),
    Fraction: _leaf("Fraction", str),
    dt.date: _leaf("date", dt.date.isoformat),
    dt.timedelta: _leaf("timedelta", lambda value: f"{value.days} {value.seconds} {value.microseconds}"),
    uuid.UUID: _leaf("UUID", str),
    zoneinfo.ZoneInfo: _leaf("ZoneInfo", str),
    re.Pattern: _leaf("Pattern", lambda value: encode(str(value.flags), LEAVES[type(value.pattern)](value.pattern))),
    # What a logger is called says nothing of results, and is another in `__main__` than in the module of the same file.
    logging.Logger: _leaf("Logger", lambda _: b""),
    logging.RootLogger: _leaf("Logger", lambda _: b""),
    # Who holds a lock says nothing of results either. Events, semaphores and queues have attributes beside it.
    **{type(make()): _leaf("lock", lambda _: b"") for make in (threading.Lock, threading.RLock)},
    **{kind: _leaf("Path", str) for kind in (Path, PosixPath, PurePath, PurePosixPath)},
    PureWindowsPath: _leaf("PureWindowsPath", str),
}

_IMMUTABLE = (*LEAVES.keys() - {bytearray, array}, tuple, frozenset, slice, dt.datetime, dt.time, dt.timezone)


def is_immutable(value: object) -> bool:
    """Return whether a value is plain and cannot change, so that it does not matter which object it is."""
    return type(value) in _IMMUTABLE or issubclass(type(value), enum.Enum)


# -- containers of exactly these types ---------------------------------------------------------------------------------


def _sequence(encoder: Encoder, value: Any) -> Iterable[bytes | str]:
    yield type(value).__name__
    is_long = len(value) >= _LONG  # its texts are data
    for position, item in enumerate(value):
        yield LEAVES[type(item)](item) if is_long and type(item) in LEAVES else encoder(item, f"[{position}]")


def _mapping(encoder: Encoder, value: Any) -> Iterable[bytes | str]:
    yield type(value).__name__
    is_long = len(value) >= _LONG
    for key, item in value.items():  # in order of insertion, which a program can see
        for one, step in ((key, f" key {shown(key, 30)}"), (item, f"[{shown(key, 30)}]")):
            yield LEAVES[type(one)](one) if is_long and type(one) in LEAVES else encoder(one, step)


def _name_of_code(value: object, path: str) -> bytes | None:
    """Return what orders the elements of a set before any slot is given away."""
    if is_class(value) or callable(value):
        qualified = own_attribute(value, "__qualname__") or type(value).__qualname__
        return encode(str(own_attribute(value, "__module__")), str(qualified))
    return None


def _set(encoder: Encoder, value: Any) -> Iterable[bytes | str]:
    yield type(value).__name__
    if all(type(item) in LEAVES for item in value):
        yield from sorted(LEAVES[type(item)](item) if len(value) >= _LONG else encoder(item) for item in value)
        return
    keyed = sorted(((Encoder(_name_of_code)(item), item) for item in value), key=itemgetter(0))
    if len({key for key, _ in keyed}) < len(keyed):
        raise UnidentifiedError("a set whose elements have no order that can be told", "make it a list")
    for _, item in keyed:
        yield encoder(item, " element")


_CONTAINERS: dict[type, Callable[[Encoder, Any], Iterable[bytes | str]]] = {
    **dict.fromkeys((tuple, list), _sequence),
    **dict.fromkeys((dict, OrderedDict, MappingProxyType), _mapping),
    **dict.fromkeys((set, frozenset), _set),
    # Its value where the author's file has been loaded.
    ContextVar: lambda encoder, value: ("context variable", value.name, encoder(value.get(None), ".get()")),
    **dict.fromkeys(
        (slice, deque, defaultdict, dt.datetime, dt.time, dt.timezone, itemgetter, attrgetter, methodcaller),
        Encoder.reduced,
    ),
}

_LIBRARIES: dict[str, Callable[[Encoder, object], Iterable[bytes | str] | None]] = {
    "numpy": library_values.numpy_fields,
    "pandas": library_values.pandas_fields,
    "pyarrow": library_values.pyarrow_fields,
    "pyspark": library_values.spark_fields,
    "py4j": library_values.spark_fields,
    "concurrent": library_values.executor_fields,
}
"""By top-level module of the value's type: a library that is not imported has no values."""


# -- objects -----------------------------------------------------------------------------------------------------------


def _hint(encoder: Encoder, value: object) -> Iterable[bytes | str] | None:
    """Return the fields of a type hint, an object of `typing` or `types`; None for any other object."""
    if type(value).__module__ not in ("typing", "types", "collections.abc") or is_class(value):
        return None
    origin = typing.get_origin(value)
    if origin is not None:
        metadata = getattr(value, "__metadata__", ())  # of Annotated
        return "hint", encoder(origin), *(encoder(one) for one in (*typing.get_args(value), *metadata))
    if isinstance(value, typing.TypeVar | typing.ParamSpec):
        limits = [value.__bound__, *getattr(value, "__constraints__", ())]
        variance = f"{value.__covariant__:d}{value.__contravariant__:d}"
        return "hint", type(value).__qualname__, str(value.__name__), variance, *map(encoder, limits)
    if isinstance(value, typing.ForwardRef):
        return "hint", "forward", value.__forward_arg__
    if isinstance(value, typing.NewType):
        return "hint", "NewType", encoder(value.__supertype__)
    name = getattr(value, "_name", getattr(value, "__name__", None))  # of Any, of a TypeVarTuple
    return ("hint", f"typing.{name}") if isinstance(name, str) and type(value).__module__ == "typing" else None


def _object(encoder: Encoder, value: object) -> Iterable[bytes | str]:
    """Return the fields of an object: its class, the builtin it extends if any, and its attributes."""
    kind = type(value)
    if isinstance(value, enum.Enum) and issubclass(kind, enum.Enum):  # a proxy says of itself that it is one
        return "enum", encoder(kind), encoder(value.name), encoder(value.value, ".value")
    if kind is SimpleNamespace:
        return "namespace", encoder(vars(value))
    base, content = builtin_content(value)
    if isinstance(value, threading.local):
        return "local", encoder(kind), encoder(vars(value))
    if has_hidden_state(value, base):
        return "reduced", encoder(kind), encoder(_reduction(value))
    fields: list[bytes | str] = ["object", encoder(kind), base.__name__, encoder(content)]
    for name, attribute in attributes(value):
        fields += [name, encoder(attribute, f".{name}")]
    return fields


def _reduction(value: object) -> list[object]:
    """Return what an object of a compiled class says that it is made of, as it says it to `copy` and to `pickle`: a
    function or a class, arguments, a state. Raises UnidentifiedError where it says nothing."""
    kind = type(value)
    what = f"it is a {kind.__module__}.{kind.__qualname__}, whose state is out of sight"
    if package_of_module(module_of(kind)) is None or isinstance(value, random.Random | Iterator):
        raise UnidentifiedError(what, PLAIN_DATA)
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:  # noqa: BLE001 - a class that refuses may raise anything
        reduced = ""
    if isinstance(reduced, str):
        raise UnidentifiedError(what, PLAIN_DATA)
    return [list(part) if isinstance(part, Iterator) else part for part in reduced]


# -- for people --------------------------------------------------------------------------------------------------------


def shown(value: object, limit: int = 60) -> str:
    """Return a short text of a value for people: ``0.1``, ``['a', 'b']``, ``LogisticRegression``, else its type."""
    text = ""
    if type(value) in _SHORT or (type(value) in (list, tuple, dict, set, frozenset) and _is_short(value)):
        text = repr(value) if type(value) is not set else f"{{{', '.join(sorted(map(repr, value)))}}}"
    elif is_class(value) or callable(value):
        text = str(own_attribute(value, "__qualname__") or "").rpartition("<locals>.")[2]
    text = text or type(value).__qualname__
    return text if len(text) <= limit else text[: limit - 3] + "..."


_SHORT = (NoneType, bool, int, float, complex, str, bytes, Decimal, Fraction, dt.date, dt.datetime, dt.timedelta)


def _is_short(value: Any) -> bool:
    items = [*value, *value.values()] if type(value) is dict else value
    return len(value) <= 20 and all(type(item) in _SHORT for item in items)
