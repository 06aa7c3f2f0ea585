"""The templates of pages, how they show times and names, and charts as inline SVG: metrics over iterations, nodes over
time, weights."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from helix_spark.drawing import markup, svg
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
    found = markup.templates("helix_spark.ui")
    found.filters |= {
        "when": when, "moment": partial(when, form="%Y-%m-%dT%H:%M:%S%z"), "ticked": ticked, "metric": metric_text,
        "json": json.dumps, "plot_text": plot_text,
    }
    found.globals |= {"drawn": partial(svg, styled=False), "trend": trend, "timeline": timeline, "weights": weights}
    return found


def when(unix: float, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return a time for people, by this machine's clock."""
    return time.strftime(form, time.localtime(unix))


def ticked(text: str) -> Markup:
    """Return a sentence whose names between backticks are shown as code.

    >>> ticked("parameter `a<b` 1 -> 2")
    Markup('parameter <code>a&lt;b</code> 1 -&gt; 2')
    """
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(visible(text)))))


# Charts, whose points lead somewhere

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 220, 64, 584, 16, 190
_DIGIT = 7
"""Pixels of a digit of a mark, on the wide side of what system fonts have."""
_NAMES, _TIMES = 190, 620
_SLOTS, _BARS, _MOST_SLOTS = 260, 380, 20
_GREATEST = 1e300
_MOST_POINTS = 400
"""More than one dot to two pixels shows nothing more; the line still goes through all."""


def trend(metric: Trend, href: Callable[[int], str], details: Mapping[int, str]) -> Markup:
    """Return a metric over iteration numbers; each point leads to its iteration, and `details` are what pointing at one
    tells besides its value. The line is broken where other code began to measure it. The axis marks the least and the
    greatest value."""
    best = [] if metric.best is None else [metric.best]
    # Within bounds, so that the difference of two is a number, too.
    values = {number: min(max(value, -_GREATEST), _GREATEST) for number, value in metric.values.items()}
    numbers, stretches = sorted(values), list[list[int]]()
    for number in numbers:
        if not stretches or number in metric.breaks:
            stretches.append([])
        stretches[-1].append(number)
    low, high = min(values.values()), max(values.values())
    marks = {value: metric_text(value) for value in (low, high)}
    first, last = numbers[0], max(numbers[-1], numbers[0] + 1)
    left = max(_LEFT, 16 + _DIGIT * max(map(len, marks.values())))

    def height_of(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - low) / ((high - low) or 1)

    def at(number: int) -> tuple[float, float]:
        return left + (_RIGHT - left) * (number - first) / (last - first), height_of(values[number])

    dots = dict.fromkeys([*numbers[::-(-len(numbers) // _MOST_POINTS)], numbers[-1], *best])
    return markup.render(
        "trend.svg", name=metric.name, height=_HEIGHT, left=left, right=_RIGHT, first=first,
        ticks=[(height_of(value), mark) for value, mark in marks.items()],
        numbers=[(at(one)[0], one) for one in dict.fromkeys((numbers[len(numbers) // 2], numbers[-1])) if one != first],
        lines=[[at(number) for number in stretch] for stretch in stretches],
        points=[(one, at(one), metric_text(values[one]), one in best, href(one), details.get(one, "")) for one in dots],
    )


def timeline(bars: Sequence[NodeRow], total: float) -> Markup:
    """Draw when each node ran. Bars begin at nought where their start is not on record."""
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
    """Return what a fit gave the heaviest slots; of several classes the widest of each."""
    pairs = sorted(
        ((name, max(values, key=abs)) for name, values in card.weights[:_MOST_SLOTS]), key=lambda pair: -abs(pair[1])
    )
    largest = max(abs(value) for _, value in pairs) or 1.0
    is_signed = any(value < 0 for _, value in pairs)
    zero, room = (_SLOTS + _BARS / 2, _BARS / 2) if is_signed else (_SLOTS, _BARS)
    lengths = [max(1.0, room * abs(value) / largest) for _, value in pairs]
    return markup.render(
        "weights.svg", what=card.columns[0] if len(card.columns) == 1 else "widest", zero=zero if is_signed else None,
        bars=[
            (label, value, zero - length if value < 0 else zero, length)
            for (label, value), length in zip(pairs, lengths, strict=True)
        ],
    )
