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
from helix_spark.run.recorded_outputs import tables_elsewhere
from helix_spark.run.run import Run, RunStep, through
from helix_spark.run.tracker import Finished, tell


def forget_void(run: Run) -> Run:
    """Drop from memory what is made of data that changed meanwhile."""
    for name in run.results.void:
        run.tools.memory.drop(run.plan[name].signature)
    return run


def record(run: Run) -> Run:
    """Record the answer or the failure, and what it took to get there."""
    status, error = recording.ending_of(run.outcome.failure)
    tables = _tables(run) if status == "done" else {}
    void, view = run.results.void, run.view
    nodes = tuple(node_records.node_records(run, void))
    edit = edit_message(view.last, view.nodes, run.whole.parameters, nodes)
    ended = run.provenance.stamped(replace(
        run.record, status=status, seconds=run.seconds, outputs=recording.outputs_json(run.outputs),
        plan=recording.with_ending(run.record.plan, edit, tables, measured(run)),
        error="\n".join(filter(None, (error, *run.results.changes.values()))),
        start_seconds=run.start_seconds or None,
    ))
    cards, influences = read_fits(run) if status != "interrupted" else ({}, {})
    run.tools.catalog.answers.append(run.answered.records(run.record.number, void, node_records.uncertain(run)))
    results = node_records.result_records(run, influences, cards)
    learnt = [one for one in (*results, *node_records.found_by_plan(run)) if one.node not in void]
    texts = (run.provenance.file_record(), *(one.record(name) for name, one in tables.items()), *cards.values())
    recording.record_end(run.tools.catalog, ended, nodes, learnt, texts)
    return replace(run, record=ended, node_records=nodes, tables=tables)


def keep(run: Run) -> Run:
    """Store and evict. After a failure store what was planned to be, and evict nothing for it."""
    if _interrupted(run):
        return run
    if run.outcome.failure is not None:
        planned = frozenset(node.signature for node in run.plan.nodes if node.keep)
        return replace(run, kept=run.results.keep_planned(planned))
    return replace(run, kept=run.results.keep())


def note_sizes(run: Run) -> Run:
    """Record what storing taught of results."""
    run.tools.catalog.append_results(node_records.size_records(run, run.kept.sizes))
    return run


def note_late(run: Run) -> Run:
    """Record what code did in Spark's workers while results were stored."""
    late = run.tools.executor.take_reports(run.dag, run.plan, run.outcome)
    told = late - run.results.void
    if told:
        run.tools.catalog.append_results(node_records.late_records(run, told))
    return run


def tidy(run: Run) -> Run:
    """Tidy the catalog. Not after an interrupt: a person wants an end to it."""
    return run if _interrupted(run) else replace(run, gone=frozenset(run.results.tidy()))


def acknowledged(*steps: RunStep) -> RunStep:
    """Return a step that goes through these and reports what was stored once that survives a loss of power.

    The records of the run are synced, whatever becomes of its results.
    """
    def stored(run: Run) -> Run:
        gone = frozenset[str]()
        try:
            run = through(steps, run)
            gone = run.gone
        finally:
            run.results.acknowledge(gone)
        return run

    return stored


def track(run: Run) -> Run:
    """Tell a tracker of the iteration, if it is recorded."""
    if run.tools.tracker is None or not run.node_records:
        return run
    models = {
        one.name: one.result.model for one in run.nodes
        if one.node.kind == "learner" and isinstance(one.result, ModelResult)
    }
    live = frozenset(run.tools.catalog.live_among({node.signature for node in run.node_records}))
    finished = Finished(run.record, run.node_records, run.numbered, models, run.stored, live, run.tables)
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


def _interrupted(run: Run) -> bool:
    return isinstance(run.outcome.failure, KeyboardInterrupt)
