"""Graphs on a page: boxes that stand for several nodes, each of which opens, and a guard where even those are many.

What is open is part of the page's address, so it can be shared, and opening a box takes no script.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from helix_spark.drawing import DrawnGraph, NodeGroup, collapsed, folds_of

MOST_NODES, MOST_EDGES = 600, 2_000
"""A larger graph is drawn only when asked for: it is slow to look at, not to make."""


@dataclass(frozen=True, slots=True)
class Folding:
    """What an address asks of a graph.

    Attributes:
        on: whether nodes share boxes; see `folds_of`.
        opened: names of the boxes that are open.
    """

    on: bool | None = None
    opened: frozenset[str] = frozenset()

    def toggled(self, name: str) -> Folding:
        """Return the same with one box opened, or closed again."""
        return Folding(self.on, self.opened ^ {name})


BY_SIZE = Folding()
"""What an address asks that says nothing of it."""


@dataclass(frozen=True, slots=True)
class Toggle:
    """A group in the list beside a graph; `href` opens it, or closes it if it is open."""

    group: NodeGroup
    opened: bool
    href: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph that is to be drawn, or why it is not.

    Attributes:
        graph: None where it is too large to draw unasked.
        nodes, edges: how many it has with each node by itself.
        toggles: the groups of a folded graph.
        foldable: whether any of its nodes could share a box.
        whole: a folded graph with each node by itself, where that is no longer than can be read.
    """

    graph: DrawnGraph | None
    nodes: int
    edges: int
    toggles: tuple[Toggle, ...] = ()
    foldable: bool = False
    whole: DrawnGraph | None = None


def picture_of(graph: DrawnGraph, asked: Folding, href: Callable[[Folding], str], *, whole: bool) -> Picture:
    """Return the picture of a graph.

    Args:
        href: the address of the same page, folded otherwise; empty where pages have none.
        whole: draw it however large it is.
    """
    groups = folds_of(graph, asked.on, asked.opened)
    toggles = tuple(Toggle(group, group.name in asked.opened, href(asked.toggled(group.name))) for group in groups)
    closed = [toggle for toggle in toggles if not toggle.opened]
    shown = collapsed(graph, [each.group for each in closed], {each.group.name: each.href for each in closed})
    nodes, edges = len(graph.nodes), _edges(graph)
    foldable = bool(groups or folds_of(graph, True))
    if not whole and not _readable(shown):
        return Picture(None, nodes, edges, toggles, foldable)
    return Picture(shown, nodes, edges, toggles, foldable, graph if closed and _readable(graph) else None)


def _readable(graph: DrawnGraph) -> bool:
    return len(graph.nodes) <= MOST_NODES and _edges(graph) <= MOST_EDGES


def _edges(graph: DrawnGraph) -> int:
    names = {node.name for node in graph.nodes}
    return sum(source in names for node in graph.nodes for source in node.inputs)
