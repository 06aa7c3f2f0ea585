"""What `diff` prints: only what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from helix_spark.cli.shown_tables import print_differences
from helix_spark.cli.tables import console, print_code, table
from helix_spark.history.comparison import Comparison, Sort
from helix_spark.history.table_difference import TableDifference
from helix_spark.views.comparison_view import ComparisonView, Pair
from helix_spark.visible_text import cut

_SIGNS: dict[Sort, tuple[str, str]] = {
    "added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow"), "drawn": ("*", "yellow"),
    "same": ("=", "dim"),
}
MOST_CODE_LINES = 60
"""Lines of a diff that are shown of one function; all of them are in `--json`."""
_LONGEST = 120


def print_comparison(view: ComparisonView) -> None:
    """Parameters, nodes, code, outputs, seconds: a part each, left out where nothing differs."""
    out = console()
    out.print(Text(view.title, style="bold"))
    if view.unrecorded:
        out.print(f"  {view.unrecorded}")
    _pairs("parameters", "  name", view.parameters, view)
    _nodes(view)
    _code(view)
    _pairs("outputs", "  name", view.outputs, view)
    print_differences(view.tables)
    _pairs("versions", "  package", view.versions, view)
    if view.nothing:
        out.print("  no difference")
    _title("seconds")
    shown = table(("  node", "left"), *((head, "right") for head in view.heads))
    shown.add_row("  to answer", view.seconds.before or "?", view.seconds.after or "?")
    for pair in view.timed:
        shown.add_row(f"  {pair.name}", pair.before or "-", pair.after or "-")
    out.print(shown)
    if view.more_timed:
        out.print(f"  ... {view.more_timed} nodes more; --json has all")
    if view.commits:
        out.print(f"\ngit: {view.commits}")


def _title(text: str) -> None:
    console().print(Text(f"\n{text}", style="bold"))


def _pairs(title: str, head: str, pairs: Sequence[Pair], view: ComparisonView) -> None:
    if not pairs:
        return
    _title(title)
    shown = table((head, "left"), *((one, "left") for one in view.heads), ("change", "left"))
    for pair in pairs:
        sides = ("-" if one is None else cut(one, _LONGEST) for one in (pair.before, pair.after))
        shown.add_row(f"  {pair.name}", *sides, pair.change)
    console().print(shown)


def _nodes(view: ComparisonView) -> None:
    if not view.nodes:
        return
    _title("nodes (+ added, - removed, ~ changed, * drawn anew, . only through its inputs)")
    shown = table(("  node", "left"), ("what changed", "left"), grow="what changed")
    for sort, (sign, style) in _SIGNS.items():
        for node in view.of_sort(sort):
            shown.add_row(Text(f"{sign} {node.name}", style=style), node.what)
    if affected := view.of_sort("affected"):
        shown.add_row(Text(". through inputs", style="dim"), ", ".join(node.name for node in affected))
    console().print(shown)


def _code(view: ComparisonView) -> None:
    for place, (name, lines) in enumerate(view.code.items()):
        if not place:
            _title("code")
        console().print(Text(f"  {name}", style="bold"))
        print_code(lines[:MOST_CODE_LINES])
        if len(lines) > MOST_CODE_LINES:
            console().print(f"  ... {len(lines) - MOST_CODE_LINES} more lines; --json has all")


def _metrics_json(compared: Comparison) -> dict[str, Any]:
    before, after = compared.metrics

    def metric_json(name: str) -> dict[str, Any]:
        old, new, alike = before.values.get(name), after.values.get(name), after.measured_alike(name, before)
        return {
            "before": old, "after": new, "better": after.direction(name) or None,
            "primary": name == after.primary, "same_code": after.same_code(name, before),
            "same_rows": after.incomparable(name, before) != "on other test rows", "doubt": after.doubt(name),
            "change": new - old if alike and old is not None and new is not None else None,
        }

    return {name: metric_json(name) for name in compared.leaf_outputs if name in before.values or name in after.values}


def _tables_json(tables: Mapping[str, TableDifference]) -> dict[str, Any]:
    return {
        name: {
            "columns": list(one.columns), "key": list(one.key), "added": [list(row) for row in one.added],
            "removed": [list(row) for row in one.removed],
            "changed": [[list(before), list(after)] for before, after in one.changed], "partly": one.partly,
        }
        for name, one in tables.items()
    }


def diff_json(compared: Comparison, tables: Mapping[str, TableDifference]) -> dict[str, Any]:
    """A comparison as JSON's types."""
    return {
        "workflow": compared.after.workflow, "before": compared.before.number, "after": compared.after.number,
        "unrecorded": compared.unrecorded,
        "parameters": {name: list(pair) for name, pair in compared.parameters.items()},
        "added": list(compared.added), "removed": list(compared.removed),
        "changed": {
            name: [
                {"group": c.group, "label": c.label, "before": c.before, "after": c.after, "sort": c.sort}
                for c in fields
            ]
            for name, fields in compared.nodes.items()
        },
        "inputs": {name: [list(side) for side in pair] for name, pair in compared.inputs.items()},
        "code": {name: list(diff) for name, diff in compared.code.items()}, "file": list(compared.file_diff),
        "outputs": {name: list(pair) for name, pair in compared.outputs.items()}, "metrics": _metrics_json(compared),
        "tables": _tables_json(tables),
        "seconds": [compared.before.seconds, compared.after.seconds],
        "node_seconds": {name: list(pair) for name, pair in compared.seconds.items()},
        "commits": [compared.before.commit, compared.after.commit],
    }
