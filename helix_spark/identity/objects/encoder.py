"""Canonical bytes of values: two values have the same bytes if and only if they have the same type, are equal, and stay
equal after the same change to a part of each. And a short text of a value, for people.

Never use `repr` or pickle of an unknown object, `hash` or an id: a value that cannot be identified for certain is an
error. A `Refer` replaces code in a value (a function, a class) by a slot; without a `Refer`, code is an error too.
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
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import suppress
from contextvars import ContextVar
from decimal import Decimal
from fractions import Fraction
from functools import partial
from operator import itemgetter
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath
from types import BuiltinFunctionType, EllipsisType, MappingProxyType, NoneType, NotImplementedType
from typing import Any

from helix_spark.identity.objects.attributes import (
    attributes,
    builtin_content,
    declares_itself,
    has_hidden_state,
    is_class,
    own_attribute,
)
from helix_spark.identity.objects.origin import CYTHON, PYTHON, module_of, package_of_module
from helix_spark.identity.parts import PLAIN_DATA, UnidentifiedError, digest, encode

Refer = Callable[[object, str], bytes | None]
"""Returns the placeholder of a value that is code, None for data; its path is like ``['a'].scale``."""

_LONG_TEXT, _LONG = 10_000, 1000
"""From these lengths on, texts and containers hold data, and no queries or names."""


def canonical(value: object, refer: Refer | None = None) -> bytes:
    """Return the canonical bytes of plain data, objects made of it, and values of numpy, pandas and pyarrow.

    Args:
        refer: replaces functions, classes and other code in the value.

    Raises:
        UnidentifiedError: it holds an object with hidden state.

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
    """Encodes one value and collects what it holds: stages of Spark ML, numbered by identifier, texts, the SQL of
    transformers, and mutable objects, in order, which other values may hold too."""

    def __init__(self, refer: Refer) -> None:
        self.refer = refer
        self.stages: dict[str, int] = {}
        self.texts: dict[str, None] = {}
        self.statements: list[str] = []
        self.objects: list[object] = []
        self._open: dict[int, int] = {}
        self._done: dict[int, tuple[object, bytes, int]] = {}
        self._outermost = 0
        self._path: list[str] = []

    def whole(self, value: object) -> bytes:
        """Return the bytes of the outermost value. Raises UnidentifiedError."""
        try:
            return self(value)
        except RecursionError:
            raise UnidentifiedError("it is nested too deeply to be read", "pass it in a flatter form") from None

    def __call__(self, value: object, step: str = "") -> bytes:
        """Return the bytes of a value at a `step` (``[3]``, ``.scale``) of the enclosing value."""
        leaf = LEAVES.get(type(value))
        if leaf is not None:
            if isinstance(value, str) and len(value) < _LONG_TEXT:
                self.texts[value] = None
            return leaf(value)
        key, depth = id(value), len(self._open)
        if key in self._open:  # a cycle, so encode its height
            self._outermost = min(self._outermost, self._open[key])
            return encode("cycle", str(depth - self._open[key]))
        if key in self._done:  # two names of one object share changes
            _, result, place = self._done[key]
            may_change = type(value) in _CHANGING or package_of_module(module_of(type(value))) is None
            return encode("again", str(place)) if may_change else result
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
        if self._outermost >= depth:  # a cycle through an enclosing value depends on the position
            self._done[key] = value, result, len(self._done)
        self._outermost = min(around, self._outermost)
        return result

    def stage(self, identifier: str) -> str:
        """Return the number of a stage of Spark ML, since its identifier ends in random letters."""
        return str(self.stages.setdefault(identifier, len(self.stages)))

    def _fields(self, value: object) -> Iterable[bytes | str]:
        container = _CONTAINERS.get(type(value))
        if container is not None:
            if type(value) in _CHANGING:
                self.objects.append(value)
            return container(self, value)
        if declares_itself(value) and not is_class(value):
            return "declared", self(value.__helix_signature__())  # type: ignore[attr-defined]  # checked above
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
                # A subclass outside of the library has methods of its own.
                return fields if kind is type(value) else (*fields, "extended", self(type(value)))
        return _object(self, value)


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
    str: _leaf("str", str),
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
    # The name of a logger does not change results, and `__main__` differs from the module name of the same file.
    logging.Logger: _leaf("Logger", lambda _: b""),
    logging.RootLogger: _leaf("Logger", lambda _: b""),
    # Nor does the owner of a lock; code may ask whether it is held. Events, semaphores and queues have attributes too.
    type(threading.Lock()): _leaf("lock", lambda value: b"locked" if value.locked() else b""),
    type(threading.RLock()): _leaf("lock", lambda _: b""),
    **{kind: _leaf("Path", str) for kind in (Path, PosixPath, PurePath, PurePosixPath)},
    PureWindowsPath: _leaf("PureWindowsPath", str),
}

_CHANGING = (list, dict, set, OrderedDict)
_NUMBERS = (int, float, bool)
_IMMUTABLE = (*LEAVES.keys() - {bytearray, array}, tuple, frozenset, slice, dt.datetime, dt.time, dt.timezone)


def is_immutable(value: object) -> bool:
    """Return whether a value is plain and immutable, so that its object identity does not matter."""
    return type(value) in _IMMUTABLE or issubclass(type(value), enum.Enum)


def _sequence(encoder: Encoder, value: Any) -> Iterable[bytes | str]:
    yield type(value).__name__
    if len(value) >= _LONG and all(type(item) in LEAVES for item in value):  # its texts are data
        parts = [
            item.encode(errors="surrogatepass") if type(item) is str else LEAVES[type(item)](item) for item in value
        ]
        # One list of sizes is much faster than `encode`: tables of pandas have their texts in such lists.
        sizes = (len(part) if type(item) is str else -len(part) for item, part in zip(value, parts, strict=True))
        yield from ("leaves", array("q", sizes).tobytes(), b"".join(parts))
        return
    for position, item in enumerate(value):
        yield encoder(item, f"[{position}]")


def _mapping(encoder: Encoder, value: Any) -> Iterable[bytes | str]:
    yield type(value).__name__
    is_long = len(value) >= _LONG
    for key, item in value.items():  # in order of insertion, which a program can see
        for part, step in ((key, f" key {shown(key, 30)}"), (item, f"[{shown(key, 30)}]")):
            yield LEAVES[type(part)](part) if is_long and type(part) in LEAVES else encoder(part, step)


def _name_of_code(value: object, path: str) -> bytes | None:
    """Return the sort key of code in a set, before slots are assigned."""
    if is_class(value) or callable(value):
        qualified = own_attribute(value, "__qualname__") or type(value).__qualname__
        return encode(str(own_attribute(value, "__module__")), str(qualified))
    return None


def _set(encoder: Encoder, value: Any) -> Iterable[bytes | str]:
    yield type(value).__name__
    if all(type(item) in _NUMBERS for item in value):
        yield from map(encoder, value)  # in the set's order: equal in each process, visible to programs
    elif all(type(item) in LEAVES for item in value):
        yield from sorted(LEAVES[type(item)](item) if len(value) >= _LONG else encoder(item) for item in value)
    else:
        keyed = sorted(((Encoder(_name_of_code)(item), item) for item in value), key=itemgetter(0))
        if len({key for key, _ in keyed}) < len(keyed):
            raise UnidentifiedError("a set whose elements cannot be ordered", "make it a list")
        for _, item in keyed:
            yield encoder(item, " element")


_CONTAINERS: dict[type, Callable[[Encoder, Any], Iterable[bytes | str]]] = {
    **dict.fromkeys((tuple, list), _sequence),
    **dict.fromkeys((dict, OrderedDict, MappingProxyType), _mapping),
    **dict.fromkeys((set, frozenset), _set),
    # Its value in the thread that loaded the author's file.
    ContextVar: lambda encoder, value: ("context variable", value.name, encoder(value.get(None), ".get()")),
    dt.datetime: lambda encoder, value: _reduced(encoder, value),  # here for speed
}

_HINT_FIELDS = (
    "_name", "__name__", "__forward_arg__", "__supertype__", "__value__", "__bound__", "__constraints__",
    "__covariant__", "__contravariant__", "__metadata__",
)
"""Attributes of type hints besides origin and arguments: names, references, aliases, variables, `Annotated`."""


def _hint(encoder: Encoder, value: object) -> Iterable[bytes | str] | None:
    """Return the fields of a type hint, an object of `typing` or `types`; None for any other object."""
    if type(value).__module__ not in ("typing", "types", "collections.abc") or is_class(value):
        return None
    origin = typing.get_origin(value)
    if origin is None and type(value).__module__ != "typing":
        return None
    others = (own_attribute(value, name) for name in _HINT_FIELDS)
    return "hint", type(value).__qualname__, *map(encoder, (origin, typing.get_args(value), *others))


def _object(encoder: Encoder, value: object) -> Iterable[bytes | str]:
    """Return the fields of an object: its class, the builtin it extends if any, and its attributes."""
    kind = type(value)
    if isinstance(value, enum.Enum) and issubclass(kind, enum.Enum):  # a proxy passes only the first
        return "enum", encoder(kind), encoder(value.name), encoder(value.value, ".value")
    encoder.objects.append(value)
    base, content = builtin_content(value)
    if isinstance(value, threading.local):
        return "local", encoder(kind), encoder(vars(value))
    if has_hidden_state(value, base):
        return _reduced(encoder, value)
    fields: list[bytes | str] = ["object", encoder(kind), base.__name__, encoder(content)]
    for name, attribute in attributes(value):
        fields += [name, encoder(attribute, f".{name}")]
    return fields


def _reduced(encoder: Encoder, value: object) -> Iterable[bytes | str]:
    """Return the fields of a compiled class's object by its pickle protocol. Raises UnidentifiedError without one."""
    kind, reduced = type(value), None
    package = package_of_module(module_of(kind))
    if package is not None and not isinstance(value, random.Random | Iterator):
        with suppress(Exception):  # a class that refuses may raise anything
            reduced = value.__reduce_ex__(4)
    if not isinstance(reduced, tuple):
        what = f"it is a {kind.__module__}.{kind.__qualname__}, whose state is out of sight"
        raise UnidentifiedError(what, PLAIN_DATA)
    make: Any
    make, *arguments = reduced
    if isinstance(make, partial):  # `operator.methodcaller` with keywords
        make, arguments = make.func, [make.args, make.keywords, *arguments]
    arguments = [list(part) if isinstance(part, Iterator) else part for part in arguments]
    # Each signature has the version of Python.
    own = f"{kind.__module__}.{kind.__qualname__}" if package == PYTHON else encoder(kind)
    # A library's own compiled code is identified by its name; other code may hold code of the project.
    is_compiled = isinstance(make, type | BuiltinFunctionType) or module_of(type(make)).startswith(CYTHON)
    home, origin = (str(name).partition(".")[0] for name in (module_of(kind), own_attribute(make, "__module__")))
    by = _name_of_code(make, "") if origin == "copyreg" or (is_compiled and home == origin) else None
    return "reduced", own, by or encoder(make), encoder(arguments)


def _numpy_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a scalar, array, dtype or calendar. Raises UnidentifiedError for a random generator."""
    import numpy as np

    if isinstance(value, np.dtype):
        return "numpy.dtype", _dtype(value)
    if isinstance(value, np.generic):
        return None if value.dtype.hasobject else ("numpy.scalar", _dtype(value.dtype), value.tobytes())
    if type(value) is np.ndarray:
        encoder.objects.append(value if value.base is None else value.base)
        content = encoder(value.ravel().tolist()) if value.dtype.hasobject else value.tobytes()
        order = sorted(range(value.ndim), key=lambda axis: -abs(value.strides[axis]))  # in memory: `ravel("K")` sees it
        layout = () if order == [*range(value.ndim)] else (str(order),)
        return "numpy.array", _dtype(value.dtype), str(value.shape), content, *layout
    if isinstance(value, np.busdaycalendar):
        return "numpy.busdaycalendar", encoder(value.weekmask), encoder(value.holidays)
    if isinstance(value, np.random.Generator | np.random.RandomState | np.random.BitGenerator):
        what = f"it is a {type(value).__name__}, whose state changes as it is used"
        raise UnidentifiedError(what, "pass a seed and make the generator inside the function")
    return None


def _dtype(dtype: Any) -> str:
    # `descr` is complete for structured types, `str` for others, with byte order and unit.
    return repr(dtype.descr) if dtype.names else str(dtype.str)


def _pandas_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a frame, series, index, array or offset."""
    import pandas as pd
    from pandas.api.extensions import ExtensionArray

    if isinstance(value, pd.DataFrame):
        columns = [encoder(value.iloc[:, position]) for position in range(value.shape[1])]
        return "pandas.DataFrame", encoder(value.columns), encoder(value.index), *columns, *_metadata(encoder, value)
    if isinstance(value, pd.Series):
        own = encoder(value.name), encoder(value.index), encoder(value.array)
        return "pandas.Series", *own, *_metadata(encoder, value)
    if isinstance(value, pd.Index):
        if isinstance(value, pd.RangeIndex):
            content: object = (value.start, value.stop, value.step)
        elif isinstance(value, pd.MultiIndex):
            content = value.tolist(), [level.dtype for level in value.levels]
        else:
            content = value.array
        freq = encoder(getattr(value, "freq", None), ".freq")
        return "pandas.Index", type(value).__name__, encoder(list(value.names)), encoder(content), freq
    if isinstance(value, ExtensionArray):
        plain = getattr(value, "asi8", None)  # of times; the dtype has their unit and zone
        plain = value.to_numpy() if plain is None else plain
        return "pandas.array", encoder(value.dtype), encoder(plain if plain.dtype != object else plain.tolist())
    if isinstance(value, pd.offsets.BaseOffset):
        return "pandas.offset", value.freqstr, str(value.normalize), encoder(value.kwds)  # type: ignore[attr-defined]  # the stubs lack it
    return None


def _metadata(encoder: Encoder, value: Any) -> Iterator[bytes | str]:
    """Yield the metadata of a frame or series: `attrs`, and the attributes of an author's subclass."""
    if value.attrs:
        yield encoder(value.attrs)
    for name in value._metadata:
        if name != "_name":  # a series' name, encoded already
            yield name
            yield encoder(getattr(value, name, None), f".{name}")


def _pyarrow_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a table, batch, array, scalar, schema, field or type."""
    import pyarrow as pa

    if isinstance(value, pa.Schema):
        return "pyarrow.schema", value.remove_metadata().serialize().to_pybytes()
    if isinstance(value, pa.Field):
        return "pyarrow.field", pa.schema([value]).serialize().to_pybytes()
    if isinstance(value, pa.DataType):
        return "pyarrow.type", pa.schema([pa.field("", value)]).serialize().to_pybytes()
    if isinstance(value, pa.Table | pa.RecordBatch):
        kind, table = "table", pa.Table.from_batches([value]) if isinstance(value, pa.RecordBatch) else value
    elif isinstance(value, pa.Array | pa.ChunkedArray):
        kind, table = "array", pa.table({"": value})
    elif isinstance(value, pa.Scalar):
        kind, table = "scalar", pa.table({"": pa.array([value.as_py()], value.type)})
    else:
        return None
    table = table.replace_schema_metadata(None).combine_chunks()  # metadata hold versions of libraries
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return f"pyarrow.{kind}", encode(str(table.num_rows), sink.getvalue().to_pybytes())


_REMEDIES = {
    **dict.fromkeys(("WindowSpec", "Window", "JavaObject", "JVMView", "JavaGateway"), "build it inside the function"),
    "Column": "build it inside the function, or pass SQL text",
    "DataFrame": "declare it as a source of the workflow and read that node",
    "RDD": "declare a source of the workflow and read that node",
    "GroupedData": "group inside the function",
    "Broadcast": "pass the plain value; broadcast it inside the function",
    "Accumulator": "count inside the result, not beside it",
    **dict.fromkeys(
        ("SparkSession", "SparkContext", "SQLContext"), "take it from the rows inside the function: rows.sparkSession"
    ),
    "Model": "declare it as a learner of the workflow and read that node",
}
"""Remedies for objects that live in a session, by class of pyspark or py4j."""


def spark_classes(value: object) -> list[str]:
    """Return the names of Spark's classes that a value belongs to, its own first."""
    return [kind.__name__ for kind in type(value).__mro__ if kind.__module__.partition(".")[0] in ("pyspark", "py4j")]


def _spark_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a type, parameter or stage. Raises UnidentifiedError for objects of a session."""
    classes = spark_classes(value)
    if remedy := next(filter(None, map(_REMEDIES.get, classes)), None):
        raise UnidentifiedError(f"it is a Spark {classes[0]}, which lives in one session", remedy)
    if "DataType" in classes:
        # The JSON of an author's type has a pickle of its code, so such types are encoded by their attributes.
        return None if _has_own_type(value) else ("spark.type", value.json())
    if "Param" in classes:
        # The parent's identifier is its kind and random letters.
        kind = str(value.parent).rpartition("_")[0]
        own = () if value.parent == "undefined" else (encoder.stage(value.parent),)  # undefined in a class
        return "spark.param", kind, value.name, encoder(value.typeConverter, ".typeConverter"), *own
    if "Params" not in classes:
        return None
    # The class and the set parameters count; defaults belong to the version of Spark or to the code of the class.
    settings = {param.name: setting for param, setting in value._paramMap.items()}
    if "SQLTransformer" in classes and isinstance(statement := settings.get("statement"), str):
        encoder.statements.append(statement)
    result: list[bytes | str] = ["spark.stage", encoder(type(value)), encoder.stage(value.uid)]
    for name, setting in sorted(settings.items()):
        result += [name, encoder(setting, f".{name}")]
    if not type(value).__module__.startswith("pyspark."):
        # Only of unset parameters: the default of an output column has the stage's random identifier.
        defaults = {param.name: default for param, default in value._defaultParamMap.items()}
        result.append(encoder(sorted(item for item in defaults.items() if item[0] not in settings), " default"))
        internals = {"uid", "_paramMap", "_defaultParamMap", "_params", "_java_obj", "_input_kwargs"}
        for name, attribute in attributes(value):
            if name not in internals:
                result += [name, encoder(attribute, f".{name}")]
    return result


def _has_own_type(value: Any) -> bool:
    """Return whether a type is or holds a user-defined type."""
    if not type(value).__module__.startswith("pyspark."):
        return True
    inner = [getattr(value, name, None) for name in ("dataType", "elementType", "keyType", "valueType")]
    return any(part is not None and _has_own_type(part) for part in (*inner, *getattr(value, "fields", ())))


_LIBRARIES: dict[str, Callable[[Encoder, object], Iterable[bytes | str] | None]] = {
    "numpy": _numpy_fields,
    "pandas": _pandas_fields,
    "pyarrow": _pyarrow_fields,
    "pyspark": _spark_fields,
    "py4j": _spark_fields,
    "concurrent": lambda encoder, value: (
        ("executor", *(encoder(getattr(value, name, None)) for name in ("_max_workers", "_initializer", "_initargs")))
        if isinstance(value, futures.Executor) else None
    ),
}
"""By top-level module of the value's type. Each returns None for objects without such fields. Pyspark's classes are
matched by name, so that it is not imported."""


def shown(value: object, limit: int = 60) -> str:
    """Return a short text of a value for people: ``0.1``, ``['a', 'b']``, ``LogisticRegression``, else its type."""
    short = (NoneType, bool, int, float, complex, str, bytes, Decimal, Fraction, dt.date, dt.datetime, dt.timedelta)
    text = ""
    if type(value) is int and value.bit_length() > 10_000:  # Python writes no more than 4,300 digits
        return f"int of {value.bit_length():,} bits"
    items: Any = value if type(value) in (list, tuple, dict, set, frozenset) else None
    values = [*items, *items.values()] if type(value) is dict else items
    if type(value) in short or (items is not None and len(items) <= 20 and all(type(item) in short for item in values)):
        text = repr(value) if type(value) is not set else f"{{{', '.join(sorted(map(repr, value)))}}}"
    elif is_class(value) or callable(value):
        text = str(own_attribute(value, "__qualname__") or "").rpartition("<locals>.")[2]
    text = text or type(value).__qualname__
    return text if len(text) <= limit else text[: limit - 3] + "..."
