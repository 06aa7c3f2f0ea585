"""What is drawn, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stored = Literal["", "stored", "evicted"]
"""The drum at a node: none, its result is stored, or it was and no longer is."""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A box. Every text is escaped when it is drawn.

    Attributes:
        name: unique in its graph.
        inputs: names of the nodes it reads; those that the graph does not have are left out.
        label: the text in the box; the name where empty.
        kind: of the operator, the small text under the label.
        state: load, compute, prune, failed, running, added, removed, changed, same, ...: decides sign and line.
        stored: the drum.
        css: further classes, separated by spaces.
        seconds: at the right end of the small line; what it took, or is expected to take.
        note: a short text behind them.
        title: what pointing at the box tells; the name, kind and state where empty.
        href: where the box leads; it is no link where empty.
        members: names of the nodes that the box stands for, where it stands for several.
    """

    name: str
    inputs: tuple[str, ...] = ()
    label: str = ""
    kind: str = ""
    state: str = ""
    stored: Stored = ""
    css: str = ""
    seconds: float | None = None
    note: str = ""
    title: str = ""
    href: str = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DrawnGraph:
    """Nodes in a stable order, inputs first where that is possible.

    Attributes:
        title: what a screen reader says the picture is.
        fading: edges (input, reader) that are drawn dashed, such as those that were removed.
    """

    nodes: tuple[DrawnNode, ...]
    title: str = "graph"
    fading: frozenset[tuple[str, str]] = frozenset()
