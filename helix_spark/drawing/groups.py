"""Boxes that stand for several nodes: a node with the fit that is its alone, a fan of nodes that are alike, and all
that lies above what a picture is about and had no part in it.

Of the rest only what reads the same, is read by the same, and is in the same state shares a box, so that a box hides
names and never a difference: an extractor that alone was computed stays beside the box of those that were loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from helix_spark.drawing.graph import WORDS, DrawnGraph, DrawnNode

WHOLE_UNTIL = 40
"""Nodes of a graph that is drawn whole unless asked otherwise: about what fits a screen."""

MOST_NODES, MOST_EDGES = 600, 2_000
"""A larger graph is drawn only when asked for: it is slow to look at, not to make."""

_FEWEST = 3
"""Nodes that are worth a box of their own, alike or without a part in it."""

_IDLE = ("prune", "same")
"""States of what had no part in what a picture shows: it was not needed, or is the same in both iterations."""

_WITH = " + "
"""Between a node's kind and what shares its box."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph as it is drawn, nodes that are alike in one box; None where even so it is too large to draw unasked.
    `whole` has each node by itself, where `graph` has boxes for several and that is no longer than can be read; `nodes`
    and `edges` count these."""

    graph: DrawnGraph | None
    whole: DrawnGraph | None
    nodes: int
    edges: int


def picture_of(graph: DrawnGraph, *, whole: bool = False) -> Picture:
    """Return the picture of a graph; with each node by itself, however large it is, where `whole`."""
    shown, nodes, edges = graph if whole else folded(graph), len(graph.nodes), _count_edges(graph)
    if not whole and (len(shown.nodes) > MOST_NODES or _count_edges(shown) > MOST_EDGES):
        return Picture(None, None, nodes, edges)
    unfolds = len(shown.nodes) < nodes <= MOST_NODES and edges <= MOST_EDGES
    return Picture(shown, graph if unfolds else None, nodes, edges)


def _count_edges(graph: DrawnGraph) -> int:
    names = {node.name for node in graph.nodes}
    return sum(source in names for node in graph.nodes for source in node.inputs)


def folded(graph: DrawnGraph) -> DrawnGraph:
    """Return a graph with one box for what had no part in it; in a large one what is alike shares a box, too.

    >>> idle = [DrawnNode("data", state="prune"), DrawnNode("rows", ("data",), state="prune"),
    ...         DrawnNode("words", ("rows",), state="prune")]
    >>> [node.label for node in folded(DrawnGraph((*idle, DrawnNode("model", ("words",), state="load")))).nodes]
    ['3 not needed', '']
    """
    graph = _boxed(graph, list(_idle_box(graph)))
    return graph if len(graph.nodes) <= WHOLE_UNTIL else fold_alike(graph)


def fold_alike(graph: DrawnGraph) -> DrawnGraph:
    """Return a graph in which a node and the fit that is its alone share a box, and then all such that are alike.

    >>> data = DrawnNode("data")
    >>> fan = [DrawnNode(name, ("data",), kind="extractor") for name in "abc"]
    >>> [node.label for node in fold_alike(DrawnGraph((data, *fan, DrawnNode("all", ("a", "b", "c"))))).nodes]
    ['', '3 extractors', '']
    """
    graph = _boxed(graph, list(_boxes_with_parts(graph)))
    return _boxed(graph, list(_fans(graph)))


def _idle_box(graph: DrawnGraph) -> Iterator[DrawnNode]:
    """Yield the box of what had no part in it; none where that is little. Whatever it reads is in it, so that no edge
    leads back into the box."""
    names, apart = {node.name for node in graph.nodes}, _ends_of_fading(graph)
    found: dict[str, DrawnNode] = {}
    for node in graph.nodes:
        is_idle = node.state in _IDLE and node.name not in apart and not node.css and not node.note
        if is_idle and all(source in found for source in node.inputs if source in names):
            found[node.name] = node
    if len(found) >= _FEWEST:
        first, *_, last = members = list(found.values())
        if any(node.stored != first.stored for node in members):
            first = replace(first, stored="")
        label = f"{len(members)} {WORDS[first.state]}"
        yield _box(first, members, label, f"{first.name} … {last.name}")


def _boxes_with_parts(graph: DrawnGraph) -> Iterator[DrawnNode]:
    """Yield the boxes of nodes with those that are called after them and that they alone read, such as their fits,
    unless there is something to see at these."""
    nodes, readers = {node.name: node for node in graph.nodes}, _readers(graph)
    found: dict[str, list[DrawnNode]] = {}
    for part in graph.nodes:
        owner = nodes[next(iter(readers[part.name]))] if len(readers[part.name]) == 1 else None
        if (
            owner is not None and part.name.startswith(f"{owner.name}.") and not (part.members or part.css)
            and part.note == owner.note and part.state in (owner.state, "prune") and part.stored in (owner.stored, "")
        ):
            found.setdefault(owner.name, []).append(part)
    for name, parts in found.items():
        if not any(part.name in found for part in parts):
            owner, suffixes = nodes[name], [part.name.removeprefix(f"{name}.") for part in parts]
            yield _box(owner, [*parts, owner], owner.label or name, _WITH.join(filter(None, [owner.kind, *suffixes])))


def _fans(graph: DrawnGraph) -> Iterator[DrawnNode]:
    """Yield the boxes of nodes that are alike in all that a picture shows but their names and seconds."""
    readers, apart = _readers(graph), _ends_of_fading(graph)
    fans: dict[object, list[DrawnNode]] = {}
    for node in graph.nodes:
        inputs, read_by = frozenset(readers.keys() & node.inputs), readers[node.name]
        is_alone = node.css or not inputs or not read_by or not apart.isdisjoint(node.members or (node.name,))
        kind = node.kind.partition(_WITH)[0]
        alike = (inputs, frozenset(read_by), kind, node.state, node.stored, node.note)
        fans.setdefault(node.name if is_alone else alike, []).append(node)
    for fan in fans.values():
        if len(fan) >= _FEWEST:
            label = f"{len(fan)} {fan[0].kind.partition(_WITH)[0] or 'node'}s"
            yield _box(fan[0], fan, label, f"{fan[0].name} … {fan[-1].name}")


def _box(like: DrawnNode, several: Sequence[DrawnNode], label: str, kind: str) -> DrawnNode:
    """Return a box for several nodes, which has the name and the marks of one of them and leads nowhere."""
    members = tuple(name for node in several for name in node.members or (node.name,))
    taken = [node.seconds for node in several if node.seconds is not None]
    return replace(
        like, label=label, kind=kind, href="", members=members, seconds=sum(taken) if taken else None,
        title=f"{label}: {', '.join(members)}",
    )


def _boxed(graph: DrawnGraph, boxes: Sequence[DrawnNode]) -> DrawnGraph:
    """Return the graph with these boxes in the places of their members."""
    nodes, by_name = {node.name: node for node in graph.nodes}, {box.name: box for box in boxes}
    box_of = {member: box.name for box in boxes for member in box.members}
    drawn = []
    for node in graph.nodes:
        if box_of.get(node.name, node.name) == node.name:
            box = by_name.get(node.name, node)
            members = [nodes[name] for name in box.members if name in nodes] or [node]
            sources = dict.fromkeys(box_of.get(source, source) for member in members for source in member.inputs)
            drawn.append(replace(box, inputs=tuple(source for source in sources if source != node.name)))
    return replace(graph, nodes=tuple(drawn))


def _readers(graph: DrawnGraph) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {node.name: set() for node in graph.nodes}
    for node in graph.nodes:
        for source in node.inputs:
            if source in found and source != node.name:
                found[source].add(node.name)
    return found


def _ends_of_fading(graph: DrawnGraph) -> set[str]:
    return {end for edge in graph.fading for end in edge}
