"""The JSON of `--json` (docs/tools.md). Within a major version fields are added, never renamed or removed."""

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
    """Return JSON text, with texts for infinity and NaN, which JSON does not have."""
    return json.dumps(_quote_non_finite(value), indent=2)


def _quote_non_finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _quote_non_finite(item) for key, item in value.items()}
    return [_quote_non_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _pick(source: object, names: str) -> dict[str, Any]:
    values = {name: getattr(source, name) for name in names.split()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


_ARTIFACT = "workflow iteration node kind signature bytes"


def plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION, **_pick(plan, "workflow iteration"), "seconds": None, "message": "",
        "parameters": dict(plan.parameters), "outputs": {},
        "nodes": [
            _pick(
                node, "name kind state reason predicted_seconds stored bytes inputs output signature declared "
                "compute_seconds load_seconds write_seconds origin keep storage_reason aliases proof by_code",
            ) | {"seconds": None}
            for node in plan.nodes
        ],
        "dropped": list(plan.dropped), "plan": plan.figures,
        "storage": {"bytes": plan.used, "budget": plan.budget, "evicted": len(plan.evict)},
        "warnings": list(plan.warnings),
    }


def run_json(iteration: Iteration, message: str, catalog: CatalogReader) -> dict[str, Any]:
    """Return a finished run as JSON's types, with its currently stored results."""
    entry = plan_json(iteration.plan) | {
        "seconds": iteration.seconds, "message": message, "outputs": dict(iteration.outputs),
    }
    live = catalog.live_among([node.signature for node in iteration.plan.nodes])
    entry["storage"]["bytes"] = catalog.bytes_used()
    for node in entry["nodes"]:
        stored = live.get(node["signature"])
        node |= {"seconds": iteration.node_seconds.get(node["name"]), "stored": stored is not None}
        node["bytes"] = node["bytes"] if stored is None else stored.bytes
    return entry


def recorded_run_json(record: IterationRecord, catalog: CatalogReader, budget: int | None) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION, **_pick(record, "workflow seconds message"), "iteration": record.number,
        "parameters": json.loads(record.parameters), "outputs": json.loads(record.outputs),
        "nodes": [entry | {"code": node.code} for node, entry in _nodes_json(record, catalog)],
        "dropped": [], "plan": {},
        "storage": {"bytes": catalog.bytes_used(), "budget": budget, "evicted": None}, "warnings": [],
    }


def program_json(view: ProgramView, error: str) -> dict[str, Any]:
    """Return the plan of a plain program, and its error, as JSON's types."""
    return {
        "workflow": view.workflow, "answers": [answer_json(answer) for answer in view.answers],
        "asked": list(view.identities), "first": view.first_sent or None,
        "error": error if error and not view.first_sent else None,
    }


def answer_json(answer: AnswerView) -> dict[str, Any]:
    return _pick(answer.node, "name reason signature state") | {"place": answer.node.code}


def iteration_json(record: IterationRecord, pinned: Collection[tuple[str, int]]) -> dict[str, Any]:
    """Return an iteration as JSON's types; `pinned` are the workflow and number of each pinned iteration."""
    texts = {name: json.loads(getattr(record, name)) for name in ("parameters", "outputs", "plan", "versions")}
    fields = _pick(record, "status started seconds message error file file_digest commit dirty user")
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
    return {"columns": columns, **_pick(table, "rows total whole across classes")}


def node_view_json(view: NodeView) -> dict[str, Any]:
    return {
        **node_json(view.node, {view.node.signature} if view.row.stored == "stored" else (), view.row.proof),
        **_pick(view, "code previous changes readers"), "state": view.row.state,
        "value": next(iter(view.value), None), "table": None if view.table is None else _table_json(view.table),
        "points": [asdict(point) for point in view.points], "questions": [member.name for member in view.members],
        "model": None if view.card is None else asdict(view.card),
    }


def diff_json(comparison: Comparison, tables: Mapping[str, TableDifference]) -> dict[str, Any]:
    before, after = comparison.before, comparison.after
    return {
        "workflow": after.workflow, "before": before.number, "after": after.number,
        **_pick(comparison, "unrecorded parameters added removed inputs code outputs"),
        "changed": {
            name: [_pick(change, "group label before after sort") for change in fields]
            for name, fields in comparison.nodes.items()
        },
        "file": list(comparison.file_diff), "metrics": _metrics_json(comparison),
        "tables": {name: _pick(table, "columns key added removed changed partly") for name, table in tables.items()},
        "seconds": [before.seconds, after.seconds], "node_seconds": comparison.seconds,
        "commits": [before.commit, after.commit],
    }


def _metrics_json(comparison: Comparison) -> dict[str, Any]:
    before, after = comparison.metrics
    metrics: dict[str, Any] = {}
    for name in () if comparison.unrecorded else dict.fromkeys((*after.values, *before.values)):
        old, new, why = before.values.get(name), after.values.get(name), after.incomparable(name, before)
        if differ(before.leaves.get(name), after.leaves.get(name)):
            metrics[name] = {
                "before": old, "after": new, "better": after.direction(name) or None,
                "primary": name == after.primary, "same_code": after.has_same_code(name, before),
                "same_rows": why != "on other test rows", "doubt": after.doubt(name),
                "change": None if why or old is None or new is None else new - old,
            }
    return metrics


def storage_json(view: StorageView, shares: Sequence[StorageShare] | None = None) -> dict[str, Any]:
    return {
        **({} if shares is None else {"by": [asdict(share) for share in shares]}),
        "bytes": view.used, "result_bytes": view.results, "budget": view.budget,
        "results": [
            _pick(row.artifact, _ARTIFACT) | {
                "loaded": row.loads, "current": row.is_current, "proof": row.proof,
                "again_seconds": row.recompute_seconds, "load_seconds": row.load_seconds, "saves_seconds": row.saves,
            }
            for row in view.stored
        ],
    }


def verify_json(verification: Verification) -> dict[str, Any]:
    return {
        **_pick(verification, "sound deep iterations"), "left_out": list(verification.rejections),
        "results": [
            _pick(finding.record, _ARTIFACT) | _pick(finding, "verdict why") for finding in verification.findings
        ],
    }


def gc_json(leftovers: Sequence[Leftover], *, dry_run: bool) -> dict[str, Any]:
    return {
        "deleted": not dry_run, "bytes": sum(leftover.bytes for leftover in leftovers),
        "leftovers": [
            _pick(leftover.attempt, "kind signature attempt") | _pick(leftover, "bytes why")
            | {"path": str(leftover.attempt.path)}
            for leftover in leftovers
        ],
    }


def repair_json(repair: Repair) -> dict[str, Any]:
    fields = {"needed": repair.is_needed, "repaired": repair.done, "aside": repair.aside or None}
    return fields | _pick(repair, "damage saved lost lost_history")


def forget_json(forgetting: Forgetting, *, dry_run: bool) -> dict[str, Any]:
    iterations = [_pick(record, "workflow number") | {"nodes": sorted(forgetting.names.get(run, ()))}
                  for run, record in forgetting.runs.items()]
    return {
        "forgotten": not dry_run, "whole": forgetting.whole, "iterations": iterations,
        "results": sorted(forgetting.signatures), "shared": sorted(forgetting.shared),
        "places": list(forgetting.locations),
        "untold": [_pick(record, "workflow number") for record in forgetting.unrecorded],
    }


def publish_json(publication: Publication) -> dict[str, Any]:
    return _pick(publication, "number copied there missing damaged answers")


def audit_json(audit: Audit) -> dict[str, Any]:
    results = [_pick(result, "node signature verdict why to_blame heirs") for result in audit.results]
    error = {"error": audit.ended} if audit.ended else {}
    return {**_pick(audit, "sound seconds verified left"), "results": results, **error}
