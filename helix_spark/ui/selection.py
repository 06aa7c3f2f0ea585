"""Which nodes of a graph are drawn: ``+model`` with all it reads, ``model+`` with all that reads it, ``1+model+2``.

A node may be called anything: which plus and which blank belong to a name is told by the names there are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

_ABOVE, _BELOW = re.compile(r"(\d*)\+"), re.compile(r"\+(\d*)\Z")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a filter found.

    Attributes:
        names: in the graph's order.
        unknown: words of the filter that name no node.
    """

    names: tuple[str, ...]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Term:
    """A node, and how many steps are wanted above it and below: all for an empty text, none for None."""

    name: str
    above: str | None
    below: str | None


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
            if source in readers:
                readers[source].append(name)
    found: set[str] = set()
    unknown = []
    for word, term in _terms(wanted, inputs):
        if term is None:
            unknown.append(word)
            continue
        found.add(term.name)
        if term.above is not None:
            found |= _reach(inputs, term.name, term.above)
        if term.below is not None:
            found |= _reach(readers, term.name, term.below)
    return Selection(tuple(name for name in inputs if name in found), tuple(unknown))


def _terms(wanted: str, names: Collection[str]) -> Iterator[tuple[str, _Term | None]]:
    """Yield the terms of a filter, the longest that fit: a name may have blanks."""
    if (whole := _term(wanted.strip(), names)) is not None:
        yield wanted, whole
        return
    words = wanted.split()
    while words:
        tried = ((end, _term(" ".join(words[:end]), names)) for end in range(len(words), 0, -1))
        end, term = next(((end, term) for end, term in tried if term is not None), (1, None))
        yield words[0], term
        words = words[end:]


def _term(text: str, names: Collection[str]) -> _Term | None:
    """Return what a term asks for; where names with and without a plus at an end would fit, the longer."""
    above, below = _ABOVE.match(text), _BELOW.search(text)
    for first, last in ((None, None), (above, None), (None, below), (above, below)):
        name = text[first.end() if first else 0 : last.start() if last else len(text)]
        if name in names:
            return _Term(name, first[1] if first else None, last[1] if last else None)
    return None


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
