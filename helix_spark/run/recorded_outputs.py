"""Outputs that an iteration has on record as they are now: they can be told without Spark, and computed when somebody
asks for their rows. And the first rows of the tables among a run's outputs, for its record."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord
from helix_spark.catalog.tables.vector_slots import class_names
from helix_spark.catalog.view import CatalogView, PastIteration
from helix_spark.dag.node import Dag
from helix_spark.dag.slicing import ancestors_of
from helix_spark.engine.results.node_results import TableResult, collect
from helix_spark.errors import CatalogError
from helix_spark.history.model_card import card_of
from helix_spark.history.table_preview import COLUMNS, ROWS, TablePreview, previewed, tables_of
from helix_spark.identity.signing import Signed
from helix_spark.planner.problem import State
from helix_spark.run.run import NodeRun, Run
from helix_spark.workflow.operators import Kind

if TYPE_CHECKING:
    import pyarrow as pa

QUICK = 2.0
"""Seconds that a table may have taken whose rows Spark has not kept: looking at its first rows may take as long."""


def recorded_outputs(
    view: CatalogView, dag: Dag, signed: Mapping[str, Signed], outputs: Collection[str]
) -> dict[str, int]:
    """Return, by node, the number of the newest iteration that has the same output recorded.

    Args:
        outputs: the author's names, as before equal nodes were merged.
    """
    found: dict[str, int] = {}
    for node in (dag[name] for name in dag.outputs):
        if signed[node.name].random or node.wishes.recompute or node.wishes.insisted:
            continue
        names = [name for name in (node.name, *node.aliases) if name in outputs]
        for past in reversed(view.past):
            if _answers(past, names, signed[node.name].signature):
                found[node.name] = past.record.number
                break
    return found


def _answers(past: PastIteration, names: Sequence[str], signature: str) -> bool:
    """Return whether an iteration has an output recorded, under each of these names."""
    record = past.record
    if record.status != "done" or record.error:
        return False
    merged, outputs = mapping(record.plan).get("merged", {}), mapping(record.outputs)
    signatures = {one.name: one.signature for one in past.nodes if one.output}
    return all(
        signatures.get(merged.get(name, name)) == signature and name in outputs and not _is_cut(outputs[name])
        for name in names
    )


def _is_cut(value: Any) -> bool:
    """Return whether a record describes a value too large for it, or a table whose rows were not counted."""
    return isinstance(value, dict) and (
        value.keys() == {"value", "bytes"} or (value.keys() == {"table", "rows"} and value["rows"] is None)
    )


def outputs_on_record(run: Run) -> Iterator[tuple[str, Any]]:
    """Yield the outputs that a run took from the record, by the author's names."""
    for name in run.whole.outputs:
        if (record := _recorded_by(run, name)) is not None:
            yield name, mapping(record.outputs)[name]


def _recorded_by(run: Run, name: str) -> IterationRecord | None:
    """Return the iteration whose record stands for an output of this run; None if the run had the output itself."""
    planned = run.plan[name]
    number = run.situation.recorded.get(planned.name) if planned.state is State.PRUNE else None
    return next((past.record for past in run.view.past if past.record.number == number), None)


def tables_here(run: Run) -> dict[str, TablePreview]:
    """Preview, by the author's names, the output tables whose rows are in this process or recorded."""
    records = ((name, _recorded_by(run, name)) for name in run.whole.outputs)
    recorded = {name: tables_of(record, run.tools.catalog) for name, record in records if record is not None}
    return {name: tables[name] for name, tables in recorded.items() if name in tables} | {
        name: _previewed(rows, len(rows), one, run) for name, one, result in _tables(run)
        if result.collected and (rows := result.arrow()) is not None
    }


def tables_elsewhere(run: Run) -> Iterator[tuple[str, TablePreview]]:
    """Preview the others: stored ones without Spark, those in Spark's memory, and those that were quick to make."""
    for name, one, result in _tables(run):
        own = one.planned
        if result.collected or own.random:
            continue
        total = run.outcome.rows.get(own.name)
        record = run.view.artifacts.get(own.signature) if own.state is State.LOAD else None
        if record is not None:
            try:
                yield name, _previewed(run.tools.catalog.first_rows(record, ROWS, COLUMNS).table, total, one, run)
            except CatalogError:  # it went meanwhile, or is damaged: who loads it says so
                continue
        elif not result.lost and (result.in_memory or (one.time.seconds or 0.0) <= QUICK):
            yield name, _previewed(collect(result.frame().limit(ROWS)), total, one, run)


def _previewed(rows: pa.Table, total: int | None, one: NodeRun, run: Run) -> TablePreview:
    """Preview a table, with the class names of its label where all that it is made of agrees on them. Runs no job."""
    across = one.result.across if isinstance(one.result, TableResult) else ""
    preview = replace(previewed(rows, total), across=across)
    if not preview.class_columns:
        return preview
    above = ancestors_of(row.node for row in run.nodes)[one.name]
    found = {classes for row in run.nodes if row.name in above and (classes := _classes(row, run))}
    return replace(preview, classes=found.pop() if len(found) == 1 else ())


def _classes(one: NodeRun, run: Run) -> tuple[str, ...]:
    """Return the class names of a table's label by its schema, or of a learner's by its card."""
    if isinstance(one.result, TableResult) and one.result.framed and "label" in one.result.frame().columns:
        return class_names(one.result.frame().schema["label"].metadata)
    card = card_of(one.planned.signature, run.tools.catalog) if one.node.kind is Kind.LEARNER else None
    return card.labels if card is not None else ()


def _tables(run: Run) -> Iterator[tuple[str, NodeRun, TableResult]]:
    rows = {one.name: one for one in run.nodes}
    for name in run.whole.outputs:
        one = rows[run.plan[name].name]
        if isinstance(one.result, TableResult):
            yield name, one, one.result
