"""The templates of pages, their filters, and charts as inline SVG (trends of metrics, timelines, weights)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from helix_spark.drawing import markup
from helix_spark.drawing.svg import svg
from helix_spark.history.metrics import metric_text
from helix_spark.history.model_card import ModelCard
from helix_spark.plots import plot_text
from helix_spark.ui.listing import Trend
from helix_spark.views.node_row import NodeRow
from helix_spark.visible_text import visible

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> Markup:
    return Markup(_pages().get_template(template).render(values))


@cache
def _pages() -> Environment:
    templates = markup.templates("helix_spark.ui")
    templates.filters |= {
        "when": when, "moment": partial(when, form="%Y-%m-%dT%H:%M:%S%z"), "ticked": ticked, "metric": metric_text,
        "json": json.dumps, "plot_text": plot_text,
    }
    templates.globals |= {"draw": partial(svg, styled=False), "trend": trend, "timeline": timeline, "weights": weights}
    return templates


def when(unix: float, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return a time as text, in this machine's time zone."""
    return time.strftime(form, time.localtime(unix))


def ticked(text: str) -> Markup:
    """Return a sentence with its names between backticks as code.

    >>> ticked("parameter `a<b` 1 -> 2")
    Markup('parameter <code>a&lt;b</code> 1 -&gt; 2')
    """
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(visible(text)))))


# Charts with links

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 220, 64, 584, 16, 190
_DIGIT = 7
"""Width in pixels of a digit on the axis, in a wide system font."""
_NAMES, _TIMES = 190, 620
_SLOTS, _BARS, _MOST_SLOTS = 260, 380, 20
_LARGEST = 1e300
_MOST_POINTS = 400
"""Most dots, about one for two pixels; the line goes through all points."""


def trend(metric: Trend, href: Callable[[int], str], details: Mapping[int, str]) -> Markup:
    """Draw a metric over iteration numbers, with a link from each point to its iteration and `details` as tooltips.

    The line is interrupted at the trend's breaks. The axis shows the smallest and the largest value.
    """
    best = [] if metric.best is None else [metric.best]
    # Bounds keep the difference of two values finite.
    values = {number: min(max(value, -_LARGEST), _LARGEST) for number, value in metric.values.items()}
    numbers, segments = sorted(values), list[list[int]]()
    for number in numbers:
        if not segments or number in metric.breaks:
            segments.append([])
        segments[-1].append(number)
    low, high = min(values.values()), max(values.values())
    marks = {value: metric_text(value) for value in (low, high)}
    first, last = numbers[0], max(numbers[-1], numbers[0] + 1)
    left = max(_LEFT, 16 + _DIGIT * max(map(len, marks.values())))

    def height_of(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - low) / ((high - low) or 1)

    def position_of(number: int) -> tuple[float, float]:
        return left + (_RIGHT - left) * (number - first) / (last - first), height_of(values[number])

    dots = dict.fromkeys([*numbers[::-(-len(numbers) // _MOST_POINTS)], numbers[-1], *best])
    return markup.render(
        "trend.svg", name=metric.name, height=_HEIGHT, left=left, right=_RIGHT, first=first,
        ticks=[(height_of(value), mark) for value, mark in marks.items()],
        numbers=[
            (position_of(number)[0], number)
            for number in dict.fromkeys((numbers[len(numbers) // 2], numbers[-1])) if number != first
        ],
        lines=[[position_of(number) for number in segment] for segment in segments],
        points=[
            (dot, position_of(dot), metric_text(values[dot]), dot in best, href(dot), details.get(dot, ""))
            for dot in dots
        ],
    )


def timeline(bars: Sequence[NodeRow], total: float) -> Markup:
    """Draw the time of each node as a bar. Bars without a recorded start begin at zero."""
    spans = [(bar.started or 0.0, bar.seconds or 0.0) for bar in bars]
    end = max([total, 1e-9, *map(sum, spans)])
    return markup.render(
        "timeline.svg",
        ticks=[(_NAMES, "0"), (_NAMES + _TIMES, f"{end:.3g}")],
        bars=[
            (bar, _NAMES + _TIMES * start / end, max(2.0, _TIMES * seconds / end))
            for bar, (start, seconds) in zip(bars, spans, strict=True)
        ],
    )


def weights(card: ModelCard) -> Markup:
    """Draw a model's largest weights; with several classes, the largest one of each slot."""
    pairs = sorted(
        ((name, max(values, key=abs)) for name, values in card.weights[:_MOST_SLOTS]), key=lambda pair: -abs(pair[1])
    )
    largest = max(abs(value) for _, value in pairs) or 1.0
    is_signed = any(value < 0 for _, value in pairs)
    zero, room = (_SLOTS + _BARS / 2, _BARS / 2) if is_signed else (_SLOTS, _BARS)
    lengths = [max(1.0, room * abs(value) / largest) for _, value in pairs]
    return markup.render(
        "weights.svg", label=card.columns[0] if len(card.columns) == 1 else "widest", zero=zero if is_signed else None,
        bars=[
            (label, value, zero - length if value < 0 else zero, length)
            for (label, value), length in zip(pairs, lengths, strict=True)
        ],
    )
