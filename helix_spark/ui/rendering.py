"""The templates of pages, and how they show times and names."""

from __future__ import annotations

import json
import re
import time
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from helix_spark.drawing import svg
from helix_spark.drawing.markup import templates
from helix_spark.history.metrics import metric_text
from helix_spark.plots import plot_text
from helix_spark.ui import charts
from helix_spark.visible_text import visible

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> Markup:
    return Markup(_pages().get_template(template).render(values))


@cache
def _pages() -> Environment:
    found = templates("helix_spark.ui")
    found.filters |= {
        "when": when, "moment": moment, "ticked": ticked, "metric": metric_text, "json": json.dumps,
        "plot_text": plot_text,
    }
    found.globals |= {
        "drawn": partial(svg, styled=False), "trend": charts.trend, "timeline": charts.timeline,
        "weights": charts.weights,
    }
    return found


def when(unix: float) -> str:
    """Return a time for people, by this machine's clock; nothing for what is none."""
    return _formatted(unix, "%Y-%m-%d %H:%M")


def moment(unix: float) -> str:
    """Return a time for machines."""
    return _formatted(unix, "%Y-%m-%dT%H:%M:%S%z")


def _formatted(unix: float, form: str) -> str:
    try:
        return time.strftime(form, time.localtime(unix))
    except (ValueError, OverflowError, OSError):
        return ""


def ticked(text: str) -> Markup:
    """Return a sentence whose names between backticks are shown as code.

    >>> ticked("parameter `a<b` 1 -> 2")
    Markup('parameter <code>a&lt;b</code> 1 -&gt; 2')
    """
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(visible(text)))))
