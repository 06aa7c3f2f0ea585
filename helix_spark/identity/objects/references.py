"""References from one part of a program to another: to code and values that are followed, or to code outside of the
project that is identified by its package and name."""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import _lru_cache_wrapper, cached_property, partial, partialmethod
from itertools import accumulate
from typing import Any, Literal

from helix_spark.identity.objects.attributes import declares_itself, held_values, is_class, own_attribute, wrapped_code
from helix_spark.identity.objects.encoder import LEAVES
from helix_spark.identity.objects.origin import (
    CYTHON,
    PYTHON,
    Package,
    module_of,
    package_of_function,
    package_of_module,
)
from helix_spark.identity.parts import Group
from helix_spark.since_python_311 import own_name

DESCRIPTORS = (
    types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
    types.GetSetDescriptorType, types.MemberDescriptorType,
)
_CODE = (
    type, types.BuiltinFunctionType, types.MethodType, types.MethodWrapperType, types.ModuleType, partial,
    partialmethod, staticmethod, classmethod, property, cached_property, _lru_cache_wrapper, *DESCRIPTORS,
)


def is_code(value: object) -> bool:
    kind = type(value)
    if kind is types.GenericAlias:  # `isinstance` takes list[int] for a class
        return False
    if kind is types.FunctionType or isinstance(value, _CODE):
        return True
    if declares_itself(value):
        return False
    return udf_of(value) is not None or bool(wrapped_code(value)) or identity(value) is not None


def identity(value: object) -> tuple[Package, str] | None:
    """Return the package and qualified name of code that is not the project's and holds nothing of it; None for any
    other value. Code that a package exports from two of its modules has two identities."""
    kind = type(value)
    if kind in LEAVES or kind in (tuple, list, dict, set, frozenset):
        return None
    if kind is types.FunctionType:
        return _function_identity(value)  # type: ignore[arg-type]  # checked above
    if isinstance(value, types.ModuleType):
        return _named(value.__name__, value.__name__)
    if is_class(value):
        return _class_identity(value)
    if kind in (types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType):
        return _bound_identity(value)
    if isinstance(value, DESCRIPTORS):
        return _attribute(_class_identity(value.__objclass__), value)
    return None if isinstance(value, _CODE) else _kept_identity(value)


def _named(module: str | None, name: str) -> tuple[Package, str] | None:
    package = package_of_module(module)
    return (package, name) if package else None


def _attribute(owner: tuple[Package, str] | None, value: Any) -> tuple[Package, str] | None:
    return (owner[0], f"{owner[1]}.{value.__name__}") if owner else None


def udf_of(value: Any) -> Any:
    """Return the object that pyspark's `udf(...)` or `udtf(...)` created; None for any other value."""
    udf = value.__dict__.get("_unwrapped") if type(value) is types.FunctionType else value
    kind = type(udf)
    is_table_function = (kind.__module__, kind.__name__) == ("pyspark.sql.udtf", "UserDefinedTableFunction")
    is_function = kind.__name__ == "UserDefinedFunction" and kind.__module__.startswith("pyspark.")
    return udf if is_table_function or is_function else None


def _function_identity(function: types.FunctionType) -> tuple[Package, str] | None:
    """Return the identity of a library's function; None if it may hold code of the project."""
    package = package_of_function(function)
    if package is None or udf_of(function) is not None:
        return None
    module = function.__module__  # `functools.wraps` copies it from the wrapped function
    if package_of_module(module) == package and _keeps(module, function.__qualname__, function):
        return package, f"{module}.{function.__qualname__}"
    if function.__closure__ or any(type(value) not in LEAVES for _, value in held_values(function)):
        return None
    return package, code_name(function)


def code_name(function: types.FunctionType) -> str:
    """Return the module and qualified name of a function's own code, despite `functools.wraps`."""
    return f"{function.__globals__.get('__name__', '')}.{own_name(function)}"


def _class_identity(kind: type) -> tuple[Package, str] | None:
    package = package_of_module(kind.__module__)
    if package is None:
        return None
    # Classes that libraries create (pydantic.create_model, dataclasses.make_dataclass) may claim its module,
    # and another file may be loaded under a library's name. Classes created at run time have Py_TPFLAGS_HEAPTYPE
    # (Include/object.h), types built into the interpreter do not.
    if _keeps(kind.__module__, kind.__qualname__, kind) or not kind.__flags__ & (1 << 9):
        return package, f"{kind.__module__}.{kind.__qualname__}"
    # PyO3's classes claim `builtins`. They are the project's if its compiled module has them.
    for module in list(sys.modules) if kind.__module__ == "builtins" else ():
        owner = package_of_module(module) if _keeps(module, kind.__qualname__, kind) else None
        if owner is not None and owner.file:
            return owner, f"{module}.{kind.__qualname__}"
    return None


def _bound_identity(value: Any) -> tuple[Package, str] | None:
    """Return the identity of a method of a library's class or module, or of its global generator, such as
    `random.shuffle`. Methods of other objects are identified by the object."""
    owner = getattr(value, "__self__", None)
    if owner is None or isinstance(owner, types.ModuleType):
        module = str(value.__module__ or "builtins")
        return _named(module, f"{module}.{value.__qualname__}")
    if isinstance(owner, random.SystemRandom):
        return PYTHON, f"secrets.{value.__name__}"
    if isinstance(owner, type):
        return _attribute(_class_identity(owner), value)
    is_generator = type(owner).__module__.startswith(("random", "numpy.random"))
    return _attribute(_kept_identity(owner), value) if is_generator else None


def _kept_identity(value: object) -> tuple[Package, str] | None:
    """Return the identity of a global object of a library: a compiled function, `os.environ`."""
    home = module_of(type(value))
    if package_of_module(home) is None and not home.startswith(CYTHON):
        return None
    claimed = own_attribute(value, "__module__") if callable(value) else None
    for stream in ("__stdin__", "__stdout__", "__stderr__"):
        if value is vars(sys)[stream]:
            return PYTHON, f"sys.{stream}"
    # Functions of scipy.special have a class of numpy's and no `__module__`.
    for holder in (claimed, *accumulate(home.split("."), "{}.{}".format), "scipy.special"):
        if isinstance(holder, str):
            for name, member in list(getattr(sys.modules.get(holder), "__dict__", {}).items()):
                if member is value:
                    return _named(holder, f"{holder}.{name}")
    return None


def _keeps(module: str | None, name: str, value: object) -> bool:
    """Return whether ``module.name`` is the value, without a module's `__getattr__`, which may import things."""
    holder: object = sys.modules.get(str(module))
    for attribute in name.split("."):
        holder = vars(holder).get(attribute) if isinstance(holder, type | types.ModuleType) else None
    return holder is value


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """An object or `Package` that gets a part of its own.

    Attributes:
        label: the name for people, if it has no name itself.
        role, name, owner: where it occurs, for errors: "closure value", "cfg", "clean".
        text: attributes that the referring code reads, or the name within a package.
        variable: the variable that holds it; two variables are two parts, even if their values are equal. A value
            without identity makes its node "never reused"; outside of a variable it is an error.
        use: how it is used. The name and annotations of a function that is only called do not count; nor do the
            parameters of a node's own function, at the top.
    """

    value: object
    label: str
    role: str = "value"
    name: str = ""
    owner: str = ""
    text: str = ""
    variable: tuple[int, str] | None = None
    use: Literal["value", "called", "top"] = "value"

    def place(self, path: str = "") -> str:
        return f"{self.role} `{self.name or self.label}{path}`" + (f" of `{self.owner}`" if self.owner else "")


Edge = Reference | str
"""A reference from a part. A text identifies itself: a builtin, or an unbound name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Findings in described code and values, as sentences.

    Attributes:
        random: why the result may differ each time.
        choices: why the result is one of several correct ones.
        unfollowed: routes to code that could not be followed and is not covered.
        registers: names under which functions may be registered with the session.
        in_turns: True if views or functions may be registered with the session.
        doubtful: reached names that are not known to be pure (`function_part.names_beyond`).
    """

    warnings: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    unfollowed: tuple[str, ...] = ()
    registers: frozenset[str] = frozenset()
    in_turns: bool = False
    doubtful: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Described(Findings):
    """The description of one part.

    Attributes:
        form: its own canonical bytes, without its references.
        edges: its references, in the order of the slots of its form.
        checked: the number of first edges whose nondeterminism was checked together with their calls.
        texts: its texts, in which other code may look up names.
        stages: identifiers of the stages of Spark ML that its form numbers, in order.
        objects: mutable objects that it holds and that others may share, in order.
        reads_lines: True if it reads line numbers, docstrings or the text of code.
        bound: the globals that it reads, or a class, by module and qualified name.
    """

    group: Group
    label: str
    form: bytes
    edges: tuple[Edge, ...] = ()
    shown: str | None = None
    checked: int = 0
    texts: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    objects: tuple[object, ...] = ()
    reads_lines: bool = False
    bound: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def edge_to(
    value: object, label: str, *, role: str, name: str = "", owner: str = "", text: str = "",
    variable: tuple[int, str] | None = None,
) -> Edge:
    """Return the edge to a value, or to its package if it is not the project's."""
    code = identity(value)
    if code is None:
        return Reference(value, label, role, name or label, owner, text, variable)
    package, qualified = code
    return package_edge(package, qualified + text)


def member_edges(members: Iterable[tuple[str, object]], holder: object, role: str, label: str) -> Iterator[Edge]:
    """Yield each name that a function, class or module binds, followed by the edge to its value."""
    is_variable = role in ("class attribute", "global")  # the key of reads by code
    for name, value in members:
        yield f"{role} {name}"
        variable = id(holder), name if is_variable else f"{role} {name}"
        yield edge_to(value, f"{label}.{name}", role=role, owner=label, variable=variable)


def package_edge(package: Package, text: str) -> Edge:
    """Return the edge to a qualified name of a package."""
    if package == PYTHON and text.startswith("builtins."):
        return text
    return Reference(package, package.name, "package", text=text)


def dotted_name(edge: Edge) -> str | None:
    """Return the full name of an edge out of the project, up to the first key; None for one within the project."""
    if isinstance(edge, str):
        return edge.partition("[")[0]
    return edge.text.partition("[")[0] if edge.role == "package" else None


def full_name(value: type | types.FunctionType, home: str) -> str:
    """Return the full name of a class or function, as in its pickles; without a module in `home`, often `__main__`."""
    return value.__qualname__ if value.__module__ == home else f"{value.__module__}.{value.__qualname__}"


def home_of(value: object) -> str:
    """Return the home module of a value, whose names need no prefix."""
    if type(value) in LEAVES:  # for speed, as most values are
        return type(value).__module__
    function = own_attribute(value, "func") or value
    if isinstance(function, types.FunctionType):
        return str(function.__globals__.get("__name__", ""))
    return str(own_attribute(value, "__module__") or type(value).__module__)
