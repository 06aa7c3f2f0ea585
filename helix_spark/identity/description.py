"""Describe one object as a part, by its kind."""

from __future__ import annotations

import abc
import dataclasses
import enum
import inspect
import re
import sys
import types
from collections.abc import Iterator
from functools import _lru_cache_wrapper, cached_property, partial, partialmethod
from typing import Any

from helix_spark.hermetic.generators import HELD
from helix_spark.identity.functions.function_part import UNFOLLOWED, describe_function
from helix_spark.identity.functions.names import MODULE_INTERNALS
from helix_spark.identity.objects.attributes import (
    attributes,
    builtin_content,
    declares_itself,
    held_values,
    hints_of,
    is_class,
    wrapped_code,
)
from helix_spark.identity.objects.encoder import Encoder, canonical, is_identifiable, shown
from helix_spark.identity.objects.origin import PYTHON, Package, module_of, package_of_function, package_of_module
from helix_spark.identity.objects.references import (
    DESCRIPTORS,
    Described,
    Edge,
    Reference,
    code_name,
    edge_to,
    full_name,
    is_code,
    member_edges,
    package_edge,
    udf_of,
)
from helix_spark.identity.parts import Group, encode
from helix_spark.plans.nondeterminism import chance_in_text, choices_in_text
from helix_spark.since_python_311 import is_of_dataclass

_FIELD_TABLES = (
    "__pydantic_fields__", "__private_attributes__", "__attrs_attrs__", "__attrs_props__", "__struct_fields__",
    "__struct_defaults__", "__struct_encode_fields__",
)
"""Attributes in which pydantic, attrs and msgspec keep the fields of a class and their options."""

_INTERNALS = frozenset({
    "__module__", "__dict__", "__weakref__", "__doc__", "__annotations__", "__static_attributes__", "__firstlineno__",
    "__qualname__", "__orig_bases__", "__parameters__", "__abstractmethods__", "_abc_impl", "__slotnames__",
    "__dataclass_fields__", "__dataclass_params__", "__attrs_attrs__", "__attrs_own_setattr__", "__attrs_props__",
    "_is_protocol", "_is_runtime_protocol", "__class_vars__", "__private_attributes__", "_cached_sql_type",
})
"""Attributes that Python, dataclasses, attrs, pydantic, typing and Spark add to a class."""

_ENUM_INTERNALS = frozenset({
    "_new_member_", "_use_args_", "_member_names_", "_member_map_", "_value2member_map_", "_unhashable_values_",
    "_member_type_", "_value_repr_", "_flag_mask_", "_singles_mask_", "_all_bits_", "_inverted_",
})
"""Attributes that Python adds to an enum class."""


def describe(reference: Reference, home: str, *, on_driver: bool = False) -> Described:
    """Describe an object as a part of a signature. `home` as for `describe_function`, `on_driver` as for `trace`.

    Raises:
        UnidentifiedError, SignatureError: it cannot be identified, or a module that it needs cannot be imported.
    """
    value = reference.value
    if isinstance(value, Package):
        form = encode("package", value.name, value.version, value.content)
        return Described(Group.PACKAGE, value.name, form, _visible_in(value), shown=value.version)
    if type(value) is types.FunctionType and udf_of(value) is None:
        package = package_of_function(value)
        if package is None or reference.use == "top":
            return describe_function(reference, home, on_driver=on_driver)
        return _describe_library_function(reference, value, package)
    if is_class(value):
        return _describe_class(reference, home)
    if isinstance(value, DESCRIPTORS):
        return Described(Group.CODE, reference.label, encode("descriptor", value.__qualname__))
    if isinstance(value, types.ModuleType):
        return _describe_module(reference)
    inner = _inner(value) if not declares_itself(value) else None
    return _describe_value(reference, on_driver=on_driver) if inner is None else _describe_composed(reference, inner)


def _visible_in(package: Package) -> tuple[Edge, ...]:
    """Return the visible references of a compiled module of the project: base classes, imports, data."""
    file = package.file
    modules = [module for module in sys.modules.copy().values() if file and vars(module).get("__file__") == file]
    edges = _describe_module(Reference(modules[0], package.name)).edges if modules else ()
    followed = (Package, types.FunctionType, types.ModuleType, type)  # other code belongs to the file
    return tuple(
        edge for edge in edges if isinstance(edge, str) or isinstance(edge.value, followed)
        or (not is_code(edge.value) and _is_identifiable_around_code(edge.value))
    )


def _describe_library_function(reference: Reference, function: types.FunctionType, package: Package) -> Described:
    """Describe a function that a library created around code or values of the project."""
    label = reference.label
    edges: list[Edge] = [package_edge(package, code_name(function))]
    warnings: list[str] = []
    for name, value in held_values(function):
        may_be_projects = package_of_module(module_of(type(value))) is None or type(value) in (list, dict, set, tuple)
        if may_be_projects or is_code(value) or _is_identifiable_around_code(value):
            edges += [name, edge_to(
                value, f"{name} of {label}", role="closure value", name=name, owner=label,
                variable=(id(function), name),
            )]
        else:
            edges.append(f"{name} {type(value).__qualname__}")
            warnings.append(f"`{label}` was made by {package.name}, whose {type(value).__qualname__} is not followed")
    return Described(Group.CODE, label, encode("library function"), tuple(edges), warnings=tuple(warnings))


def _is_identifiable_around_code(value: object) -> bool:
    """Return whether a value has canonical bytes apart from the code in it."""
    return is_identifiable(value, lambda inner, _: b"" if is_code(inner) else None)


def _inner(value: object) -> list[tuple[str, object]] | None:
    """Return the components of an object around code; None for any other object."""
    if (udf := udf_of(value)) is not None:
        # `returnType` asks the JVM to parse a type given as text, so take the text. Spark names the column after the
        # function by default.
        settings = (udf.evalType, udf.deterministic, udf._name)
        return [("udf", udf.func), ("class", type(udf)), ("return type", udf._returnType), ("settings", settings)]
    match value:
        case types.MethodType():
            holder: Any = value.__self__
            parts: list[tuple[str, object]] = [("self", holder)]
            if type(holder).__module__ == "pydantic._internal._validate_call":
                # The wrapper holds the names of a module, and a schema compiled from the annotations.
                config = {**holder.config_wrapper.config_dict, "validate_return": holder.validate_return}
                parts = [("function", holder.function), ("settings", config)]
            return [("method", value.__func__), *parts]
        case types.BuiltinFunctionType() | types.MethodWrapperType():
            return [(f"method {value.__name__}", value.__self__)]
        case partial() | partialmethod():
            keywords = [(f"keyword {name}", argument) for name, argument in value.keywords.items()]
            positional = [(f"argument {position}", argument) for position, argument in enumerate(value.args)]
            kind, own = ("partial", vars(value)) if isinstance(value, partial) else ("partialmethod", {})
            return [(kind, value.func), *positional, *keywords, *own.items()]
        case _lru_cache_wrapper():
            return [("lru_cache", value.__wrapped__)]
        case staticmethod() | classmethod():
            return [(type(value).__name__, value.__func__)]
        case property():
            accessors = (("get", value.fget), ("set", value.fset), ("delete", value.fdel))
            return [(f"property {name}", accessor) for name, accessor in accessors if accessor is not None]
        case cached_property():
            return [("cached_property", value.func)]
    functions = wrapped_code(value)
    return [*functions.items(), ("by", type(value))] if functions else None


def _describe_composed(reference: Reference, inner: list[tuple[str, object]]) -> Described:
    edges: list[Edge] = []
    for name, value in inner:
        label = reference.label if len(inner) == 1 else f"{name} of {reference.label}"
        edges += [name, edge_to(value, label, role=name, name=reference.label)]
    udf, label = udf_of(reference.value), f"{reference.label} ({inner[0][0]})"
    # Table functions count as nondeterministic by default, which is no declaration.
    is_random = type(udf).__name__ == "UserDefinedFunction" and not udf.deterministic
    random = (f"`{reference.label}` is declared nondeterministic",) if is_random else ()
    return Described(Group.CODE, label, encode("composed"), tuple(edges), random=random)


def _describe_value(reference: Reference, *, on_driver: bool) -> Described:
    edges: list[Edge] = []
    slots: dict[int, int] = {}

    def refer(value: object, path: str) -> bytes | None:
        if not is_code(value):
            state = HELD.note(value) if on_driver else None
            return None if state is None else encode("generator", type(value).__name__, canonical(state))
        if id(value) not in slots:
            slots[id(value)] = len(edges)
            edges.append(edge_to(
                value, f"{reference.label}{path}", role=reference.role, name=f"{reference.name}{path}",
                owner=reference.owner,
            ))
        return encode("slot", str(slots[id(value)]))

    encoder = Encoder(refer)
    form = encoder.whole(reference.value)
    reasons = filter(None, (chance_in_text(text, user_known=True) for text in encoder.statements))
    texts = tuple(encoder.texts)
    return Described(
        Group.VALUE, reference.label, encode("value", form), tuple(edges), shown(reference.value),
        random=tuple(f"{reference.place()} {why}" for why in reasons), texts=texts,
        choices=tuple(f"{reference.place()} {why}" for text in encoder.statements for why in choices_in_text(text)),
        unfollowed=tuple(f"{reference.place()} names {text}" for text in texts if text in UNFOLLOWED),
        stages=tuple(encoder.stages), objects=tuple(encoder.objects), reads_lines="__doc__" in texts,
    )


def _describe_class(reference: Reference, home: str) -> Described:
    """Describe a class of the project: bases, metaclass, fields, members, and its location. Its docstring and the
    methods that a decorator generated from its fields do not count."""
    kind: type = reference.value  # type: ignore[assignment]  # a value of any type
    label = kind.__qualname__.rpartition("<locals>.")[2]
    label = label if kind.__module__ == home else f"{kind.__module__}.{label}"
    edges: list[Edge] = [edge_to(base, base.__qualname__, role="base", owner=label) for base in kind.__bases__]
    if type(kind) is not type:
        edges.append(edge_to(type(kind), type(kind).__qualname__, role="metaclass", owner=label))
    if issubclass(kind, enum.Enum):
        edges += _enum_members(kind, label)
    edges += _fields(kind, label)
    edges.append(f"called {kind.__name__} {full_name(kind, home)}")
    edges.append(edge_to(vars(kind).get("__orig_bases__"), f"{label}.__orig_bases__", role="base", owner=label))
    members = {name: member for name, member in vars(kind).items() if not _is_generated(kind, name, member)}
    edges += member_edges(members.items(), kind, "class attribute", label)
    unseen: tuple[str, ...] = ()
    meta = type(kind)
    if issubclass(meta, abc.ABCMeta):
        registered = (reference() for reference in abc._get_dump(kind)[0])  # type: ignore[attr-defined]  # of the C module
        edges += sorted(f"registered {sub.__module__}.{sub.__qualname__}" for sub in registered if sub is not None)
    if _library_of(meta) is not None and not any(hasattr(kind, table) for table in _FIELD_TABLES):
        unseen = (f"`{label}` was made by {meta.__module__}.{meta.__qualname__}: fields that it took out do not count",)
    bound = {kind.__module__: {kind.__qualname__: kind}}
    return Described(Group.CODE, label, encode("class"), tuple(edges), warnings=unseen, bound=bound)


def _describe_module(reference: Reference) -> Described:
    """Describe a module of the project with every name in it."""
    names, label = vars(reference.value), reference.value.__name__  # type: ignore[attr-defined]  # a module
    members = ((name, member) for name, member in names.items() if name not in MODULE_INTERNALS)
    return Described(Group.CODE, label, encode("module"), tuple(member_edges(members, names, "global", label)))


def _enum_members(kind: type[enum.Enum], label: str) -> Iterator[Edge]:
    for name, member in kind.__members__.items():  # aliases included, in order of definition
        yield f"enum member {name}"
        yield edge_to(member._value_, f"{label}.{name}", role="enum member", owner=label)
        base, content = builtin_content(member)  # `__new__` may set a content that differs from the value
        enum_attributes = {"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"}
        own_attributes = [item for item in attributes(member) if item[0] not in enum_attributes]
        members = own_attributes if base is object else [(base.__name__, content), *own_attributes]
        yield from member_edges(members, member, "attribute", f"{label}.{name}")


def _fields(kind: type, label: str) -> Iterator[Edge]:
    """Yield the fields of a class, from dataclasses, other libraries and annotations."""
    if "__dataclass_fields__" in vars(kind):
        order = list(vars(kind)["__dataclass_fields__"])  # pseudo-fields included: they are parameters as well
        yield f"dataclass {vars(kind)['__dataclass_params__']!r} {order}"
    for field in _dataclass_fields(kind):
        options = (field.init, field.repr, field.hash, field.compare, field.kw_only)
        yield f"field {field.name} {options}"
        for value in (field.default, field.default_factory, field.metadata or dataclasses.MISSING):
            if value is not dataclasses.MISSING:
                # The class attribute, unless it was replaced since.
                variable = (id(kind), field.name) if vars(kind).get(field.name, value) is value else None
                yield edge_to(value, f"{label}.{field.name}", role="field", owner=label, variable=variable)
    if "__pydantic_fields__" in vars(kind):  # the docstring is part of the schema
        yield f"docstring {kind.__doc__}"
    for table in _FIELD_TABLES:
        if (fields := getattr(kind, table, None)) is not None:
            yield edge_to(fields, f"{label} fields", role="fields", owner=label)
    # The options of pydantic's decorators. The decorated functions are members.
    tables: Any = getattr(kind, "__pydantic_decorators__", None)
    for table_field in dataclasses.fields(tables) if dataclasses.is_dataclass(tables) else ():
        for name, decorator in getattr(tables, table_field.name).items():
            yield f"{table_field.name} {name}"
            settings = {option: value for option, value in attributes(decorator.info) if option != "description"}
            yield edge_to(settings, f"{label}.{name}", role="decorator", owner=label)
    annotations = inspect.get_annotations(kind)
    meanings = hints_of(kind) if annotations else {}
    yield from member_edges(annotations.items(), kind, "annotation", label)
    yield from member_edges([(name, meanings.get(name)) for name in annotations], kind, "meant annotation", label)


def _is_generated(kind: type, name: str, member: object) -> bool:
    """Return whether a member follows from the class's fields and bases."""
    if name in _INTERNALS or (name == "__hash__" and member is None):
        return True
    if (isinstance(member, DESCRIPTORS) and member.__objclass__ is kind) or type(member).__name__ == "_tuplegetter":
        return True  # of a slot or a named tuple, whose fields are members too
    if re.match(r"__pydantic_(?!config__)", name) or (
        name == "__signature__" and _library_of(type(member)) is not None
    ):
        return True  # pydantic's own objects
    if isinstance(member, types.FunctionType):
        inner = vars(member).get("__wrapped__", member)
        code = (inner if isinstance(inner, types.FunctionType) else member).__code__
        return is_of_dataclass(code) or code.co_filename.startswith("<attrs generated")
    if any(name == field.name and member is field.default for field in _dataclass_fields(kind)):
        return True  # a field's default is a class attribute too
    if issubclass(kind, enum.Enum):
        return name in kind.__members__ or name in _ENUM_INTERNALS
    # A library's metaclass adds validators, serializers and caches; the author's values are plain.
    is_library = name.startswith("__") and name.endswith("__") and _library_of(type(kind)) is not None
    return is_library and not is_code(member) and not is_identifiable(member)


def _dataclass_fields(kind: type) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind) if "__dataclass_fields__" in vars(kind) else ()


def _library_of(kind: type) -> Package | None:
    """Return the library of a class; None for the project and the standard library."""
    package = package_of_module(kind.__module__)
    return package if package != PYTHON else None
