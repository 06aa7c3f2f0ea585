"""The JSON that `--json` prints. Stable: fields are added, never renamed or removed, within a major version.

`run` and `plan` print one object::

    schema       number: the version of this schema
    workflow     text
    iteration    number; of `plan`, the number that a run would get
    seconds      number: time to answer; of `plan`, null
    message      text
    parameters   object: name -> plain value
    outputs      object: name -> value; a table is {"table", "rows"}, a model {"model"}; of `plan`, {}
    nodes        list: name, kind, state (load | compute | prune), reason, seconds (null if not run),
                 predicted_seconds, stored (true or false, after the run), bytes, inputs, output, signature,
                 declared (the signature by code, values and data alone; another one than signature where a result
                 may differ each time, or turned out to be an earlier one),
                 compute_seconds, load_seconds, write_seconds, origin, keep, storage_reason,
                 aliases (names of equal nodes merged into this one),
                 proof (verified: an audit computed it again and it came out the same; unproven; chance),
                 by_code (why a function of Spark's tables is known by its code and not by what it builds),
                 influence (of a learner, and of an extractor that is a feature: what the fit on record gave each
                 feature: learner, feature, iteration, share of all absolute weight, without_influence, and the
                 seconds of it and of what only it needs)
    dropped      list of names that no output needs
    left_out     list of features that synthesizers go without: feature, synthesizer, nodes (names of what is not
                 computed for that reason), seconds (of these), found (the fits that gave it no weight: learner,
                 iteration)
    plan         status, objective, bound, gap, solver, solver_seconds, notice, policy, scenarios,
                 predicted_seconds, run_all_seconds, session_seconds
    storage      bytes (physical, all of the catalog), budget (null: no limit), evicted (number)
    warnings     list of text

Of a plain program `run` prints the same keys: its nodes have those of `show`, and code (FILE:LINE); `plan` is empty,
`evicted` null. It prints null where the program asked Spark nothing, or ran without reuse. What the program prints goes
to stderr.

`explain` prints one object: an entry of `nodes`, or of `left_out` where the node is a feature that was left out; of a
plain program, of `answers`.

The plan's `session_seconds` are part of its `predicted_seconds`: what Spark's start and the first work of its session
are expected to take beside the nodes' own seconds; 0 where no Spark is needed, or it has worked before.

Seconds are seconds, bytes are physical bytes. NaN and the infinities are printed as "NaN", "Infinity", "-Infinity".
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from helix_spark.history.edit_message import edit_of
from helix_spark.history.states import proofs_of
from helix_spark.history.value_text import node_json

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader
    from helix_spark.catalog.leftovers import Leftover
    from helix_spark.catalog.records import IterationRecord, NodeRecord
    from helix_spark.catalog.repair import Repair
    from helix_spark.catalog.verification import Verification
    from helix_spark.history.comparison import Comparison
    from helix_spark.history.table_difference import TableDifference
    from helix_spark.history.table_preview import TablePreview
    from helix_spark.planner.plan import Plan
    from helix_spark.run.audit import Audit
    from helix_spark.views.node_view import NodeView
    from helix_spark.views.program_view import AnswerView, ProgramView
    from helix_spark.views.storage_view import StorageView

SCHEMA_VERSION = 1

READING = """
log       list of iterations, newest first: workflow, iteration, status (running | done | failed | interrupted |
          died: its process is gone), started (Unix seconds), seconds, message, edit (what
          differs from the iteration before, made by itself), parameters, outputs, plan (as of
          `run`, and budget, used, left_out, merged: name -> the equal node that it is part of; metrics: what the author
          says of them; measured_by: output, or a number in it -> digest of its code; tested: output -> data, split
          (digests), rows of its test rows; doubts: output -> why its numbers do not tell how good a model is; tables:
          output -> digest of its first rows),
          versions, error, file, file_digest, commit, dirty (true, false or null),
          proofs (name of a node -> what is known now of its result: verified | unproven | chance)
show      an iteration as of `log`, and nodes: list of name, kind, state, reason, seconds, predicted_seconds, inputs,
          output, bytes, rows, signature, stored (true or false, now), proof (now; as of `plan`);
          tables: name of an output -> columns (name, type), rows (the first ones), total (number of rows, or null),
          whole (whether that is all of it), across (what its columns are values of, or ""), classes (what the numbers
          of its label stand for, in order); with --node one of the nodes, and code, readers, previous (the iteration
          that it is compared with, or null), changes (sentences, or null), value, table (as of tables, or null),
          columns (of the first profiled_rows rows: name, kind, nulls, distinct, least, most, counts, frequent, note),
          model (null, or what its fit gave: kind, parameters (name, value, whether it was set), figures, columns,
          weights (slot, values; heaviest first), slots (how many), history (objective after each step), labels, parts)
plan      of a plain program: workflow, answers: list of name, place (FILE:LINE), signature, state (load | compute),
          reason; asked (signatures of all that it asks, in order), first (the one that Spark is asked first, or null:
          what follows is known once it is answered), error (what it ends with before that, or null)
diff      workflow, before, after (numbers), unrecorded (why there is nothing to compare but parameters, or ""),
          parameters and outputs (name -> [before, after]), added, removed (names), changed (name -> list of group,
          label, before, after, sort; empty: through its inputs alone, or drawn anew), inputs (name -> [names, names]),
          metrics (those numbers that differ, of objects by a dotted name -> before, after, change (null where other
          code measured it, or on other test rows), better (lower | higher | null: a count), primary, same_code,
          same_rows, doubt (why it does not tell how good a model is, or "")),
          tables (name of an output -> columns, key (columns that name a row), added, removed (rows), changed (list of
          [row before, row after]), partly (whether not all rows are on record)),
          code (name -> lines of a unified diff), file (lines), seconds ([before, after]),
          node_seconds (name -> [before, after]), commits ([before, after])
explain   one of the nodes of `plan`
verify    sound, deep, iterations (number), left_out (why records do not fit), results: list of workflow, iteration,
          node, kind, signature, bytes, verdict (sound | partly checked | not reached | damaged), why
audit     sound (nothing came out different), seconds, verified (names that were verified before), left (names that the
          time did not suffice for), results: list of node, signature, verdict (verified | different | not compared),
          why, to_blame (it differs, and nothing that it is made of does), heirs (names of what is made of it, and is
          not reused any more either); of a script also error, where it stopped early
gc        deleted (false of a dry run), bytes, leftovers: list of kind, signature, attempt, path, bytes, why
repair    needed, repaired (false of a dry run), damage, saved, lost (sentences), lost_history (whether some of that
          says what ran), aside (the folder of what could not be read, or null)
doctor    list of name, ok, found, remedy
storage   bytes (physical, all of the catalog), result_bytes (of it stored results), budget (null: no limit),
          results: list of workflow, iteration, node (who made it), kind, signature, bytes, again_seconds (to have it
          again without it, or null), load_seconds (or null), saves_seconds (each time it is loaded, or null), loaded
          (how often), current (whether the newest iteration of its workflow has it), proof
config    name -> value, origin
"""
"""What the other commands print with `--json`."""


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
    """Return the attributes of these names."""
    values = {name: getattr(thing, name) for name in names.split()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


_ARTIFACT = "workflow iteration node kind signature bytes"


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON's types."""
    return {
        "schema": SCHEMA_VERSION, **_picked(plan, "workflow iteration"), "seconds": None, "message": "",
        "parameters": dict(plan.parameters), "outputs": {},
        "nodes": [
            _picked(
                node, "name kind state reason predicted_seconds stored bytes inputs output signature declared "
                "compute_seconds load_seconds write_seconds origin keep storage_reason aliases proof by_code",
            ) | {"seconds": None, "influence": influence_json(plan, node.name)}
            for node in plan.nodes
        ],
        "dropped": list(plan.dropped), "left_out": [one.to_json() for one in plan.left_out], "plan": plan.figures,
        "storage": {"bytes": plan.used, "budget": plan.budget, "evicted": len(plan.evict)},
        "warnings": list(plan.warnings),
    }


def influence_json(plan: Plan, name: str) -> list[dict[str, Any]]:
    """Return the influence of a learner's features, or of an extractor as a feature."""
    return [
        {
            "learner": one.learner, "feature": feature.name, "iteration": one.iteration, "share": feature.share,
            "without_influence": feature.weightless, "seconds": feature.seconds,
        }
        for one in plan.influences for feature in one.features if name in (one.learner, feature.name)
    ]


def run_json(
    plan: Plan, *, seconds: float, message: str, outputs: Mapping[str, Any], node_seconds: Mapping[str, float],
    stored: Mapping[str, int], used: int,
) -> dict[str, Any]:
    """Return a finished run as JSON's types.

    Args:
        stored: physical bytes of the results that are stored by now, by signature.
    """
    printed = plan_json(plan)
    printed |= {"seconds": seconds, "message": message, "outputs": dict(outputs)}
    printed["storage"]["bytes"] = used
    for node in printed["nodes"]:
        node["seconds"] = node_seconds.get(node["name"])
        node["stored"] = node["signature"] in stored
        node["bytes"] = stored.get(node["signature"], node["bytes"])
    return printed


def recorded_run_json(ended: IterationRecord, catalog: CatalogReader, budget: int | None) -> dict[str, Any]:
    """Return a finished run of a plain program as JSON's types."""
    nodes = catalog.nodes(ended)
    live, proofs = catalog.live_among([node.signature for node in nodes]), proofs_of(nodes, catalog)
    return {
        "schema": SCHEMA_VERSION, **_picked(ended, "workflow seconds message"), "iteration": ended.number,
        "parameters": json.loads(ended.parameters), "outputs": json.loads(ended.outputs),
        "nodes": [node_json(node, live, proofs[node.name]) | {"code": node.code} for node in nodes],
        "dropped": [], "left_out": [], "plan": {},
        "storage": {"bytes": catalog.bytes_used(), "budget": budget, "evicted": None}, "warnings": [],
    }


def program_json(view: ProgramView, error: str) -> dict[str, Any]:
    """Return the plan of a plain program as JSON's types.

    Args:
        error: what the program ends with.
    """
    return {
        "workflow": view.workflow, "answers": [answer_json(one) for one in view.answers], "asked": list(view.asked),
        "first": view.first or None, "error": error if error and not view.first else None,
    }


def answer_json(answer: AnswerView) -> dict[str, Any]:
    """Return an answer of a plain program as JSON's types."""
    state = "compute" if answer.fresh else "load"
    return _picked(answer, "name place reason") | {"signature": answer.identity, "state": state}


def iteration_json(record: IterationRecord) -> dict[str, Any]:
    """Return an iteration as JSON's types."""
    texts = {name: json.loads(getattr(record, name)) for name in ("parameters", "outputs", "plan", "versions")}
    fields = _picked(record, "status started seconds message error file file_digest commit dirty")
    return {"workflow": record.workflow, "iteration": record.number, **fields, "edit": edit_of(record), **texts}


def show_json(
    record: IterationRecord, nodes: Sequence[NodeRecord], live: Collection[str], proofs: Mapping[str, str],
    tables: Mapping[str, TablePreview],
) -> dict[str, Any]:
    """Return an iteration and its nodes as JSON's types.

    Args:
        live: signatures of the results that are stored now.
        proofs: by name, what is known now of the nodes' results.
        tables: among its outputs, as far as they are on record.
    """
    return {
        **iteration_json(record), "nodes": [node_json(node, live, proofs[node.name]) for node in nodes],
        "tables": {name: _table_json(table) for name, table in tables.items()},
    }


def _table_json(table: TablePreview) -> dict[str, Any]:
    columns = [{"name": name, "type": kind} for name, kind in table.columns]
    return {"columns": columns, **_picked(table, "rows total whole across classes")}


def node_view_json(view: NodeView) -> dict[str, Any]:
    """Return a node of an iteration as JSON's types."""
    return {
        **node_json(view.node, {view.node.signature} if view.row.stored == "stored" else (), view.row.proof),
        **_picked(view, "code previous changes readers"), "state": view.row.state,
        "value": next(iter(view.value), None), "table": None if view.table is None else _table_json(view.table),
        "points": [asdict(one) for one in view.points], "questions": [one.name for one in view.members],
        "columns": [asdict(one) for one in view.columns], "profiled_rows": view.profiled,
        "model": None if view.card is None else asdict(view.card),
    }


def diff_json(compared: Comparison, tables: Mapping[str, TableDifference]) -> dict[str, Any]:
    """Return a comparison as JSON's types."""
    before, after = compared.before, compared.after
    return {
        "workflow": after.workflow, "before": before.number, "after": after.number,
        **_picked(compared, "unrecorded parameters added removed inputs code outputs"),
        "changed": {
            name: [_picked(change, "group label before after sort") for change in fields]
            for name, fields in compared.nodes.items()
        },
        "file": list(compared.file_diff), "metrics": _metrics_json(compared),
        "tables": {
            name: _picked(one, "columns key added removed changed partly") for name, one in tables.items()
        },
        "seconds": [before.seconds, after.seconds], "node_seconds": compared.seconds,
        "commits": [before.commit, after.commit],
    }


def _metrics_json(compared: Comparison) -> dict[str, Any]:
    before, after = compared.metrics

    def metric_json(name: str) -> dict[str, Any]:
        old, new, why = before.values.get(name), after.values.get(name), after.incomparable(name, before)
        return {
            "before": old, "after": new, "better": after.direction(name) or None,
            "primary": name == after.primary, "same_code": after.same_code(name, before),
            "same_rows": why != "on other test rows", "doubt": after.doubt(name),
            "change": None if why or old is None or new is None else new - old,
        }

    return {name: metric_json(name) for name in compared.leaf_outputs if name in before.values or name in after.values}


def storage_json(view: StorageView) -> dict[str, Any]:
    """Return what is stored as JSON's types."""
    return {
        "bytes": view.used, "result_bytes": view.results, "budget": view.budget,
        "results": [
            _picked(one.artifact, _ARTIFACT) | _picked(one, "loaded current proof")
            | {"again_seconds": one.again, "load_seconds": one.load, "saves_seconds": one.saves}
            for one in view.stored
        ],
    }


def verify_json(found: Verification) -> dict[str, Any]:
    """Return what `verify` found."""
    results = [_picked(each.record, _ARTIFACT) | _picked(each, "verdict why") for each in found.findings]
    return {**_picked(found, "sound deep iterations"), "left_out": list(found.rejections), "results": results}


def gc_json(leftovers: Sequence[Leftover], *, dry_run: bool) -> dict[str, Any]:
    """Return what `gc` deletes."""
    return {
        "deleted": not dry_run, "bytes": sum(each.bytes for each in leftovers),
        "leftovers": [
            _picked(each.attempt, "kind signature attempt") | _picked(each, "bytes why")
            | {"path": str(each.attempt.path)}
            for each in leftovers
        ],
    }


def repair_json(found: Repair) -> dict[str, Any]:
    """Return what `repair` found."""
    fields = {"needed": found.is_needed, "repaired": found.done, "aside": found.aside or None}
    return fields | _picked(found, "damage saved lost lost_history")


def audit_json(found: Audit) -> dict[str, Any]:
    """Return what an audit found."""
    results = [_picked(one, "node signature verdict why to_blame heirs") for one in found.results]
    error = {"error": found.ended} if found.ended else {}
    return {**_picked(found, "sound seconds verified left"), "results": results, **error}
