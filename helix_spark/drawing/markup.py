"""Templates of HTML and SVG; Jinja2 escapes every text."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from helix_spark.drawing.graph import PROOFS, SIGNS, WORDS
from helix_spark.sizes import format_size, seconds_text
from helix_spark.visible_text import shortened, visible

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE = "helix_spark.drawing"


@cache
def stylesheet(name: str) -> str:
    """Return a style sheet: ``graph.css``, for a page or a single picture, or ``cell.css``."""
    return (files(_PACKAGE) / "templates" / name).read_text(encoding="utf-8").strip()


@cache
def templates(package: str = _PACKAGE) -> Environment:
    """Return the templates of a package and of `drawing`."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, _PACKAGE))]), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        # Texts that are not markup get visible symbols for invisible characters, and are then escaped.
        finalize=lambda value: visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value,
    )
    environment.filters |= {
        "px": "{:.1f}".format, "shortened": shortened, "seconds": seconds_text, "size": format_size,
        "css_word": lambda state: re.sub("[^a-z0-9-]", "", state.lower()) or "plain",
    }
    environment.globals |= {"SIGNS": SIGNS, "WORDS": WORDS, "PROOFS": PROOFS, "stylesheet": stylesheet}
    return environment


def render(template: str, **values: Any) -> Markup:
    return Markup(templates().get_template(template).render(values))
