"""Boxes that stand for several nodes: a node with the fit that is its alone, a fan of nodes that are alike, and all
that lies above what a picture is about and had no part in it.

Of the rest only what reads the same, is read by the same, and is in the same state shares a box, so that a box hides
names and never a difference: an extractor that alone was computed stays beside the box of those that were loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from helix_spark.drawing.graph import DrawnGraph, DrawnNode
from helix_spark.drawing.style import WORDS

WHOLE_UNTIL = 40
"""Nodes of a graph that is drawn whole unless asked otherwise: about what fits a screen."""

MOST_NODES, MOST_EDGES = 600, 2_000
"""A larger graph is drawn only when asked for: it is slow to look at, not to make."""

_FEWEST = 3
"""Nodes that are worth a box of their own, alike or without a part in it."""

_IDLE = ("prune", "same")
"""States of what had no part in what a picture shows: it was not needed, or is the same in both iterations."""


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """What one box stands for.

    Attributes:
        name: that of one of its members, and so of no other box.
        label: in the box.
        kind: the small text under the label.
        members: in the graph's order.
    """

    name: str
    label: str
    kind: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph as it is drawn, or that it is not.

    Attributes:
        graph: nodes that are alike in one box; None where even so it is too large to draw unasked.
        whole: each node by itself, where `graph` has boxes for several and that is no longer than can be read.
        nodes, edges: how many it has with each node by itself.
    """

    graph: DrawnGraph | None
    whole: DrawnGraph | None
    nodes: int
    edges: int


def picture_of(graph: DrawnGraph, *, whole: bool = False, most: int = MOST_NODES) -> Picture:
    """Return the picture of a graph.

    Args:
        whole: draw each node by itself, however large it is.
        most: nodes that are drawn unasked.
    """
    groups = () if whole else folds_of(graph)
    shown, nodes, edges = collapsed(graph, groups), len(graph.nodes), _count_edges(graph)
    if not whole and (len(shown.nodes) > most or _count_edges(shown) > MOST_EDGES):
        return Picture(None, None, nodes, edges)
    return Picture(shown, graph if groups and nodes <= most and edges <= MOST_EDGES else None, nodes, edges)


def _count_edges(graph: DrawnGraph) -> int:
    names = {node.name for node in graph.nodes}
    return sum(source in names for node in graph.nodes for source in node.inputs)


def tail_of(graph: DrawnGraph) -> NodeGroup | None:
    """Return what had no part in it, with all that it is made of: the long tail of a picture. None where that is
    little.

    Whatever it reads is in it, so that no edge leads back into its box.

    >>> tail = [DrawnNode("data", state="prune"), DrawnNode("rows", ("data",), state="prune"),
    ...         DrawnNode("words", ("rows",), state="prune")]
    >>> tail_of(DrawnGraph((*tail, DrawnNode("model", ("words",), state="load")))).label
    '3 not needed'
    """
    names = {node.name for node in graph.nodes}
    apart = {end for edge in graph.fading for end in edge}
    found: dict[str, DrawnNode] = {}
    for node in graph.nodes:
        is_idle = node.state in _IDLE and node.name not in apart and not node.css and not node.note
        if is_idle and all(source in found for source in node.inputs if source in names):
            found[node.name] = node
    if len(found) < _FEWEST:
        return None
    members = tuple(found)
    label = f"{len(members)} {WORDS[found[members[0]].state]}"
    return NodeGroup(members[0], label, f"{members[0]} … {members[-1]}", members)


def folds_of(graph: DrawnGraph) -> tuple[NodeGroup, ...]:
    """Return the groups whose members share a box: those without a part in it, and those that are alike where there are
    many without."""
    tail = tail_of(graph)
    rest = graph if tail is None else collapsed(graph, [tail])
    alike = groups_of(rest) if len(rest.nodes) > WHOLE_UNTIL else ()
    return (*([] if tail is None else [tail]), *alike)


def groups_of(graph: DrawnGraph) -> tuple[NodeGroup, ...]:
    """Return the groups of nodes that are alike, in the graph's order; no node is in two.

    >>> data = DrawnNode("data")
    >>> fan = [DrawnNode(name, ("data",), kind="extractor") for name in "abc"]
    >>> [group.label for group in groups_of(DrawnGraph((data, *fan, DrawnNode("all", ("a", "b", "c")))))]
    ['3 extractors']
    """
    nodes = {node.name: node for node in graph.nodes}
    readers = _readers(graph, nodes)
    own = _own_parts(graph, nodes, readers)
    parts = {part.name for several in own.values() for part in several}
    apart = {end for edge in graph.fading for end in edge}
    fans: dict[object, list[DrawnNode]] = {}
    for node in graph.nodes:
        if node.name not in parts:
            members = (node, *own.get(node.name, ()))
            alone = not apart.isdisjoint(member.name for member in members)
            fans.setdefault(node.name if alone else _alike(members, nodes, readers), []).append(node)
    found = []
    for fan in fans.values():
        if len(fan) >= _FEWEST:
            names = tuple(each.name for node in fan for each in (*own.get(node.name, ()), node))
            label = f"{len(fan)} {fan[0].kind or 'node'}s"
            found.append(NodeGroup(fan[0].name, label, f"{fan[0].name} … {fan[-1].name}", names))
        else:
            found += [_with_parts(node, own[node.name]) for node in fan if node.name in own]
    place = {node.name: number for number, node in enumerate(graph.nodes)}
    return tuple(sorted(found, key=lambda group: place[group.name]))


def collapsed(graph: DrawnGraph, groups: Sequence[NodeGroup]) -> DrawnGraph:
    """Return the graph with one box for each of these groups; such a box leads nowhere."""
    box_of = {member: group.name for group in groups for member in group.members}
    by_name = {group.name: group for group in groups}
    nodes = {node.name: node for node in graph.nodes}
    drawn = []
    for node in graph.nodes:
        if box_of.get(node.name, node.name) != node.name:
            continue
        group = by_name.get(node.name)
        members = [nodes[name] for name in group.members] if group else [node]
        sources = (box_of.get(source, source) for member in members for source in member.inputs)
        inputs = tuple(dict.fromkeys(source for source in sources if source != node.name))
        drawn.append(_box(group, node, members, inputs) if group else replace(node, inputs=inputs))
    return replace(graph, nodes=tuple(drawn))


def _box(group: NodeGroup, like: DrawnNode, members: Sequence[DrawnNode], inputs: tuple[str, ...]) -> DrawnNode:
    taken = [member.seconds for member in members if member.seconds is not None]
    marks = {member.stored for member in members}
    return replace(
        like, inputs=inputs, stored=like.stored if len(marks) == 1 else "", label=group.label,
        kind=group.kind, href="", members=group.members,
        seconds=sum(taken) if taken else None, title=f"{group.label}: {', '.join(group.members)}",
    )


def _readers(graph: DrawnGraph, nodes: Mapping[str, DrawnNode]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {name: set() for name in nodes}
    for node in graph.nodes:
        for source in node.inputs:
            if source in found and source != node.name:
                found[source].add(node.name)
    return {name: frozenset(each) for name, each in found.items()}


def _own_parts(
    graph: DrawnGraph, nodes: Mapping[str, DrawnNode], readers: Mapping[str, Collection[str]]
) -> dict[str, tuple[DrawnNode, ...]]:
    """Return nodes that are called after the only one that reads them, such as its fit: nothing else needs them,
    unless there is something to see at them."""
    found: dict[str, tuple[DrawnNode, ...]] = {}
    for part in graph.nodes:
        owner = next(iter(readers[part.name]), "") if len(readers[part.name]) == 1 else ""
        is_part = owner in nodes and part.name.startswith(f"{owner}.") and not part.members and not part.css
        if not is_part or part.note != nodes[owner].note:
            continue
        if part.state in (nodes[owner].state, "prune") and part.stored in (nodes[owner].stored, ""):
            found[owner] = (*found.get(owner, ()), part)
    return {owner: parts for owner, parts in found.items() if not any(part.name in found for part in parts)}


def _alike(
    members: Sequence[DrawnNode], nodes: Mapping[str, DrawnNode], readers: Mapping[str, frozenset[str]]
) -> object:
    """Equal for nodes, each with its parts, that one box may stand for; the node's own name where it stands alone."""
    node, names = members[0], {member.name for member in members}
    inputs = frozenset(
        source for member in members for source in member.inputs if source in nodes and source not in names
    )
    if node.css or not inputs or not readers[node.name]:
        return node.name
    return inputs, readers[node.name], node.kind, node.state, node.stored, node.note


def _with_parts(node: DrawnNode, parts: Sequence[DrawnNode]) -> NodeGroup:
    suffixes = [part.name.removeprefix(f"{node.name}.") for part in parts]
    kind = " + ".join([node.kind, *suffixes]) if node.kind else " + ".join(suffixes)
    return NodeGroup(node.name, node.label or node.name, kind, (*(part.name for part in parts), node.name))
