"""A graph as inline SVG: no scripts, nothing fetched, every text escaped."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import escape
from itertools import accumulate

from helix_spark.drawing.graph import DrawnGraph, DrawnNode
from helix_spark.drawing.layout import GraphLayout, Point, layout
from helix_spark.drawing.style import SIGNS, STYLE, WORDS
from helix_spark.sizes import seconds_text
from helix_spark.visible_text import visible

_HEIGHT, _GAP_ACROSS, _GAP_ALONG, _MARGIN = 40, 14, 36, 8
_LETTER, _SMALL_LETTER, _BOLD_LETTER = 8.0, 6.8, 7.8
"""Pixels of a letter of 13 px and of one of 11 px, plain and bold, on the wide side of what system fonts have."""
_FEWEST_LETTERS, _MOST_LETTERS = 9, 22
_SIGN_ROOM, _DRUM_ROOM = 24, 22


def svg(graph: DrawnGraph, *, styled: bool = True, linked: bool = True) -> str:
    """Return the picture, from left to right.

    Args:
        styled: with `STYLE` inside; without where the page has it in its own sheet.
        linked: whether boxes lead anywhere; not in a file that is carried away from its pages.

    >>> picture = svg(DrawnGraph((DrawnNode("<b>", state="compute"),)))
    >>> "<b>" in picture, "&lt;b&gt;" in picture
    (False, True)
    """
    placed = layout([(node.name, node.inputs) for node in graph.nodes])
    frame = _frame(graph, placed)
    width = frame.left[-1] + frame.width[-1] + _MARGIN if frame.left else 2 * _MARGIN
    height = 2 * _MARGIN + (placed.breadth + 1) * (_HEIGHT + _GAP_ACROSS) - _GAP_ACROSS
    parts = [
        f'<svg class="hx-graph" role="group" aria-label="{text(graph.title)}" xmlns="http://www.w3.org/2000/svg" '
        f'width="{width}" height="{height:.0f}" viewBox="0 0 {width} {height:.0f}">'
    ]
    if styled:
        parts.append(f"<style>{STYLE}</style>")
    parts += _edges(graph, placed, frame)
    nodes = graph.nodes if linked else [replace(node, href="") for node in graph.nodes]
    parts += (_node(node, placed.nodes[node.name], frame) for node in nodes)
    return "".join([*parts, "</svg>"])


def text(raw: str) -> str:
    """Return a text as XML may hold it, in an element or an attribute.

    >>> text('a < "b"\\x00')
    'a &lt; &quot;b&quot;\\\\x00'
    """
    return escape(visible(raw))


def _label(node: DrawnNode) -> str:
    return shortened(node.label or node.name, _MOST_LETTERS)


def shortened(name: str, most: int) -> str:
    """Return a name of at most so many letters, its middle left out: what tells names apart is at their ends.

    >>> shortened("marital_status_is.fit", 12)
    'marita…s.fit'
    """
    if len(name) <= most:
        return name
    tail = (most - 1) // 2
    return f"{name[:most - 1 - tail]}…{name[-tail:]}"


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where each layer begins, and how wide its boxes are: as wide as the longest text in it."""

    left: tuple[int, ...]
    width: tuple[int, ...]


def _frame(graph: DrawnGraph, placed: GraphLayout) -> _Frame:
    widths = [0] * placed.layers
    for node in graph.nodes:
        layer = placed.nodes[node.name][0]
        letters = max(_FEWEST_LETTERS, len(_label(node)))
        small = len(_small(node)) * (_BOLD_LETTER if "hx-edited" in node.css else _SMALL_LETTER)
        longest = max(letters * _LETTER, small - _DRUM_ROOM)
        widths[layer] = max(widths[layer], int(longest) + _SIGN_ROOM + _DRUM_ROOM)
    lefts = accumulate((width + _GAP_ALONG for width in widths), initial=_MARGIN)
    return _Frame(tuple(lefts)[: placed.layers], tuple(widths))


def _corner(point: Point, frame: _Frame) -> tuple[float, float]:
    layer, across = point
    return frame.left[layer], _MARGIN + across * (_HEIGHT + _GAP_ACROSS)


def _small(node: DrawnNode) -> str:
    return " · ".join(filter(None, [shortened(node.kind, _MOST_LETTERS), seconds_text(node.seconds), node.note]))


def _edges(graph: DrawnGraph, placed: GraphLayout, frame: _Frame) -> list[str]:
    return [
        f'<g class="hx-link{" hx-fading" if edge in graph.fading else ""}" data-from="{text(edge[0])}" '
        f'data-to="{text(edge[1])}">{_edge(points, frame)}</g>'
        for edge, points in placed.edges.items()
    ]


def _edge(points: tuple[Point, ...], frame: _Frame) -> str:
    """Return a curve from box to box, level where it passes a layer, with a tip where it ends."""
    x, y = _corner(points[0], frame)
    at = x + frame.width[points[0][0]]
    way = f"M{at:.1f} {y + _HEIGHT / 2:.1f}"
    level = y + _HEIGHT / 2
    for number, point in enumerate(points[1:], 1):
        x, y = _corner(point, frame)
        far = x + frame.width[point[0]]
        end = x - 6 if number == len(points) - 1 else x
        middle = (at + end) / 2
        y += _HEIGHT / 2
        way += f"C{middle:.1f} {level:.1f} {middle:.1f} {y:.1f} {end:.1f} {y:.1f}"
        if number < len(points) - 1:
            way += f"H{far:.1f}"
        at, level = far, y
    return f'<path class="hx-edge" d="{way}"/><path class="hx-tip" d="M{x:.1f} {y:.1f}l-7 -4v8z"/>'


def _node(node: DrawnNode, point: Point, frame: _Frame) -> str:
    x, y = _corner(point, frame)
    box = frame.width[point[0]]
    stored = f"hx-{node.stored}" if node.stored else ""
    classes = " ".join(filter(None, ["hx-node", f"hx-{_word(node.state)}", stored, text(node.css)]))
    words = (node.name, node.kind, WORDS.get(node.state, node.state), node.stored)
    title = node.title or ", ".join(filter(None, words))
    small = _small(node)
    middle = y + _HEIGHT / 2
    inside = [
        f"<title>{text(title)}</title>",
        *(_behind(x + step, y + step, box) for step in ((6, 3) if node.members else ())),
        f'<rect class="hx-box" x="{x:.1f}" y="{y:.1f}" width="{box}" height="{_HEIGHT}" rx="6"/>',
        f'<text class="hx-sign" x="{x + 13:.1f}" y="{middle + 4.5:.1f}" aria-hidden="true">'
        f'{SIGNS.get(node.state, "")}</text>',
        f'<text x="{x + _SIGN_ROOM:.1f}" y="{middle - 2 if small else middle + 4.5:.1f}">{text(_label(node))}</text>',
    ]
    if small:
        inside.append(f'<text class="hx-small" x="{x + _SIGN_ROOM:.1f}" y="{middle + 12:.1f}">{text(small)}</text>')
    if node.stored:
        inside.append(_drum(x + box - 18, y + 5, node.stored == "evicted"))
    name = text(node.name)
    if node.href:
        return f'<a class="{classes}" data-node="{name}" href="{text(node.href)}">{"".join(inside)}</a>'
    return f'<g class="{classes}" data-node="{name}">{"".join(inside)}</g>'


def _behind(x: float, y: float, width: int) -> str:
    """Return the edge of a further box under the first: this one stands for several."""
    return f'<rect class="hx-box hx-behind" x="{x:.1f}" y="{y:.1f}" width="{width}" height="{_HEIGHT}" rx="6"/>'


def _drum(x: float, y: float, evicted: bool) -> str:
    """Return the paper's sign of what is stored."""
    body = f"M{x:.1f} {y + 3:.1f}v8a6 3 0 0 0 12 0v-8a6 3 0 0 0 -12 0"
    top = f"M{x:.1f} {y + 3:.1f}a6 3 0 0 0 12 0"
    strike = f'<path class="hx-strike" d="M{x - 2:.1f} {y + 14:.1f}l16 -14"/>' if evicted else ""
    return f'<path class="hx-drum" d="{body}"/><path class="hx-drum-top hx-drum" d="{top}"/>{strike}'


def _word(state: str) -> str:
    """Return a state as part of a class name."""
    return re.sub("[^a-z0-9-]", "", state.lower()) or "plain"
