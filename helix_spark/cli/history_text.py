"""What `log` and `show` print: records in, tables or JSON's types out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.cli.run_text import print_outputs
from helix_spark.cli.shown_tables import ROWS_OF_SHOW, print_tables
from helix_spark.cli.tables import WIDE, console, print_lines, state_text, table
from helix_spark.history.edit_message import edit_of
from helix_spark.history.metrics import metrics_of
from helix_spark.history.shown import node_json
from helix_spark.history.table_preview import TablePreview
from helix_spark.sizes import format_seconds, format_size
from helix_spark.views.iteration_view import IterationView, commit_text, ending_text, output_lines

_MOST, _MOST_WIDE = 3, 6
"""Outputs of an iteration in a log, on a narrow and on a wide terminal."""


def print_log(iterations: Sequence[IterationRecord], *, verbose: bool = False) -> None:
    """Print a line for each iteration; with what else is known of it where `verbose`."""
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
            _outcome(record, _MOST_WIDE if wide else _MOST) if verbose else _short_outcome(record, wide=wide),
        )
    out.print(shown)


def _short_outcome(record: IterationRecord, *, wide: bool) -> Text:
    """Say in a line how it ended, else its first outputs, and what its author said of it, or edited."""
    text, said = _ending(record), record.message or edit_of(record)
    if not text.plain:
        outputs = [f"{line.name} {line.text}" for line in output_lines(metrics_of(record), None)]
        text.append(", ".join(outputs[: _MOST if wide or not said else 1]))
    if said and record.status in ("done", "running"):
        text.append(("; " if text.plain else "") + said, style="dim")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _ending(record: IterationRecord) -> Text:
    if record.status == "running":
        return Text("running", style="yellow")
    told = ending_text(record.status, record.error.split("\n")[0])
    return Text(told, style="red" if record.status == "failed" else "yellow")


def _outcome(record: IterationRecord, most: int) -> Text:
    """Say how it ended, its first outputs, the one by which iterations are compared first, and what is said of it."""
    text = _ending(record)
    outputs = [f"{line.name} {line.text}" for line in output_lines(metrics_of(record), None)]
    more = [f"and {len(outputs) - most} more"] if len(outputs) > most else []
    if outputs:
        text.append(("\n" if text.plain else "") + ", ".join([*outputs[:most], *more]), style="none")
    warned = record.error if record.status == "done" else ""
    for line, style in ((warned, "yellow"), (record.message, "italic"), (edit_of(record), "dim")):
        if line:
            text.append(("\n" if text.plain else "") + line, style=style)
    return text


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


def _shorten_path(file: str) -> str:
    """Return a path, and what follows it, relative to the current folder where it is below that."""
    return file.removeprefix(f"{Path.cwd()}{os.sep}")


def print_iteration(view: IterationView) -> None:
    """One iteration: what it was, its outputs, then a line or two a node with actual beside predicted seconds."""
    out = console()
    out.print(Text(view.title, style="bold"), Text(view.status))
    edit, parameters = view.edit and f"edit: {view.edit}", ", ".join(f"{name}={text}" for name, text in view.parameters)
    told = (
        f"{view.when}, {view.took}", view.message, edit, parameters and f"parameters: {parameters}",
        _shorten_path(view.file),
    )
    print_lines(f"  {line}" for line in told if line)
    out.print()
    if view.error:
        out.print(Text(view.error, style="red"))
    print_outputs(view.outputs)
    print_tables(view.tables, ROWS_OF_SHOW)
    out.print()
    wide = out.width >= WIDE
    more = (("rows", "right"), ("size", "right"), ("stored", "left")) if wide else ()
    shown = table(
        ("state", "left"), ("seconds", "right"), ("expected", "right"), *more, ("node", "left"), ("why", "left"),
        grow="why",
    )
    for row in view.needed:
        sizes = (
            "" if row.rows is None else f"{row.rows:,}", "" if row.bytes is None else format_size(row.bytes),
            row.proof if row.stored == "stored" else "",
        )
        shown.add_row(
            state_text(row.state), format_seconds(row.seconds), format_seconds(row.expected),
            *(sizes if wide else ()), row.title, row.why,
        )
    out.print(shown)
    print_lines(view.unused)


def show_json(
    record: IterationRecord, nodes: Sequence[NodeRecord], live: Collection[str], proofs: Mapping[str, str],
    tables: Mapping[str, TablePreview],
) -> dict[str, Any]:
    """One iteration and its nodes as JSON's types.

    Args:
        live: signatures of the results that are stored now.
        proofs: by name, what is known now of the nodes' results.
        tables: among its outputs, as far as they are on record.
    """
    return {
        **iteration_json(record), "nodes": [node_json(node, live, proofs[node.name]) for node in nodes],
        "tables": {name: table_json(table) for name, table in tables.items()},
    }


def table_json(table: TablePreview) -> dict[str, Any]:
    """A table among the outputs as JSON's types."""
    return {
        "columns": [{"name": name, "type": kind} for name, kind in table.columns],
        "rows": [list(row) for row in table.rows], "total": table.total, "whole": table.whole,
        "across": table.across, "classes": list(table.classes),
    }
