"""Which layer each node is in, and what stands in the layers between the ends of a long edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Place = int
"""Index of a node, or of a bend in a long edge; bends come after all nodes."""


@dataclass(frozen=True)
class Layers:
    """A graph whose edges all lead from one layer to the next.

    Attributes:
        members: places by layer, in the order given.
        up, down: the neighbours of each place in the layer before and after.
        bends: (input, reader), as indices -> the bends between them, one a layer.
        nodes: how many places are nodes.
    """

    members: tuple[tuple[Place, ...], ...]
    up: tuple[tuple[Place, ...], ...]
    down: tuple[tuple[Place, ...], ...]
    bends: Mapping[tuple[int, int], tuple[Place, ...]]
    nodes: int


def layer_of_each(inputs: Sequence[Sequence[int]]) -> list[int]:
    """The layer of each node: one more than the greatest of its inputs; a node without inputs stands just before the
    first that reads it. In a circle, which the union of two graphs may have, the first node given comes first.

    >>> layer_of_each([[], [0], [1], [], [2, 3]])
    [0, 1, 2, 2, 3]
    >>> layer_of_each([[1], [0]])
    [0, 1]
    """
    readers: list[list[int]] = [[] for _ in inputs]
    for node, sources in enumerate(inputs):
        for source in sources:
            readers[source].append(node)
    layer = [-1] * len(inputs)
    for node in _order(inputs, readers):
        layer[node] = 1 + max((layer[source] for source in inputs[node]), default=-1)
    for node, sources in enumerate(inputs):
        if not sources and readers[node]:
            layer[node] = max(0, min(layer[reader] for reader in readers[node]) - 1)
    return layer


def _order(inputs: Sequence[Sequence[int]], readers: Sequence[Sequence[int]]) -> list[int]:
    waiting = [len(sources) for sources in inputs]
    ready = [node for node, count in enumerate(waiting) if count == 0]
    done: dict[int, None] = {}
    left = iter(range(len(inputs)))
    while len(done) < len(inputs):
        node = ready.pop() if ready else next(left)
        if node in done:
            continue
        done[node] = None
        for reader in readers[node]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                ready.append(reader)
    return list(done)


def with_bends(inputs: Sequence[Sequence[int]]) -> Layers:
    """Layers with bends: the long edges of one node share theirs, so that they leave it as one line."""
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
    return Layers(
        tuple(map(tuple, members)), tuple(map(tuple, up)), tuple(map(tuple, down)), bends, len(inputs)
    )
