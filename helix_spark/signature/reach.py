"""Everything a value reaches, breadth first, each thing once.

A part covers its own form and, for each thing it refers to, whether that is the next new thing or which earlier one. So
the list of parts stands for the whole graph, cycles included, and a change shows in the one part that changed.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import _lru_cache_wrapper, cached_property, partial, partialmethod

from helix_spark.errors import Location, SignatureError
from helix_spark.signature.classes import describe_class, describe_module
from helix_spark.signature.edges import (
    Described,
    Edge,
    Named,
    Reference,
    edge_to,
    function_name,
    held_values,
    is_code,
    is_project,
    package_edge,
    wrapped,
)
from helix_spark.signature.encoder import canonical
from helix_spark.signature.functions import describe_function
from helix_spark.signature.leaves import is_immutable, shown
from helix_spark.signature.origin import Package, package_of_file
from helix_spark.signature.parts import Group, Part, digest, encode
from helix_spark.signature.spark_functions import describe_udf, unwrapped_udf
from helix_spark.signature.unidentified import UnidentifiedError


@dataclass(frozen=True, slots=True)
class Reached:
    """The parts, and what was noticed on the way; see `CodeTrace`."""

    parts: tuple[Part, ...]
    warnings: tuple[str, ...]
    random: tuple[str, ...]


def reach(roots: Iterable[Reference], *, node: str, where: Location | None, home: str) -> Reached:
    """Describe everything the roots reach.

    Args:
        roots: where to start, in order.
        node: whose signature this is, for errors.
        where: where the node is declared, for errors.
        home: the module whose names need no prefix.

    Raises:
        SignatureError: something cannot be identified.
    """
    walk = _Walk()
    for root in roots:
        walk.token(root)
    parts: list[Part] = []
    warnings: dict[str, None] = {}
    random: dict[str, None] = {}
    while walk.queue:
        reference = walk.queue.popleft()
        try:
            described = describe(reference, home)
        except UnidentifiedError as error:
            place = reference.place(error.path or "")
            raise SignatureError(
                f"node {node!r}: {place} cannot be identified: {error.what}", where=where, remedy=error.remedy
            ) from None
        except SignatureError as error:
            raise SignatureError(
                f"node {node!r}: {reference.place()}: {error.what}", where=error.where or where,
                exists=error.exists, remedy=error.remedy,
            ) from error
        tokens = [walk.token(edge) for edge in described.edges]
        identity = digest(described.form, *tokens)
        parts.append(Part(described.group, described.label, identity, described.shown))
        warnings |= dict.fromkeys(described.warnings)
        random |= dict.fromkeys(described.random)
    return Reached(tuple(parts), tuple(warnings), tuple(random))


class _Walk:
    """Which things were met, in which order."""

    def __init__(self) -> None:
        self.queue: deque[Reference] = deque()
        self._numbers: dict[Hashable, int] = {}
        self._kept: list[object] = []  # ids stay the objects' own as long as the objects live

    def token(self, edge: Edge) -> bytes:
        """What an edge says; queues what it leads to if that is new."""
        if isinstance(edge, Named):
            return encode("name", edge.text)
        key = self._key(edge)
        number = self._numbers.get(key)
        if number is not None:
            return encode("seen", str(number), edge.text)
        self._numbers[key] = len(self._numbers)
        self._kept.append(edge.value)
        self.queue.append(edge)
        return encode("new", edge.text)

    def _key(self, reference: Reference) -> Hashable:
        """One thing, one key. Whether two equal constants are one object is up to the interpreter, so they are two
        unless read from one variable."""
        value = reference.value
        if isinstance(value, Package):
            return value
        if isinstance(value, types.MethodType):
            return "method", id(value.__self__), id(value.__func__)
        if is_immutable(value):
            return reference.variable or len(self._numbers)
        return "object", id(value)


def describe(reference: Reference, home: str) -> Described:
    """The part of one thing, by what kind of thing it is."""
    value = reference.value
    if isinstance(value, Package):
        return Described(Group.PACKAGE, value.name, encode("package", value.name, value.version), shown=value.version)
    udf = unwrapped_udf(value)
    if udf is not None:
        return describe_udf(udf, reference)
    match value:
        case types.FunctionType():
            if package_of_file(value.__code__.co_filename, value.__globals__.get("__name__")) and not reference.top:
                return _describe_library_function(reference, value)
            return describe_function(reference, home)
        case type() if not isinstance(value, types.GenericAlias):
            return describe_class(reference, home)
        case types.ModuleType():
            return describe_module(reference, home)
    inner = _inner(value)
    if inner is not None:
        return _describe_composed(reference, inner)
    return _describe_value(reference)


def _describe_library_function(reference: Reference, function: types.FunctionType) -> Described:
    """A function of a library that holds code of the project: a decorator's wrapper."""
    package = package_of_file(function.__code__.co_filename, function.__globals__.get("__name__"))
    assert package is not None
    edges: list[Edge] = [package_edge(package, function_name(function))]
    for name, value in held_values(function):
        if is_project(value):
            edges += [Named(name), edge_to(value, name, role="closure value", owner=reference.label)]
    return Described(Group.CODE, reference.label, encode("library function"), tuple(edges))


def _inner(value: object) -> list[tuple[str, object]] | None:
    """What an object made around code is made of; None for all else."""
    match value:
        case types.MethodType():
            return [("method", value.__func__), ("self", value.__self__)]
        case types.BuiltinFunctionType() | types.MethodWrapperType():
            return [(f"method {value.__name__}", value.__self__)]
        case partial():
            keywords = [(f"keyword {name}", argument) for name, argument in value.keywords.items()]
            positional = [(f"argument {position}", argument) for position, argument in enumerate(value.args)]
            return [("partial", value.func), *positional, *keywords, *vars(value).items()]
        case partialmethod():
            keywords = [(f"keyword {name}", argument) for name, argument in value.keywords.items()]
            positional = [(f"argument {position}", argument) for position, argument in enumerate(value.args)]
            return [("partialmethod", value.func), *positional, *keywords]
        case _lru_cache_wrapper():
            return [("lru_cache", value.__wrapped__)]
        case staticmethod() | classmethod():
            return [(type(value).__name__, value.__func__)]
        case property():
            accessors = (("get", value.fget), ("set", value.fset), ("delete", value.fdel))
            return [(f"property {name}", accessor) for name, accessor in accessors if accessor is not None]
        case cached_property():
            return [("cached_property", value.func)]
    function = wrapped(value)
    if function is not None:
        return [("wrapped", function), ("by", type(value))]
    return None


def _describe_composed(reference: Reference, inner: list[tuple[str, object]]) -> Described:
    edges: list[Edge] = []
    for name, value in inner:
        label = reference.label if len(inner) == 1 else f"{name} of {reference.label}"
        edges += [Named(name), edge_to(value, label, role=name, name=reference.label)]
    return Described(Group.CODE, reference.label, encode("composed"), tuple(edges))


def _describe_value(reference: Reference) -> Described:
    """Plain data; the code in it becomes edges."""
    edges: list[Edge] = []
    slots: dict[int, int] = {}

    def refer(value: object, path: str) -> bytes | None:
        if not is_code(value):
            return None
        if id(value) not in slots:
            slots[id(value)] = len(edges)
            edges.append(edge_to(value, f"{reference.label}{path}", role=reference.role,
                                 name=f"{reference.name}{path}", owner=reference.owner))
        return encode("slot", str(slots[id(value)]))

    form = canonical(reference.value, refer)
    return Described(Group.VALUE, reference.label, encode("value", form), tuple(edges), shown(reference.value))
