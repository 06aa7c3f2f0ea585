"""Resolve the names that a function does not bind, in the live function, with fields of configurations, such as
``CFG.alpha`` and ``PARAMS["model"]["reg"]``.

Code that reads a field depends on that field only, as long as the read runs no other code and gives plain data. Any
other use of the object refers to the whole object."""

from __future__ import annotations

import argparse
import ast
import builtins
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

from helix_spark.errors import Location, SignatureError
from helix_spark.identity.functions.code_form import Free, Imported, path_text
from helix_spark.identity.objects.attributes import closure_of, defaults_of
from helix_spark.identity.objects.encoder import LEAVES
from helix_spark.identity.objects.origin import package_of_module
from helix_spark.identity.objects.references import Edge, Reference, edge_to, member_edges, package_edge

MODULE_INTERNALS = frozenset({
    "__name__", "__file__", "__doc__", "__spec__", "__package__", "__loader__", "__cached__", "__path__",
    "__builtins__", "__annotations__", "__warningregistry__",
})
"""Names of every module, whose values depend on how the file was loaded and not on its content."""

_NAMESPACES = (SimpleNamespace, argparse.Namespace)
"""Python's classes whose objects hold only the attributes that were set."""

_MISSING = object()


@dataclass
class Names:
    """The names that one function sees."""

    function: FunctionType
    label: str
    home: str
    globals: dict[str, dict[str, object]] = field(default_factory=dict)
    """The globals that were resolved, as in `Described.bound`."""

    @cached_property
    def closure(self) -> dict[str, object]:
        return closure_of(self.function)

    def place(self, line: int) -> Location:
        path = Path(self.function.__code__.co_filename)
        return Location(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path), line)

    def held_edges(self) -> Iterator[Edge]:
        """Yield defaults, attributes, and the class in the closure for `super()`."""
        for name, value in defaults_of(self.function).items():
            variable = id(self.function), f"default {name}"
            yield edge_to(
                value, f"default `{name}`", role="default", name=name, owner=self.label, variable=variable,
            )
        own = vars(self.function)
        members = ((name, own[name]) for name in sorted(own) if name == "__wrapped__" or not name.startswith("__"))
        yield from member_edges(members, self.function, "attribute", self.label)
        if "__class__" in self.closure:
            yield edge_to(self.closure["__class__"], "class", role="class", owner=self.label)

    def resolve(self, free: Free) -> Edge:
        """Return the edge of a slot."""
        edge = self._resolve(free)
        if free.is_called and isinstance(edge, Reference) and type(edge.value) is FunctionType and not edge.text:
            return replace(edge, use="called")
        return edge

    def _resolve(self, free: Free) -> Edge:
        name, namespace = free.base, self.function.__globals__
        if isinstance(name, Imported):
            # An import inside the function; modules of the project are imported now.
            path = (name.name, *free.attributes) if name.name else free.attributes
            written, module = "." * name.level + name.module, ""
            with suppress(ImportError):  # the dots may have no package to start from
                module = importlib.util.resolve_name(written, str(namespace.get("__package__") or ""))
            if (package := package_of_module(module)) is not None:
                return package_edge(package, ".".join((module, *path)))
            imported = _module(module) if module else None
            if imported is None:
                return ".".join(("unbound module", written, *path))
            return self._along(Reference(imported, module, "module", module), path)
        if name in self.closure:
            start = Reference(self.closure[name], f"closure value `{name}`", "closure value", name)
        elif name in MODULE_INTERNALS - {"__doc__"}:
            return f"{name}{path_text(free.attributes)}{self._place(name)}"
        elif name in namespace:
            start = self._global(namespace, name)
        else:
            kind = "builtins" if hasattr(builtins, name) else "unbound"
            return f"{kind}.{name}{path_text(free.attributes)}"
        return self._along(start, free.attributes)

    def _place(self, name: str) -> str:
        """Return the value of a module's name: files relative to the home module, nothing for names in that."""
        namespace = self.function.__globals__
        value, home = namespace.get(name), getattr(sys.modules.get(self.home), "__file__", None)
        if not isinstance(value, str) or namespace.get("__name__") == self.home:
            return ""
        return f" {os.path.relpath(value, Path(home).parent)}" if name == "__file__" and home else f" {value}"

    def _global(self, namespace: dict[str, object], name: str) -> Reference:
        module = str(namespace.get("__name__", ""))
        self.globals.setdefault(module, {})[name] = namespace[name]
        label = name if module == self.home else f"{module}.{name}"
        return Reference(namespace[name], label, "global", label, variable=(id(namespace), name))

    def _along(self, start: Reference, attributes: tuple[str, ...]) -> Edge:
        rest = attributes
        while rest and isinstance(start.value, ModuleType) and package_of_module(start.value.__name__) is None:
            if rest[0] == "__dict__":
                break  # the module as a whole
            module, attribute, rest = start.value, rest[0], rest[1:]
            name = f"{module.__name__}.{attribute}"
            if attribute in vars(module):
                start = self._global(vars(module), attribute)
            # An import from a module that is no package calls its `__getattr__`.
            elif ("__path__" in vars(module) or name in sys.modules) and (submodule := _module(name)) is not None:
                if (getter := vars(module).get("__getattr__")) is not None:  # which returns it if the name is unbound
                    vars(module).pop(attribute, None)
                    return edge_to((getter, submodule), name, role="global", owner=self.label, text=path_text(rest))
                start = Reference(submodule, name, "module", name)
            else:
                # `__getattr__` of the module, or of its class, may create the attribute.
                missing = ".".join((attribute, *rest))
                getter = vars(module).get("__getattr__", None if type(module) is ModuleType else type(module))
                if getter is None:
                    return f"unbound attribute {missing}"
                label = f"{module.__name__}.__getattr__"
                return edge_to(getter, label, role="global", owner=self.label, text=f" of {missing}")
        if (plain := field_of(start.value, rest)) is not None:
            value, count, variable = plain
            steps, rest = path_text(rest[:count]), rest[count:]
            label = f"{start.label[:-1]}{steps}`" if start.label.endswith("`") else f"{start.label}{steps}"
            start = Reference(value, label, start.role, f"{start.name}{steps}", variable=variable)
        return edge_to(
            start.value, start.label, role=start.role, name=start.name, owner=self.label, text=path_text(rest),
            variable=start.variable,
        )


def _module(name: str) -> object | None:
    """Return a module of the project, imported if necessary, or its replacement in `sys.modules`; None without one."""
    if name in sys.modules:
        return sys.modules[name]
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
    except Exception as error:  # imports may raise anything
        raise SignatureError(
            f"module {name!r} cannot be imported, so what it holds cannot be identified: {error!r}",
            remedy="import it at the top of the file, or make it importable without a Spark session",
        ) from error


def field_of(value: object, path: Sequence[str]) -> tuple[object, int, tuple[int, str]] | None:
    """Return the plain data furthest along a path of attributes and keys, with its number of steps, and the variable,
    as in `Reference`. Return None if there is none, or if a read may run code.

    >>> field_of({"model": {"reg": 0.1, "bins": 3}}, ("['model']", "['reg']", "real"))[:2]
    (0.1, 2)
    """
    field: tuple[object, int, tuple[int, str]] | None = None
    for steps, step in enumerate(path, start=1):
        if type(value) is dict and step == "get" and path[steps:]:
            continue  # the key follows
        holder, value = value, _read(value, step)
        if value is _MISSING:
            break
        if is_plain(value):
            field = value, steps, (id(holder), step)
    return field


def _read(holder: object, step: str) -> object:
    """Return the value of a step, if the object or its class stores it."""
    if step.startswith("["):
        return dict.get(holder, ast.literal_eval(step[1:-1]), _MISSING) if type(holder) is dict else _MISSING
    kind = type(holder)
    own = holder if isinstance(holder, type) and kind is type else kind
    if step.startswith("__") and step.endswith("__"):
        return _MISSING
    if kind not in _NAMESPACES:
        # Only a class of the project that customizes neither reads nor identity; the excluded builtins do not.
        members = (vars(base) for base in own.__mro__ if base not in (object, tuple, dict, list, str, int, float))
        if package_of_module(own.__module__) is not None or any(
            "__getattribute__" in names or "__helix_signature__" in names for names in members
        ):
            return _MISSING
    if own is kind and hasattr(type(inspect.getattr_static(own, step, _MISSING)), "__get__"):
        return _MISSING  # a property, a method, a slot, something cached
    return inspect.getattr_static(holder, step, _MISSING)


def is_plain(value: object, levels: int = 6) -> bool:
    """Return whether a value is a number, a text or the like, or a list, tuple, set or dict of them."""
    if type(value) in (dict, list, tuple, set, frozenset):
        items: Any = value
        inside = (*items, *items.values()) if type(value) is dict else items
        return levels > 0 and all(is_plain(item, levels - 1) for item in inside)
    return type(value) in LEAVES
