"""What code reads of functions and classes by reflection: annotations and parameters, subclasses, the order of members,
what generic bases are told, how functions take their rows.

Most code does not look, so none of this counts unless something that is reached reads it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FunctionType, GenericAlias, ModuleType
from typing import Any

from helix_spark.signature.objects.classes import INTERNALS, MODULE_INTERNALS, hints_of
from helix_spark.signature.objects.edges import Described, Edge, Named, Reference, Reflected, edge_to
from helix_spark.signature.objects.hints import tabular_hints
from helix_spark.signature.objects.origin import package_of_module
from helix_spark.signature.parts import Group, encode
from helix_spark.signature.text.bytecode import parameter_names
from helix_spark.signature.text.forms import Call, FunctionForm
from helix_spark.signature.text.looked_at import READ_SIGNATURES, TAKE_ROWS, TELL_OF_SIGNATURES

_ANNOTATIONS, _SUBCLASSES, _MEMBERS = "__annotations__", "__subclasses__", "__dict__"
_GENERIC_BASES = "__orig_bases__"
ROWS = "rows"
"""Of a function that is handed around: the annotations by which Spark knows how it takes its rows."""

_LOOKED_AT: dict[str, tuple[type, ...]] = {
    _ANNOTATIONS: (FunctionType, type), _SUBCLASSES: (type,), _MEMBERS: (type, ModuleType),
    _GENERIC_BASES: (type,), ROWS: (FunctionType,),
}
"""What has each of them."""

_ADDED_LATER = frozenset({"__warningregistry__"})
"""What Python puts into a module while it runs."""


def reflective_reads(
    form: FunctionForm, called: Iterable[tuple[Call, str | None]], edges: Sequence[Edge],
    used: Iterable[tuple[str, int]],
) -> Iterator[str]:
    """What one function reads of others by reflection.

    Args:
        called: its calls, each with the dotted name of what is called; None if that is not known.
        edges: what its slots stand for.
        used: full dotted names of what it refers to outside the project, each with a line.
    """
    if any(map(form.mentions, TELL_OF_SIGNATURES)) or any(name in READ_SIGNATURES for name, _ in used):
        yield _ANNOTATIONS
    yield from filter(form.mentions, (_SUBCLASSES, _GENERIC_BASES))
    if any(map(form.mentions, TAKE_ROWS)) or any(name.rpartition(".")[2] in TAKE_ROWS for name, _ in used):
        yield ROWS
    opened = _opened(form, called, edges)
    if any(one is None or (isinstance(one, Reference) and may_be_read(one.value, _MEMBERS)) for one in opened):
        yield _MEMBERS


def _opened(
    form: FunctionForm, called: Iterable[tuple[Call, str | None]], edges: Sequence[Edge]
) -> Iterator[Edge | None]:
    """What is asked for all its members; None for a local, which may be a class."""
    yield from (edge for free, edge in zip(form.free, edges, strict=True) if _MEMBERS in free.attributes)
    yield from (None for chain in form.chains if _MEMBERS in chain.names)
    slots = [call.arguments[0].slot for call, name in called if name == "builtins.vars" and call.arguments]
    yield from (edges[slot] if slot is not None else None for slot in slots)


def may_be_read(value: object, attribute: str) -> bool:
    """Whether what is read by reflection is anything that a thing has.

    >>> may_be_read(int, "__subclasses__"), may_be_read(list[int], "__subclasses__"), may_be_read(3, "__dict__")
    (True, False, False)
    """
    return isinstance(value, _LOOKED_AT.get(attribute, ())) and type(value) is not GenericAlias


def describe_reflected(reference: Reference) -> Described:
    """What is read of a function, class or module by reflection, as a part of its own."""
    reflected = reference.value
    assert isinstance(reflected, Reflected)
    edges = tuple(_EDGES[reflected.attribute](reflected.value, reference.label))
    label = f"{reference.label}.{reflected.attribute}"
    return Described(Group.CODE, label, encode("reflected", reflected.attribute), edges)


def _annotations(value: Any, label: str) -> Iterator[Edge]:
    """The annotations, as they are and as what they mean; of a function the names of its parameters besides."""
    if isinstance(value, FunctionType):
        yield Named(f"parameters {list(parameter_names(value.__code__))}")
    own = inspect.get_annotations(value)
    for found in (own, hints_of(value)) if own else ():
        yield edge_to(found, f"{label}.{_ANNOTATIONS}", role="annotations", owner=label)


def _subclasses(kind: type, label: str) -> Iterator[Edge]:
    """The project's classes that extend a class and are there now."""
    found: list[type] = type.__subclasses__(kind)
    for one in found:
        if package_of_module(one.__module__) is None:
            yield edge_to(one, one.__qualname__, role="subclass", owner=label)


def _generic_bases(kind: type, label: str) -> Iterator[Edge]:
    """The bases as they are written, with what they are told: ``Reader[int]``."""
    yield edge_to(vars(kind).get(_GENERIC_BASES), f"{label}.{_GENERIC_BASES}", role="base", owner=label)


def _rows(function: FunctionType, _label: str) -> Iterator[Edge]:
    yield Named(f"rows {tabular_hints(function)}")


def _members(value: object, _label: str) -> Iterator[Edge]:
    """The names of all members, in the order in which they were bound."""
    unwritten = INTERNALS | MODULE_INTERNALS | _ADDED_LATER
    yield Named(f"members {[name for name in vars(value) if name not in unwritten]}")


_EDGES: dict[str, Callable[[Any, str], Iterator[Edge]]] = {
    _ANNOTATIONS: _annotations, _SUBCLASSES: _subclasses, _MEMBERS: _members, _GENERIC_BASES: _generic_bases,
    ROWS: _rows,
}
