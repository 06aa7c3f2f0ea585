"""What a class or module of the project is made of: its bases and members, as live objects."""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Iterator
from functools import cached_property

from helix_spark.signature.edges import Described, Edge, Named, Reference, edge_to
from helix_spark.signature.origin import PYTHON, package_of_file, package_of_module
from helix_spark.signature.parts import Group, encode

_FIELD_TABLES = ("__pydantic_fields__", "__attrs_attrs__", "__struct_fields__", "__struct_defaults__")
"""Where pydantic, attrs and msgspec keep the fields of a class."""

_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)


def describe_class(reference: Reference, home: str) -> Described:
    """A class of the project: bases, metaclass, fields, members. `home` as in `describe_function`.

    Its name, docstring, module and annotations do not count, nor do the methods a decorator generated from its fields;
    annotations do where a base or metaclass outside the standard library may read them.
    """
    kind = reference.value
    assert isinstance(kind, type)
    label = kind.__qualname__.rpartition("<locals>.")[2]
    label = label if kind.__module__ == home else f"{kind.__module__}.{label}"
    edges: list[Edge] = []
    for base in kind.__bases__:
        edges.append(edge_to(base, base.__qualname__, role="base", owner=label))
    if type(kind) is not type:
        edges.append(edge_to(type(kind), type(kind).__qualname__, role="metaclass", owner=label))
    if issubclass(kind, enum.Enum):
        edges += _enum_members(kind, label)
    edges += _fields(kind, label)
    edges += _annotations(kind, label)
    for name, member in sorted(vars(kind).items()):
        if not _is_generated(kind, name, member):
            edges.append(Named(f"member {name}"))
            variable = (id(kind), name)
            edges.append(edge_to(member, f"{label}.{name}", role="class attribute", owner=label, variable=variable))
    return Described(Group.CODE, label, encode("class"), tuple(edges), warnings=tuple(_unseen(kind, label)))


def _unseen(kind: type, label: str) -> Iterator[str]:
    """A metaclass may keep the members it takes where nobody can see them."""
    meta = type(kind)
    library = package_of_module(meta.__module__)
    if library not in (None, PYTHON) and not any(hasattr(kind, table) for table in _FIELD_TABLES):
        yield f"`{label}` was made by {meta.__module__}.{meta.__qualname__}: fields that it took out do not count"


def describe_module(reference: Reference, home: str) -> Described:
    """A module of the project used as a whole: every name in it."""
    module = reference.value
    assert isinstance(module, types.ModuleType)
    label = module.__name__
    edges: list[Edge] = []
    for name, member in sorted(vars(module).items()):
        if not (name.startswith("__") and name.endswith("__")):
            edges.append(Named(f"member {name}"))
            variable = (id(vars(module)), name)
            edges.append(edge_to(member, f"{label}.{name}", role="global", owner=label, variable=variable))
    return Described(Group.CODE, label, encode("module"), tuple(edges))


def _enum_members(kind: type[enum.Enum], label: str) -> Iterator[Edge]:
    for name, member in kind.__members__.items():  # aliases included, in order of definition
        yield Named(f"enum member {name}")
        yield edge_to(member._value_, f"{label}.{name}", role="enum member", owner=label)


def _fields(kind: type, label: str) -> Iterator[Edge]:
    """Fields of a dataclass or named tuple, in order."""
    if "__dataclass_fields__" in vars(kind):
        yield Named(f"dataclass {vars(kind)['__dataclass_params__']!r}")
        for field in dataclasses.fields(kind):
            options = (field.init, field.repr, field.hash, field.compare, field.kw_only)
            yield Named(f"field {field.name} {options}")
            for value in (field.default, field.default_factory):
                if value is not dataclasses.MISSING:
                    variable = (id(kind), field.name)
                    yield edge_to(value, f"{label}.{field.name}", role="field", owner=label, variable=variable)
    if issubclass(kind, tuple) and "_fields" in vars(kind):
        for name in kind._fields:  # type: ignore[attr-defined]  # a named tuple has them
            yield Named(f"field {name}")
            defaults = kind._field_defaults  # type: ignore[attr-defined]  # as above
            if name in defaults:
                yield edge_to(defaults[name], f"{label}.{name}", role="field", owner=label)
    for table in _FIELD_TABLES:
        if (fields := getattr(kind, table, None)) is not None:
            yield edge_to(fields, f"{label} fields", role="fields", owner=label)


def _annotations(kind: type, label: str) -> Iterator[Edge]:
    read_by_library = any(
        package_of_module(one.__module__) not in (None, PYTHON) for one in (type(kind), *kind.__mro__)
    )
    if read_by_library or type(kind).__name__ == "_TypedDictMeta":
        for name, hint in vars(kind).get("__annotations__", {}).items():
            yield edge_to(hint, f"{label}.{name}", role="annotation", owner=label)


def _is_generated(kind: type, name: str, member: object) -> bool:
    """Whether a member says nothing that the class's fields and bases do not say already."""
    if name == "__slots__":
        return False
    if isinstance(member, _DESCRIPTORS):
        return True
    function = _function_of(member)
    if function is None:
        dunder = name.startswith("__") and name.endswith("__")
        enum_internal = issubclass(kind, enum.Enum) and (name in kind.__members__ or name.startswith("_"))
        from_tuple = ("_fields", "_field_defaults", *vars(kind).get("_fields", ()))
        tuple_internal = issubclass(kind, tuple) and name in from_tuple
        protocol_internal = name in ("_abc_impl", "_is_protocol", "_is_runtime_protocol")
        # A field's default is a class attribute as well.
        is_field = name in vars(kind).get("__dataclass_fields__", {})
        return dunder or enum_internal or tuple_internal or protocol_internal or is_field
    filename = function.__code__.co_filename
    made_from_fields = "__dataclass_fields__" in vars(kind) or issubclass(kind, tuple) or filename.startswith("<attrs")
    generated = filename.startswith("<") or package_of_file(filename, None) == PYTHON
    return made_from_fields and generated and name.startswith("_")


def _function_of(member: object) -> types.FunctionType | None:
    if isinstance(member, staticmethod | classmethod):
        member = member.__func__
    if isinstance(member, property):
        member = member.fget
    if isinstance(member, cached_property):
        member = member.func
    return member if isinstance(member, types.FunctionType) else None
