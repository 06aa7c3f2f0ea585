"""What `log` and `show` print: records in, tables or JSON's types out."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.text import Text

from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.cli.answers import listed, outputs_text
from helix_spark.cli.shown_tables import ROWS_OF_SHOW, print_tables
from helix_spark.cli.tables import WIDE, console, state_text, table
from helix_spark.past.edit_message import edit_of
from helix_spark.past.metrics import Metrics, metrics_of
from helix_spark.past.shown import node_json, short, titled
from helix_spark.past.states import shown_states
from helix_spark.past.table_preview import TablePreview
from helix_spark.sizes import format_seconds, format_size

_MOST, _MOST_WIDE = 3, 6
"""Outputs of an iteration in a log, on a narrow and on a wide terminal."""


def print_log(iterations: Sequence[IterationRecord]) -> None:
    """A line or two an iteration."""
    out = console()
    if not iterations:
        out.print("no iterations yet")
        return
    wide = out.width >= WIDE
    more = (("commit", "left"),) if wide else ()
    shown = table(
        ("workflow", "left"), ("no", "right"), ("when", "left"), ("seconds", "right"), *more, ("outcome", "left"),
        grow="outcome",
    )
    for record in iterations:
        shown.add_row(
            record.workflow, str(record.number), time.strftime("%m-%d %H:%M", time.localtime(record.started)),
            format_seconds(record.seconds), *((commit_text(record),) if wide else ()),
            _outcome(record, _MOST_WIDE if wide else _MOST),
        )
    out.print(shown)


def _outputs(found: Metrics, most: int) -> str:
    """The first outputs in a line, and how many more there are; the one by which iterations are compared first.

    >>> _outputs(Metrics({"by": {"a": 0.5, "b": 1, "c": 2}, "model": {"model": "KMeansModel"}}), 3)
    'by.a 0.5, by.b 1, by.c 2, and 1 more'
    """
    said = [f"{name} {short(value)}" for name, value in found.leaves.items()]
    return ", ".join([*said[:most], *([f"and {len(said) - most} more"] if len(said) > most else [])])


def _outcome(record: IterationRecord, most: int) -> Text:
    text = Text()
    if record.status != "done":
        said = record.status if record.status == "running" else f"{record.status}: "
        text.append(said, style="red" if record.status == "failed" else "yellow")
    text.append(_outputs(metrics_of(record), most) or record.error.split("\n")[0])
    if record.status == "done" and record.error:
        text.append(f"\n{record.error}", style="yellow")
    if record.message:
        text.append(("\n" if text.plain else "") + record.message, style="italic")
    if edit := edit_of(record):
        text.append(("\n" if text.plain else "") + edit, style="dim")
    return text


def commit_text(record: IterationRecord) -> str:
    """The commit, short; a plus where the repository had changes beyond it.

    >>> from dataclasses import replace
    >>> record = IterationRecord("0" * 32, "w", 1, "done", 0.0, commit="0123456789abcdef", dirty=True)
    >>> commit_text(record), commit_text(replace(record, dirty=False)), commit_text(replace(record, commit=""))
    ('0123456+', '0123456', '')
    """
    return record.commit[:7] + ("+" if record.commit and record.dirty else "")


def log_json(
    iterations: Sequence[IterationRecord], proofs: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Iterations as JSON's types.

    Args:
        proofs: of each, by name, what is known now of its nodes' results.
    """
    return [
        iteration_json(record) | {"proofs": dict(known)} for record, known in zip(iterations, proofs, strict=True)
    ]


def iteration_json(record: IterationRecord) -> dict[str, Any]:
    """One iteration as JSON's types."""
    return {
        "workflow": record.workflow, "iteration": record.number, "status": record.status, "started": record.started,
        "seconds": record.seconds, "message": record.message, "edit": edit_of(record),
        "parameters": json.loads(record.parameters),
        "outputs": json.loads(record.outputs), "plan": json.loads(record.plan),
        "versions": json.loads(record.versions), "error": record.error, "file": record.file,
        "file_digest": record.file_digest, "commit": record.commit, "dirty": record.dirty,
    }


def print_iteration(
    record: IterationRecord, nodes: Sequence[NodeRecord], live: Collection[str], proofs: Mapping[str, str],
    tables: Mapping[str, TablePreview],
) -> None:
    """One iteration: what it was, its outputs, then a line or two a node with actual beside predicted seconds.

    Args:
        live: signatures of the results that are stored now.
        proofs: by name, what is known now of the nodes' results.
        tables: among its outputs, as far as they are on record.
    """
    out = console()
    out.print(Text(f"{record.workflow}, iteration {record.number}", style="bold"), Text(record.status))
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.started))
    out.print(f"  {when}, {format_seconds(record.seconds) or '?'} s to answer")
    if record.message:
        out.print(f"  {record.message}")
    if edit := edit_of(record):
        out.print(f"  edit: {edit}")
    parameters = json.loads(record.parameters)
    if parameters:
        out.print("  parameters: " + ", ".join(f"{name}={short(value)}" for name, value in parameters.items()))
    if record.file:
        out.print(Text(f"  {record.file}" + (f" at commit {commit_text(record)}" if record.commit else "")))
    out.print()
    if record.error:
        out.print(Text(record.error, style="red"))
    for line in outputs_text(metrics_of(record), Metrics({})):
        out.print(line)
    print_tables(tables, ROWS_OF_SHOW)
    out.print()
    states = shown_states(record, nodes)
    unneeded = [node.name for node in nodes if states[node.name] == "prune"]
    needed = [node for node in nodes if states[node.name] != "prune"]
    out.print(_nodes(needed, states, live, proofs, wide=out.width >= WIDE))
    for line in listed("not needed", unneeded, out.width):
        out.print(line)
    for one in json.loads(record.plan).get("left_out", ()):
        out.print(f"left out of `{one['synthesizer']}`: `{one['feature']}`")


def _nodes(
    nodes: Sequence[NodeRecord], states: Mapping[str, str], live: Collection[str], proofs: Mapping[str, str], *,
    wide: bool,
) -> Any:
    more = (("rows", "right"), ("size", "right"), ("stored", "left")) if wide else ()
    shown = table(
        ("state", "left"), ("seconds", "right"), ("expected", "right"), *more, ("node", "left"), ("why", "left"),
        grow="why",
    )
    for node in nodes:
        expected = format_seconds(node.predicted_seconds) if node.state != "prune" else ""
        sizes = (
            "" if node.rows is None else f"{node.rows:,}", "" if node.bytes is None else format_size(node.bytes),
            proofs[node.name] if node.signature in live else "",
        ) if wide else ()
        shown.add_row(
            state_text(states[node.name]), format_seconds(node.seconds), expected, *sizes,
            titled(node.name, node.code), node.reason,
        )
    return shown


def show_json(
    record: IterationRecord, nodes: Sequence[NodeRecord], live: Collection[str], proofs: Mapping[str, str],
    tables: Mapping[str, TablePreview],
) -> dict[str, Any]:
    """One iteration and its nodes as JSON's types. Arguments as for `print_iteration`."""
    return {
        **iteration_json(record), "nodes": [node_json(node, live, proofs[node.name]) for node in nodes],
        "tables": {name: table_json(table) for name, table in tables.items()},
    }


def table_json(table: TablePreview) -> dict[str, Any]:
    """A table among the outputs as JSON's types."""
    return {
        "columns": [{"name": name, "type": kind} for name, kind in table.columns],
        "rows": [list(row) for row in table.rows], "total": table.total, "whole": table.whole,
    }
