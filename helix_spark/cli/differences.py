"""What `diff` prints: only what differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from helix_spark.cli.history import commit_text
from helix_spark.cli.shown_tables import print_differences
from helix_spark.cli.tables import console, diff_lines, table
from helix_spark.past.comparison import Comparison, Sort
from helix_spark.past.metrics import number
from helix_spark.past.shown import side
from helix_spark.past.table_difference import TableDifference
from helix_spark.sizes import format_seconds

SIGNS: dict[Sort, str] = {"added": "+", "removed": "-", "changed": "~", "drawn": "*", "same": "=", "affected": "."}
_STYLES: dict[Sort, str] = {
    "added": "green", "removed": "red", "changed": "yellow", "drawn": "yellow", "same": "dim", "affected": "dim",
}

MOST_CODE_LINES = 60
"""Lines of a diff that are shown of one function; all of them are in `--json`."""

MOST_TIMED = 8
"""Nodes whose seconds are shown, those that took longest."""

LEAST_SECONDS = 0.05
"""A node whose seconds differ by less is not news."""


def print_comparison(compared: Comparison, tables: Mapping[str, TableDifference]) -> None:
    """Parameters, nodes, code, outputs, seconds: a part each, left out where nothing differs."""
    out = console()
    before, after = f"iteration {compared.before.number}", f"iteration {compared.after.number}"
    out.print(Text(f"{compared.after.workflow}, {before} -> {compared.after.number}", style="bold"))
    if compared.unrecorded:
        out.print(f"  {compared.unrecorded}")
    parts = [
        _values(out, "parameters", compared.parameters, (before, after)), _nodes(out, compared),
        _code(out, compared),
        _values(out, "outputs", compared.leaf_outputs, (before, after), compared.change),
        print_differences(tables),
    ]
    if not any(parts) and not compared.unrecorded:
        out.print("  no difference")
    _seconds(out, compared)


def _title(out: Console, text: str) -> None:
    out.print()
    out.print(Text(text, style="bold"))


def _values(
    out: Console, title: str, pairs: dict[str, tuple[Any, Any]], heads: tuple[str, str],
    change: Callable[[str], str] | None = None,
) -> bool:
    if not pairs:
        return False
    _title(out, title)
    shown = table(("  name", "left"), (heads[0], "left"), (heads[1], "left"), ("change", "left"))
    for name, (before, after) in pairs.items():
        shown.add_row(f"  {name}", side(before), side(after), change(name) if change else _change(before, after))
    out.print(shown)
    return True


def _change(before: Any, after: Any) -> str:
    """After less before, of two numbers.

    >>> _change(0.8, 0.9), _change(False, 1), _change(1, 10**400)
    ('+0.1', '', '')
    """
    return "" if number(before) is None or number(after) is None else f"{after - before:+.4g}"


def _nodes(out: Console, compared: Comparison) -> bool:
    names = [*compared.added, *compared.removed, *compared.nodes, *compared.rewritten]
    if not names:
        return False
    _title(out, "nodes (+ added, - removed, ~ changed, * drawn anew, . only through its inputs)")
    shown = table(("  node", "left"), ("what changed", "left"), grow="what changed")
    for sort in SIGNS:
        for name in names:
            if compared.sort(name) == sort and sort != "affected":
                shown.add_row(Text(f"{SIGNS[sort]} {name}", style=_STYLES[sort]), compared.what(name))
    affected = [name for name in names if compared.sort(name) == "affected"]
    if affected:
        shown.add_row(Text(". through inputs", style="dim"), ", ".join(affected))
    out.print(shown)
    return True


def _code(out: Console, compared: Comparison) -> bool:
    diffs = compared.edits
    if not diffs and not compared.file_diff:
        return False
    if diffs:
        _title(out, "code")
        for diff in diffs.values():
            _lines(out, diff)
    elif any([*compared.nodes.values(), *compared.rewritten.values()]):
        # What changed is not in a node's own function: a helper, a constant, a declaration.
        _title(out, "the workflow's file")
        _lines(out, compared.file_diff)
    return bool(diffs)


def _lines(out: Console, diff: Sequence[str]) -> None:
    for line in diff_lines(diff[:MOST_CODE_LINES]):
        out.print(line, soft_wrap=True)
    if len(diff) > MOST_CODE_LINES:
        out.print(f"  ... {len(diff) - MOST_CODE_LINES} more lines; --json has all")


def _seconds(out: Console, compared: Comparison) -> None:
    records = (compared.before, compared.after)
    _title(out, "seconds")
    shown = table(("  node", "left"), *((f"iteration {record.number}", "right") for record in records))
    shown.add_row("  to answer", *(format_seconds(record.seconds) or "?" for record in records))
    differing = {
        name: pair for name, pair in compared.seconds.items() if abs((pair[1] or 0) - (pair[0] or 0)) >= LEAST_SECONDS
    }
    longest = sorted(differing.items(), key=lambda entry: -max(seconds or 0.0 for seconds in entry[1]))
    for name, (before, after) in longest[:MOST_TIMED]:
        shown.add_row(f"  {name}", format_seconds(before) or "-", format_seconds(after) or "-")
    out.print(shown)
    if len(longest) > MOST_TIMED:
        out.print(f"  ... {len(longest) - MOST_TIMED} nodes more; --json has all")
    commits = [commit_text(record) for record in records]
    if any(commits) and commits[0] != commits[1]:
        out.print()
        out.print(f"git: {commits[0] or '?'} -> {commits[1] or '?'}")


def _metrics_json(compared: Comparison) -> dict[str, Any]:
    before, after = compared.metrics

    def told(name: str) -> dict[str, Any]:
        old, new, alike = before.values.get(name), after.values.get(name), after.measured_alike(name, before)
        return {
            "before": old, "after": new, "better": "lower" if after.less_is_better(name) else "higher",
            "primary": name == after.primary, "same_code": alike,
            "change": new - old if alike and old is not None and new is not None else None,
        }

    return {name: told(name) for name in compared.leaf_outputs if name in before.values or name in after.values}


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
