"""Code signatures: what a function or value of a workflow depends on, as a flat list of parts.

The form of the code and of everything it reaches in the project, breadth first, each thing once; libraries count by
version. A part covers its own form and, for each thing it refers to, whether that is the next new thing or which
earlier one. So the list of parts stands for the whole graph, cycles included, and a change shows in the one part that
changed. No JVM, no session.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from helix_spark.errors import Location, SignatureError
from helix_spark.identity.data_version import DataIdentity, SignedData, identify
from helix_spark.identity.description import describe
from helix_spark.identity.functions.code_form import form_of
from helix_spark.identity.functions.function_part import held_uses, text_lookups
from helix_spark.identity.functions.import_effects import CALL, ImportEffect, effects_with
from helix_spark.identity.functions.known_pure import doubtful_names, names_beyond
from helix_spark.identity.objects.attributes import is_class, own_attribute
from helix_spark.identity.objects.encoder import is_immutable, shown
from helix_spark.identity.objects.origin import Package, package_of_function, package_of_module
from helix_spark.identity.objects.references import Described, Edge, Findings, Reference, edge_to, home_of, udf_of
from helix_spark.identity.parts import PLAIN_DATA, Group, Part, UnidentifiedError, digest, encode
from helix_spark.import_reads import files_of_modules
from helix_spark.loaded_sources import read_lines


@dataclass(frozen=True)
class Description(Findings):
    """What a value or a node depends on, and what was noticed on the way.

    Attributes:
        parts: one for each function, class, constant, package it reaches, breadth first; the value itself comes first,
            declared files last.
        reads: these files, and a source's data.
        drew: whether it drew numbers while its plan was built, of which Helix gave the seed.
    """

    parts: tuple[Part, ...] = ()
    reads: tuple[SignedData, ...] = ()
    drew: bool = False

    @property
    def digest(self) -> str:
        """One digest for all parts, 64 hex characters."""
        return digest(*(encode(part.group, part.digest) for part in self.parts))

    @property
    def version(self) -> DataIdentity | None:
        """Of a source's data."""
        return next((one.identity for one in self.reads if not isinstance(one.source, Path)), None)


def merged(found: Sequence[Description], also: Sequence[Findings] = ()) -> Description:
    """Return one description of all, each sentence once."""

    def of_all(name: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(item for one in (*also, *found) for item in getattr(one, name)))

    texts: dict[str, Any] = {name: of_all(name) for name in ("warnings", "random", "choices", "unfollowed")}
    words: dict[str, Any] = {name: frozenset(of_all(name)) for name in ("registers", "doubtful")}
    return Description(
        tuple(part for one in found for part in one.parts), tuple(read for one in found for read in one.reads),
        any(one.drew for one in found), in_turns=any(one.in_turns for one in (*also, *found)), **texts, **words,
    )


def trace(
    value: object, *, node: str, where: Location | None = None, depends_on: Sequence[object] = (),
    stages: dict[str, int] | None = None, on_driver: bool = False,
) -> Description:
    """Return everything a value depends on.

    Args:
        value: a function, class, partial, method, callable object, or plain data.
        node, where: the node it belongs to, and where that is declared, for errors.
        depends_on: further values that count; a `pathlib.Path` counts by the content of the file or folder.
        stages: numbers of the stages of Spark ML met so far, by identifier, where a node is signed in several walks;
            takes up those that are new.
        on_driver: whether it is a function that runs in one action on the driver, so that generators which variables
            hold count by their states (`hermetic.generators.HeldGenerators`); else they have no identity.

    Raises:
        SignatureError: something it reaches cannot be identified.

    >>> trace(lambda rows: rows + 1, node="a").digest == trace(lambda r: r + 1, node="b").digest
    True
    """
    label = _name(value) or node
    root = edge_to(value, label, role="value")
    if type(value) is FunctionType and udf_of(value) is None:
        package = package_of_function(value)
        if package is None or package.name == "helix_spark":
            root = Reference(value, label, name=label, use="top")
    more = [_declared(one, node, where) for one in depends_on if not isinstance(one, Path)]
    reads = tuple(SignedData(one, _identity(one, node, where)) for one in depends_on if isinstance(one, Path))
    found = _Walk(node, where, home_of(value), stages, on_driver=on_driver).reach([root, *more])
    files = (Part(Group.FILE, one.shown, one.identity.digest, one.identity.digest[:7]) for one in reads)
    return replace(found, parts=(*found.parts, *files), reads=reads)


def trace_path(path: str, *, node: str, where: Location | None = None) -> Description:
    """Return everything that what a dotted path names depends on: of a library its version, of the project its code.

    Raises:
        SignatureError: the project has nothing of that name.
    """
    module, _, name = path.rpartition(".")
    package = package_of_module(module)
    if package is not None:
        return _Walk(node, where, "", None).reach([Reference(package, package.name, "package", text=path)])
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # what a module raises while it is imported can be anything
        raise SignatureError(
            f"node {node!r}: there is no {path!r}: {error}", where=where,
            remedy="give the class itself, or its full path",
        ) from error
    return trace(found, node=node, where=where)


def value_trace(
    group: Group, label: str, value: object, *, node: str, where: Location | None = None,
    stages: dict[str, int] | None = None,
) -> Description:
    """Return one part for a value, whatever it reaches, and what was noticed on the way: a parameter of an operator.
    Its digest covers the label, as two parameters may have one value. Arguments and errors are those of `trace`.

    >>> value_trace(Group.PARAMETER, "regParam", 0.1, node="model").parts[0].shown
    '0.1'
    """
    found = _Walk(node, where, home_of(value), stages).reach([edge_to(value, label, role="parameter")])
    return replace(found, parts=(Part(group, label, digest(label, found.digest), shown(value)),))


def _name(value: object) -> str:
    name = str(own_attribute(value, "__qualname__") or "").rpartition("<locals>.")[2]
    return "" if name == "<lambda>" else name


def _declared(value: object, node: str, where: Location | None) -> Edge:
    is_file = False
    with suppress(OSError, ValueError):  # no path at all
        is_file = isinstance(value, str) and Path(value).is_file()
    if is_file:
        raise SignatureError(
            f"node {node!r}: depends_on names the file {value!r} as text, which would count by its name alone",
            where=where, remedy=f"write Path({value!r}), which counts by what is in the file",
        )
    label = value.__name__ if isinstance(value, ModuleType) else _name(value) or shown(value)
    return edge_to(value, label, role="depends_on")


def _identity(path: Path, node: str, where: Location | None) -> DataIdentity:
    named = f"node {node!r}: depends_on names {str(path)!r}, which"
    remedy = "give the path of a file or folder, from the working folder or absolute"
    if not path.exists():
        raise SignatureError(f"{named} does not exist", where=where, remedy=remedy)
    try:
        return identify(path)
    except OSError as error:
        raise SignatureError(f"{named} cannot be read: {error.strerror}", where=where, remedy=remedy) from error


class _Walk:
    """A walk over everything that something reaches. Parameters as for `trace`; names of `home` need no prefix."""

    def __init__(
        self, node: str, where: Location | None, home: str, stages: dict[str, int] | None, *, on_driver: bool = False
    ) -> None:
        self._node, self._where, self._home, self._on_driver = node, where, home, on_driver
        self._stages: dict[str, int] = {} if stages is None else stages
        self._queue: deque[Reference] = deque()
        self._described: list[tuple[Reference, Described]] = []  # also keeps objects alive, whose ids stay their own
        self._parts: list[Part] = []
        self._findings: list[Findings] = []
        self._numbers: dict[Hashable, int] = {}
        self._lookups: dict[tuple[int, str], str] = {}  # variables that are looked up by names in texts
        self._modules: set[str] = set()
        self._effects: list[ImportEffect] = []  # of these modules, as long as nothing mentions their names
        self._takes_effects = False  # once what comes is what modules did as they were imported

    def reach(self, roots: Sequence[Edge]) -> Description:
        """Describe everything the roots reach, in order. Raises SignatureError."""
        for root in roots:
            token = self._token(root)
            if isinstance(root, str) or isinstance(root.value, Package):  # known by its name alone, which counts
                label = (root if isinstance(root, str) else root.text).rpartition(".")[2]
                self._parts.append(Part(Group.CODE, label, digest(token)))
                held = held_uses(f"value `{label}`", [root])
                self._findings.append(Findings(random=held, doubtful=frozenset(names_beyond([root]))))
        while self._queue:
            reference = self._queue.popleft()
            described = self._describe(reference)
            stages = (f"stage {self._stages.setdefault(one, len(self._stages))}" for one in described.stages)
            digested = digest(described.form, *map(self._token, described.edges), *stages)
            self._parts.append(Part(described.group, described.label, digested, described.shown))
            self._described.append((reference, described))
            held = held_uses(reference.place(), described.edges[described.checked :])
            doubtful = frozenset(doubtful_names(reference.value, described))
            self._findings += [described, Findings(random=held, doubtful=doubtful)]
            if not self._queue:
                self._look_again()
        if self._lookups:
            looked_up = digest(*self._lookups.values())
            self._parts.append(Part(Group.CODE, "names that texts are searched for", looked_up))
        if any(one.reads_lines for _, one in self._described):
            self._parts.append(Part(Group.CODE, "lines of files", digest(sys.prefix, *self._lines())))
        if shared := [*self._shared()]:
            self._parts.append(Part(Group.CODE, "objects of several names", digest(*shared)))
        return merged([Description(tuple(self._parts))], self._findings)

    def _lines(self) -> Iterator[str]:
        """Yield the files of all functions met, and their texts, as tracebacks show them."""
        for file in sorted({one.__code__.co_filename for one in self._functions()}):
            yield from (file, *read_lines(file))

    def _shared(self) -> Iterator[str]:
        """Yield the places of each object that is met in several: a change by one of its names shows by the others."""
        met: list[tuple[int, int, int | str]] = [
            (id(one), number, place)
            for number, (_, described) in enumerate(self._described) for place, one in enumerate(described.objects)
        ]
        variables = ((number, one.variable) for number, (one, _) in enumerate(self._described) if one.variable)
        known = {key for key, _, _ in met}
        met += ((holder, number, step) for number, (holder, step) in variables if holder in known)
        if len(met) > len(known):
            often = Counter(key for key, _, _ in met)
            places = defaultdict[int, list[str]](list)
            for key, number, place in met:
                if often[key] > 1:
                    places[key].append(f"{number} {place}")
            yield from map(", ".join, places.values())

    def _functions(self) -> Iterator[FunctionType]:
        return (one.value for one, _ in self._described if type(one.value) is FunctionType)

    def _describe(self, reference: Reference) -> Described:
        where, exists = self._where, None
        remedy: str | None = PLAIN_DATA
        try:
            return describe(reference, self._home, on_driver=self._on_driver)
        except UnidentifiedError as error:
            if reference.owner == CALL:  # a handler that a logger is given, say
                return Described(Group.CODE, reference.label, encode(str(type(reference.value))))
            reason, remedy = f"{reference.place(error.path or '')} cannot be identified: {error.what}", error.remedy
            if reference.variable is not None or reference.role == "self" or reference.role.startswith("method "):
                warning = f"`{self._node}` runs, and is never reused: {reason} ({remedy})"
                form = encode("unidentified")
                return Described(Group.CODE, reference.label, form, random=(reason,), warnings=(warning,))
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
        key = self._key(edge)
        if key in self._numbers:
            return f"seen {self._numbers[key]} {edge.text}"
        self._numbers[key] = len(self._numbers)
        self._queue.append(edge)
        return f"new {edge.text}"

    def _look_again(self) -> None:
        """Queue what counts of the things met so far because of other things that were met, which may lead to more."""
        texts = dict.fromkeys(text for _, described in self._described for text in described.texts)
        for reference, described in tuple(self._described):
            value = reference.value
            if type(value) is FunctionType and package_of_function(value) is None:
                for edge in text_lookups(value, described, texts, self._home):
                    name = edge if isinstance(edge, str) else f"{edge.text} {edge.name}"
                    if (id(value), name) not in self._lookups:
                        self._lookups[id(value), name] = self._token(edge)
        homes = {name: None for one, _ in self._described if (name := _home_module(one.value))}
        file = self._where.file if self._where is not None else ""
        loaded = (name for name, one in files_of_modules().items() if one == file)
        for name in (*homes, next(loaded, "")) if homes else ():
            self._effects += effects_with(name, self._modules)
        mentioned = frozenset(texts).union(*(form_of(one.__code__).mentioned for one in self._functions()))
        for effect in [one for one in self._effects if not one.names or one.names & mentioned]:
            self._effects.remove(effect)
            self._takes_effects = True
            self._findings.append(Findings(unfollowed=(effect.doubt,) if effect.doubt else ()))
            self._token(Reference(effect.code, "import effects"))

    def _key(self, reference: Reference) -> Hashable:
        """Return one key for one thing. Equal constants, which may be one object, are two but for one variable's."""
        value = reference.value
        if isinstance(value, Package):
            return value
        if type(value) is MethodType:
            return "method", id(value.__self__), id(value.__func__)
        if is_immutable(value):
            return reference.variable or len(self._numbers)
        return reference.use, id(value)


def _home_module(value: object) -> str:
    """Return the name of the module in which a function or class of the project, or a module of it, is; else empty."""
    if type(value) is FunctionType and package_of_function(value) is None:
        return str(value.__globals__.get("__name__", ""))
    if isinstance(value, ModuleType):
        return value.__name__
    return str(value.__module__) if is_class(value) and package_of_module(value.__module__) is None else ""
