"""How things show themselves in a notebook: headings, tables, pictures and differences as HTML without scripts.

Every text is escaped. What is shown in a notebook that is not trusted is shown, too, for nothing in it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import singledispatch
from importlib.resources import files

from helix_spark.drawing.graph import DrawnGraph
from helix_spark.drawing.groups import picture_of
from helix_spark.drawing.svg import svg, text

MOST_NODES = 300
"""Nodes of a graph that is drawn; a larger one is no picture in a cell, and the table says the same."""

STYLE = (files("helix_spark.drawing") / "cell.css").read_text(encoding="utf-8").strip()


def page(*parts: str) -> str:
    """Parts as one piece of HTML."""
    return f'<div class="hx-shown"><style>{STYLE}</style>{"".join(parts)}</div>'


def heading(words: str) -> str:
    return f"<h4>{text(words)}</h4>"


def paragraph(words: str) -> str:
    return f"<p>{text(words)}</p>" if words else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """Return a table; nothing where there are no rows.

    Args:
        numbers: the heads of the columns that stand to the right.

    >>> table(["a"], [["<b>"]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    body = "".join(
        "<tr>" + "".join(_cell("td", cell, head in numbers) for head, cell in zip(heads, row, strict=True)) + "</tr>"
        for row in rows
    )
    if not body:
        return ""
    head = "".join(_cell("th", name, name in numbers) for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(tag: str, words: str, right: bool) -> str:
    side = ' class="hx-number"' if right else ""
    return f"<{tag}{side}>{text(words)}</{tag}>"


def picture(graph: DrawnGraph) -> str:
    """Return a graph, or a sentence where it is too large. What had no part in it shares a box, and in a large one what
    is alike; it unfolds."""
    found = picture_of(graph, most=MOST_NODES)
    if found.graph is None:
        return paragraph(f"{found.nodes} nodes are too many to draw here; the web page draws them.")
    if not found.graph.nodes:
        return ""
    drawn = f'<div class="hx-scroll">{svg(found.graph)}</div>'
    if found.whole is not None:
        whole = f'<div class="hx-scroll">{svg(found.whole, styled=False)}</div>'
        drawn += folded(f"each of the {found.nodes} nodes by itself", whole)
    return drawn


def differences(lines: Sequence[str]) -> str:
    """Return a unified diff; the signs say what the colours say."""
    kinds = {"+": "hx-plus", "-": "hx-minus", "@": "hx-at"}
    shown = "\n".join(f'<span class="{kinds.get(line[:1], "hx-same")}">{text(line)}</span>' for line in lines)
    return f"<pre>{shown}</pre>" if lines else ""


def bar(share: float, words: str) -> str:
    """Return how much is done, and words beside it."""
    return page(f'<progress max="1" value="{share:.3f}" aria-label="how far it is"></progress> {text(words)}')


def folded(title: str, inside: str) -> str:
    """Return a part that a click unfolds; nothing where there is nothing inside."""
    return f"<details><summary>{text(title)}</summary>{inside}</details>" if inside else ""


@singledispatch
def text_of(thing: object) -> str:
    """Return a thing in plain text. What is said of it a later room decides, and registers here, as in `html_of`."""
    return repr(thing)


@singledispatch
def html_of(thing: object) -> str:
    """Return a thing in HTML."""
    return paragraph(repr(thing))


class Displayed:
    """What a notebook shows in both forms."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return bundle(text_of(self), html_of(self))


def bundle(plain: str, html: str) -> dict[str, str]:
    """Both forms, for `_repr_mimebundle_`."""
    return {"text/plain": plain, "text/html": html}
