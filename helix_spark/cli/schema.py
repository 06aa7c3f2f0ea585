"""The JSON that `--json` prints, whose schema docs/tools.md has. Stable: fields are added, never renamed or removed,
within a major version.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from helix_spark.history.comparison import differ
from helix_spark.history.edit_message import edit_of
from helix_spark.history.states import proofs_of
from helix_spark.history.table_preview import tables_of
from helix_spark.history.value_text import node_json

if TYPE_CHECKING:
    from helix_spark.catalog.artifacts import Leftover
    from helix_spark.catalog.catalog_reader import CatalogReader
    from helix_spark.catalog.forgetting import Forgetting
    from helix_spark.catalog.publishing import Publication
    from helix_spark.catalog.records import IterationRecord, NodeRecord
    from helix_spark.catalog.verification import Repair, Verification
    from helix_spark.history.comparison import Comparison
    from helix_spark.history.table_preview import TableDifference, TablePreview
    from helix_spark.planner.plan import Plan
    from helix_spark.run.audit import Audit
    from helix_spark.run.iteration import Iteration
    from helix_spark.views.node_view import NodeView
    from helix_spark.views.program_view import AnswerView, ProgramView
    from helix_spark.views.storage_view import StorageShare, StorageView

SCHEMA_VERSION = 1


def to_text(value: Any) -> str:
    """Return JSON text that every reader takes."""
    return json.dumps(_strict(value), indent=2)


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    return [_strict(item) for item in value] if isinstance(value, list | tuple) else value


def _picked(thing: object, names: str) -> dict[str, Any]:
    values = {name: getattr(thing, name) for name in names.split()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


_ARTIFACT = "workflow iteration node kind signature bytes"


def plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION, **_picked(plan, "workflow iteration"), "seconds": None, "message": "",
        "parameters": dict(plan.parameters), "outputs": {},
        "nodes": [
            _picked(
                node, "name kind state reason predicted_seconds stored bytes inputs output signature declared "
                "compute_seconds load_seconds write_seconds origin keep storage_reason aliases proof by_code",
            ) | {"seconds": None}
            for node in plan.nodes
        ],
        "dropped": list(plan.dropped), "plan": plan.figures,
        "storage": {"bytes": plan.used, "budget": plan.budget, "evicted": len(plan.evict)},
        "warnings": list(plan.warnings),
    }


def run_json(ran: Iteration, message: str, catalog: CatalogReader) -> dict[str, Any]:
    """Return a finished run as JSON's types, with what is stored of it by now."""
    printed = plan_json(ran.plan) | {"seconds": ran.seconds, "message": message, "outputs": dict(ran.outputs)}
    live = catalog.live_among([node.signature for node in ran.plan.nodes])
    printed["storage"]["bytes"] = catalog.bytes_used()
    for node in printed["nodes"]:
        stored = live.get(node["signature"])
        node |= {"seconds": ran.node_seconds.get(node["name"]), "stored": stored is not None}
        node["bytes"] = node["bytes"] if stored is None else stored.bytes
    return printed


def recorded_run_json(ended: IterationRecord, catalog: CatalogReader, budget: int | None) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION, **_picked(ended, "workflow seconds message"), "iteration": ended.number,
        "parameters": json.loads(ended.parameters), "outputs": json.loads(ended.outputs),
        "nodes": [entry | {"code": node.code} for node, entry in _nodes_json(ended, catalog)],
        "dropped": [], "plan": {},
        "storage": {"bytes": catalog.bytes_used(), "budget": budget, "evicted": None}, "warnings": [],
    }


def program_json(view: ProgramView, error: str) -> dict[str, Any]:
    """Return the plan of a plain program, and what it ends with, as JSON's types."""
    return {
        "workflow": view.workflow, "answers": [answer_json(one) for one in view.answers], "asked": list(view.asked),
        "first": view.first or None, "error": error if error and not view.first else None,
    }


def answer_json(answer: AnswerView) -> dict[str, Any]:
    return _picked(answer.node, "name reason signature state") | {"place": answer.node.code}


def iteration_json(record: IterationRecord, pinned: Collection[tuple[str, int]]) -> dict[str, Any]:
    """Return an iteration as JSON's types; `pinned` are workflow and number of those that are."""
    texts = {name: json.loads(getattr(record, name)) for name in ("parameters", "outputs", "plan", "versions")}
    fields = _picked(record, "status started seconds message error file file_digest commit dirty user")
    return {
        "workflow": record.workflow, "iteration": record.number, **fields, "edit": edit_of(record), **texts,
        "pinned": (record.workflow, record.number) in pinned,
    }


def show_json(record: IterationRecord, catalog: CatalogReader) -> dict[str, Any]:
    return {
        **iteration_json(record, catalog.pinned()), "nodes": [entry for _, entry in _nodes_json(record, catalog)],
        "tables": {name: _table_json(table) for name, table in tables_of(record, catalog).items()},
    }


def _nodes_json(record: IterationRecord, catalog: CatalogReader) -> list[tuple[NodeRecord, dict[str, Any]]]:
    nodes = catalog.nodes(record)
    live, proofs = catalog.live_among([node.signature for node in nodes]), proofs_of(nodes, catalog)
    return [(node, node_json(node, live, proofs[node.name])) for node in nodes]


def _table_json(table: TablePreview) -> dict[str, Any]:
    columns = [{"name": name, "type": kind} for name, kind in table.columns]
    return {"columns": columns, **_picked(table, "rows total whole across classes")}


def node_view_json(view: NodeView) -> dict[str, Any]:
    return {
        **node_json(view.node, {view.node.signature} if view.row.stored == "stored" else (), view.row.proof),
        **_picked(view, "code previous changes readers"), "state": view.row.state,
        "value": next(iter(view.value), None), "table": None if view.table is None else _table_json(view.table),
        "points": [asdict(one) for one in view.points], "questions": [one.name for one in view.members],
        "model": None if view.card is None else asdict(view.card),
    }


def diff_json(compared: Comparison, tables: Mapping[str, TableDifference]) -> dict[str, Any]:
    before, after = compared.before, compared.after
    return {
        "workflow": after.workflow, "before": before.number, "after": after.number,
        **_picked(compared, "unrecorded parameters added removed inputs code outputs"),
        "changed": {
            name: [_picked(change, "group label before after sort") for change in fields]
            for name, fields in compared.nodes.items()
        },
        "file": list(compared.file_diff), "metrics": _metrics_json(compared),
        "tables": {name: _picked(one, "columns key added removed changed partly") for name, one in tables.items()},
        "seconds": [before.seconds, after.seconds], "node_seconds": compared.seconds,
        "commits": [before.commit, after.commit],
    }


def _metrics_json(compared: Comparison) -> dict[str, Any]:
    before, after = compared.metrics
    metrics: dict[str, Any] = {}
    for name in () if compared.unrecorded else dict.fromkeys((*after.values, *before.values)):
        old, new, why = before.values.get(name), after.values.get(name), after.incomparable(name, before)
        if differ(before.leaves.get(name), after.leaves.get(name)):
            metrics[name] = {
                "before": old, "after": new, "better": after.direction(name) or None,
                "primary": name == after.primary, "same_code": after.same_code(name, before),
                "same_rows": why != "on other test rows", "doubt": after.doubt(name),
                "change": None if why or old is None or new is None else new - old,
            }
    return metrics


def storage_json(view: StorageView, shares: Sequence[StorageShare] | None = None) -> dict[str, Any]:
    return {
        **({} if shares is None else {"by": [asdict(one) for one in shares]}),
        "bytes": view.used, "result_bytes": view.results, "budget": view.budget,
        "results": [
            _picked(one.artifact, _ARTIFACT) | _picked(one, "loaded current proof")
            | {"again_seconds": one.again, "load_seconds": one.load, "saves_seconds": one.saves}
            for one in view.stored
        ],
    }


def verify_json(found: Verification) -> dict[str, Any]:
    results = [_picked(each.record, _ARTIFACT) | _picked(each, "verdict why") for each in found.findings]
    return {**_picked(found, "sound deep iterations"), "left_out": list(found.rejections), "results": results}


def gc_json(leftovers: Sequence[Leftover], *, dry_run: bool) -> dict[str, Any]:
    return {
        "deleted": not dry_run, "bytes": sum(each.bytes for each in leftovers),
        "leftovers": [
            _picked(each.attempt, "kind signature attempt") | _picked(each, "bytes why")
            | {"path": str(each.attempt.path)}
            for each in leftovers
        ],
    }


def repair_json(found: Repair) -> dict[str, Any]:
    fields = {"needed": found.is_needed, "repaired": found.done, "aside": found.aside or None}
    return fields | _picked(found, "damage saved lost lost_history")


def forget_json(found: Forgetting, *, dry_run: bool) -> dict[str, Any]:
    iterations = [_picked(one, "workflow number") | {"nodes": sorted(found.names.get(run, ()))}
                  for run, one in found.runs.items()]
    return {
        "forgotten": not dry_run, "whole": found.whole, "iterations": iterations,
        "results": sorted(found.signatures), "shared": sorted(found.shared), "places": list(found.places),
        "untold": [_picked(one, "workflow number") for one in found.untold],
    }


def publish_json(found: Publication) -> dict[str, Any]:
    return _picked(found, "number copied there missing damaged answers")


def audit_json(found: Audit) -> dict[str, Any]:
    results = [_picked(one, "node signature verdict why to_blame heirs") for one in found.results]
    error = {"error": found.ended} if found.ended else {}
    return {**_picked(found, "sound seconds verified left"), "results": results, **error}
