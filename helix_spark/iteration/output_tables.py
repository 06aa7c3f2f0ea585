"""The first rows of the tables among a run's outputs, for its record."""

from __future__ import annotations

from collections.abc import Iterator

from helix_spark.engine.results.node_results import TableResult, collect
from helix_spark.errors import CatalogError
from helix_spark.iteration.node_run import NodeRun
from helix_spark.iteration.recorded_outputs import tables_on_record
from helix_spark.iteration.run import Run
from helix_spark.past.table_preview import COLUMNS, ROWS, TablePreview, previewed
from helix_spark.planner.problem import State

QUICK = 2.0
"""Seconds that a table may have taken whose rows Spark has not kept: looking at its first rows may take as long."""


def tables_here(run: Run) -> dict[str, TablePreview]:
    """Those whose rows are in this process, or told from the record, by the author's names: nothing has to be computed
    or read for them."""
    return dict(tables_on_record(run)) | {
        name: previewed(rows, len(rows)) for name, _, result in _tables(run)
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
                yield name, previewed(run.tools.catalog.first_rows(record, ROWS, COLUMNS).table, total)
            except CatalogError:  # it went meanwhile, or is damaged: who loads it says so
                continue
        elif not result.lost and (result.in_memory or (one.seconds or 0.0) <= QUICK):
            yield name, previewed(collect(result.frame().limit(ROWS)), total)


def _tables(run: Run) -> Iterator[tuple[str, NodeRun, TableResult]]:
    rows = {one.name: one for one in run.nodes}
    for name in run.whole.outputs:
        one = rows[run.plan[name].name]
        if isinstance(one.result, TableResult):
            yield name, one, one.result
