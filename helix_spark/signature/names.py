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
from helix_spark.signature.classes import MODULE_INTERNALS
from helix_spark.signature.edges import Edge, Named, Reference, edge_to, package_edge
from helix_spark.signature.forms import Free
from helix_spark.signature.holders import closure_of, defaults_of
from helix_spark.signature.origin import package_of_module
from helix_spark.signature.scopes import Imported
from helix_spark.signature.source import form_of


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
        name = self._mangled(free.base)
        if name in self.closure:
            value, role = self.closure[name], "closure value"
            return self._along(value, f"closure value `{name}`", role, None, name, free.attributes, passed)
        namespace = self.function.__globals__
        if name in MODULE_INTERNALS:
            return Named(".".join((name, *free.attributes)))
        if name in namespace:
            label = self._global_label(namespace, name)
            variable = (id(namespace), name)
            return self._along(namespace[name], label, "global", variable, name, free.attributes, passed)
        if hasattr(builtins, name):
            return Named(".".join(("builtins", name, *free.attributes)))
        return Named(".".join(("unbound", name, *free.attributes)))

    def _mangled(self, name: str) -> str:
        """``__name`` inside a class is ``_Class__name``."""
        owners = self.function.__code__.co_qualname.split(".")[:-1]
        if name.startswith("__") and not name.endswith("__") and owners and owners[-1] != "<locals>":
            return f"_{owners[-1].lstrip('_')}{name}"
        return name

    def _global_label(self, namespace: dict[str, object], name: str) -> str:
        module = str(namespace.get("__name__", ""))
        return name if module == self.home else f"{module}.{name}"

    def _along(
        self, value: object, label: str, role: str, variable: tuple[int, str] | None, name: str,
        attributes: tuple[str, ...], passed: bool,
    ) -> Edge:
        """Follows attributes as long as they are names in modules of the project."""
        rest = attributes
        while rest and isinstance(value, ModuleType) and package_of_module(value.__name__) is None:
            module, attribute, rest = value, rest[0], rest[1:]
            if attribute not in vars(module):
                submodule = _module(f"{module.__name__}.{attribute}")
                if submodule is None:
                    return self._missing(module, attribute, rest)
                value = submodule
            else:
                value = vars(module)[attribute]
            label, role, name = f"{module.__name__}.{attribute}", "global", f"{module.__name__}.{attribute}"
            variable = (id(vars(module)), attribute)
        text = "".join(f".{attribute}" for attribute in rest)
        edge = edge_to(value, label, role=role, name=name, owner=self.label, text=text, variable=variable)
        if passed and not rest and isinstance(edge, Reference) and type(edge.value) is FunctionType:
            form = form_of(edge.value.__code__, top=False)
            return replace(edge, text=form.annotations) if form is not None else edge
        return edge

    def _missing(self, module: ModuleType, attribute: str, rest: tuple[str, ...]) -> Edge:
        """An attribute that a module does not have: its `__getattr__` may make it."""
        text = ".".join((attribute, *rest))
        getter = vars(module).get("__getattr__")
        if getter is None:
            return Named(f"unbound attribute {text}")
        return edge_to(getter, f"{module.__name__}.__getattr__", role="global", owner=self.label, text=f" of {text}")

    def _imported(self, imported: Imported, attributes: tuple[str, ...], passed: bool) -> Edge:
        """What an import inside the function binds, imported now if it is the project's."""
        name = self._absolute(imported)
        package = package_of_module(name)
        if package is not None:
            named = (imported.name,) if imported.name else ()
            return package_edge(package, ".".join((name, *named, *attributes)))
        module = _module(name)
        if module is None:
            return Named(".".join(("unbound module", name, imported.name or "", *attributes)))
        path = (imported.name, *attributes) if imported.name else attributes
        variable = (id(vars(module)), "")
        return self._along(module, name, "import", variable, name, path, passed)

    def _absolute(self, imported: Imported) -> str:
        package = str(self.function.__globals__.get("__package__") or "")
        if not imported.level:
            return imported.module
        if not package:
            return imported.module or "__main__"
        return importlib.util.resolve_name("." * imported.level + imported.module, package)


def _module(name: str) -> ModuleType | None:
    """A module of the project, imported if need be; None if there is none."""
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
