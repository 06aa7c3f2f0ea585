"""How things show themselves in a notebook: plain text, and HTML without scripts.

What is shown in a notebook that is not trusted is shown, too, for nothing in it runs.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from markupsafe import Markup

from helix_spark.drawing.graph import DrawnGraph
from helix_spark.drawing.groups import picture_of
from helix_spark.drawing.markup import render
from helix_spark.drawing.svg import svg


def cell(template: str, **values: Any) -> str:
    """Return a template as one piece of HTML for a cell."""
    return str(render("cell.html", shown=render(template, picture=picture, **values)))


def picture(graph: DrawnGraph) -> Markup:
    """Return a graph, or a sentence where it is too large. What had no part in it shares a box, and in a large one what
    is alike; it unfolds."""
    return render("cell_picture.html", found=picture_of(graph), svg=svg)


@singledispatch
def text_of(thing: object) -> str:
    """Return a thing in plain text. What is said of it a later room decides, and registers here, as in `html_of`."""
    return repr(thing)


@singledispatch
def html_of(thing: object) -> str:
    raise NotImplementedError(type(thing))


class Displayed:
    """What a notebook shows in both forms."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return bundle(text_of(self), html_of(self))


def bundle(plain: str, html: str) -> dict[str, str]:
    """Both forms, for `_repr_mimebundle_`."""
    return {"text/plain": plain, "text/html": html}
