"""Which nodes of a graph are drawn: ``+model`` with all it reads, ``model+`` with all that reads it, ``1+model+2``.

A node may be called anything: which plus and which blank belong to a name is told by the names there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """What a filter found.

    Attributes:
        names: in the graph's order.
        unknown: words of the filter that name no node.
    """

    names: tuple[str, ...]
    unknown: tuple[str, ...] = ()


def select(inputs: Mapping[str, Sequence[str]], wanted: str) -> Selection:
    """Return the nodes that a filter names; all for an empty one, and none that the graph does not have.

    Args:
        inputs: by node.
        wanted: one term, or several separated by spaces: all that any names. A number before or after a ``+`` counts
            steps.

    >>> graph = {"data": [], "rows": ["data"], "model": ["rows"], "auc": ["model"]}
    >>> select(graph, "1+model+").names
    ('rows', 'model', 'auc')
    >>> select(graph, "mode")
    Selection(names=(), unknown=('mode',))
    >>> select({"marital status": [], "c++": ["marital status"]}, "+c+++").names
    ('marital status', 'c++')
    """
    if not wanted.strip():
        return Selection(tuple(inputs))
    readers: dict[str, list[str]] = {name: [] for name in inputs}
    for name, sources in inputs.items():
        for source in sources:
            readers.setdefault(source, []).append(name)
    # The longest name that fits is meant: a plus is a sign only where no name has it.
    names = "|".join(map(re.escape, sorted(inputs, key=len, reverse=True)))
    term = re.compile(rf"(?:(\d*)\+)??({names})(?:\+(\d*))?(?=\s|\Z)")
    found, unknown, left = set[str](), [], wanted.strip()
    while left:
        if names and (match := term.match(left)) is not None:
            above, name, below = match.groups()
            found |= {name} | _reach(inputs, name, above) | _reach(readers, name, below)
            left = left[match.end():].strip()
        else:
            word, *rest = left.split(maxsplit=1)
            unknown.append(word)
            left = "".join(rest)
    return Selection(tuple(name for name in inputs if name in found), tuple(unknown))


def _reach(edges: Mapping[str, Sequence[str]], start: str, steps: str | None) -> set[str]:
    """Return what so many steps lead to; all where the number is left out, nothing for None."""
    most = 0 if steps is None else int(steps[:6]) if steps else len(edges)
    found, edge = set[str](), {start}
    while edge and most > 0:
        edge = {to for name in edge for to in edges.get(name, ()) if to in edges} - found - {start}
        found |= edge
        most -= 1
    return found
