"""Boxes that group several nodes: idle nodes upstream, a node with its own fit, and a fan of similar nodes.

Nodes of a fan have the same inputs, readers and state. So a box hides names but no differences: a computed extractor
stays next to the box of the loaded ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from helix_spark.drawing.graph import WORDS, DrawnGraph, DrawnNode

MOST_WITHOUT_FANS = 40
"""Most nodes of a graph that is drawn without fans; about a screenful."""

MOST_NODES, MOST_EDGES = 600, 2_000
"""Limits above which a graph is drawn only on request, since browsers show it slowly."""

_FEWEST = 3
"""The smallest number of idle or similar nodes that are grouped."""

_IDLE = ("prune", "same")
"""States of idle nodes: not needed, or the same in both iterations."""

_WITH = " + "
"""The separator between a node's kind and the parts in its box."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph with similar nodes grouped, or None if it is too large to draw without a request.

    Attributes:
        unfolded: the graph without groups, if `graph` has groups and this is not too large.
        nodes, edges: their numbers without groups.
    """

    graph: DrawnGraph | None
    unfolded: DrawnGraph | None
    nodes: int
    edges: int


def picture_of(graph: DrawnGraph, *, unfolded: bool = False) -> Picture:
    """Return the picture of a graph; if `unfolded`, without groups, however large it is."""
    shown, nodes, edges = graph if unfolded else folded(graph), len(graph.nodes), _count_edges(graph)
    if not unfolded and (len(shown.nodes) > MOST_NODES or _count_edges(shown) > MOST_EDGES):
        return Picture(None, None, nodes, edges)
    can_unfold = len(shown.nodes) < nodes <= MOST_NODES and edges <= MOST_EDGES
    return Picture(shown, graph if can_unfold else None, nodes, edges)


def _count_edges(graph: DrawnGraph) -> int:
    names = {node.name for node in graph.nodes}
    return sum(source in names for node in graph.nodes for source in node.inputs)


def folded(graph: DrawnGraph) -> DrawnGraph:
    """Return a graph with its idle nodes in one box; in a large graph also group similar nodes.

    >>> idle = [DrawnNode("data", state="prune"), DrawnNode("rows", ("data",), state="prune"),
    ...         DrawnNode("words", ("rows",), state="prune")]
    >>> [node.label for node in folded(DrawnGraph((*idle, DrawnNode("model", ("words",), state="load")))).nodes]
    ['3 not needed', '']
    """
    graph = _group(graph, list(_idle_box(graph)))
    return graph if len(graph.nodes) <= MOST_WITHOUT_FANS else fold_alike(graph)


def fold_alike(graph: DrawnGraph) -> DrawnGraph:
    """Return a graph with each node and its own fit in one box, then similar nodes in one box.

    >>> data = DrawnNode("data")
    >>> fan = [DrawnNode(name, ("data",), kind="extractor") for name in "abc"]
    >>> [node.label for node in fold_alike(DrawnGraph((data, *fan, DrawnNode("all", ("a", "b", "c"))))).nodes]
    ['', '3 extractors', '']
    """
    graph = _group(graph, list(_boxes_with_parts(graph)))
    return _group(graph, list(_fans(graph)))


def _idle_box(graph: DrawnGraph) -> Iterator[DrawnNode]:
    """Yield the box of the idle nodes, unless they are few. It contains their inputs, so no edge leads back into it."""
    names, ungrouped = {node.name for node in graph.nodes}, _ends_of_dashed(graph)
    idle: dict[str, DrawnNode] = {}
    for node in graph.nodes:
        is_idle = node.state in _IDLE and node.name not in ungrouped and not node.css and not node.note
        if is_idle and all(source in idle for source in node.inputs if source in names):
            idle[node.name] = node
    if len(idle) >= _FEWEST:
        first, *_, last = members = list(idle.values())
        if any(node.stored != first.stored for node in members):
            first = replace(first, stored="")
        label = f"{len(members)} {WORDS[first.state]}"
        yield _box(first, members, label, f"{first.name} … {last.name}")


def _boxes_with_parts(graph: DrawnGraph) -> Iterator[DrawnNode]:
    """Yield boxes of nodes with their parts, such as fits: named after the node, read only by it, without marks."""
    nodes, readers = {node.name: node for node in graph.nodes}, _readers(graph)
    parts_of: dict[str, list[DrawnNode]] = {}
    for part in graph.nodes:
        owner = nodes[next(iter(readers[part.name]))] if len(readers[part.name]) == 1 else None
        if (
            owner is not None and part.name.startswith(f"{owner.name}.") and not (part.members or part.css)
            and part.note == owner.note and part.state in (owner.state, "prune") and part.stored in (owner.stored, "")
        ):
            parts_of.setdefault(owner.name, []).append(part)
    for name, parts in parts_of.items():
        if not any(part.name in parts_of for part in parts):
            owner, suffixes = nodes[name], [part.name.removeprefix(f"{name}.") for part in parts]
            yield _box(owner, [*parts, owner], owner.label or name, _WITH.join(filter(None, [owner.kind, *suffixes])))


def _fans(graph: DrawnGraph) -> Iterator[DrawnNode]:
    """Yield the boxes of nodes that differ only in their names and seconds."""
    readers, ungrouped = _readers(graph), _ends_of_dashed(graph)
    fans: dict[object, list[DrawnNode]] = {}
    for node in graph.nodes:
        inputs, read_by = frozenset(readers.keys() & node.inputs), readers[node.name]
        is_alone = node.css or not inputs or not read_by or not ungrouped.isdisjoint(node.members or (node.name,))
        kind = node.kind.partition(_WITH)[0]
        key = (inputs, frozenset(read_by), kind, node.state, node.stored, node.note)
        fans.setdefault(node.name if is_alone else key, []).append(node)
    for fan in fans.values():
        if len(fan) >= _FEWEST:
            label = f"{len(fan)} {fan[0].kind.partition(_WITH)[0] or 'node'}s"
            yield _box(fan[0], fan, label, f"{fan[0].name} … {fan[-1].name}")


def _box(template: DrawnNode, nodes: Sequence[DrawnNode], label: str, kind: str) -> DrawnNode:
    """Return a box for several nodes, with the name and marks of one of them and without a link."""
    members = tuple(name for node in nodes for name in node.members or (node.name,))
    seconds = [node.seconds for node in nodes if node.seconds is not None]
    return replace(
        template, label=label, kind=kind, href="", members=members, seconds=sum(seconds) if seconds else None,
        title=f"{label}: {', '.join(members)}",
    )


def _group(graph: DrawnGraph, boxes: Sequence[DrawnNode]) -> DrawnGraph:
    """Return the graph with these boxes instead of their members."""
    nodes, by_name = {node.name: node for node in graph.nodes}, {box.name: box for box in boxes}
    box_of = {member: box.name for box in boxes for member in box.members}
    grouped = []
    for node in graph.nodes:
        if box_of.get(node.name, node.name) == node.name:
            box = by_name.get(node.name, node)
            members = [nodes[name] for name in box.members if name in nodes] or [node]
            sources = dict.fromkeys(box_of.get(source, source) for member in members for source in member.inputs)
            grouped.append(replace(box, inputs=tuple(source for source in sources if source != node.name)))
    return replace(graph, nodes=tuple(grouped))


def _readers(graph: DrawnGraph) -> dict[str, set[str]]:
    readers: dict[str, set[str]] = {node.name: set() for node in graph.nodes}
    for node in graph.nodes:
        for source in node.inputs:
            if source in readers and source != node.name:
                readers[source].add(node.name)
    return readers


def _ends_of_dashed(graph: DrawnGraph) -> set[str]:
    return {end for edge in graph.dashed for end in edge}
