"""Plans, iterations and comparisons as a notebook shows them: the same words as everywhere, laid out as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from helix_spark.drawing.notebook import (
    differences,
    folded,
    heading,
    html_of,
    page,
    paragraph,
    picture,
    table,
    text_of,
)
from helix_spark.history.comparison import Comparison
from helix_spark.history.table_preview import TablePreview
from helix_spark.planner.plan import Plan
from helix_spark.sizes import format_seconds, format_size
from helix_spark.views.comparison_view import ComparisonView, Line, Pair, comparison_view
from helix_spark.views.iteration_view import IterationView
from helix_spark.views.node_row import NodeRow, graph_of
from helix_spark.views.plan_view import PlanView
from helix_spark.visible_text import visible

_ROWS, _COLUMNS = 10, 12
"""Of an output table that are shown."""
_SIGNS = {"same": " ", "added": "+", "removed": "-", "gap": "@"}


@text_of.register
def plan_text(plan: Plan) -> str:
    """Return a plan on 80 columns."""
    return visible(str(PlanView(plan)))


@html_of.register
def plan_html(plan: Plan) -> str:
    """Return the graph, the totals, and a table of the nodes."""
    view = PlanView(plan)
    rows = [
        (row.name, row.state, row.why, format_seconds(row.compute), format_seconds(row.load),
         format_size(row.bytes or 0), row.kept)
        for row in view.rows
    ]
    heads = ["node", "state", "why", "compute s", "load s", "size", "kept"]
    return page(
        heading(f"plan of {view.title}"), picture(view.graph), *map(paragraph, (*view.totals, *view.notes)),
        folded("why, node by node", table(heads, rows, numbers=["compute s", "load s", "size"])),
    )


def iteration_text(view: IterationView) -> str:
    """Outputs, and how it ended."""
    width = max((len(one.name) for one in view.outputs), default=0)
    return visible("\n".join([
        view.title, *(f"  {one.name:{width}}  {one.text}" for one in view.outputs), *view.ending,
    ]))


def iteration_html(view: IterationView) -> str:
    """Outputs, how it ended, the graph of what happened, and a table of the nodes."""
    return page(
        heading(view.title), _outputs(view), *_tables(view.tables), *map(paragraph, view.ending),
        picture(graph_of(view.title, view.rows)), _what_ran(view.rows),
    )


def _outputs(view: IterationView) -> str:
    """Return each output, and where the one before differs, that and the change."""
    if not any(one.before for one in view.outputs):
        return table(["output", "value"], [(one.name, one.text) for one in view.outputs])
    rows = [(one.name, one.text, one.before, one.change) for one in view.outputs]
    return table(["output", "value", "before", "change"], rows)


def _tables(tables: Mapping[str, TablePreview]) -> list[str]:
    """Return the first rows of each output table."""
    shown = []
    for name, one in ((name, found.shown(_ROWS, _COLUMNS)) for name, found in tables.items()):
        heads, numbers = [head for head, _ in one.columns], [head for head, right in one.columns if right]
        shown += [paragraph(f"{name}: {one.total}"), table(heads, one.rows, numbers)]
    return shown


def _what_ran(rows: Iterable[NodeRow]) -> str:
    heads = ["node", "state", "seconds", "expected", "why"]
    cells = [(row.title, row.state, format_seconds(row.seconds), format_seconds(row.expected), row.why) for row in rows]
    return folded("what ran, and why", table(heads, cells, numbers=["seconds", "expected"]))


@text_of.register
def comparison_text(compared: Comparison) -> str:
    """Return a line a difference."""
    view = comparison_view(compared)
    lines = [view.title, *([f"  {view.unrecorded}"] if view.unrecorded else [])]
    lines += [f"  parameter {pair.name}: {pair.went}" for pair in view.parameters]
    lines += [f"  {_sign(node.sort)} {node.name}: {node.what}" for node in view.nodes]
    lines += [f"  output {pair.name}: {pair.went}" for pair in view.outputs]
    lines += ["  no difference"] if view.nothing else []
    return visible("\n".join([*lines, f"  seconds to answer: {view.seconds.went}"]))


def _sign(sort: str) -> str:
    return {"added": "+", "removed": "-", "same": "="}.get(sort, "~")


@html_of.register
def comparison_html(compared: Comparison) -> str:
    """Return parameters, the graph of both, what changed in each node, code, outputs, seconds."""
    view = comparison_view(compared)
    changed = [(node.name, node.word, node.what) for node in view.nodes]
    return page(
        heading(view.title), paragraph(view.unrecorded), _pairs("parameter", view.parameters, view),
        _pairs("output", view.outputs, view), picture(view.graph) if changed else "",
        table(["node", "", "what changed"], changed),
        *(paragraph(name) + _code(lines) for name, lines in view.code.items()),
        paragraph("no difference" if view.nothing else ""), paragraph(f"seconds to answer: {view.seconds.went}"),
    )


def _pairs(head: str, pairs: Iterable[Pair], view: ComparisonView) -> str:
    rows = [(pair.name, *pair.sides, pair.change) for pair in pairs]
    return table([head, *view.heads, "change"], rows)


def _code(lines: Iterable[Line]) -> str:
    return differences([_SIGNS[sort] + line for sort, line in lines])
