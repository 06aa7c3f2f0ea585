"""Graphs to draw, as frozen data, and the signs and words of the states of nodes.

Colour alone never marks a state: it also has a sign in the box and its own line style.
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
    "affected": "changed through its inputs", "drawn": "nondeterministic", "same": "the same",
    "died": "was running when it died",
}
"""The states in words, for legends and screen readers."""

PROOFS = {
    "pure": "all code in it is known to be pure",
    "verified": "an audit computed it again, with an equal result",
    "aged": "an audit verified it, but more than a day ago, or with other code or another environment",
    "unproven": "it has code that is not known to be pure, and no audit has computed it again yet (`helix audit`)",
    "chance": "it may differ each time",
    "instance": "one of several right answers; its descendants belong to it",
}
"""Evidence that computing a result again gives the same result."""

Stored = Literal["", "stored", "evicted"]
"""The drum at a node: none, or for a stored or an evicted result."""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A box.

    Attributes:
        name: unique name in its graph.
        inputs: names of its inputs; unknown names are ignored.
        label: text in the box; by default the name.
        kind: the operator's kind, in small letters under the label.
        state: a key of `WORDS`, which decides sign and line.
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
    """Nodes in a stable order, inputs first if possible; a title for screen readers; edges (input, reader) to dash."""

    nodes: tuple[DrawnNode, ...]
    title: str = "graph"
    dashed: frozenset[tuple[str, str]] = frozenset()
