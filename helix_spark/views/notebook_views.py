"""Plans, iterations and comparisons for notebooks, as plain text and as cells."""

from __future__ import annotations

import textwrap

from helix_spark.drawing.notebook import cell, html_of, text_of
from helix_spark.history.comparison import Comparison
from helix_spark.planner.plan import Plan
from helix_spark.sizes import format_seconds
from helix_spark.views.comparison_view import ComparisonView
from helix_spark.views.iteration_view import IterationView, view_of_plan
from helix_spark.visible_text import visible

_ROWS, _COLUMNS = 10, 12
"""Limits of an output table."""
_WIDTH, _WIDEST_NAME = 80, 24


@text_of.register
def plan_text(plan: Plan) -> str:
    """Return a plan in 80 columns: a line or two for each node, then totals."""
    view = view_of_plan(plan)
    width = min(_WIDEST_NAME, max([4, *(len(row.name) for row in view.rows)]))
    lines = [view.title, "", f"{'state':8}{'seconds':>8}  {'node':{width}}  why"]
    for row in view.rows:
        start = f"{row.state:8}{format_seconds(row.expected):>8}  {row.name:{width}}  "
        wrapped = textwrap.wrap(row.why_and_kept, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
        lines += wrapped or [start]
    notes = [part for note in view.notes for part in textwrap.wrap(note, _WIDTH, subsequent_indent="  ")]
    return visible("\n".join([*lines, *(["", *notes] if notes else []), "", *view.totals]))


@html_of.register
def plan_html(plan: Plan) -> str:
    return cell("cell_plan.html", view=view_of_plan(plan))


@text_of.register
def iteration_text(view: IterationView) -> str:
    """Return the outputs and the ending."""
    width = max((len(output.name) for output in view.outputs), default=0)
    return visible("\n".join([
        view.title, *(f"  {output.name:{width}}  {output.text}" for output in view.outputs), *view.ending,
    ]))


@html_of.register
def iteration_html(view: IterationView) -> str:
    """Return the outputs, the ending, the graph and a table of the nodes."""
    tables = {name: table.shown(_ROWS, _COLUMNS) for name, table in view.tables.items()}
    return cell("cell_iteration.html", view=view, tables=tables)


@text_of.register
def comparison_text(compared: Comparison) -> str:
    """Return a line for each difference."""
    view = ComparisonView(compared)
    signs = {"added": "+", "removed": "-", "same": "="}
    lines = [view.title, *([f"  {compared.unrecorded}"] if compared.unrecorded else [])]
    lines += [f"  parameter {pair.name}: {pair.text}" for pair in view.parameters]
    lines += [f"  {signs.get(node.state, '~')} {node.name}: {node.summary}" for node in view.nodes]
    lines += [f"  output {pair.name}: {pair.text}" for pair in view.outputs]
    lines += ["  no difference"] if view.is_equal else []
    return visible("\n".join([*lines, f"  seconds to answer: {view.seconds.text}"]))


@html_of.register
def comparison_html(compared: Comparison) -> str:
    return cell("cell_comparison.html", view=ComparisonView(compared))
