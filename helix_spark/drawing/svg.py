"""Graphs as inline SVG, without scripts and without requests; every text is escaped."""

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
"""Widths in pixels of a letter of 13 px, and of one of 11 px, plain and bold, in a wide system font."""
_FEWEST_LETTERS, _MOST_LETTERS = 9, 22
_SIGN_ROOM, _DRUM_ROOM = 24, 22


def svg(graph: DrawnGraph, *, styled: bool = True) -> Markup:
    """Draw a graph from left to right. If `styled`, the SVG contains ``graph.css``; else the page must have it.

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
        edges=[(edge, edge in graph.dashed, *_edge(points, frame)) for edge, points in placed.edges.items()],
        boxes=[
            (node, *_corner(at, frame), frame[at[0]][1], _small(node))
            for node in graph.nodes for at in (placed.nodes[node.name],)
        ],
    )


_Frame = Sequence[tuple[int, int]]
"""Left end of each layer, and the width of its boxes, which fits its longest text."""


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
    """Return the path from box to box, horizontal within the layers that it passes, and the position of its tip."""
    x, y = _corner(points[0], frame)
    right = x + frame[points[0][0]][1]
    level = y + _HEIGHT / 2
    path = f"M{right:.1f} {level:.1f}"
    for number, point in enumerate(points[1:], 1):
        is_last = number == len(points) - 1
        x, y = _corner(point, frame)
        end = x - 6 if is_last else x
        middle = (right + end) / 2
        y += _HEIGHT / 2
        path += f"C{middle:.1f} {level:.1f} {middle:.1f} {y:.1f} {end:.1f} {y:.1f}"
        right, level = x + frame[point[0]][1], y
        if not is_last:
            path += f"H{right:.1f}"
    return path, (x, y)
