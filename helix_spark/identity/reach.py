"""Everything a value reaches, breadth first, each thing once.

A part covers its own form and, for each thing it refers to, whether that is the next new thing or which earlier one. So
the list of parts stands for the whole graph, cycles included, and a change shows in the one part that changed.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

from helix_spark.errors import Location, SignatureError
from helix_spark.identity.bytecode import parameter_names
from helix_spark.identity.description import describe
from helix_spark.identity.functions.chance_in_code import held_uses
from helix_spark.identity.functions.code_form import form_of
from helix_spark.identity.functions.import_effects import ImportEffect, effects_with, module_of_file
from helix_spark.identity.functions.named_in_texts import looked_up
from helix_spark.identity.objects.leaves import is_immutable
from helix_spark.identity.objects.origin import Package, package_of_function, package_of_module
from helix_spark.identity.objects.references import (
    NOTHING_SAID,
    Described,
    Edge,
    Named,
    Outside,
    Reference,
    Said,
    Shown,
)
from helix_spark.identity.objects.typing_objects import is_class
from helix_spark.identity.objects.unidentified import PLAIN_DATA, UnidentifiedError, UnidentifiedVariableError
from helix_spark.identity.parts import Group, Part, digest, encode


@dataclass(frozen=True)
class CodeTrace:
    """What a value depends on.

    Attributes:
        parts: one for each function, class, constant, package it reaches, breadth first; the value itself comes first.
        warnings: what is known by its bytecode alone, and what is not seen inside libraries, in sentences.
        random: why the result may be another one each time, in sentences; empty if nothing says so.
        unfollowed: routes to code that could not be followed, in sentences; where they lead is not covered.
        said: what its code and texts say that counts for who runs it.
    """

    parts: tuple[Part, ...]
    warnings: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    unfollowed: tuple[str, ...] = ()
    said: Said = NOTHING_SAID

    @property
    def digest(self) -> str:
        """One digest for all parts, 64 hex characters."""
        return digest(*(encode(part.group, part.digest) for part in self.parts))


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a walk led.

    Attributes:
        trace: the parts, and what was noticed on the way.
        met: what was met.
        empty: the variables that were None, or counted as None.
    """

    trace: CodeTrace
    met: tuple[object, ...]
    empty: frozenset[tuple[int, str]]


def reach(
    roots: Sequence[Edge], *, node: str, where: Location | None, home: str, stages: dict[str, int] | None = None,
    empty: frozenset[tuple[int, str]] = frozenset(),
) -> Reached:
    """Describe everything the roots reach.

    Args:
        roots: where to start, in order.
        node: whose signature this is, for errors.
        where: where the node is declared, for errors.
        home: the module whose names need no prefix.
        stages: numbers of the stages of Spark ML met so far, by identifier, where a node is signed in several walks;
            takes up those that are new.
        empty: variables that count as None, whatever they are.

    Raises:
        SignatureError: something cannot be identified.
    """
    walk = _Walk({} if stages is None else stages, empty, where.file if where is not None else "")
    for root in roots:
        walk.token(_asked_for(root))
    parts: list[Part] = []
    noticed = _Noticed()
    while walk.queue:
        reference = walk.queue.popleft()
        try:
            described = _described(reference, node, where, home)
        except SignatureError as error:
            is_variable = isinstance(error, UnidentifiedVariableError) and error.variable is not None
            if is_variable or not walk.takes_effects:
                raise
            reason = error.what.removeprefix(f"node {node!r}: ")
            described = Described(Group.CODE, reference.label, encode("unidentified"), unfollowed=(reason,))
        tokens = [*map(walk.token, described.edges), *map(walk.stage, described.stages)]
        parts.append(Part(described.group, described.label, digest(described.form, *tokens), described.shown))
        noticed.take(reference, described)
        if not walk.queue:
            walk.look_again(noticed, home)
    if walk.lookups:
        parts.append(Part(Group.CODE, "names that texts are searched for", digest(*walk.lookups)))
    trace = CodeTrace(
        tuple(parts), tuple(noticed.warnings), tuple(noticed.chance), tuple(noticed.unfollowed), noticed.said,
    )
    return Reached(trace, tuple(value for value, _ in noticed.met), frozenset(walk.empty))


def _asked_for(root: Edge) -> Reference:
    """A root that is known by name only becomes a part, for the name to count."""
    if isinstance(root, Reference) and not isinstance(root.value, Package):
        return root
    return Reference(Outside(root), root.text.rpartition(".")[2])


def _described(reference: Reference, node: str, where: Location | None, home: str) -> Described:
    try:
        return describe(reference, home)
    except UnidentifiedError as error:
        reason = f"{reference.place(error.path or '')} cannot be identified: {error.what}"
        raise UnidentifiedVariableError(node, reason, reference.variable, where=where, remedy=error.remedy) from None
    except SignatureError as error:
        raise SignatureError(
            f"node {node!r}: {reference.place()}: {error.what}",
            where=error.where or where,
            exists=error.exists,
            remedy=error.remedy,
        ) from error
    except Exception as error:  # an object that answers for itself where it is looked at may raise anything
        raise SignatureError(
            f"node {node!r}: {reference.place()} cannot be identified: looking at it raises {error!r}",
            where=where, remedy=PLAIN_DATA,
        ) from error


@dataclass(slots=True)
class _Noticed:
    """What was noticed so far, each sentence once.

    Attributes:
        met: what was described, each with a label.
        texts: see `Described`.
    """

    warnings: dict[str, None] = field(default_factory=dict)
    chance: dict[str, None] = field(default_factory=dict)
    unfollowed: dict[str, None] = field(default_factory=dict)
    texts: dict[str, None] = field(default_factory=dict)
    met: list[tuple[object, str]] = field(default_factory=list)
    said: Said = NOTHING_SAID

    def take(self, reference: Reference, described: Described) -> None:
        self.met.append((reference.value, described.label))
        self.warnings |= dict.fromkeys(described.warnings)
        held = held_uses(reference, described.edges[described.checked :])
        self.chance |= dict.fromkeys((*described.random, *held))
        self.unfollowed |= dict.fromkeys(described.unfollowed)
        self.texts |= dict.fromkeys(described.texts)
        self.said |= described.said

    @property
    def mentioned(self) -> frozenset[str]:
        """The texts and names in all that was met."""
        codes = [value.__code__ for value, _ in self.met if type(value) is types.FunctionType]
        return frozenset(self.texts).union(*(form_of(code).mentioned for code in codes))


def _home_module(value: object) -> str:
    """The name of the module in which a function or class of the project, or a module of it, is; else empty."""
    if type(value) is types.FunctionType and package_of_function(value) is None:
        return str(value.__globals__.get("__name__", ""))
    if isinstance(value, types.ModuleType):
        return value.__name__
    return str(value.__module__) if is_class(value) and package_of_module(value.__module__) is None else ""


def _parameters(edge: Reference) -> str:
    """Return the names of a function's parameters, by which callers may give it arguments."""
    is_function = type(edge.value) is types.FunctionType and not edge.top
    return f" by {parameter_names(edge.value.__code__)}" if is_function else ""  # type: ignore[attr-defined]  # it is one


class _Walk:
    """Which things were met, in which order.

    Attributes:
        queue: met but not described yet.
        handed: ids of what is handed around, and not called alone.
        stages: as in `reach`.
        empty: variables that are None, or count as such.
        lookups: variables that are looked up by names in texts.
        takes_effects: whether what comes now is what modules did as they were imported, beside what the roots reach.
    """

    def __init__(self, stages: dict[str, int], empty: frozenset[tuple[int, str]], file: str) -> None:
        self.stages = stages
        self.empty = set(empty)
        self.queue: deque[Reference] = deque()
        self.handed: set[int] = set()
        self._numbers: dict[Hashable, int] = {}
        self.lookups: list[str] = []
        self._shown: set[int] = set()
        self._named: set[tuple[int, str]] = set()
        self.takes_effects = False
        self._modules: set[str] = set()
        self._effects: list[ImportEffect] = []
        self._file = file
        self._kept: list[object] = []  # ids stay the objects' own as long as the objects live

    def token(self, edge: Edge) -> str:
        """Return the text of an edge; queue what it leads to if that is new."""
        if isinstance(edge, Named):
            return f"name {edge.text}"
        if edge.variable in self.empty:
            edge = replace(edge, value=None, called=False)
        elif edge.value is None and edge.variable is not None:
            self.empty.add(edge.variable)
        if not (edge.called or edge.top):
            self.handed.add(id(edge.value))
        key = self._key(edge)
        number = self._numbers.get(key)
        said = edge.text + _parameters(edge)
        if number is not None:
            return f"seen {number} {said}"
        self._numbers[key] = len(self._numbers)
        self._kept.append(edge.value)
        self.queue.append(edge)
        return f"new {said}"

    def stage(self, identifier: str) -> str:
        """Return the number of a stage that a part is or names, as of one of an earlier part."""
        return f"stage {self.stages.setdefault(identifier, len(self.stages))}"

    def look_again(self, noticed: _Noticed, home: str) -> None:
        """Queues what counts of the things met so far because of other things that were met, which may lead to more."""
        for value, label in tuple(noticed.met):
            if type(value) is not types.FunctionType:
                continue
            if id(value) in self.handed and id(value) not in self._shown:
                self._shown.add(id(value))
                self.token(Reference(Shown(value), label))
            if package_of_function(value) is None:
                for found in looked_up(value, form_of(value.__code__), noticed.texts, home):
                    self._look_up(value, found)
        self._take_effects(noticed)

    def _take_effects(self, noticed: _Noticed) -> None:
        """Queues what the modules of all that was met put into libraries as they were imported."""
        homes = {name: None for value, _ in noticed.met if (name := _home_module(value))}
        for name in (*homes, module_of_file(self._file)) if homes else ():
            self._effects += effects_with(name, self._modules)
        mentioned = noticed.mentioned
        for effect in tuple(self._effects):
            if not effect.names or effect.names & mentioned:
                self._effects.remove(effect)
                self.takes_effects = True
                noticed.unfollowed |= dict.fromkeys(filter(None, (effect.doubt,)))
                self.token(Reference(effect.code, "import effects"))

    def _look_up(self, function: object, found: Edge | str) -> None:
        name = found if isinstance(found, str) else f"{found.text} {getattr(found, 'name', '')}"
        if (id(function), name) not in self._named:
            self._named.add((id(function), name))
            self.lookups.append(found if isinstance(found, str) else self.token(found))

    def _key(self, reference: Reference) -> Hashable:
        """One thing, one key. Whether two equal constants are one object is up to the interpreter, so they are two
        unless read from one variable."""
        value = reference.value
        if isinstance(value, Package):
            return value
        if type(value) is types.MethodType:
            return "method", id(value.__self__), id(value.__func__)
        if is_immutable(value):
            return reference.variable or len(self._numbers)
        return "object", id(value)
