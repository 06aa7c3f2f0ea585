"""Everything a value reaches, breadth first, each thing once.

A part covers its own form and, for each thing it refers to, whether that is the next new thing or which earlier one. So
the list of parts stands for the whole graph, cycles included, and a change shows in the one part that changed.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from helix_spark.errors import Location, SignatureError
from helix_spark.identity.bytecode import parameter_names
from helix_spark.identity.description import describe
from helix_spark.identity.functions.chance_in_code import held_uses
from helix_spark.identity.functions.code_form import form_of
from helix_spark.identity.functions.import_effects import ImportEffect, effects_with, module_of_file
from helix_spark.identity.functions.named_in_texts import text_lookups
from helix_spark.identity.objects.attributes import is_class
from helix_spark.identity.objects.encoder import is_immutable
from helix_spark.identity.objects.origin import Package, package_of_function, package_of_module
from helix_spark.identity.objects.references import (
    Described,
    Edge,
    Findings,
    Outside,
    Reference,
    Shown,
    merge_findings,
)
from helix_spark.identity.objects.unidentified import PLAIN_DATA, UnidentifiedError
from helix_spark.identity.parts import Group, Part, digest, encode


@dataclass(frozen=True)
class CodeTrace(Findings):
    """What a value depends on, and what was noticed on the way.

    Attributes:
        parts: one for each function, class, constant, package it reaches, breadth first; the value itself comes first.
    """

    parts: tuple[Part, ...]

    @property
    def digest(self) -> str:
        """One digest for all parts, 64 hex characters."""
        return digest(*(encode(part.group, part.digest) for part in self.parts))


Variable = tuple[int, str]
"""As in `Reference`."""


def _asked_for(root: Edge) -> Reference:
    """Return a root; what is known by name only as a part, for the name to count."""
    if isinstance(root, Reference) and not isinstance(root.value, Package):
        return root
    text = root if isinstance(root, str) else root.text
    return Reference(Outside(root), text.rpartition(".")[2])


def _home_module(value: object) -> str:
    """Return the name of the module in which a function or class of the project, or a module of it, is; else empty."""
    if type(value) is types.FunctionType and package_of_function(value) is None:
        return str(value.__globals__.get("__name__", ""))
    if isinstance(value, types.ModuleType):
        return value.__name__
    return str(value.__module__) if is_class(value) and package_of_module(value.__module__) is None else ""


def _parameters(edge: Reference) -> str:
    """Return the names of a function's parameters, by which callers may give it arguments."""
    is_function = type(edge.value) is types.FunctionType and not edge.top
    return f" by {parameter_names(edge.value.__code__)}" if is_function else ""  # type: ignore[attr-defined]  # it is one


class Walk:
    """A walk over everything that something reaches.

    Args:
        node: whose signature this is, for errors.
        where: where the node is declared, for errors.
        home: the module whose names need no prefix.
        stages: numbers of the stages of Spark ML met so far, by identifier, where a node is signed in several walks;
            takes up those that are new.
        refused: variables whose values have no identity, each with why and what to do. They count as None; takes up
            those that are new, which count as something without a form this time.

    Attributes:
        empty: the variables that are or count as None.
    """

    def __init__(
        self, *, node: str, where: Location | None, home: str, stages: dict[str, int] | None,
        refused: dict[Variable, tuple[str, str]],
    ) -> None:
        self.refused = refused
        self.empty = set(refused)
        self._node, self._where, self._home = node, where, home
        self._stages: dict[str, int] = {} if stages is None else stages
        self._queue: deque[Reference] = deque()
        self._described: list[tuple[object, Described]] = []
        self._parts: list[Part] = []
        self._findings: list[Findings] = []
        self._handed: set[int] = set()  # ids of what is handed around, and not called alone
        self._shown: set[int] = set()
        self._numbers: dict[Hashable, int] = {}
        self._lookups: list[str] = []  # variables that are looked up by names in texts
        self._named: set[tuple[int, str]] = set()
        self._modules: set[str] = set()
        self._effects: list[ImportEffect] = []
        self._takes_effects = False  # once what comes is what modules did as they were imported
        self._kept: list[object] = []  # ids stay the objects' own as long as the objects live

    def reach(self, roots: Sequence[Edge]) -> CodeTrace:
        """Describe everything the roots reach, in order.

        Raises:
            SignatureError: something cannot be identified.
        """
        for root in roots:
            self._token(_asked_for(root))
        while self._queue:
            reference = self._queue.popleft()
            described = self._describe(reference)
            tokens = [*map(self._token, described.edges), *map(self._stage, described.stages)]
            digested = digest(described.form, *tokens)
            self._parts.append(Part(described.group, described.label, digested, described.shown))
            self._described.append((reference.value, described))
            held = held_uses(reference, described.edges[described.checked :])
            self._findings += [described, Findings(random=held)]
            if not self._queue:
                self._look_again()
        if self._lookups:
            self._parts.append(Part(Group.CODE, "names that texts are searched for", digest(*self._lookups)))
        return CodeTrace(tuple(self._parts), **merge_findings(self._findings))

    @property
    def functions(self) -> list[types.FunctionType]:
        """The functions that were met."""
        return [value for value, _ in self._described if type(value) is types.FunctionType]

    def _describe(self, reference: Reference) -> Described:
        where, exists = self._where, None
        remedy: str | None = PLAIN_DATA
        try:
            return describe(reference, self._home)
        except UnidentifiedError as error:
            reason, remedy = f"{reference.place(error.path or '')} cannot be identified: {error.what}", error.remedy
            if reference.variable is not None:
                self.refused[reference.variable] = reason, error.remedy
                return Described(Group.CODE, reference.label, encode("unidentified"))
        except SignatureError as error:
            reason, exists, remedy = f"{reference.place()}: {error.what}", error.exists, error.remedy
            where = error.where or where
        except Exception as error:  # noqa: BLE001 - an object that is looked at may answer for itself, and raise anything
            reason = f"{reference.place()} cannot be identified: looking at it raises {error!r}"
        if self._takes_effects:
            return Described(Group.CODE, reference.label, encode("unidentified"), unfollowed=(reason,))
        raise SignatureError(f"node {self._node!r}: {reason}", where=where, exists=exists, remedy=remedy)

    def _token(self, edge: Edge) -> str:
        """Return the text of an edge; queue what it leads to if that is new."""
        if isinstance(edge, str):
            return f"name {edge}"
        if edge.variable in self.empty:
            edge = replace(edge, value=None, called=False)
        elif edge.value is None and edge.variable is not None:
            self.empty.add(edge.variable)
        if not (edge.called or edge.top):
            self._handed.add(id(edge.value))
        key = self._key(edge)
        number = self._numbers.get(key)
        text = edge.text + _parameters(edge)
        if number is not None:
            return f"seen {number} {text}"
        self._numbers[key] = len(self._numbers)
        self._kept.append(edge.value)
        self._queue.append(edge)
        return f"new {text}"

    def _stage(self, identifier: str) -> str:
        return f"stage {self._stages.setdefault(identifier, len(self._stages))}"

    def _look_again(self) -> None:
        """Queue what counts of the things met so far because of other things that were met, which may lead to more."""
        texts = dict.fromkeys(text for _, described in self._described for text in described.texts)
        for value, described in tuple(self._described):
            if type(value) is not types.FunctionType:
                continue
            if id(value) in self._handed and id(value) not in self._shown:
                self._shown.add(id(value))
                self._token(Reference(Shown(value), described.label))
            if package_of_function(value) is None:
                for found in text_lookups(value, described, texts, self._home):
                    self._look_up(value, found)
        self._take_effects(frozenset(texts).union(*(form_of(one.__code__).mentioned for one in self.functions)))

    def _take_effects(self, mentioned: frozenset[str]) -> None:
        """Queue what the modules of all that was met put into libraries as they were imported."""
        homes = {name: None for value, _ in self._described if (name := _home_module(value))}
        for name in (*homes, module_of_file(self._where.file if self._where is not None else "")) if homes else ():
            self._effects += effects_with(name, self._modules)
        for effect in tuple(self._effects):
            if not effect.names or effect.names & mentioned:
                self._effects.remove(effect)
                self._takes_effects = True
                self._findings.append(Findings(unfollowed=tuple(filter(None, (effect.doubt,)))))
                self._token(Reference(effect.code, "import effects"))

    def _look_up(self, function: object, edge: Edge) -> None:
        name = edge if isinstance(edge, str) else f"{edge.text} {edge.name}"
        if (id(function), name) not in self._named:
            self._named.add((id(function), name))
            self._lookups.append(self._token(edge))

    def _key(self, reference: Reference) -> Hashable:
        """Return one key for one thing. Whether two equal constants are one object is up to the interpreter, so they
        are two unless read from one variable."""
        value = reference.value
        if isinstance(value, Package):
            return value
        if type(value) is types.MethodType:
            return "method", id(value.__self__), id(value.__func__)
        if is_immutable(value):
            return reference.variable or len(self._numbers)
        return "object", id(value)
