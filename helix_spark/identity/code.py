"""Code signatures: what a function or value of a workflow depends on, as a flat list of parts.

The parts describe the code and everything that it reaches in the project, breadth first, each object once; libraries
count by version. A part covers its own form and, for each reference, whether it is new or the number of its earlier
part. So the list of parts covers the whole graph, cycles included, and a change shows in exactly the changed part. No
JVM, no session.
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
from helix_spark.hermetic.imported_values import modules_set, set_before
from helix_spark.identity.data_version import DataIdentity, SignedData, identify
from helix_spark.identity.description import describe
from helix_spark.identity.functions.code_form import form_of, with_nested
from helix_spark.identity.functions.function_part import doubtful_names, held_uses, names_beyond, text_lookups
from helix_spark.identity.functions.import_effects import CALL, ImportEffect, effects_with, imports_any, texts_with
from helix_spark.identity.objects.attributes import is_class, own_attribute
from helix_spark.identity.objects.encoder import is_immutable, shown
from helix_spark.identity.objects.origin import Package, package_of_function, package_of_module
from helix_spark.identity.objects.references import Described, Edge, Findings, Reference, edge_to, home_of, udf_of
from helix_spark.identity.parts import PLAIN_DATA, Group, Part, UnidentifiedError, digest, encode
from helix_spark.import_reads import files_of_modules
from helix_spark.loaded_sources import read_lines


@dataclass(frozen=True)
class Description(Findings):
    """The dependencies of a value or a node, with findings.

    Attributes:
        parts: one for each reached function, class, constant and package, breadth first; the value itself comes first,
            declared files last.
        reads: these files, and a source's data.
        drew: True if it drew numbers, seeded by Helix, while its plan was built.
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
        """The identity of a source's data."""
        return next((read.identity for read in self.reads if not isinstance(read.source, Path)), None)


def merged(descriptions: Sequence[Description], findings: Sequence[Findings] = ()) -> Description:
    """Merge descriptions and further findings, each sentence once."""
    sources = (*findings, *descriptions)

    def union(name: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(item for source in sources for item in getattr(source, name)))

    texts: dict[str, Any] = {name: union(name) for name in ("warnings", "random", "choices", "unfollowed")}
    words: dict[str, Any] = {name: frozenset(union(name)) for name in ("registers", "doubtful")}
    return Description(
        tuple(part for description in descriptions for part in description.parts),
        tuple(read for description in descriptions for read in description.reads),
        any(description.drew for description in descriptions), in_turns=any(source.in_turns for source in sources),
        **texts, **words,
    )


def trace(
    value: object, *, node: str, where: Location | None = None, depends_on: Sequence[object] = (),
    stages: dict[str, int] | None = None, on_driver: bool = False, in_workers: bool = False,
) -> Description:
    """Return everything a value depends on.

    Args:
        value: a function, class, partial, method, callable object, or plain data.
        node, where: its node, and the location of its declaration, for errors.
        depends_on: further values that count; a `pathlib.Path` counts by the content of the file or folder.
        stages: numbers of stages of Spark ML by identifier, shared by the walks of one node; new ones are added.
        on_driver: True for a function that runs in one action on the driver. Generators in variables then count by
            their states (`hermetic.generators.HeldGenerators`); otherwise they have no identity.
        in_workers: True for a function that runs in Spark's workers, which import its modules again.

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
    declared = [_declared(item, node, where) for item in depends_on if not isinstance(item, Path)]
    reads = tuple(SignedData(item, _identity(item, node, where)) for item in depends_on if isinstance(item, Path))
    walk = _Walk(node, where, home_of(value), stages, on_driver=on_driver, in_workers=in_workers)
    description = walk.reach([root, *declared])
    files = (Part(Group.FILE, read.shown, read.identity.digest, read.identity.digest[:7]) for read in reads)
    return replace(description, parts=(*description.parts, *files), reads=reads)


def trace_path(path: str, *, node: str, where: Location | None = None) -> Description:
    """Return everything that the target of a dotted path depends on: a library's version, or the project's code.

    Raises:
        SignatureError: the project has nothing of that name.
    """
    module, _, name = path.rpartition(".")
    package = package_of_module(module)
    if package is not None:
        return _Walk(node, where, "", None).reach([Reference(package, package.name, "package", text=path)])
    try:
        value = getattr(import_module(module), name)
    except Exception as error:  # imports may raise anything
        raise SignatureError(
            f"node {node!r}: there is no {path!r}: {error}", where=where,
            remedy="give the class itself, or its full path",
        ) from error
    return trace(value, node=node, where=where)


def value_trace(
    group: Group, label: str, value: object, *, node: str, where: Location | None = None,
    stages: dict[str, int] | None = None,
) -> Description:
    """Return one part for a value with all that it reaches, and the findings. It is a parameter of an operator, so its
    digest covers the label: two parameters may have one value. Arguments and errors are those of `trace`.

    >>> value_trace(Group.PARAMETER, "regParam", 0.1, node="model").parts[0].shown
    '0.1'
    """
    traced = _Walk(node, where, home_of(value), stages).reach([edge_to(value, label, role="parameter")])
    return replace(traced, parts=(Part(group, label, digest(label, traced.digest), shown(value)),))


def _name(value: object) -> str:
    name = str(own_attribute(value, "__qualname__") or "").rpartition("<locals>.")[2]
    return "" if name == "<lambda>" else name


def _declared(value: object, node: str, where: Location | None) -> Edge:
    is_file = False
    with suppress(OSError, ValueError):  # an impossible path
        is_file = isinstance(value, str) and Path(value).is_file()
    if is_file:
        raise SignatureError(
            f"node {node!r}: depends_on names the file {value!r} as text, which would count by its name alone",
            where=where, remedy=f"write Path({value!r}), which counts by what is in the file",
        )
    label = value.__name__ if isinstance(value, ModuleType) else _name(value) or shown(value)
    return edge_to(value, label, role="depends_on")


def _identity(path: Path, node: str, where: Location | None) -> DataIdentity:
    subject = f"node {node!r}: depends_on names {str(path)!r}, which"
    remedy = "give the path of a file or folder, from the working folder or absolute"
    if not path.exists():
        raise SignatureError(f"{subject} does not exist", where=where, remedy=remedy)
    try:
        return identify(path)
    except OSError as error:
        raise SignatureError(f"{subject} cannot be read: {error.strerror}", where=where, remedy=remedy) from error


class _Walk:
    """A walk over everything that a value reaches. Parameters as for `trace`; names of `home` need no prefix."""

    def __init__(
        self, node: str, where: Location | None, home: str, stages: dict[str, int] | None, *, on_driver: bool = False,
        in_workers: bool = False,
    ) -> None:
        self._node, self._where, self._home = node, where, home
        self._on_driver, self._in_workers = on_driver, in_workers
        self._stages: dict[str, int] = {} if stages is None else stages
        self._queue: deque[Reference] = deque()
        self._described: list[tuple[Reference, Described]] = []  # keeps objects alive, as ids may be used again
        self._parts: list[Part] = []
        self._findings: list[Findings] = []
        self._numbers: dict[Hashable, int] = {}
        self._lookups: dict[tuple[int, str], str] = {}  # variables that texts name
        self._modules: set[str] = set()
        self._effects: list[ImportEffect] = []  # of these modules, not yet mentioned
        self._takes_effects = False  # True once import effects are described

    def reach(self, roots: Sequence[Edge]) -> Description:
        """Describe everything the roots reach, in order. Raises SignatureError."""
        for root in roots:
            token = self._token(root)
            if isinstance(root, str) or isinstance(root.value, Package):  # identified by its name alone
                label = (root if isinstance(root, str) else root.text).rpartition(".")[2]
                self._parts.append(Part(Group.CODE, label, digest(token)))
                random = held_uses(f"value `{label}`", [root])
                self._findings.append(Findings(random=random, doubtful=frozenset(names_beyond([root]))))
        while self._queue:
            reference = self._queue.popleft()
            described = self._describe(reference)
            stages = (f"stage {self._stages.setdefault(uid, len(self._stages))}" for uid in described.stages)
            digested = digest(described.form, *map(self._token, described.edges), *stages)
            self._parts.append(Part(described.group, described.label, digested, described.shown))
            self._described.append((reference, described))
            random = held_uses(reference.place(), described.edges[described.checked :])
            doubtful = frozenset(doubtful_names(reference.value, described))
            self._findings += [described, Findings(random=random, doubtful=doubtful)]
            if not self._queue:
                self._queue_lookups_and_effects()
        if self._lookups:
            looked_up = digest(*self._lookups.values())
            self._parts.append(Part(Group.CODE, "names that texts are searched for", looked_up))
        replaced = self._replaced() if self._in_workers else []
        if replaced or any(described.reads_lines for _, described in self._described):
            lines = digest(sys.prefix, *self._lines(), *texts_with(replaced))
            self._parts.append(Part(Group.CODE, "lines of files", lines))
        if shared := [*self._shared()]:
            self._parts.append(Part(Group.CODE, "objects of several names", digest(*shared)))
        return merged([Description(tuple(self._parts))], self._findings)

    def _replaced(self) -> list[str]:
        """Return the modules of which the code reads a value that workers do not import."""
        bound = defaultdict[str, dict[str, object]](dict)
        for _, described in self._described:
            for module, values in described.bound.items():
                bound[module].update(values)
        found = modules_set(bound)
        after = sorted(set_before(bound.keys() - found).items())
        return [*found, *(name for name, others in after if imports_any(name, others))]

    def _lines(self) -> Iterator[str]:
        """Yield the files of all reached code, with their texts, and its docstrings and texts, as set by now."""
        files = {function.__code__.co_filename for function in self._functions()}
        for reference, _ in self._described:
            value: Any = reference.value
            if module := _home_module(value):
                files.add(str(getattr(sys.modules.get(module), "__file__", "")))
                texts = [vars(value).get("__doc__")]
                if type(value) is FunctionType:
                    texts = [value.__doc__, *(text for code in with_nested(value.__code__) for text in code.co_consts)]
                yield from (text for text in texts if type(text) is str)
        for file in sorted(files):
            yield from (file, *read_lines(file))

    def _shared(self) -> Iterator[str]:
        """Yield the positions of each object that occurs several times: all its names see a change."""
        occurrences: list[tuple[int, int, int | str]] = [
            (id(item), number, place)
            for number, (_, described) in enumerate(self._described) for place, item in enumerate(described.objects)
        ]
        variables = ((number, ref.variable) for number, (ref, _) in enumerate(self._described) if ref.variable)
        objects = {key for key, _, _ in occurrences}
        occurrences += ((holder, number, step) for number, (holder, step) in variables if holder in objects)
        if len(occurrences) > len(objects):
            counts = Counter(key for key, _, _ in occurrences)
            places = defaultdict[int, list[str]](list)
            for key, number, place in occurrences:
                if counts[key] > 1:
                    places[key].append(f"{number} {place}")
            yield from map(", ".join, places.values())

    def _functions(self) -> Iterator[FunctionType]:
        return (ref.value for ref, _ in self._described if type(ref.value) is FunctionType)

    def _describe(self, reference: Reference) -> Described:
        where, exists = self._where, None
        remedy: str | None = PLAIN_DATA
        try:
            return describe(reference, self._home, on_driver=self._on_driver)
        except UnidentifiedError as error:
            if reference.owner == CALL:  # such as a handler of a logger
                return Described(Group.CODE, reference.label, encode(str(type(reference.value))))
            reason, remedy = f"{reference.place(error.path or '')} cannot be identified: {error.what}", error.remedy
            if reference.variable is not None or reference.role == "self" or reference.role.startswith("method "):
                warning = f"`{self._node}` runs, and is never reused: {reason} ({remedy})"
                form = encode("unidentified")
                return Described(Group.CODE, reference.label, form, random=(reason,), warnings=(warning,))
        except SignatureError as error:
            reason, exists, remedy = f"{reference.place()}: {error.what}", error.exists, error.remedy
            where = error.where or where
        except Exception as error:  # noqa: BLE001 - attributes of an object may raise anything
            reason = f"{reference.place()} cannot be identified: looking at it raises {error!r}"
        if self._takes_effects:
            return Described(Group.CODE, reference.label, encode("unidentified"), unfollowed=(reason,))
        raise SignatureError(f"node {self._node!r}: {reason}", where=where, exists=exists, remedy=remedy)

    def _token(self, edge: Edge) -> str:
        """Return the text of an edge; queue its target if that is new."""
        if isinstance(edge, str):
            return f"name {edge}"
        key = self._key(edge)
        if key in self._numbers:
            return f"seen {self._numbers[key]} {edge.text}"
        self._numbers[key] = len(self._numbers)
        self._queue.append(edge)
        return f"new {edge.text}"

    def _queue_lookups_and_effects(self) -> None:
        """Queue variables that the reached texts name, and import effects of the reached modules."""
        texts = dict.fromkeys(text for _, described in self._described for text in described.texts)
        for reference, described in tuple(self._described):
            value = reference.value
            if type(value) is FunctionType and package_of_function(value) is None:
                for edge in text_lookups(value, described, texts, self._home):
                    name = edge if isinstance(edge, str) else f"{edge.text} {edge.name}"
                    if (id(value), name) not in self._lookups:
                        self._lookups[id(value), name] = self._token(edge)
        homes = {name: None for ref, _ in self._described if (name := _home_module(ref.value))}
        files = {} if self._where is None else files_of_modules()
        loaded = (name for name, path in files.items() if self._where is not None and path == self._where.file)
        for name in (*homes, next(loaded, "")) if homes else ():
            self._effects += effects_with(name, self._modules)
        mentioned = frozenset(texts).union(*(form_of(function.__code__).mentioned for function in self._functions()))
        for effect in [effect for effect in self._effects if not effect.names or effect.names & mentioned]:
            self._effects.remove(effect)
            self._takes_effects = True
            self._findings.append(Findings(unfollowed=(effect.doubt,) if effect.doubt else ()))
            self._token(Reference(effect.code, "import effects"))

    def _key(self, reference: Reference) -> Hashable:
        """Return the key of an object. Equal constants, which may be one object, differ by their variables."""
        value = reference.value
        if isinstance(value, Package):
            return value
        if type(value) is MethodType:
            return "method", id(value.__self__), id(value.__func__)
        if is_immutable(value):
            return reference.variable or len(self._numbers)
        return reference.use, id(value)


def _home_module(value: object) -> str:
    """Return the module of a function, class or module of the project; empty for other values."""
    if type(value) is FunctionType and package_of_function(value) is None:
        return str(value.__globals__.get("__name__", ""))
    if isinstance(value, ModuleType):
        return value.__name__
    return str(value.__module__) if is_class(value) and package_of_module(value.__module__) is None else ""
