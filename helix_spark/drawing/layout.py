"""Where each node of a graph stands: layers by longest path, order by barycentre, then as straight as room allows.

One layout for notebooks, pages and files, so that two pictures of one graph look the same; the same graph always gives
the same picture, and nodes that tie stand in the order given.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

Place = int
"""Index of a node, or of a bend in a long edge; bends come after all nodes."""

Point = tuple[int, float]
"""Layer, counted from the sources, and position across it; two neighbours in a layer are at least 1 apart."""

_ROUNDS = 6
"""Rounds of ordering, up and down in turn; the best of them counts."""
_STRAIGHTENING = 6
_BEND_ROOM = 0.5
"""An edge that passes a layer needs less room than a box."""


@dataclass(frozen=True)
class Layers:
    """A graph whose edges all lead from one layer to the next: its places by layer, of which the first are `nodes`; the
    neighbours of each in the layer before and after; and the bends between (input, reader), one a layer."""

    members: tuple[tuple[Place, ...], ...]
    up: tuple[tuple[Place, ...], ...]
    down: tuple[tuple[Place, ...], ...]
    bends: Mapping[tuple[int, int], tuple[Place, ...]]
    nodes: int


def layer_of_each(inputs: Sequence[Sequence[int]]) -> list[int]:
    """Return the layer of each node: one more than the greatest of its inputs; a node without inputs stands just before
    the first that reads it. In a graph with a circle, which the union of two graphs may have, the order given counts.

    >>> layer_of_each([[], [0], [1], [], [2, 3]])
    [0, 1, 2, 2, 3]
    >>> layer_of_each([[1], [0]])
    [0, 1]
    """
    readers: list[list[int]] = [[] for _ in inputs]
    for node, sources in enumerate(inputs):
        for source in sources:
            readers[source].append(node)
    order: Iterable[int] = range(len(inputs))
    with suppress(CycleError):
        order = list(TopologicalSorter(dict(enumerate(inputs))).static_order())
    layer = [-1] * len(inputs)
    for node in order:
        layer[node] = 1 + max((layer[source] for source in inputs[node]), default=-1)
    for node, sources in enumerate(inputs):
        if not sources and readers[node]:
            layer[node] = max(0, min(layer[reader] for reader in readers[node]) - 1)
    return layer


def with_bends(inputs: Sequence[Sequence[int]]) -> Layers:
    """Return layers with bends: the long edges of one node share theirs, so that they leave it as one line."""
    layer = layer_of_each(inputs)
    members: list[list[Place]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for node, row in enumerate(layer):
        members[row].append(node)
    up: list[list[Place]] = [[] for _ in inputs]
    down: list[list[Place]] = [[] for _ in inputs]
    chains: dict[int, list[Place]] = {}
    bends: dict[tuple[int, int], tuple[Place, ...]] = {}

    def join(above: Place, below: Place) -> None:
        if below not in down[above]:
            down[above].append(below)
            up[below].append(above)

    for node, sources in enumerate(inputs):
        for source in dict.fromkeys(sources):
            length = layer[node] - layer[source]
            if length < 1:  # backwards, in a circle: drawn, but of no say in the order
                bends[source, node] = ()
                continue
            chain = chains.setdefault(source, [])
            while len(chain) < length - 1:
                place = len(up)
                up.append([])
                down.append([])
                members[layer[source] + len(chain) + 1].append(place)
                join(chain[-1] if chain else source, place)
                chain.append(place)
            way = tuple(chain[: length - 1])
            join(way[-1] if way else source, node)
            bends[source, node] = way
    return Layers(tuple(map(tuple, members)), tuple(map(tuple, up)), tuple(map(tuple, down)), bends, len(inputs))


@dataclass(frozen=True)
class GraphLayout:
    """Where each node is, and the points that each edge (input, reader) passes, its ends included; `breadth` is the
    greatest position, and the smallest is 0."""

    nodes: Mapping[str, Point]
    edges: Mapping[tuple[str, str], tuple[Point, ...]]
    layers: int
    breadth: float


def layout(nodes: Sequence[tuple[str, Sequence[str]]]) -> GraphLayout:
    """Return the layout of (name, names of its inputs) each. Inputs that are not among the names are left out.

    >>> drawn = layout([("a", []), ("b", ["a"]), ("c", ["a"]), ("d", ["b", "c"])])
    >>> drawn.nodes
    {'a': (0, 0.5), 'b': (1, 0.0), 'c': (1, 1.0), 'd': (2, 0.5)}
    """
    index = {name: number for number, (name, _) in enumerate(nodes)}
    inputs = [[index[source] for source in sources if source in index and source != name] for name, sources in nodes]
    layers = with_bends(inputs)
    across = _straightened(layers, _ordered(layers))
    row = {place: number for number, members in enumerate(layers.members) for place in members}
    least = min(across.values(), default=0.0)

    def point(place: Place) -> Point:
        return row[place], round(across[place] - least, 3)

    names = [name for name, _ in nodes]
    return GraphLayout(
        {name: point(number) for name, number in index.items()},
        {
            (names[source], names[reader]): tuple(point(place) for place in (source, *bends, reader))
            for (source, reader), bends in layers.bends.items()
        },
        len(layers.members), round(max(across.values(), default=0.0) - least, 3),
    )


def _ordered(layers: Layers) -> list[list[Place]]:
    """Return the order in each layer that crosses fewest edges of those that sweeping up and down comes by."""
    order = [list(members) for members in layers.members]
    best, fewest = order, _crossings(layers, order)
    for round_ in range(_ROUNDS):
        order = [list(members) for members in order]
        downwards = round_ % 2 == 0
        rows = range(1, len(order)) if downwards else range(len(order) - 2, -1, -1)
        for row in rows:
            beside = order[row - 1 if downwards else row + 1]
            position = {place: number for number, place in enumerate(beside)}
            neighbours = layers.up if downwards else layers.down
            own = {place: float(number) for number, place in enumerate(order[row])}
            weight = {place: _mean([position[near] for near in neighbours[place]], own[place]) for place in order[row]}
            order[row].sort(key=lambda place, weight=weight, own=own: (weight[place], own[place]))  # type: ignore[misc]  # a lambda's defaults have no types
        if (crossed := _crossings(layers, order)) < fewest:
            best, fewest = order, crossed
        if fewest == 0:
            break
    return best


def _crossings(layers: Layers, order: Sequence[Sequence[Place]]) -> int:
    crossed = 0
    for row in range(len(order) - 1):
        position = {place: number for number, place in enumerate(order[row + 1])}
        seen: list[int] = []
        for place in order[row]:
            ends = sorted(position[below] for below in layers.down[place])
            crossed += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return crossed


def _straightened(layers: Layers, order: Sequence[Sequence[Place]]) -> dict[Place, float]:
    """Return each place as near to the mean of its neighbours as the room in its layer allows."""
    across: dict[Place, float] = {}
    for members in order:
        across.update(zip(members, _spread(members, [0.0] * len(members), layers.nodes), strict=True))
    for round_ in range(_STRAIGHTENING):
        last = round_ >= _STRAIGHTENING - 2
        for members in order if round_ % 2 == 0 else reversed(order):
            near = layers.up if round_ % 2 == 0 else layers.down
            wanted = [
                _mean([across[p] for p in ((*layers.up[place], *layers.down[place]) if last else near[place])],
                      across[place])
                for place in members
            ]
            across.update(zip(members, _spread(members, wanted, layers.nodes), strict=True))
    return across


def _spread(members: Sequence[Place], wanted: Sequence[float], nodes: int) -> list[float]:
    """Return positions in the order given, far enough apart, whose squared distances from those wanted are least:
    isotonic regression by pooling neighbours that are too close."""
    offset, offsets = 0.0, [0.0]
    for left, right in pairwise(members):
        offset += (1.0 if left < nodes else _BEND_ROOM) / 2 + (1.0 if right < nodes else _BEND_ROOM) / 2
        offsets.append(offset)
    blocks: list[tuple[float, int]] = []
    for want, shift in zip(wanted, offsets, strict=False):
        total, count = want - shift, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before, pooled = blocks.pop()
            total, count = total + before, count + pooled
        blocks.append((total, count))
    flat = [total / count for total, count in blocks for _ in range(count)]
    return [value + shift for value, shift in zip(flat, offsets, strict=False)]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
