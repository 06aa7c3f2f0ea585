"""The part of one thing, by what kind of thing it is."""

from __future__ import annotations

import sys
import types
from functools import _lru_cache_wrapper, cached_property, partial, partialmethod

from helix_spark.identity.functions.function_part import UNFOLLOWED, describe_function, functions_called
from helix_spark.identity.objects.attributes import (
    declares_itself,
    held_values,
    is_class,
    wrapped_functions,
)
from helix_spark.identity.objects.classes import describe_class, describe_module
from helix_spark.identity.objects.encoder import Encoder, is_identifiable, shown
from helix_spark.identity.objects.origin import Package, module_of, package_of_function, package_of_module
from helix_spark.identity.objects.references import (
    DESCRIPTORS,
    Described,
    Edge,
    Reference,
    code_name,
    edge_to,
    is_code,
    is_udf,
    package_edge,
    udf_of,
)
from helix_spark.identity.parts import Group, encode
from helix_spark.plans.plan_chance import chance_in_text


def describe(reference: Reference, home: str) -> Described:
    """Describe one thing, as a part of a signature. `home` as for `describe_function`.

    Raises:
        UnidentifiedError: it cannot be told apart from others.
        SignatureError: it says so itself, or a module it needs cannot be imported.
    """
    value = reference.value
    if isinstance(value, Package):
        form = encode("package", value.name, value.version, value.content)
        return Described(Group.PACKAGE, value.name, form, _visible_in(value), shown=value.version)
    if type(value) is types.FunctionType and not is_udf(value):
        package = package_of_function(value)
        if package is None or reference.top:
            return describe_function(reference, home)
        return _describe_library_function(reference, value, package)
    if is_class(value):
        return describe_class(reference, home)
    if isinstance(value, DESCRIPTORS):
        return Described(Group.CODE, reference.label, encode("descriptor", value.__qualname__))
    if isinstance(value, types.ModuleType):
        return describe_module(reference)
    inner = _inner(value) if not declares_itself(value) else None
    return _describe_value(reference) if inner is None else _describe_composed(reference, inner)


def _visible_in(package: Package) -> tuple[Edge, ...]:
    """Return what a compiled module of the project shows: classes that it extends, modules that it imports, data."""
    found = [one for one in sys.modules.values() if package.file and vars(one).get("__file__") == package.file]
    edges = describe_module(Reference(found[0], package.name)).edges if found else ()
    return tuple(edge for edge in edges if isinstance(edge, str) or _is_visible(edge.value))


def _is_visible(value: object) -> bool:
    """Return whether something in a compiled module can be told by itself, and is not but a piece of the file."""
    if isinstance(value, Package | types.FunctionType | types.ModuleType | type):
        return True
    return not is_code(value) and _is_identifiable_around_code(value)


def _describe_library_function(reference: Reference, function: types.FunctionType, package: Package) -> Described:
    """Describe a function that a library made for the project: around code of the project, or around values."""
    label = reference.label
    edges: list[Edge] = [package_edge(package, code_name(function))]
    warnings: list[str] = []
    for name, value in held_values(function):
        may_be_ours = package_of_module(module_of(type(value))) is None or type(value) in (list, dict, set, tuple)
        if may_be_ours or is_code(value) or _is_identifiable_around_code(value):
            edges += [name, edge_to(
                value, f"{name} of {label}", role="closure value", name=name, owner=label,
                variable=(id(function), name),
            )]
        else:
            edges.append(f"{name} {type(value).__qualname__}")
            warnings.append(f"`{label}` was made by {package.name}, whose {type(value).__qualname__} is not followed")
    return Described(Group.CODE, label, encode("library function"), tuple(edges), warnings=tuple(warnings))


def _is_identifiable_around_code(value: object) -> bool:
    """Return whether a value has canonical bytes where the code in it is told by itself."""
    return is_identifiable(value, lambda inner, _: b"" if is_code(inner) else None)


def _inner(value: object) -> list[tuple[str, object]] | None:
    """Return what an object around code is made of; None for any other object."""
    if (udf := udf_of(value)) is not None:
        # `returnType` asks the JVM to parse a type given as text; what was given is as good. Spark names the column
        # after the function, where nobody gives it another name.
        settings = (udf.evalType, udf.deterministic, udf._name)
        return [("udf", udf.func), ("class", type(udf)), ("return type", udf._returnType), ("settings", settings)]
    match value:
        case types.MethodType():
            return [("method", value.__func__), ("self", value.__self__)]
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
    functions = wrapped_functions(value)
    return [*functions.items(), ("by", type(value))] if functions else None


def _describe_composed(reference: Reference, inner: list[tuple[str, object]]) -> Described:
    edges: list[Edge] = []
    for name, value in inner:
        label = reference.label if len(inner) == 1 else f"{name} of {reference.label}"
        edges += [name, edge_to(value, label, role=name, name=reference.label)]
    udf, label = udf_of(reference.value), f"{reference.label} ({inner[0][0]})"
    # A table function is called nondeterministic unless somebody says otherwise: that tells nothing of it.
    is_random = type(udf).__name__ == "UserDefinedFunction" and not udf.deterministic
    random = (f"`{reference.label}` is declared nondeterministic",) if is_random else ()
    return Described(Group.CODE, label, encode("composed"), tuple(edges), random=random)


def _describe_value(reference: Reference) -> Described:
    edges: list[Edge] = []
    slots: dict[int, int] = {}

    def refer(value: object, path: str) -> bytes | None:
        if not is_code(value):
            return None
        if id(value) not in slots:
            slots[id(value)] = len(edges)
            edges.append(edge_to(
                value, f"{reference.label}{path}", role=reference.role, name=f"{reference.name}{path}",
                owner=reference.owner,
            ))
        return encode("slot", str(slots[id(value)]))

    encoder = Encoder(refer)
    form = encoder.whole(reference.value)
    chance = filter(None, (chance_in_text(text, user_known=True) for text in encoder.statements))
    texts = tuple(encoder.texts)
    return Described(
        Group.VALUE, reference.label, encode("value", form), tuple(edges), shown(reference.value),
        random=tuple(f"{reference.place()} {why}" for why in chance), texts=texts,
        unfollowed=tuple(f"{reference.place()} names {text}" for text in texts if text in UNFOLLOWED),
        calls=functions_called(texts), stages=tuple(encoder.stages),
    )
