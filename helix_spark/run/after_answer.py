"""What follows an answer, and what follows a failure: recording, keeping (`retention.py`), telling a tracker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from helix_spark.catalog.records import FileRecord
from helix_spark.engine.results.node_results import ModelResult
from helix_spark.engine.spark.spark_errors import first_line, spark_errors
from helix_spark.errors import SetupError
from helix_spark.history.edit_message import edit_message
from helix_spark.history.table_preview import TablePreview
from helix_spark.run import node_records, recording
from helix_spark.run.measured_on import measured
from helix_spark.run.run import Run
from helix_spark.run.run_outputs import tables_elsewhere
from helix_spark.run.tracker import finished_on_record, tell


def forget_void(run: Run) -> Run:
    """Drop from memory what is made of data that changed meanwhile."""
    for name in run.results.void:
        run.tools.memory.drop(run.plan[name].signature)
    return run


def record(run: Run) -> Run:
    """Record the answer or the failure, and what it took to get there."""
    status, error = recording.ending_of(run.outcome.failure)
    tables = _tables(run) if status == "done" else {}
    void, view, catalog = run.results.void, run.view, run.tools.catalog
    nodes = node_records.node_records(run, void)
    edit = edit_message(view.last, view.nodes, run.whole.parameters, nodes)
    ended = run.provenance.stamped(replace(
        run.record, status=status, seconds=run.seconds, outputs=recording.outputs_json(run.outputs),
        plan=recording.with_ending(run.record.plan, edit, tables, measured(run)),
        error="\n".join(filter(None, (error, *run.results.changes.values()))),
        start_seconds=run.start_seconds or None,
    ))
    cards, influences = read_fits(run) if status != "interrupted" else ({}, {})
    catalog.answers.append(run.answered.records(run.record.number, void, run.results.uncertain))
    results = (*node_records.result_records(run, influences, cards), *node_records.found_by_plan(run))
    texts = (run.provenance.file_record(), *(one.record(name) for name, one in tables.items()), *cards.values())
    recording.record_end(catalog, ended, nodes, [one for one in results if one.node not in void], texts)
    return replace(run, record=ended, tables=tables)


def keep(run: Run) -> Run:
    """Store and evict, and record what that taught of results. Report what was stored once that survives a loss of
    power: the records of the run are synced, whatever becomes of its results.

    After a failure what was planned to be stored is, and nothing is evicted for it. After an interrupt nothing is: a
    person wants an end to it.
    """
    results, catalog, stored, gone = run.results, run.tools.catalog, dict[str, int](), set[str]()
    try:
        if run.outcome.failure is None:
            stored = results.keep()
        elif not run.is_interrupted:
            stored = results.keep_planned([node.signature for node in run.plan.nodes if node.keep])
        late = run.tools.executor.take_reports(run.dag, run.plan, run.outcome) - results.void
        catalog.append_results(node_records.records_of_storing(run, stored, late))
        if not run.is_interrupted:
            gone = results.tidy()
    finally:
        results.acknowledge(gone)
    return replace(run, stored={
        name: size for name, size in stored.items() if run.plan[name].signature not in gone
    })


def track(run: Run) -> Run:
    """Tell a tracker of the iteration, if it is recorded."""
    if run.tools.tracker is not None and run.record.status != "running":
        models = {
            one.name: one.result.model for one in run.nodes
            if one.node.kind == "learner" and isinstance(one.result, ModelResult)
        }
        finished = finished_on_record(run.tools.catalog, run.record)
        finished = replace(finished, plan=run.numbered, models=models, stored=run.stored, tables=run.tables)
        tell(run.tools.tracker, finished, run.tools.observer.warning)
    return run


def read_fits(run: Run) -> tuple[dict[str, FileRecord], dict[str, str]]:
    """Return what each fit of the run gave, by the learner's name: cards, and influence of features as JSON."""
    with _spark_may_end(run, "what fits gave is not known"):
        return node_records.fitted_cards(run), node_records.fitted_influences(run)
    return {}, {}


def _tables(run: Run) -> dict[str, TablePreview]:
    """Return the output tables to record, without those that are void or may differ each time."""
    found = dict(run.tables)
    with _spark_may_end(run, "the first rows of some outputs are not known"):
        for name, table in tables_elsewhere(run):
            found[name] = table
    spoiled = run.results.spoiled | run.results.void
    return {
        name: table for name, table in found.items() if name in run.tables or run.plan[name].name not in spoiled
    }


@contextmanager
def _spark_may_end(run: Run, unknown: str) -> Iterator[None]:
    """Warn of what stays unknown where Spark ends while it is asked behind an answer.

    What pyspark raises of a session that was stopped meanwhile may be anything.
    """
    try:
        yield
    except Exception as error:
        if not (isinstance(error, (SetupError, *spark_errors())) or run.tools.sessions.ended):
            raise
        run.tools.observer.warning(f"{unknown}: {first_line(error)}")
