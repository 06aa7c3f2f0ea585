"""Templates to text. Every text that is not marked as markup goes through `_shown` and is escaped by Jinja2; only
pictures drawn here are markup, whose texts go through `drawing.svg.text`."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from helix_spark.drawing import DrawnGraph, svg
from helix_spark.drawing.style import PROOFS, SIGNS, WORDS
from helix_spark.history.metrics import metric_text
from helix_spark.plots import plot_text
from helix_spark.sizes import format_size, seconds_text
from helix_spark.ui import charts
from helix_spark.visible_text import visible


class Renderer:
    """The templates of this package."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("helix_spark.ui"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True, finalize=_shown,
        )
        self._environment.filters |= {
            "seconds": seconds_text, "size": format_size, "when": when, "moment": moment,
            "ticked": ticked, "metric": metric_text, "json": json.dumps, "plot_text": plot_text,
        }
        self._environment.globals |= {
            "drawn": _drawn, "trend": _markup(charts.trend), "sparkline": _markup(charts.sparkline),
            "timeline": _markup(charts.timeline), "SIGNS": SIGNS, "WORDS": WORDS, "PROOFS": PROOFS,
            "weights": _markup(charts.weights),
        }

    def render(self, template: str, **values: Any) -> Markup:
        """Return a template's text, which is markup."""
        return Markup(self._environment.get_template(template).render(values))


def _shown(value: Any) -> Any:
    """Return what a template prints: of a text that is no markup, characters that are seen; then it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _drawn(graph: DrawnGraph) -> Markup:
    return Markup(svg(graph, styled=False))


def _markup(draw: Any) -> Any:
    """Return a drawing function whose text templates take as markup."""
    return lambda *arguments: Markup(draw(*arguments))


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
