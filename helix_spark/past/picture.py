"""A comparison as a notebook shows it: only what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helix_spark.drawing import DrawnGraph, DrawnNode
from helix_spark.drawing.notebook import differences, folded, heading, page, paragraph, picture, table
from helix_spark.past.comparison import Comparison
from helix_spark.past.shown import side
from helix_spark.sizes import format_seconds
from helix_spark.visible_text import visible


def comparison_text(compared: Comparison) -> str:
    """A line a difference."""
    lines = [_title(compared), *([f"  {compared.unrecorded}"] if compared.unrecorded else [])]
    lines += [f"  parameter {name}: {side(a)} -> {side(b)}" for name, (a, b) in compared.parameters.items()]
    lines += [f"  + {name}" for name in compared.added] + [f"  - {name}" for name in compared.removed]
    lines += [f"  ~ {name}: {compared.what(name)}" for name in compared.nodes]
    lines += [f"  = {name}: {compared.what(name)}" for name in compared.rewritten]
    lines += [
        f"  output {name}: {before} -> {after}" + (f" ({change})" if change else "")
        for name, before, after, change in _outputs(compared)
    ]
    if len(lines) == 1:
        lines.append("  no difference")
    return visible("\n".join([*lines, f"  {_seconds(compared)}"]))


def comparison_html(compared: Comparison) -> str:
    """Parameters, the graph of both, what changed in each node, code, outputs, seconds."""
    heads = [f"iteration {compared.before.number}", f"iteration {compared.after.number}"]
    changed: list[tuple[str, str, str]] = [
        *((name, "added", "") for name in compared.added), *((name, "removed", "") for name in compared.removed),
        *((name, compared.sort(name), compared.what(name)) for name in (*compared.nodes, *compared.rewritten)),
    ]
    parts = [
        paragraph(compared.unrecorded), table(["parameter", *heads], _rows(compared.parameters)),
        table(["output", *heads, "change"], _outputs(compared)),
        picture(comparison_graph(compared)) if changed else "",
        table(["node", "", "what changed"], changed), *map(differences, compared.edits.values()),
        folded("the workflow's file", differences(compared.file_diff)),
    ]
    return page(
        heading(_title(compared)), *(parts if any(parts) else [paragraph("no difference")]),
        paragraph(_seconds(compared)),
    )


def comparison_graph(compared: Comparison) -> DrawnGraph:
    """The nodes of both iterations in one graph; edges that are gone are dashed."""
    nodes, fading = [], set()
    for name, one in compared.differences.items():
        new = one.after.inputs if one.after is not None else ()
        gone = [source for source in one.before.inputs if source not in new] if one.before is not None else []
        fading |= {(source, name) for source in gone}
        note = "through its inputs" if one.sort == "affected" else "rewritten" if one.rewritten else ""
        nodes.append(DrawnNode(name, (*new, *gone), kind=one.record.kind, state=one.sort, note=note))
    return DrawnGraph(tuple(nodes), title=_title(compared), fading=frozenset(fading))


def _title(compared: Comparison) -> str:
    return f"{compared.after.workflow}, iteration {compared.before.number} -> {compared.after.number}"


def _rows(pairs: Mapping[str, tuple[Any, Any]]) -> list[tuple[str, str, str]]:
    return [(name, side(before), side(after)) for name, (before, after) in pairs.items()]


def _outputs(compared: Comparison) -> list[tuple[str, str, str, str]]:
    rows = compared.leaf_outputs.items()
    return [(name, side(before), side(after), compared.change(name)) for name, (before, after) in rows]


def _seconds(compared: Comparison) -> str:
    before, after = (format_seconds(record.seconds) or "?" for record in (compared.before, compared.after))
    return f"seconds to answer: {before} -> {after}"
