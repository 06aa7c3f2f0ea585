"""Graphs to draw, as frozen data, and the signs and words of the states of nodes.

A state never shows by colour alone: it has a sign in the box and a line style of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SIGNS = {
    "compute": "▶", "load": "↓", "prune": "○", "failed": "✕", "running": "…", "waiting": "·", "added": "+",
    "removed": "\u2212", "changed": "≠", "affected": "≈", "drawn": "↻", "same": "=", "died": "†",
}
"""The sign in front of a box's label, by state."""

WORDS = {
    "compute": "computed", "load": "loaded", "prune": "not needed", "failed": "failed", "running": "running",
    "waiting": "not run yet", "added": "added", "removed": "removed", "changed": "changed",
    "affected": "changed through its inputs", "drawn": "drawn anew", "same": "the same",
    "died": "was running when it died",
}
"""The states in words, for legends and screen readers."""

PROOFS = {
    "pure": "all code in it is known to be pure",
    "verified": "an audit computed it again, and it came out the same",
    "aged": "an audit found it the same; since then a day has passed, or code or environment have changed",
    "unproven": "it has code that is not known to be pure, and no audit has computed it again yet (`helix audit`)",
    "chance": "it may differ each time",
    "instance": "one of several right answers; its descendants belong to it",
}
"""How well it is established that computing a result again gives the same result."""

Stored = Literal["", "stored", "evicted"]
"""The drum at a node: none, or its result is stored, or was stored and then evicted."""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A box.

    Attributes:
        name: unique in its graph.
        inputs: names of its inputs; names that are not in the graph are ignored.
        label: text in the box; by default the name.
        kind: the operator's kind, in small letters under the label.
        state: load, compute, prune, failed, running, added, removed, changed, same, ...: decides sign and line.
        stored: the drum.
        css: further classes, separated by spaces.
        seconds: measured or expected seconds, after the kind.
        note: a short text after the seconds.
        title: the tooltip; by default name, kind and state.
        href: target of the box's link; no link if empty.
        members: names of the nodes in the box if it groups several.
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
    """Nodes in a stable order, if possible inputs first. Screen readers read the `title`. Edges (input, reader) in
    `fading`, such as removed ones, are dashed."""

    nodes: tuple[DrawnNode, ...]
    title: str = "graph"
    fading: frozenset[tuple[str, str]] = frozenset()
