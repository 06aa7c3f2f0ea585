"""What was put into libraries from outside: ``DataFrame.clean = clean``, ``statistics.mean = ours``, pandas' accessors,
what spaCy finds by a name: ``nlp.add_pipe("shout")``.

Code that uses it names an attribute of a library, whose version says nothing of it; or no more than a text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import _lru_cache_wrapper, partial, partialmethod
from types import CodeType, FunctionType, ModuleType
from typing import Any

from helix_spark.signature.objects.classes import function_of
from helix_spark.signature.objects.edges import Edge, Named, edge_to
from helix_spark.signature.objects.held_values import HEAP_TYPE, closure_of, is_project
from helix_spark.signature.objects.origin import CYTHON, module_of, package_of_function, package_of_module

_HANDLED = (
    ("pyspark.sql.dataframe", "DataFrame"), ("pyspark.sql.classic.dataframe", "DataFrame"),
    ("pyspark.sql.column", "Column"), ("pyspark.sql.classic.column", "Column"),
    ("pyspark.sql.group", "GroupedData"), ("pyspark.sql.session", "SparkSession"), ("pyspark.rdd", "RDD"),
    ("pandas", "DataFrame"), ("pandas", "Series"), ("pandas", "Index"),
    ("pandas.core.groupby.generic", "DataFrameGroupBy"), ("pandas.core.groupby.generic", "SeriesGroupBy"),
)
"""Classes of the objects that functions of a workflow are given, and make: what people hang methods on. Any other
library's class that is patched counts where code names it, or is given an object of it."""

_DATA = (bool, int, float, str, bytes, list, tuple, dict, set, frozenset)
"""What nothing of theirs is that has a name for everybody."""


def hung_on_classes(names: frozenset[str], label: str, kinds: Iterable[type] = ()) -> Iterator[Edge]:
    """What may be read of such classes that did not come with their library, by class and name.

    Whose method ``rows.clean()`` is cannot be told before it runs, so every class that was given a `clean` counts.

    Args:
        names: that code mentions, or texts of a value: ``[getattr(rows, step)() for step in STEPS]``.
        label: of what mentions them.
        kinds: further classes.
    """
    if not names:  # as of most values, and there are many classes to look at
        return
    handled = [vars(sys.modules[module])[kind] for module, kind in _HANDLED if module in sys.modules]
    for kind in dict.fromkeys((*handled, *(base for one in kinds for base in _libraries_bases(one)))):
        for name in sorted(names & vars(kind).keys()):
            value = _registered(vars(kind)[name])
            if _is_hung_on(kind, value) or (kind in handled and type(value) in _DATA and not name.startswith("_")):
                called = f"{kind.__name__}.{name}"
                yield Named(f"method {called}")
                yield edge_to(value, called, role="method", owner=label)


def classes_named(names: Iterable[str]) -> Iterator[type]:
    """The classes among what dotted names stand for, or lead through, without asking a module's `__getattr__`.

    >>> list(classes_named(["decimal.Decimal.from_float", "math.pi", "no_such_module.A"]))
    [<class 'decimal.Decimal'>]
    """
    for name in names:
        value: object = None
        for part, path in _parts(name):
            value = vars(value).get(part) if isinstance(value, ModuleType) else None
            value = sys.modules.get(path, value)
            if isinstance(value, type):
                yield value
                break


def _parts(name: str) -> Iterator[tuple[str, str]]:
    parts = name.split(".")
    yield from ((part, ".".join(parts[: length + 1])) for length, part in enumerate(parts))


def _libraries_bases(kind: type) -> Iterator[type]:
    """A class and its bases, as far as they are a library's and can be given methods."""
    return (one for one in kind.__mro__ if one.__flags__ & HEAP_TYPE and package_of_module(one.__module__) is not None)


def _is_hung_on(kind: type, value: object) -> bool:
    """Whether what a class of a library has is code of somebody else: of the project, or another library's on one of
    those that people hang methods on."""
    home = _home(value)
    if home is None or home.partition(".")[0] == kind.__module__.partition(".")[0]:
        return False
    return package_of_module(home) is None or kind.__module__.startswith(("pandas.", "pyspark."))


def put_into_module(module: ModuleType, path: Sequence[str]) -> tuple[object, int] | None:
    """The function or class of the project that a library's module holds under a dotted name, and how much of the name
    leads there; None if there is none."""
    value: object = module
    for length, name in enumerate(path, start=1):
        if not isinstance(value, ModuleType):
            return None
        value = vars(value).get(name)
        if type(value) is FunctionType:
            return (value, length) if package_of_function(value) is None else None
        if isinstance(value, type):
            return (value, length) if package_of_module(value.__module__) is None else None
    return None


def _registered(value: object) -> object:
    """The class behind what `pandas.api.extensions.register_dataframe_accessor` leaves on a class."""
    accessor = vars(value).get("_accessor") if type(value).__module__ == "pandas.core.accessor" else None
    return value if accessor is None else accessor


def _home(value: object) -> str | None:
    """The module in which a class's attribute was written; None for what is no code."""
    inner = function_of(value) or value
    while isinstance(inner, partial | partialmethod | _lru_cache_wrapper):
        inner = inner.__wrapped__ if isinstance(inner, _lru_cache_wrapper) else inner.func
    if isinstance(inner, FunctionType):
        return str(inner.__globals__.get("__name__", ""))
    home = module_of(inner if isinstance(inner, type) else type(inner))
    is_ours = package_of_module(home) is None and not home.startswith(CYTHON)
    return home if isinstance(inner, type) or is_ours else None


FINDS = "has a library find {} by a name it was registered under"


def registered(names: frozenset[str], own: frozenset[CodeType] = frozenset()) -> list[str]:
    """What of the project's is registered under names that code mentions, with spaCy and thinc or as an extension of
    spaCy's documents.

    Args:
        own: code that is part of what mentions them, and may have registered itself.
    """
    entries: Mapping[Any, object] = getattr(sys.modules.get("catalogue"), "REGISTRY", {})
    found = [(str(key[-1]).rpartition(".")[2], value) for key, value in entries.items()]
    kind = getattr(sys.modules.get("spacy.tokens.underscore"), "Underscore", None)
    for of in ("doc", "span", "token"):
        found += [*getattr(kind, f"{of}_extensions", {}).items()]
    return sorted({
        name for name, value in found if name in names and own.isdisjoint(_in(value)) and _is_ours(value, names)
    })


def _is_ours(value: object, names: frozenset[str]) -> bool:
    code = [one for one in value if callable(one)] if isinstance(value, tuple) else [value]
    # Plain data, the default of an extension, may be that of code which has run by now.
    return all(map(is_project, code)) and (bool(code) or "set_extension" not in names)


def _in(value: object) -> Iterator[CodeType]:
    """The code of the functions in what is registered, and of those that these are made around."""
    if isinstance(value, FunctionType):
        yield value.__code__
        yield from (one.__code__ for one in closure_of(value).values() if isinstance(one, FunctionType))
    elif isinstance(value, tuple):
        for one in value:
            yield from _in(one)
