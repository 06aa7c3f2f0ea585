"""A graph as inline SVG: no scripts, nothing fetched, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from markupsafe import Markup

from helix_spark.drawing.graph import DrawnGraph, DrawnNode
from helix_spark.drawing.layout import GraphLayout, Point, layout
from helix_spark.drawing.markup import render
from helix_spark.sizes import seconds_text
from helix_spark.visible_text import shortened

_HEIGHT, _GAP_ACROSS, _GAP_ALONG, _MARGIN = 40, 14, 36, 8
_LETTER, _SMALL_LETTER, _BOLD_LETTER = 8.0, 6.8, 7.8
"""Pixels of a letter of 13 px and of one of 11 px, plain and bold, on the wide side of what system fonts have."""
_FEWEST_LETTERS, _MOST_LETTERS = 9, 22
_SIGN_ROOM, _DRUM_ROOM = 24, 22


def svg(graph: DrawnGraph, *, styled: bool = True) -> Markup:
    """Return the picture, from left to right, with ``graph.css`` inside; not `styled` where the page has it in its own
    sheet.

    >>> picture = svg(DrawnGraph((DrawnNode("<b>", state="compute"),)))
    >>> "<b>" in picture, "&lt;b&gt;" in picture
    (False, True)
    """
    placed = layout([(node.name, node.inputs) for node in graph.nodes])
    frame = _frame(graph, placed)
    height = 2 * _MARGIN + (placed.breadth + 1) * (_HEIGHT + _GAP_ACROSS) - _GAP_ACROSS
    return render(
        "graph.svg", graph=graph, styled=styled, height=f"{height:.0f}",
        width=sum(frame[-1]) + _MARGIN if frame else 2 * _MARGIN,
        edges=[(edge, edge in graph.fading, *_edge(points, frame)) for edge, points in placed.edges.items()],
        boxes=[
            (node, *_corner(at, frame), frame[at[0]][1], _small(node))
            for node in graph.nodes for at in (placed.nodes[node.name],)
        ],
    )


_Frame = Sequence[tuple[int, int]]
"""Where each layer begins, and how wide its boxes are: as wide as the longest text in it."""


def _frame(graph: DrawnGraph, placed: GraphLayout) -> _Frame:
    widths = [0] * placed.layers
    for node in graph.nodes:
        layer = placed.nodes[node.name][0]
        letters = max(_FEWEST_LETTERS, len(shortened(node.label or node.name, _MOST_LETTERS)))
        small = len(_small(node)) * (_BOLD_LETTER if "hx-edited" in node.css else _SMALL_LETTER)
        longest = max(letters * _LETTER, small - _DRUM_ROOM)
        widths[layer] = max(widths[layer], int(longest) + _SIGN_ROOM + _DRUM_ROOM)
    lefts = accumulate((width + _GAP_ALONG for width in widths), initial=_MARGIN)
    return list(zip(lefts, widths, strict=False))


def _corner(point: Point, frame: _Frame) -> tuple[float, float]:
    layer, across = point
    return frame[layer][0], _MARGIN + across * (_HEIGHT + _GAP_ACROSS)


def _small(node: DrawnNode) -> str:
    return " · ".join(filter(None, [shortened(node.kind, _MOST_LETTERS), seconds_text(node.seconds), node.note]))


def _edge(points: tuple[Point, ...], frame: _Frame) -> tuple[str, tuple[float, float]]:
    """Return a curve from box to box, level where it passes a layer, and the tip where it ends."""
    x, y = _corner(points[0], frame)
    at = x + frame[points[0][0]][1]
    level = y + _HEIGHT / 2
    way = f"M{at:.1f} {level:.1f}"
    for number, point in enumerate(points[1:], 1):
        x, y = _corner(point, frame)
        far = x + frame[point[0]][1]
        end = x - 6 if number == len(points) - 1 else x
        middle = (at + end) / 2
        y += _HEIGHT / 2
        way += f"C{middle:.1f} {level:.1f} {middle:.1f} {y:.1f} {end:.1f} {y:.1f}"
        if number < len(points) - 1:
            way += f"H{far:.1f}"
        at, level = far, y
    return way, (x, y)
