"""Which nodes of a graph are drawn: ``+model`` with all it reads, ``model+`` with all that reads it, ``1+model+2``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TERM = re.compile(r"(?:(\d*)(\+))?([^\s+]+)(?:(\+)(\d*))?")


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
    """The nodes that a filter names; all for an empty one, and none that the graph does not have.

    Args:
        inputs: by node.
        wanted: terms separated by spaces, all that any names. A number before or after a ``+`` counts steps.

    >>> graph = {"data": [], "rows": ["data"], "model": ["rows"], "auc": ["model"]}
    >>> select(graph, "1+model+").names
    ('rows', 'model', 'auc')
    >>> select(graph, "mode")
    Selection(names=(), unknown=('mode',))
    """
    if not wanted.strip():
        return Selection(tuple(inputs))
    readers: dict[str, list[str]] = {name: [] for name in inputs}
    for name, sources in inputs.items():
        for source in sources:
            if source in readers:
                readers[source].append(name)
    found: set[str] = set()
    unknown = []
    for word in wanted.split():
        if word in inputs:  # also a name that holds a plus
            found.add(word)
            continue
        term = _TERM.fullmatch(word)
        if term is None or term[3] not in inputs:
            unknown.append(word)
            continue
        found.add(term[3])
        if term[2]:
            found |= _reach(inputs, term[3], term[1])
        if term[4]:
            found |= _reach(readers, term[3], term[5])
    return Selection(tuple(name for name in inputs if name in found), tuple(unknown))


def _reach(edges: Mapping[str, Sequence[str]], start: str, steps: str) -> set[str]:
    most = int(steps[:6]) if steps else len(edges)
    found: set[str] = set()
    edge = {start}
    for _ in range(most):
        edge = {to for name in edge for to in edges.get(name, ()) if to in edges} - found - {start}
        if not edge:
            break
        found |= edge
    return found
