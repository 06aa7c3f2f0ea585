"""What is drawn, as frozen data, and the signs and words of what it shows.

Colours are variables that a page may set. A state never shows by colour alone: it has a sign in the box, and its own
line around the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SIGNS = {
    "compute": "▶", "load": "↓", "prune": "○", "failed": "✕", "running": "…", "waiting": "·", "added": "+",
    "removed": "\u2212", "changed": "≠", "affected": "≈", "drawn": "↻", "same": "=", "died": "†",
}
"""What stands in the box before its label."""

WORDS = {
    "compute": "computed", "load": "loaded", "prune": "not needed", "failed": "failed", "running": "running",
    "waiting": "not run yet", "added": "added", "removed": "removed", "changed": "changed",
    "affected": "changed through its inputs", "drawn": "drawn anew", "same": "the same",
    "died": "was running when it died",
}
"""The same in words, for legends and for those who listen."""

PROOFS = {
    "pure": "all code in it is known to be pure",
    "verified": "an audit computed it again, and it came out the same",
    "aged": "an audit found it the same; since then a day has passed, or code or environment have changed",
    "unproven": "it has code that is not known to be pure, and no audit has computed it again yet (`helix audit`)",
    "chance": "it may be another one each time",
    "instance": "one of several right answers; what is made of it belongs to it",
}
"""What is known of whether a result comes out the same when it is computed again."""

Stored = Literal["", "stored", "evicted"]
"""The drum at a node: none, its result is stored, or it was and no longer is."""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A box.

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
    """Nodes in a stable order, inputs first where that is possible. `title` is what a screen reader says the picture
    is; edges (input, reader) in `fading`, such as those that were removed, are drawn dashed."""

    nodes: tuple[DrawnNode, ...]
    title: str = "graph"
    fading: frozenset[tuple[str, str]] = frozenset()
