"""What the names that a function does not bind itself stand for, in the live function."""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FunctionType, ModuleType

from helix_spark.errors import Location, SignatureError
from helix_spark.identity.functions.code_form import Free, Imported, path_text
from helix_spark.identity.functions.fields import field_of, reference_to
from helix_spark.identity.objects.classes import MODULE_INTERNALS
from helix_spark.identity.objects.held_values import closure_of, defaults_of
from helix_spark.identity.objects.origin import package_of_module
from helix_spark.identity.objects.references import Edge, Named, Reference, edge_to, package_edge


@dataclass(slots=True)
class Names:
    """The names one function can see."""

    function: FunctionType
    label: str
    home: str
    closure: dict[str, object] = field(init=False)

    def __post_init__(self) -> None:
        self.closure = closure_of(self.function)

    def place(self, line: int) -> Location:
        path = Path(self.function.__code__.co_filename)
        return Location(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path), line)

    def held(self) -> Iterator[Edge]:
        """What the function holds besides the names in its body: defaults, attributes, its class for `super()`."""
        for name, value in defaults_of(self.function).items():
            yield edge_to(value, f"default `{name}`", role="default", name=name, owner=self.label)
        for name, value in sorted(self.function.__dict__.items()):
            if name == "__wrapped__" or not name.startswith("__"):
                yield Named(f"attribute {name}")
                yield edge_to(value, f"{self.label}.{name}", role="attribute", owner=self.label)
        if "__class__" in self.closure:
            yield edge_to(self.closure["__class__"], "class", role="class", owner=self.label)

    def resolve(self, free: Free, *, passed: bool = False) -> Edge:
        """The edge a slot stands for. `passed`: whether it is used in other ways than being called."""
        if isinstance(free.base, Imported):
            return self._imported(free.base, free.attributes, passed)
        name = free.base
        namespace = self.function.__globals__
        if name in self.closure:
            start = self._found(self.closure[name], f"closure value `{name}`", "closure value", name)
        elif name in MODULE_INTERNALS - {"__doc__"}:
            return Named(f"{name}{path_text(free.attributes)}")
        elif name in namespace:
            start = self._global(namespace, name)
        else:
            kind = "builtins" if hasattr(builtins, name) else "unbound"
            return Named(f"{kind}.{name}{path_text(free.attributes)}")
        return self._along(start, free.attributes, passed)

    def _found(
        self, value: object, label: str, role: str, name: str, variable: tuple[int, str] | None = None
    ) -> Reference:
        return Reference(value, label, role, name, self.label, variable=variable)

    def _global(self, namespace: dict[str, object], name: str) -> Reference:
        module = str(namespace.get("__name__", ""))
        label = name if module == self.home else f"{module}.{name}"
        return self._found(namespace[name], label, "global", label, (id(namespace), name))

    def _along(self, start: Reference, attributes: tuple[str, ...], passed: bool) -> Edge:
        """Follows attributes as long as they are names in modules of the project."""
        rest = attributes
        while rest and isinstance(start.value, ModuleType) and package_of_module(start.value.__name__) is None:
            if rest[0] == "__dict__":
                break  # the module as a whole
            module, attribute, rest = start.value, rest[0], rest[1:]
            name = f"{module.__name__}.{attribute}"
            if attribute in vars(module):
                start = self._global(vars(module), attribute)
            elif (submodule := _module(name) if _may_hold(module, name) else None) is not None:
                start = self._found(submodule, name, "module", name)
            else:
                return self._missing(module, ".".join((attribute, *rest)))
        start, rest = self._field(start, rest)
        edge = edge_to(
            start.value, start.label, role=start.role, name=start.name, owner=self.label, text=path_text(rest),
            variable=start.variable,
        )
        if not rest and isinstance(edge, Reference) and type(edge.value) is FunctionType:
            return replace(edge, called=not passed)
        return edge

    def _field(self, start: Reference, path: tuple[str, ...]) -> tuple[Reference, tuple[str, ...]]:
        """The field of a configuration that a path leads to, and the rest of the path."""
        field = field_of(start.value, path)
        if field is None:
            return start, path
        return reference_to(start, field, path, self.label), path[field.steps :]

    def _missing(self, module: ModuleType, text: str) -> Edge:
        """An attribute that a module does not have: its `__getattr__` may make it, or the class that it was given."""
        getter = vars(module).get("__getattr__", None if type(module) is ModuleType else type(module))
        if getter is None:
            return Named(f"unbound attribute {text}")
        return edge_to(getter, f"{module.__name__}.__getattr__", role="global", owner=self.label, text=f" of {text}")

    def _imported(self, imported: Imported, attributes: tuple[str, ...], passed: bool) -> Edge:
        """What an import inside the function binds, imported now if it is the project's."""
        path = (imported.name, *attributes) if imported.name else attributes
        name = self._absolute(imported)
        package = package_of_module(name)
        if package is not None:
            return package_edge(package, ".".join((str(name), *path)))
        module = _module(name) if name else None
        if module is None:
            return Named(".".join(("unbound module", "." * imported.level + imported.module, *path)))
        return self._along(self._found(module, str(name), "module", str(name)), path, passed)

    def _absolute(self, imported: Imported) -> str | None:
        """The full name of the module; None if there is no package for the dots to start from."""
        if not imported.level:
            return imported.module
        try:
            package = str(self.function.__globals__.get("__package__") or "")
            return importlib.util.resolve_name("." * imported.level + imported.module, package)
        except ImportError:
            return None


def _may_hold(module: ModuleType, name: str) -> bool:
    """Whether a module may hold another one: who asks what is no package for one asks its `__getattr__`."""
    return "__path__" in vars(module) or name in sys.modules


def _module(name: str) -> object | None:
    """A module of the project, imported if need be, or what it put into its place; None if there is none."""
    if name in sys.modules:
        return sys.modules[name]
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
    except Exception as error:  # what a module raises while it is imported can be anything
        raise SignatureError(
            f"module {name!r} cannot be imported, so what it holds cannot be identified: {error!r}",
            remedy="import it at the top of the file, or make it importable without a Spark session",
        ) from error
