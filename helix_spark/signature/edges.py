"""From one piece of a program to the next: what a name stands for, and whether it has to be followed."""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass
from functools import _lru_cache_wrapper, cached_property, partial, partialmethod

from helix_spark.signature.origin import PYTHON, Package, package_of_file, package_of_module
from helix_spark.signature.parts import Group


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Something that gets a part of its own.

    Attributes:
        value: the object, or a `Package`.
        label: how people call it, where it has no name itself.
        role, name, owner: where it was found, for errors: "closure value", "cfg", "clean".
        text: what the referring code says about it besides: attributes it reads, the name within a package.
        variable: the variable it was read from; two variables are two parts, even if their values are one object.
        top: whether it is the function that a node runs, whose parameters are known by position.
    """

    value: object
    label: str
    role: str = "value"
    name: str = ""
    owner: str = ""
    text: str = ""
    variable: tuple[int, str] | None = None
    top: bool = False

    def place(self, path: str = "") -> str:
        """Where it is, in words.

        >>> Reference(1, "cfg", "closure value", "cfg", "clean").place(".limit")
        'closure value `cfg.limit` of `clean`'
        """
        return f"{self.role} `{self.name or self.label}{path}`" + (f" of `{self.owner}`" if self.owner else "")


@dataclass(frozen=True, slots=True)
class Named:
    """Something identified by a name alone: a builtin, or a name bound to nothing."""

    text: str


Edge = Reference | Named


@dataclass(frozen=True, slots=True)
class Described:
    """What a part is made of.

    Attributes:
        group, label, shown: as in `Part`.
        form: its own canonical bytes, in which what it refers to is left out.
        edges: what it refers to, in the order of the slots of its form.
        warnings, random: see `CodeTrace`.
    """

    group: Group
    label: str
    form: bytes
    edges: tuple[Edge, ...] = ()
    shown: str | None = None
    warnings: tuple[str, ...] = ()
    random: tuple[str, ...] = ()


def edge_to(
    value: object, label: str, *, role: str, name: str = "", owner: str = "", text: str = "",
    variable: tuple[int, str] | None = None,
) -> Edge:
    """The edge to a value: to its package if it is not the project's, else to itself. `text` as in `Reference`."""
    known = identity(value)
    if known is None:
        return Reference(value, label, role, name or label, owner, text, variable)
    package, qualified = known
    return package_edge(package, qualified + text)


def package_edge(package: Package, text: str) -> Edge:
    if package == PYTHON and text.startswith("builtins."):
        return Named(text)
    return Reference(package, package.name, "package", text=text)


def home_of(value: object) -> str:
    """The module a value is at home in; names of that module need no prefix."""
    function = getattr(value, "func", value)
    if isinstance(function, types.FunctionType):
        return str(function.__globals__.get("__name__", ""))
    return str(getattr(value, "__module__", None) or type(value).__module__)


# -- code by name ------------------------------------------------------------------------------------------------------

_DESCRIPTORS = (
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
_CODE = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodWrapperType,
    types.ModuleType,
    type,
    partial,
    partialmethod,
    staticmethod,
    classmethod,
    property,
    cached_property,
    _lru_cache_wrapper,
    *_DESCRIPTORS,
)


def is_code(value: object) -> bool:
    """Whether a value stands for code rather than data.

    >>> is_code(len), is_code(int), is_code([len])
    (True, True, False)
    """
    if isinstance(value, types.GenericAlias):  # list[int] passes for a class
        return False
    return isinstance(value, _CODE) or wrapped(value) is not None or identity(value) is not None


def identity(value: object) -> tuple[Package, str] | None:
    """Package and qualified name of code that is not the project's and holds none of it; None for all else."""
    match value:
        case types.GenericAlias():
            return None
        case types.ModuleType():
            package = package_of_module(value.__name__)
            return (package, value.__name__) if package else None
        case types.FunctionType():
            package = package_of_file(value.__code__.co_filename, value.__globals__.get("__name__"))
            if package is None or holds_project_code(value):
                return None
            return package, function_name(value)
        case type():
            package = package_of_module(value.__module__)
            return (package, _public_name(value.__module__, value.__qualname__, value)) if package else None
        case types.MethodType():
            return _method_identity(value)
        case types.BuiltinFunctionType() | types.MethodWrapperType():
            return _builtin_identity(value)
        case _ if isinstance(value, _DESCRIPTORS):
            found = identity(value.__objclass__)
            return (found[0], f"{found[1]}.{value.__name__}") if found else None
    return _by_name(value)


def function_name(function: types.FunctionType) -> str:
    """Module and qualified name of a library's function: the one the library keeps it under, if it does.

    Else the one of its code, which `functools.wraps` does not touch.
    """
    if _holds(function.__module__, function.__qualname__, function):
        return _public_name(function.__module__, function.__qualname__, function)
    return f"{function.__globals__.get('__name__', '')}.{function.__code__.co_qualname}"


def _public_name(module: str, name: str, value: object) -> str:
    """The name in the outermost package that re-exports it: ``json.loads`` and ``from json import loads`` are one."""
    parent = module.rpartition(".")[0]
    while parent and _holds(parent, name, value):
        module, parent = parent, parent.rpartition(".")[0]
    return f"{module}.{name}"


def _method_identity(method: types.MethodType) -> tuple[Package, str] | None:
    owner = method.__self__
    if isinstance(owner, type):
        found = identity(owner)
        return (found[0], f"{found[1]}.{method.__name__}") if found else None
    return _global_generator(owner, method.__name__)


def _builtin_identity(value: types.BuiltinFunctionType | types.MethodWrapperType) -> tuple[Package, str] | None:
    owner = getattr(value, "__self__", None)
    if owner is None or isinstance(owner, types.ModuleType):
        module = str(value.__module__ or "builtins")
        package = package_of_module(module)
        return (package, f"{module}.{value.__qualname__}") if package else None
    if isinstance(owner, type):
        found = identity(owner)
        return (found[0], f"{found[1]}.{value.__name__}") if found else None
    return _global_generator(owner, value.__name__)


def _global_generator(owner: object, method: str) -> tuple[Package, str] | None:
    """`random.shuffle` and `numpy.random.shuffle` are methods of one hidden generator."""
    if isinstance(owner, random.SystemRandom):
        return PYTHON, f"secrets.{method}"
    if owner is getattr(random, "_inst", None):
        return PYTHON, f"random.{method}"
    numpy_random = sys.modules.get("numpy.random.mtrand")
    package = package_of_module("numpy") if numpy_random is not None else None
    if package is not None and owner is getattr(numpy_random, "_rand", None):
        return package, f"numpy.random.{method}"
    return None


def _by_name(value: object) -> tuple[Package, str] | None:
    """An object that a library itself keeps under a name: a compiled function, `os.environ`."""
    kind = type(value)
    home = kind.__module__
    if package_of_module(home) is None or home == "builtins":
        return None
    if callable(value) and not isinstance(value, _lru_cache_wrapper | partial | partialmethod):
        for module in (getattr(value, "__module__", None), home, home.partition(".")[0]):
            name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
            if isinstance(module, str) and isinstance(name, str) and _holds(module, name, value):
                package = package_of_module(module)
                return (package, f"{module}.{name}") if package else None
    for name, one in vars(sys.modules[home]).items() if home in sys.modules else ():
        if one is value:
            package = package_of_module(home)
            return (package, f"{home}.{name}") if package else None
    return None


def _holds(module: str, name: str, value: object) -> bool:
    return getattr(sys.modules.get(module), name, None) is value


# -- the project's code inside other code ------------------------------------------------------------------------------


def wrapped(value: object) -> object | None:
    """The function inside an object of a library that stands for it (numba's, joblib's, wrapt's), else None."""
    if package_of_module(type(value).__module__) in (None, PYTHON):
        return None
    held = getattr(value, "__dict__", None) if not isinstance(value, type | types.FunctionType) else None
    for name in ("__wrapped__", "py_func"):
        inner = held.get(name) if isinstance(held, dict) else None
        if inner is None and hasattr(type(value), name):
            inner = getattr(value, name, None)
        if isinstance(inner, types.FunctionType | types.MethodType | type):
            return inner
    return None


def holds_project_code(function: types.FunctionType) -> bool:
    """Whether a function of a library was made around the project's code: a decorator's wrapper, a callback."""
    return any(is_project(value) for _, value in held_values(function))


def held_values(function: types.FunctionType) -> Iterable[tuple[str, object]]:
    """What a function holds: closure values, defaults, what it wraps, what it dispatches to."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not bound yet
            continue
    yield from enumerate_defaults(function)
    if "__wrapped__" in function.__dict__:
        yield "__wrapped__", function.__dict__["__wrapped__"]
    registry = function.__dict__.get("registry")
    if isinstance(registry, types.MappingProxyType):  # functools.singledispatch
        for kind, implementation in registry.items():
            yield f"dispatch {kind.__qualname__}", implementation


def enumerate_defaults(function: types.FunctionType) -> Iterable[tuple[str, object]]:
    """The parameters that have defaults, with their values, in order."""
    code, defaults = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    yield from zip(positional[len(positional) - len(defaults) :], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def is_project(value: object, depth: int = 2) -> bool:
    """Whether a value is code of the project, an object of its classes, or a small container of such."""
    match value:
        case types.FunctionType():
            return package_of_file(value.__code__.co_filename, value.__globals__.get("__name__")) is None or (
                depth > 0 and any(is_project(inner, depth - 1) for _, inner in held_values(value))
            )
        case types.MethodType():
            return is_project(value.__func__) or is_project(value.__self__)
        case partial():
            return is_project(value.func) or any(map(is_project, (*value.args, *value.keywords.values())))
        case _lru_cache_wrapper():
            return is_project(value.__wrapped__)
        case type():
            return package_of_module(value.__module__) is None
        case list() | tuple() | set() | frozenset() | dict() if depth:
            items = value.values() if isinstance(value, dict) else value
            return len(value) < 1000 and any(is_project(item, depth - 1) for item in items)
    return package_of_module(type(value).__module__) is None
