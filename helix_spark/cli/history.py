"""What `log`, `show` and `diff` print: records in, text or JSON's types out."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.cli.answers import differ, short
from helix_spark.errors import ParameterError
from helix_spark.signature.difference import Change, changes, parts_from_json
from helix_spark.signature.parts import Group
from helix_spark.sizes import format_seconds

_WIDTH = 80


class Records(Protocol):
    """What is read of a catalog here."""

    def iterations(self, workflow: str | None = None, limit: int | None = None) -> tuple[IterationRecord, ...]: ...
    def workflows(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two iterations differ.

    Attributes:
        nodes: name -> the fields that changed; an empty list of fields for a node that only changed through its inputs.
        added, removed: names of nodes.
        parameters, outputs: name -> (before, after), of those that differ; None where it is missing.
    """

    before: IterationRecord
    after: IterationRecord
    nodes: dict[str, tuple[Change, ...]]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    parameters: dict[str, tuple[Any, Any]]
    outputs: dict[str, tuple[Any, Any]]


def find_iteration(records: Records, workflow: str | None, number: int) -> IterationRecord:
    """The iteration of a number.

    Raises:
        ParameterError: there is none, or the catalog has several workflows and none was named.
    """
    known = records.workflows()
    if workflow is None and len(known) > 1:
        raise ParameterError(
            "the catalog has several workflows", exists=f"there are: {', '.join(known)}",
            remedy="name one after the number",
        )
    found = [record for record in records.iterations(workflow) if record.number == number]
    if not found:
        numbers = [record.number for record in records.iterations(workflow, 1)]
        newest = f"the newest is {numbers[0]}" if numbers else "there is none yet"
        raise ParameterError(f"there is no iteration {number}", exists=newest, remedy="`helix log` lists them")
    return found[0]


def log_text(iterations: Sequence[IterationRecord]) -> str:
    """A line or two an iteration."""
    if not iterations:
        return "no iterations yet"
    lines = []
    for record in iterations:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.started))
        status = "" if record.status == "done" else f" {record.status}"
        head = f"{record.workflow} {record.number}  {when}  {format_seconds(record.seconds):>5} s{status}"
        lines += [head + (f"  {record.message}" if record.message else "")]
        outputs = ", ".join(f"{name} {short(value)}" for name, value in json.loads(record.outputs).items())
        text = outputs or record.error.split("\n")[0]
        lines += textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def log_json(iterations: Sequence[IterationRecord]) -> list[dict[str, Any]]:
    """Iterations as JSON's types."""
    return [iteration_json(record) for record in iterations]


def iteration_json(record: IterationRecord) -> dict[str, Any]:
    """One iteration as JSON's types."""
    return {
        "workflow": record.workflow, "iteration": record.number, "status": record.status, "started": record.started,
        "seconds": record.seconds, "message": record.message, "parameters": json.loads(record.parameters),
        "outputs": json.loads(record.outputs), "plan": json.loads(record.plan),
        "versions": json.loads(record.versions), "error": record.error,
    }


def show_text(record: IterationRecord, nodes: Sequence[NodeRecord]) -> str:
    """One iteration: outputs, then a line or two a node with actual beside predicted seconds."""
    lines = [log_text([record]), ""]
    if record.error:
        lines += [record.error, ""]
    width = min(24, max([4, *(len(node.name) for node in nodes)]))
    lines.append(f"{'state':8}{'seconds':>8}{'expected':>9}  {'node':{width}}  why")
    for node in nodes:
        expected = format_seconds(node.predicted_seconds) if node.state != "prune" else ""
        start = f"{node.state:8}{format_seconds(node.seconds):>8}{expected:>9}  {node.name:{width}}  "
        lines += textwrap.wrap(node.reason, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start)) or [start]
    lines += [
        f"left out of `{one['synthesizer']}`: `{one['feature']}`" for one in json.loads(record.plan).get("left_out", ())
    ]
    return "\n".join(lines)


def show_json(record: IterationRecord, nodes: Sequence[NodeRecord]) -> dict[str, Any]:
    """One iteration and its nodes as JSON's types."""
    return {
        **iteration_json(record),
        "nodes": [
            {
                "name": node.name, "kind": node.kind, "state": node.state, "reason": node.reason,
                "seconds": node.seconds, "predicted_seconds": node.predicted_seconds, "inputs": list(node.inputs),
                "output": node.output, "bytes": node.bytes, "rows": node.rows, "signature": node.signature,
            }
            for node in nodes
        ],
    }


def compare(
    before: IterationRecord, old: Sequence[NodeRecord], after: IterationRecord, new: Sequence[NodeRecord]
) -> Comparison:
    """How two iterations differ."""
    olds, news = {node.name: node for node in old}, {node.name: node for node in new}
    changed = {}
    for name, node in news.items():
        if name in olds and olds[name].signature != node.signature:
            found = changes(parts_from_json(olds[name].parts), parts_from_json(node.parts))
            changed[name] = tuple(change for change in found if change.group is not Group.INPUT)
    return Comparison(
        before, after, changed, tuple(n for n in news if n not in olds), tuple(n for n in olds if n not in news),
        _differing(json.loads(before.parameters), json.loads(after.parameters)),
        _differing(json.loads(before.outputs), json.loads(after.outputs)),
    )


def _differing(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*after, *(name for name in before if name not in after)]
    pairs = {name: (before.get(name), after.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if differ(*pair)}


def diff_text(compared: Comparison) -> str:
    """Only what differs."""
    lines = [f"{compared.after.workflow}, iteration {compared.before.number} -> {compared.after.number}"]
    lines += [f"  parameter {n}: {short(a)} -> {short(b)}" for n, (a, b) in compared.parameters.items()]
    lines += [f"  + {name}" for name in compared.added] + [f"  - {name}" for name in compared.removed]
    for name, fields in compared.nodes.items():
        what = "; ".join(map(str, fields)) or "through its inputs"
        lines += textwrap.wrap(f"~ {name}: {what}", _WIDTH, initial_indent="  ", subsequent_indent="      ")
    lines += [f"  output {n}: {short(a)} -> {short(b)}" for n, (a, b) in compared.outputs.items()]
    seconds = [format_seconds(record.seconds) or "?" for record in (compared.before, compared.after)]
    if len(lines) == 1:
        lines.append("  no difference")
    return "\n".join([*lines, f"  seconds to answer: {seconds[0]} -> {seconds[1]}"])


def diff_json(compared: Comparison) -> dict[str, Any]:
    """A comparison as JSON's types."""
    return {
        "workflow": compared.after.workflow, "before": compared.before.number, "after": compared.after.number,
        "parameters": {name: list(pair) for name, pair in compared.parameters.items()},
        "added": list(compared.added), "removed": list(compared.removed),
        "changed": {
            name: [
                {"group": c.group, "label": c.label, "before": c.before, "after": c.after, "sort": c.sort}
                for c in fields
            ]
            for name, fields in compared.nodes.items()
        },
        "outputs": {name: list(pair) for name, pair in compared.outputs.items()},
        "seconds": [compared.before.seconds, compared.after.seconds],
    }
