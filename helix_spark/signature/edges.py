"""From one piece of a program to the next: what a name stands for, and whether it has to be followed."""

from __future__ import annotations

import types
from dataclasses import dataclass

from helix_spark.signature.identity import identity
from helix_spark.signature.origin import PYTHON, Package
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


@dataclass(frozen=True, slots=True, eq=False)
class Outside:
    """Something known by name that is itself asked for, so that the name is a part."""

    edge: Edge


@dataclass(frozen=True, slots=True, eq=False)
class Reflected:
    """What is read of a thing by reflection, beside what it is made of.

    Attributes:
        value: the function, class or module.
        attribute: ``__annotations__``, ``__subclasses__`` or ``__dict__``.
    """

    value: object
    attribute: str


@dataclass(frozen=True, slots=True)
class Said:
    """What texts and code say that counts for whoever reaches them, wherever it is said.

    Attributes:
        texts: those that a query may be: with names behind an @, or SQL.
        views: names in lower case of the views that are registered; empty for one whose name is not known.
        calls: words that SQL may call as functions.
        registers: names under which functions are registered with the session.
        effects: what is done beside returning a result, in words of the code: see `effects`.
    """

    texts: frozenset[str] = frozenset()
    views: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    registers: frozenset[str] = frozenset()
    effects: frozenset[str] = frozenset()

    def __or__(self, other: Said) -> Said:
        return Said(
            self.texts | other.texts, self.views | other.views, self.calls | other.calls,
            self.registers | other.registers, self.effects | other.effects,
        )


NOTHING_SAID = Said()


@dataclass(frozen=True, slots=True)
class Described:
    """What a part is made of.

    Attributes:
        group, label, shown: as in `Part`.
        form: its own canonical bytes, in which what it refers to is left out.
        edges: what it refers to, in the order of the slots of its form.
        warnings, random, outside: see `CodeTrace`.
        reads: attributes of functions and classes, such as ``__name__``, that count because this code reads them; see
            `reflection` for those that are more than a text.
        said: what it says that counts for others.
        listens: whether what the others say counts for it.
    """

    group: Group
    label: str
    form: bytes
    edges: tuple[Edge, ...] = ()
    shown: str | None = None
    warnings: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()
    said: Said = NOTHING_SAID
    listens: bool = False


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
