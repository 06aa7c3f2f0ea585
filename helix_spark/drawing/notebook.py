"""Display in notebooks: plain text, and HTML without scripts, so that untrusted notebooks show it too."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from markupsafe import Markup

from helix_spark.drawing.graph import DrawnGraph
from helix_spark.drawing.groups import picture_of
from helix_spark.drawing.markup import render
from helix_spark.drawing.svg import svg


def cell(template: str, **values: Any) -> str:
    """Return a rendered template as HTML for a cell."""
    return str(render("cell.html", shown=render(template, picture=picture, **values)))


def picture(graph: DrawnGraph) -> Markup:
    """Draw a graph with folded groups; return a sentence if it is too large."""
    return render("cell_picture.html", picture=picture_of(graph), svg=svg)


@singledispatch
def text_of(subject: object) -> str:
    """Return an object as plain text. `views/` registers classes here and in `html_of`."""
    return repr(subject)


@singledispatch
def html_of(subject: object) -> str:
    """Return an object as HTML."""
    raise NotImplementedError(type(subject))


class Displayed:
    """Base class of objects that notebooks show as text and as HTML."""

    def __str__(self) -> str:
        return text_of(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": text_of(self), "text/html": html_of(self)}
