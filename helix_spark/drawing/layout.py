"""Layout of a graph: layers by longest path, order by barycentre, then edges as straight as space allows.

It is deterministic: ties keep the order of the nodes.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

Place = int
"""Index of a node, or of a bend in a long edge; bends follow the nodes."""

Point = tuple[int, float]
"""Layer, counted from the sources, and position across it; neighbours in a layer are at least 1 apart."""

_ORDERING_ROUNDS = 6
"""Sweeps, alternately down and up."""
_STRAIGHTENING_ROUNDS = 6
_BEND_WIDTH = 0.5
"""Width of an edge that passes a layer; that of a box is 1."""


@dataclass(frozen=True)
class Layers:
    """A graph whose edges all lead from one layer to the next: the places of each layer, the neighbours of each place
    in the layers before and after, the bends of each edge (input, reader), and the number of nodes."""

    members: tuple[tuple[Place, ...], ...]
    up: tuple[tuple[Place, ...], ...]
    down: tuple[tuple[Place, ...], ...]
    bends: Mapping[tuple[int, int], tuple[Place, ...]]
    nodes: int


def assign_layers(inputs: Sequence[Sequence[int]]) -> list[int]:
    """Return the layer of each node: after its inputs, or just before its first reader if it has none.

    If there is a cycle, as in the union of two graphs, nodes are processed in the given order.

    >>> assign_layers([[], [0], [1], [], [2, 3]])
    [0, 1, 2, 2, 3]
    >>> assign_layers([[1], [0]])
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


def build_layers(inputs: Sequence[Sequence[int]]) -> Layers:
    """Return layers with bends. Long edges of one node share their bends, so that they leave it as one line."""
    layer = assign_layers(inputs)
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
            if length < 1:  # an edge backwards, in a cycle, is drawn, but does not count for the order
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
            bends[source, node] = tuple(chain[: length - 1])
            join(chain[length - 2] if length > 1 else source, node)
    return Layers(tuple(map(tuple, members)), tuple(map(tuple, up)), tuple(map(tuple, down)), bends, len(inputs))


@dataclass(frozen=True)
class GraphLayout:
    """Points of each node, and of each edge (input, reader) with its ends; positions reach from 0 to `breadth`."""

    nodes: Mapping[str, Point]
    edges: Mapping[tuple[str, str], tuple[Point, ...]]
    layers: int
    breadth: float


def layout(nodes: Sequence[tuple[str, Sequence[str]]]) -> GraphLayout:
    """Return the layout of nodes, each its name and the names of its inputs; unknown inputs are ignored.

    >>> drawn = layout([("a", []), ("b", ["a"]), ("c", ["a"]), ("d", ["b", "c"])])
    >>> drawn.nodes
    {'a': (0, 0.5), 'b': (1, 0.0), 'c': (1, 1.0), 'd': (2, 0.5)}
    """
    index = {name: number for number, (name, _) in enumerate(nodes)}
    inputs = [[index[source] for source in sources if source in index and source != name] for name, sources in nodes]
    layers = build_layers(inputs)
    across = _straighten(layers, _order(layers))
    row = {place: number for number, members in enumerate(layers.members) for place in members}
    smallest = min(across.values(), default=0.0)

    def point(place: Place) -> Point:
        return row[place], round(across[place] - smallest, 3)

    names = [name for name, _ in nodes]
    return GraphLayout(
        {name: point(number) for name, number in index.items()},
        {
            (names[source], names[reader]): tuple(point(place) for place in (source, *bends, reader))
            for (source, reader), bends in layers.bends.items()
        },
        len(layers.members), round(max(across.values(), default=0.0) - smallest, 3),
    )


def _order(layers: Layers) -> list[list[Place]]:
    """Sweep down and up; return the order in each layer with the fewest crossings of edges."""
    order = [list(members) for members in layers.members]
    best, fewest = order, _crossings(layers, order)
    for round_ in range(_ORDERING_ROUNDS):
        order = [list(members) for members in order]
        downwards = round_ % 2 == 0
        rows = range(1, len(order)) if downwards else range(len(order) - 2, -1, -1)
        for row in rows:
            adjacent = order[row - 1 if downwards else row + 1]
            position = {place: number for number, place in enumerate(adjacent)}
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
        previous_ends: list[int] = []
        for place in order[row]:
            ends = sorted(position[below] for below in layers.down[place])
            crossed += sum(len(previous_ends) - bisect_right(previous_ends, end) for end in ends)
            for end in ends:
                insort(previous_ends, end)
    return crossed


def _straighten(layers: Layers, order: Sequence[Sequence[Place]]) -> dict[Place, float]:
    """Return the position of each place, as near to the mean of its neighbours as its layer allows."""
    across: dict[Place, float] = {}
    for members in order:
        across.update(zip(members, _spread(members, [0.0] * len(members), layers.nodes), strict=True))
    for round_ in range(_STRAIGHTENING_ROUNDS):
        is_last = round_ >= _STRAIGHTENING_ROUNDS - 2
        for members in order if round_ % 2 == 0 else reversed(order):
            near = layers.up if round_ % 2 == 0 else layers.down
            targets = []
            for place in members:
                neighbours = (*layers.up[place], *layers.down[place]) if is_last else near[place]
                targets.append(_mean([across[neighbour] for neighbour in neighbours], across[place]))
            across.update(zip(members, _spread(members, targets, layers.nodes), strict=True))
    return across


def _spread(members: Sequence[Place], targets: Sequence[float], nodes: int) -> list[float]:
    """Return ordered positions, far enough apart, nearest to their targets (squared), by isotonic regression."""
    offset, offsets = 0.0, [0.0]
    for left, right in pairwise(members):
        offset += (1.0 if left < nodes else _BEND_WIDTH) / 2 + (1.0 if right < nodes else _BEND_WIDTH) / 2
        offsets.append(offset)
    blocks: list[tuple[float, int]] = []
    for target, shift in zip(targets, offsets, strict=False):
        total, count = target - shift, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before, pooled = blocks.pop()
            total, count = total + before, count + pooled
        blocks.append((total, count))
    means = [total / count for total, count in blocks for _ in range(count)]
    return [mean + shift for mean, shift in zip(means, offsets, strict=False)]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
