"""The record of an iteration, whichever front runs it: that it runs, what its plan expected, how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases.holders import writer
from helix_spark.catalog.places.json_text import is_too_deep
from helix_spark.catalog.records import (
    LARGEST_VALUE,
    FileRecord,
    IterationRecord,
    NodeRecord,
    ResultRecord,
    Status,
)
from helix_spark.errors import OvertakenError, told_of
from helix_spark.history.table_preview import TablePreview
from helix_spark.planner.plan import Plan
from helix_spark.run.provenance import versions_json


def start_iteration(
    catalog: Catalog, run: str, workflow: str, number: int, started: float, message: str,
    parameters: Mapping[str, Any], plan: Mapping[str, Any] = MappingProxyType({}),
) -> IterationRecord:
    """Record that an iteration runs; return its record, with the number that it has.

    Args:
        number: the expected one.
        started: Unix seconds.
        plan: what the plan expects, see `plan_summary`.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    return catalog.start_iteration(IterationRecord(
        run=run, workflow=workflow, number=number, status="running", started=started, message=message,
        parameters=json.dumps(dict(parameters)), plan=json.dumps(dict(plan)), versions=versions_json(),
        writer=writer(),
    ))


def ending_of(error: BaseException | None) -> tuple[Status, str]:
    """Return how a run ended, and the error as it is recorded; empty where it ended well.

    >>> ending_of(None), ending_of(KeyboardInterrupt()), ending_of(ValueError("no \\udcff.csv"))
    (('done', ''), ('interrupted', 'by Ctrl-C'), ('failed', 'ValueError: no \\\\udcff.csv'))
    """
    if error is None:
        return "done", ""
    # A path that is no text, say, must not keep the end from being recorded.
    text = told_of(error).encode(errors="backslashreplace").decode()
    return ("interrupted" if isinstance(error, KeyboardInterrupt | OvertakenError) else "failed"), text


def record_end(
    catalog: Catalog, ended: IterationRecord, nodes: Sequence[NodeRecord], results: Sequence[ResultRecord],
    texts: Iterable[FileRecord | None],
) -> None:
    """Record the end of an iteration, with its nodes, what it taught of results, and the texts that these refer to.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    for text in texts:
        if text is not None:
            catalog.keep_file(text)
    catalog.append_iteration(ended, nodes, results)


def plan_summary(plan: Plan) -> dict[str, Any]:
    """Return figures of a plan, what it expected, and under which name an equal node is recorded."""
    return {
        **plan.figures, "budget": plan.budget, "used": plan.used, "left_out": [one.to_json() for one in plan.left_out],
        "merged": {alias: node.name for node in plan.nodes for alias in node.aliases},
    }


def with_ending(
    summary: str, edit: str, tables: Mapping[str, TablePreview], measured: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Return what is recorded of a plan, with the edit, the digests of output tables, and how outputs were measured."""
    digests = {name: table.record(name).digest for name, table in tables.items()}
    more = {"edit": edit, "tables": digests, **measured}
    return json.dumps({**json.loads(summary), **{name: value for name, value in more.items() if value}})


def outputs_json(outputs: Mapping[str, Any]) -> str:
    """Return described outputs as they are recorded: huge or too deep values as a short description, too.

    >>> outputs_json({"auc": 0.9}), outputs_json({"text": "x" * 5_000_000})
    ('{"auc": 0.9}', '{"text": {"value": "str", "bytes": 5000002}}')
    """
    sizes = {name: len(json.dumps(value)) for name, value in outputs.items()}
    return json.dumps({
        name: value if sizes[name] <= LARGEST_VALUE and not is_too_deep([[value]])
        else {"value": type(value).__name__, "bytes": sizes[name]}
        for name, value in outputs.items()
    })
