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
) -> dict[str, IterationRecord]:
    """Return, by node, the newest iteration that has the same output on record.

    Args:
        outputs: the author's names, as before equal nodes were merged.
    """
    found: dict[str, IterationRecord] = {}
    for node in (dag[name] for name in dag.outputs):
        if signed[node.name].random or node.wishes.recompute or node.wishes.insisted:
            continue
        names = [name for name in (node.name, *node.aliases) if name in outputs]
        for past in reversed(view.past):
            if _answers(past, names, signed[node.name].signature):
                found[node.name] = past.record
                break
    return found


def _answers(past: PastIteration, names: Sequence[str], signature: str) -> bool:
    """Return whether an iteration has on record what is said of an output, under each of these names."""
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
    """Return whether a record describes a value that was too large for it, or a table of which nobody counted rows."""
    return isinstance(value, dict) and (
        value.keys() == {"value", "bytes"} or (value.keys() == {"table", "rows"} and value["rows"] is None)
    )


def outputs_on_record(run: Run) -> Iterator[tuple[str, Any]]:
    """Yield the outputs that a run took from the record, by the author's names."""
    for name in run.whole.outputs:
        if (record := _recorded_by(run, name)) is not None:
            yield name, mapping(record.outputs)[name]


def tables_on_record(run: Run) -> Iterator[tuple[str, TablePreview]]:
    """Yield the first rows of the tables among them."""
    for name in run.whole.outputs:
        if (record := _recorded_by(run, name)) is not None:
            tables = tables_of(record, run.tools.catalog)
            if name in tables:
                yield name, tables[name]


def _recorded_by(run: Run, name: str) -> IterationRecord | None:
    """Return the iteration whose record stands for an output of this run; None if the run had the output itself."""
    planned = run.plan[name]
    return run.recorded.get(planned.name) if planned.state is State.PRUNE else None


def tables_here(run: Run) -> dict[str, TablePreview]:
    """Those whose rows are in this process, or told from the record, by the author's names: nothing has to be computed
    or read for them."""
    return dict(tables_on_record(run)) | {
        name: _previewed(rows, len(rows), one, run) for name, one, result in _tables(run)
        if result.collected and (rows := result.arrow()) is not None
    }


def tables_elsewhere(run: Run) -> Iterator[tuple[str, TablePreview]]:
    """The others: from the catalog without Spark, or from the rows that Spark keeps, or where making them was quick.
    Behind the answer."""
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
    """The first rows of a table, with the classes that the numbers of a label stand for where all that it is made of
    agrees on them. Runs no job."""
    across = one.result.across if isinstance(one.result, TableResult) else ""
    preview = replace(previewed(rows, total), across=across)
    if not preview.class_columns:
        return preview
    above = ancestors_of(row.node for row in run.nodes)[one.name]
    found = {classes for row in run.nodes if row.name in above and (classes := _classes(row, run))}
    return replace(preview, classes=found.pop() if len(found) == 1 else ())


def _classes(one: NodeRun, run: Run) -> tuple[str, ...]:
    """The classes of a table's label, as its schema tells them, or of what a learner predicts, as its card does."""
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
