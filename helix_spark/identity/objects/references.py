"""From one piece of a program to the next: what a name stands for, and whether it has to be followed."""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from helix_spark.identity.objects.attributes import own_attribute
from helix_spark.identity.objects.encoder import LEAVES
from helix_spark.identity.objects.identity import identity
from helix_spark.identity.objects.origin import PYTHON, Package
from helix_spark.identity.parts import Group


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Something that gets a part of its own.

    Attributes:
        value: the object, or a `Package`.
        label: how people call it, where it has no name itself.
        role, name, owner: where it was found, for errors: "closure value", "cfg", "clean".
        text: what the referring code says about it besides: attributes it reads, the name within a package.
        variable: the variable it was read from; two variables are two parts, even if their values are equal. A value
            without identity makes its node "never reused"; elsewhere it is an error.
        top: True for the function that a node runs, whose name, parameters and annotations count nothing.
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
        """Return where it is, in words.

        >>> Reference(1, "cfg", "closure value", "cfg", "clean").place(".limit")
        'closure value `cfg.limit` of `clean`'
        """
        return f"{self.role} `{self.name or self.label}{path}`" + (f" of `{self.owner}`" if self.owner else "")


Edge = Reference | str
"""What a part refers to; a text is identified by itself: a builtin, or a name bound to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was noticed where code and values were described, each sentence once.

    Attributes:
        warnings: what is known by its bytecode alone, and what is not seen inside libraries, in sentences.
        random: why the result may be another one each time, in sentences; empty if nothing says so.
        unfollowed: routes to code that could not be followed, in sentences; where they lead is not covered.
        calls: words that SQL may call as functions.
        registers: names under which functions may be registered with the session.
        in_turns: whether views or functions may be registered with the session.
    """

    warnings: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    unfollowed: tuple[str, ...] = ()
    calls: frozenset[str] = frozenset()
    registers: frozenset[str] = frozenset()
    in_turns: bool = False


def merge_findings(findings: Sequence[Findings]) -> dict[str, Any]:
    """Return all findings by the fields of `Findings`, to make one of them."""
    texts = {
        name: tuple(dict.fromkeys(text for one in findings for text in getattr(one, name)))
        for name in ("warnings", "random", "unfollowed")
    }
    words = {
        name: frozenset[str]().union(*(getattr(one, name) for one in findings)) for name in ("calls", "registers")
    }
    return {**texts, **words, "in_turns": any(one.in_turns for one in findings)}


@dataclass(frozen=True, slots=True)
class Described(Findings):
    """What a part is made of.

    Attributes:
        group, label, shown: as in `Part`.
        form: its own canonical bytes, in which what it refers to is left out.
        edges: what it refers to, in the order of the slots of its form.
        checked: how many edges, the first ones, were checked for chance together with how they are called.
        texts: what it says, which others may look names up in.
        stages: identifiers of the stages of Spark ML that its form numbers, in order; one may be in several parts.
    """

    group: Group
    label: str
    form: bytes
    edges: tuple[Edge, ...] = ()
    shown: str | None = None
    checked: int = 0
    texts: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()


def edge_to(
    value: object, label: str, *, role: str, name: str = "", owner: str = "", text: str = "",
    variable: tuple[int, str] | None = None,
) -> Edge:
    """Return the edge to a value: to its package if it is not the project's, else to itself. `text` as in
    `Reference`."""
    known = identity(value)
    if known is None:
        return Reference(value, label, role, name or label, owner, text, variable)
    package, qualified = known
    return package_edge(package, qualified + text)


def package_edge(package: Package, text: str) -> Edge:
    """Return the edge to what a package has under a qualified name."""
    if package == PYTHON and text.startswith("builtins."):
        return text
    return Reference(package, package.name, "package", text=text)


def dotted_name(edge: Edge) -> str | None:
    """Return the full name of something outside the project, up to the first key; None for what is the project's."""
    if isinstance(edge, str):
        return edge.partition("[")[0]
    return edge.text.partition("[")[0] if edge.role == "package" else None


def home_of(value: object) -> str:
    """Return the module a value is at home in; names of that module need no prefix."""
    if type(value) in LEAVES:  # most are, and to look at one takes longer than to encode it
        return type(value).__module__
    function = own_attribute(value, "func") or value
    if isinstance(function, types.FunctionType):
        return str(function.__globals__.get("__name__", ""))
    return str(own_attribute(value, "__module__") or type(value).__module__)
