"""Everything a value reaches, breadth first, each thing once.

A part covers its own form and, for each thing it refers to, whether that is the next new thing or which earlier one. So
the list of parts stands for the whole graph, cycles included, and a change shows in the one part that changed.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from helix_spark.errors import Location, SignatureError
from helix_spark.signature.description import describe
from helix_spark.signature.edges import NOTHING_SAID, Described, Edge, Named, Outside, Reference, Reflected, Said
from helix_spark.signature.leaves import is_immutable
from helix_spark.signature.origin import Package
from helix_spark.signature.parts import Group, Part, digest
from helix_spark.signature.reflection import REFLECTED, may_be_read
from helix_spark.signature.unidentified import UnidentifiedError


@dataclass(frozen=True, slots=True)
class Reached:
    """The parts, and what was noticed on the way; see `CodeTrace`."""

    parts: tuple[Part, ...]
    warnings: tuple[str, ...]
    random: tuple[str, ...]
    outside: tuple[str, ...]
    said: Said


def reach(
    roots: Sequence[Edge], *, node: str, where: Location | None, home: str, elsewhere: Said = NOTHING_SAID
) -> Reached:
    """Describe everything the roots reach.

    Args:
        roots: where to start, in order.
        node: whose signature this is, for errors.
        where: where the node is declared, for errors.
        home: the module whose names need no prefix.
        elsewhere: what is known already of what all that is reached says.

    Raises:
        SignatureError: something cannot be identified.
    """
    walk = _Walk()
    for root in roots:
        walk.token(_asked_for(root))
    parts: list[Part] = []
    warnings: dict[str, None] = {}
    random: dict[str, None] = {}
    outside: dict[str, None] = {}
    met: list[tuple[object, str]] = []
    read, said, listens = frozenset[str](), Said(), False
    while walk.queue:
        reference = walk.queue.popleft()
        described = _described(reference, node, where, home, elsewhere)
        tokens = [walk.token(edge) for edge in described.edges]
        parts.append(Part(described.group, described.label, digest(described.form, *tokens), described.shown))
        met.append((reference.value, described.label))
        read, said, listens = read | described.reads, said | described.said, listens or described.listens
        warnings |= dict.fromkeys(described.warnings)
        random |= dict.fromkeys(described.random)
        outside |= dict.fromkeys(described.outside)
        if not walk.queue:
            walk.look_at(met, read)
    if named := sorted(read - REFLECTED):
        things = [one for one, _ in met if isinstance(one, types.FunctionType | type)]
        names = [str(getattr(one, attribute, "")) for one in things for attribute in named]
        parts.append(Part(Group.CODE, "names of functions", digest(*named, *names)))
    if listens and (said.texts, said.views) != (elsewhere.texts, elsewhere.views):
        # A query may be handed on, a view be registered by a helper: who reads it is described anew, knowing that.
        return reach(roots, node=node, where=where, home=home, elsewhere=said)
    first = roots[0]
    if isinstance(first, Reference) and first.top and walk.came_back:
        # Something calls the function that the node runs, perhaps by keyword: its parameters' names count after all.
        again = [replace(first, top=False), *roots[1:]]
        return reach(again, node=node, where=where, home=home, elsewhere=elsewhere)
    return Reached(tuple(parts), tuple(warnings), tuple(random), tuple(outside), said)


def _asked_for(root: Edge) -> Reference:
    """A root that is known by name only becomes a part, for the name to count."""
    if isinstance(root, Reference) and not isinstance(root.value, Package):
        return root
    return Reference(Outside(root), root.text.rpartition(".")[2])


def _described(reference: Reference, node: str, where: Location | None, home: str, elsewhere: Said) -> Described:
    try:
        return describe(reference, home, elsewhere)
    except UnidentifiedError as error:
        place = reference.place(error.path or "")
        raise SignatureError(
            f"node {node!r}: {place} cannot be identified: {error.what}", where=where, remedy=error.remedy
        ) from None
    except SignatureError as error:
        raise SignatureError(
            f"node {node!r}: {reference.place()}: {error.what}",
            where=error.where or where,
            exists=error.exists,
            remedy=error.remedy,
        ) from error


class _Walk:
    """Which things were met, in which order.

    Attributes:
        queue: met but not described yet.
        came_back: whether anything refers to the first one.
    """

    def __init__(self) -> None:
        self.queue: deque[Reference] = deque()
        self.came_back = False
        self._numbers: dict[Hashable, int] = {}
        self._looked_at: set[tuple[int, str]] = set()
        self._kept: list[object] = []  # ids stay the objects' own as long as the objects live

    def token(self, edge: Edge) -> str:
        """What an edge says; queues what it leads to if that is new."""
        if isinstance(edge, Named):
            return f"name {edge.text}"
        key = self._key(edge)
        number = self._numbers.get(key)
        if number is not None:
            self.came_back |= number == 0
            return f"seen {number} {edge.text}"
        self._numbers[key] = len(self._numbers)
        self._kept.append(edge.value)
        self.queue.append(edge)
        return f"new {edge.text}"

    def look_at(self, met: Iterable[tuple[object, str]], read: frozenset[str]) -> None:
        """Queues what is read by reflection of the things met so far (each with a label), which may lead to more."""
        for value, label in met:
            for attribute in sorted(read):
                if may_be_read(value, attribute) and (id(value), attribute) not in self._looked_at:
                    self._looked_at.add((id(value), attribute))
                    self.token(Reference(Reflected(value, attribute), label))

    def _key(self, reference: Reference) -> Hashable:
        """One thing, one key. Whether two equal constants are one object is up to the interpreter, so they are two
        unless read from one variable."""
        value = reference.value
        if isinstance(value, Package):
            return value
        if isinstance(value, types.MethodType):
            return "method", id(value.__self__), id(value.__func__)
        if is_immutable(value):
            return reference.variable or len(self._numbers)
        return "object", id(value)
