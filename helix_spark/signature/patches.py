"""What was put into libraries from outside: ``DataFrame.clean = clean``, ``statistics.mean = ours``, pandas' accessors.

Code that uses it names an attribute of a library, whose version says nothing of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cached_property, partial, partialmethod
from types import CodeType, FunctionType, ModuleType

from helix_spark.signature.origin import package_of_file, package_of_module

_HANDLED = (
    ("pyspark.sql.dataframe", "DataFrame"), ("pyspark.sql.classic.dataframe", "DataFrame"),
    ("pyspark.sql.column", "Column"), ("pyspark.sql.classic.column", "Column"),
    ("pyspark.sql.group", "GroupedData"), ("pyspark.sql.session", "SparkSession"), ("pyspark.rdd", "RDD"),
    ("pandas", "DataFrame"), ("pandas", "Series"), ("pandas", "Index"),
    ("pandas.core.groupby.generic", "DataFrameGroupBy"), ("pandas.core.groupby.generic", "SeriesGroupBy"),
)
"""Classes of the objects that functions of a workflow are given, and make: what people hang methods on. Any other
library's class that is patched is known by its version alone."""


def hung_on_classes(code: CodeType) -> Iterator[tuple[str, object]]:
    """What a function may call of such classes that did not come with their library, by class and name.

    Whose method ``rows.clean()`` is cannot be told before it runs, so every class that was given a `clean` counts.
    """
    names = frozenset(mentioned(code))
    for module, kind in _HANDLED:
        own = vars(vars(sys.modules[module])[kind]) if module in sys.modules else {}
        for name in sorted(names & own.keys()):
            value = _registered(own[name])
            home = _home(value)
            if home is not None and home.partition(".")[0] != module.partition(".")[0]:
                yield f"{kind}.{name}", value


def put_into_module(module: ModuleType, path: Sequence[str]) -> tuple[object, int] | None:
    """The function or class of the project that a library's module holds under a dotted name, and how much of the name
    leads there; None if there is none."""
    value: object = module
    for length, name in enumerate(path, start=1):
        if not isinstance(value, ModuleType):
            return None
        value = vars(value).get(name)
        if type(value) is FunctionType:
            ours = package_of_file(value.__code__.co_filename, value.__globals__.get("__name__")) is None
            return (value, length) if ours else None
        if isinstance(value, type):
            return (value, length) if package_of_module(value.__module__) is None else None
    return None


def mentioned(code: CodeType) -> Iterator[str]:
    """Names that a function, and those inside it, read; its texts besides, for ``getattr(rows, "clean")``.

    >>> sorted(set(mentioned((lambda rows: getattr(rows, "clean")(lambda row: row.age)).__code__)))
    ['age', 'clean', 'getattr']
    """
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from mentioned(constant)


def _registered(value: object) -> object:
    """The class behind what `pandas.api.extensions.register_dataframe_accessor` leaves on a class."""
    accessor = vars(value).get("_accessor") if type(value).__module__ == "pandas.core.accessor" else None
    return value if accessor is None else accessor


def _home(value: object) -> str | None:
    """The module in which a class's attribute was written; None for what is no code."""
    match value:
        case FunctionType():
            return str(value.__globals__.get("__name__", ""))
        case type():
            return value.__module__
        case staticmethod() | classmethod():
            return _home(value.__func__)
        case property():
            return _home(value.fget)
        case partial() | partialmethod() | cached_property():
            return _home(value.func)
    return None
