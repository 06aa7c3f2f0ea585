"""What of functions and classes counts for those alone who look at them: name, parameters and annotations of a function
that is handed around, docstrings, the subclasses of a class. What is called and no more shows none of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType

from helix_spark.signature.bytecode import nested, parameter_names
from helix_spark.signature.objects.classes import hints_of
from helix_spark.signature.objects.edges import Described, Edge, Named, Reference, Shown, edge_to
from helix_spark.signature.objects.origin import package_of_module
from helix_spark.signature.parts import Group, encode


def describe_shown(reference: Reference) -> Described:
    """What whoever is handed a function or class may see of it, as a part of its own."""
    assert isinstance(reference.value, Shown)
    value, label = reference.value.value, reference.label
    edges = _of_function(value, label) if isinstance(value, FunctionType) else _subclasses(value, label)
    return Described(Group.CODE, f"{label}, as it is shown", encode("shown"), tuple(edges))


def _of_function(function: FunctionType, label: str) -> Iterator[Edge]:
    """Its name, and what its annotations mean."""
    yield Named(f"called {function.__name__} {function.__qualname__} {parameter_names(function.__code__)}")
    yield edge_to(dict(hints_of(function)), f"{label}.__annotations__", role="annotations", owner=label)


def _subclasses(kind: object, label: str) -> Iterator[Edge]:
    """The project's classes that extend a class and are there now."""
    found: list[type] = type.__subclasses__(kind) if isinstance(kind, type) else []
    for one in found:
        if package_of_module(one.__module__) is None:
            yield edge_to(one, one.__qualname__, role="subclass", owner=label)


def docs_of(value: object) -> Iterator[str]:
    """The docstrings of a function or class, and of what is written inside it."""
    if isinstance(value, FunctionType | type):
        yield str(value.__doc__)
    if isinstance(value, FunctionType):
        first = (next(iter(inner.co_consts), None) for inner in nested(value.__code__))
        yield from (doc for doc in first if isinstance(doc, str))
