"""From a run to the record of its iteration: its plan, its outputs, and what is to be said of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from helix_spark.catalog.leases.holders import writer
from helix_spark.catalog.places.json_text import is_too_deep
from helix_spark.catalog.records import LARGEST_VALUE, IterationRecord
from helix_spark.engine.results.node_results import ModelResult, TableResult, ValueResult
from helix_spark.errors import HelixError, nearest
from helix_spark.iteration.provenance import versions_json
from helix_spark.iteration.recorded_outputs import outputs_on_record
from helix_spark.iteration.run import Run
from helix_spark.past.metrics import flattened
from helix_spark.past.states import blamed
from helix_spark.past.table_preview import TablePreview
from helix_spark.planner.plan import Plan
from helix_spark.planner.planned_features import left_out_json
from helix_spark.planner.problem import State
from helix_spark.visible_text import named

_MOST_NAMES = 6


def begun(run: Run) -> IterationRecord:
    """The record of an iteration that starts now."""
    plan = run.plan
    return IterationRecord(
        run=run.id, workflow=plan.workflow, number=plan.iteration, status="running", started=time.time(),
        message=run.message, parameters=json.dumps(dict(plan.parameters)),
        plan=json.dumps({**plan_summary(plan), **_said_of_metrics(run)}),
        versions=versions_json(),
        writer=writer(),
    )


def plan_summary(plan: Plan) -> dict[str, Any]:
    """How good the plan was known to be, what it expected, and under which name an equal node is on record."""
    return {
        **plan.figures, "budget": plan.budget, "used": plan.used, "left_out": left_out_json(plan),
        "merged": {alias: node.name for node in plan.nodes for alias in node.aliases},
    }


def _said_of_metrics(run: Run) -> dict[str, Any]:
    """Return what the author says of numbers among the outputs."""
    declared = [one for node in run.whole.nodes for one in node.wishes.metrics]
    return {
        "metrics": [{"name": one.name, "better": one.better or "", "primary": one.primary} for one in declared],
    }


def with_ending(
    summary: str, edit: str, tables: Mapping[str, TablePreview], measured: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Return what is recorded of a plan, with what the edit was, and where the output tables are on record.

    Args:
        measured: what the numbers among the outputs were measured by and on.
    """
    digests = {name: table.record(name).digest for name, table in tables.items()}
    more = {"edit": edit, "tables": digests, **measured}
    return json.dumps({**json.loads(summary), **{name: value for name, value in more.items() if value}})


def not_reached(run: Run) -> str:
    """Return what a failed run did not get to, in a sentence; empty where that is nothing, or nobody had a choice."""
    plan, outcome = run.plan, run.outcome
    wanted = [node.name for node in plan.nodes if node.state is not State.PRUNE]
    left = [name for name in wanted if name not in outcome.results]
    failed = blamed(str(outcome.failure), left)
    names = [name for name in left if name != failed]
    if not names or not isinstance(outcome.failure, HelixError):
        return ""
    had = f"{len(wanted) - len(left)} of {len(wanted)} nodes were had"
    return f"not reached: {named(names, _MOST_NAMES)}; {had}"


def unmeasured(run: Run) -> Iterator[str]:
    """Metrics that something is said of, and that the outputs do not have, in sentences."""
    found = flattened(run.outputs)
    for node in run.whole.nodes:
        names = [name for name in found if name == node.name or name.startswith(f"{node.name}.")]
        for one in node.wishes.metrics:
            if node.name in run.outputs and one.name not in found:
                exists = nearest(one.name, names) if names else "it has no numbers"
                yield f"`{node.name}` returned no number `{one.name}`, of which metrics= says something: {exists}"


def described_outputs(run: Run) -> dict[str, Any]:
    """Outputs by the author's names, as before equal nodes were merged: values as they are, tables and models as a
    short description."""
    told = dict(outputs_on_record(run))
    return {
        name: told[name] if name in told else _described(name, run) for name in run.whole.outputs
        if name in told or run.plan[name].name in run.outcome.results
    }


def _described(name: str, run: Run) -> Any:
    canonical = run.plan[name].name
    match run.outcome.results[canonical]:
        case ValueResult() as value:
            return value.copy()
        case TableResult() as table:
            rows = len(table.arrow()) if table.collected else run.outcome.rows.get(canonical)
            return {"table": name, "rows": rows}
        case ModelResult(model=model):
            return {"model": type(model).__name__}
    return None


def outputs_json(outputs: Mapping[str, Any]) -> str:
    """Described outputs as they are recorded: values that are huge or nested without end as a short description, too.

    >>> outputs_json({"auc": 0.9}), outputs_json({"text": "x" * 5_000_000})
    ('{"auc": 0.9}', '{"text": {"value": "str", "bytes": 5000002}}')
    """
    sizes = {name: len(json.dumps(value)) for name, value in outputs.items()}
    return json.dumps({
        name: value if sizes[name] <= LARGEST_VALUE and not is_too_deep([[value]])
        else {"value": type(value).__name__, "bytes": sizes[name]}
        for name, value in outputs.items()
    })
