"""What `show --node` prints: one node of one iteration."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.padding import Padding
from rich.text import Text

from helix_spark.catalog.places.json_text import parsed
from helix_spark.cli.history import table_json
from helix_spark.cli.shown_tables import ROWS_OF_SHOW, print_tables
from helix_spark.cli.tables import console, diff_lines, table
from helix_spark.drawing.style import WORDS
from helix_spark.drawing.svg import shortened
from helix_spark.past.comparison import text_diff
from helix_spark.past.metrics import metric_text
from helix_spark.past.model_card import ModelCard
from helix_spark.past.node_look import NodeLook
from helix_spark.past.shown import node_json, short
from helix_spark.sizes import format_size, seconds_text
from helix_spark.visible_text import cut

_WEIGHTS, _LABELS = 20, 8
_NAME, _TYPE = 26, 14
"""Letters of a column's name and of its type."""


def print_node_look(look: NodeLook) -> None:
    """State, reason, what changed, code with its difference, what it holds, what its fit gave."""
    out, node = console(), look.node
    out.print(Text(node.name, style="bold"), Text(f"{node.kind}, iteration {node.iteration} of {node.workflow}"))
    for line in _told(look):
        for part in textwrap.wrap(line, out.width, initial_indent="  ", subsequent_indent="    "):
            out.print(part)
    _print_code(look)
    if (value := _value(look)) is not None:
        out.print(f"\n  {short(value)}")
    if look.table is not None:
        print_tables({node.name: look.table}, ROWS_OF_SHOW)
    _print_columns(look)
    if look.card is not None:
        _print_card(look.card, "")


def _value(look: NodeLook) -> Any:
    """Of a result that is stored and a plain value; None of any other."""
    artifact = look.artifact
    has_value = artifact is not None and look.is_stored and artifact.kind == "value"
    return parsed(artifact.value) if has_value and artifact is not None and artifact.value else None


def _told(look: NodeLook) -> Iterator[str]:
    node = look.node
    took = f" in {seconds_text(node.seconds)}" if node.seconds is not None else ""
    expected = seconds_text(node.predicted_seconds) if node.state != "prune" else ""
    did = f"{WORDS.get(look.state, look.state)}{took}{f' ({expected} expected)' if expected else ''}"
    yield node.reason if node.reason.startswith(f"{did}:") else f"{did}: {node.reason}"
    if node.inputs:
        yield f"reads {', '.join(node.inputs)}"
    if look.readers:
        yield f"read by {', '.join(look.readers)}"
    artifact = look.artifact
    if artifact is not None and look.is_stored:
        size = f", {format_size(artifact.bytes)}" if artifact.bytes else ""
        yield f"stored by iteration {artifact.iteration}{size}, {look.proof}"
    elif artifact is not None:
        yield f"no longer stored: {artifact.event}{f', {artifact.why}' if artifact.why else ''}"
    for change in map(str, look.changes or ()):
        if change not in node.reason:
            yield f"against iteration {look.previous}: {change}"


def _print_code(look: NodeLook) -> None:
    out = console()
    changed = text_diff(look.code_before, look.code, "", "")[3:] if look.code_before else ()
    if look.code:
        out.print()
    for line in diff_lines(changed) if changed else map(Text, textwrap.indent(look.code, "  ").splitlines()):
        out.print(line)


def _print_columns(look: NodeLook) -> None:
    if not look.columns:
        return
    out = console()
    out.print()
    out.print(Text("  columns", style="bold"), Text(f"of the first {look.rows:,} rows", style="dim"))
    rows = []
    for one in look.columns:
        values = f"{one.least} {one.spread} {one.most}" if one.counts else one.spread or f"{one.least} ... {one.most}"
        distinct = "" if one.distinct is None else f"{one.distinct:,}"
        rows.append((
            shortened(one.name, _NAME), shortened(one.kind, _TYPE), f"{one.nulls:,}" if one.nulls else "", distinct,
            values,
        ))
    heads = (("column", "left"), ("type", "left"), ("nulls", "right"), ("distinct", "right"), ("values", "left"))
    used = sum(max(len(head), *(len(row[place]) for row in rows)) + 2 for place, (head, _) in enumerate(heads[:-1]))
    room, made = max(20, out.width - 2 - used), table(*heads)
    for *others, values in rows:
        made.add_row(*others, cut(values, room))
    out.print(Padding(made, (0, 0, 0, 2), expand=False))


def _print_card(card: ModelCard, indent: str) -> None:
    out = console()
    given = ", ".join(f"{name} {value}" for name, value, is_set in card.parameters if is_set)
    out.print()
    out.print(Text(f"  {indent}{card.kind}", style="bold"), Text(given, style="dim"))
    for name, value in card.figures:
        out.print(f"  {indent}{name} {metric_text(value)}")
    if len(card.history) > 1:
        first, last = metric_text(card.history[0]), metric_text(card.history[-1])
        out.print(f"  {indent}objective {first} -> {last} in {len(card.history) - 1} steps")
    if card.labels:
        shown = ", ".join([*card.labels[:_LABELS], *(["..."] if card.labels[_LABELS:] else [])])
        out.print(f"  {indent}{len(card.labels)} labels: {shown}")
    if card.weights:
        made = table(("slot", "left"), *((head, "right") for head in card.columns))
        for name, values in card.weights[:_WEIGHTS]:
            made.add_row(name, *map(metric_text, values))
        out.print(Padding(made, (0, 0, 0, 2 + len(indent)), expand=False))
        if card.slots > _WEIGHTS:
            out.print(f"  {indent}the {_WEIGHTS} heaviest of {card.slots:,} slots (--json has {len(card.weights)})")
    for part in card.parts:
        _print_card(part, f"{indent}  ")


def node_look_json(look: NodeLook) -> dict[str, Any]:
    """The same as JSON's types."""
    return {
        **node_json(look.node, {look.node.signature} if look.is_stored else (), look.proof), "state": look.state,
        "code": look.code, "previous": look.previous,
        "changes": None if look.changes is None else [*map(str, look.changes)],
        "readers": list(look.readers), "value": _value(look),
        "table": None if look.table is None else table_json(look.table),
        "columns": [asdict(one) for one in look.columns], "profiled_rows": look.rows,
        "model": None if look.card is None else asdict(look.card),
    }
