"""A comparison as a notebook shows it: only what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helix_spark.catalog.comparison import Comparison, Sort
from helix_spark.catalog.shown import short
from helix_spark.drawing import DrawnGraph, DrawnNode
from helix_spark.drawing.notebook import differences, folded, heading, page, paragraph, picture, table
from helix_spark.sizes import format_seconds

_STATES: Mapping[Sort, str] = {"inherited": "changed"}
"""How `Comparison.sort` is drawn, where it is not drawn as it is called."""


def comparison_text(compared: Comparison) -> str:
    """A line a difference."""
    lines = [_title(compared), *([f"  {compared.unrecorded}"] if compared.unrecorded else [])]
    lines += [f"  parameter {name}: {_value(a)} -> {_value(b)}" for name, (a, b) in compared.parameters.items()]
    lines += [f"  + {name}" for name in compared.added] + [f"  - {name}" for name in compared.removed]
    lines += [f"  ~ {name}: {compared.what(name)}" for name in compared.nodes]
    lines += [f"  output {name}: {_value(a)} -> {_value(b)}" for name, (a, b) in compared.outputs.items()]
    if len(lines) == 1:
        lines.append("  no difference")
    return "\n".join([*lines, f"  {_seconds(compared)}"])


def comparison_html(compared: Comparison) -> str:
    """Parameters, the graph of both, what changed in each node, code, outputs, seconds."""
    heads = [f"iteration {compared.before.number}", f"iteration {compared.after.number}"]
    changed = [
        *((name, "added", "") for name in compared.added), *((name, "removed", "") for name in compared.removed),
        *((name, _drawn_as(compared, name), compared.what(name)) for name in compared.nodes),
    ]
    code = "".join(differences(diff) for name, diff in compared.code.items() if name in compared.nodes)
    parts = [
        paragraph(compared.unrecorded), table(["parameter", *heads], _rows(compared.parameters)),
        table(["output", *heads], _rows(compared.outputs)), picture(comparison_graph(compared)) if changed else "",
        table(["node", "", "what changed"], changed), code,
        folded("the workflow's file", differences(compared.file_diff)),
    ]
    return page(
        heading(_title(compared)), *(parts if any(parts) else [paragraph("no difference")]),
        paragraph(_seconds(compared)),
    )


def comparison_graph(compared: Comparison) -> DrawnGraph:
    """The nodes of both iterations in one graph; edges that are gone are dashed."""
    nodes, fading = [], set()
    for name in [*compared.new, *compared.removed]:
        new = compared.new[name].inputs if name in compared.new else ()
        gone = [source for source in compared.old[name].inputs if source not in new] if name in compared.old else []
        fading |= {(source, name) for source in gone}
        sort = compared.sort(name)
        node = compared.new.get(name) or compared.old[name]
        note = "through its inputs" if sort == "inherited" else ""
        nodes.append(DrawnNode(name, (*new, *gone), kind=node.kind, state=_drawn_as(compared, name), note=note))
    return DrawnGraph(tuple(nodes), title=_title(compared), fading=frozenset(fading))


def _title(compared: Comparison) -> str:
    return f"{compared.after.workflow}, iteration {compared.before.number} -> {compared.after.number}"


def _drawn_as(compared: Comparison, name: str) -> str:
    sort = compared.sort(name)
    return _STATES.get(sort, sort)


def _rows(pairs: Mapping[str, tuple[Any, Any]]) -> list[tuple[str, str, str]]:
    return [(name, _value(before), _value(after)) for name, (before, after) in pairs.items()]


def _value(value: Any) -> str:
    return "-" if value is None else short(value)


def _seconds(compared: Comparison) -> str:
    before, after = (format_seconds(record.seconds) or "?" for record in (compared.before, compared.after))
    return f"seconds to answer: {before} -> {after}"
