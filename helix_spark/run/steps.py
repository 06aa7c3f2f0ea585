"""The lists of steps of plans, runs and audits, from top to bottom, and the steps after an answer or a failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

from helix_spark.catalog.records import FileRecord
from helix_spark.engine.results.node_results import ModelResult
from helix_spark.engine.spark.gateway import first_line, spark_errors
from helix_spark.errors import HelixError, SetupError
from helix_spark.history.edit_message import edit_message
from helix_spark.planner.problem import State
from helix_spark.run import node_records, recording
from helix_spark.run.executing import (
    begin,
    check_what_computes,
    execute,
    note_provenance,
    prepare_catalog,
    take_from_server,
    wait_for_others,
)
from helix_spark.run.preparation import call_functions, decide, declare, look_up, recall, start_early
from helix_spark.run.run import Run, RunStep, through
from helix_spark.run.run_outputs import announce, keep_in_memory, measure, measured, other_previews, preview_tables
from helix_spark.run.tracker import finished_on_record, tell
from helix_spark.waits import awaited_at_exit
from helix_spark.workflow.operators import Kind


def record(run: Run) -> Run:
    """Record the answer or the failure, and what the run measured."""
    failure, void, catalog = run.outcome.failure, run.results.void, run.tools.catalog
    unusable = run.results.spoiled | run.results.drawn_once | void
    keep_in_memory(run, unusable)
    for name in void:  # its data has changed
        run.tools.memory.drop(run.plan[name].signature)
    tables = dict(run.tables)
    if failure is None:
        with _spark_may_end(run, "the first rows of some outputs are not known"):
            tables.update(other_previews(run, unusable))
    nodes = node_records.node_records(run, void)
    cards = {} if recording.ending_of(failure)[0] == "interrupted" else read_fits(run)
    run.calls.record(run.record.number, void | run.results.uncertain)
    results = node_records.result_records(run, cards)
    previews = {name: table.record(name) for name, table in tables.items()}
    ended = recording.record_end(
        catalog, run.record, run.provenance, failure, nodes, [result for result in results if result.node not in void],
        seconds=run.seconds, start_seconds=run.start_seconds, outputs=run.outputs,
        notes={
            "edit": edit_message(run.view.last, run.view.nodes, run.declared_dag.parameters, nodes),
            "tables": {name: preview.digest for name, preview in previews.items()}, **measured(run),
            "unproven": {
                node.name: node.signature for node in run.plan.nodes
                if node.state is State.LOAD and node.proof == "unproven"
            },
        },
        changes=run.results.changes, texts=(*previews.values(), *cards.values()),
    )
    return replace(run, record=ended, tables=tables)


def keep(run: Run) -> Run:
    """Store and evict results, and record their sizes. Report stored results once they survive a loss of power.

    After a failure the results that the plan keeps are stored, and nothing is evicted for them. After an interrupt
    nothing is stored.
    """
    results, catalog, stored, evicted = run.results, run.tools.catalog, dict[str, int](), set[str]()
    try:
        if run.outcome.failure is None:
            stored = results.keep()
        elif not run.is_interrupted:
            stored = results.keep_planned([node.signature for node in run.plan.nodes if node.keep])
        late = run.outcome.take_reports(run.tools.executor.reports, run.dag, run.plan) - results.void
        catalog.append_results(node_records.records_of_storing(run, stored, late))
        if not run.is_interrupted:
            evicted = results.tidy()
    finally:
        for record in results.acknowledge(evicted):
            run.tools.observer.stored(record.node, record.bytes)
    return replace(run, stored={name: size for name, size in stored.items() if run.plan[name].signature not in evicted})


def expire(run: Run) -> Run:
    if note := run.tools.expiry.expire(run.tools.catalog):
        run.tools.observer.note(note)
    return run


def track(run: Run) -> Run:
    """Notify the tracker of the iteration, if it is recorded."""
    if run.tools.tracker is not None and run.record.status != "running":
        models = {
            name: result.model for name, result in run.outcome.results.items()
            if run.plan[name].kind == Kind.LEARNER and isinstance(result, ModelResult)
        }
        finished = finished_on_record(run.tools.catalog, run.record)
        finished = replace(finished, plan=run.numbered, models=models, stored=run.stored, tables=run.tables)
        tell(run.tools.tracker, finished, run.tools.observer.warning)
    return run


def read_fits(run: Run) -> dict[str, FileRecord]:
    """Return a model card of each fit of the run, by the learner's name."""
    with _spark_may_end(run, "the cards of fitted models are not known"):
        return node_records.fitted_cards(run)
    return {}


@contextmanager
def _spark_may_end(run: Run, unknown: str) -> Iterator[None]:
    """Warn with the phrase `unknown` if Spark ends after the answer: a stopped session may raise any exception."""
    try:
        yield
    except Exception as error:
        if not (isinstance(error, (SetupError, *spark_errors())) or run.tools.sessions.ended):
            raise
        run.tools.observer.warning(f"{unknown}: {first_line(error)}")


LOOKING: tuple[RunStep, ...] = (declare, look_up)
"""From a workflow to its records; needs no Spark and writes nothing."""

PLANNING: tuple[RunStep, ...] = (recall, look_up, decide, call_functions)
"""From a workflow to its plan. Later steps marked with * may look up and decide again."""

SHOWING: tuple[RunStep, ...] = (*PLANNING, check_what_computes)
"""A plan that is shown and not run."""

ANSWERING: tuple[RunStep, ...] = (
    note_provenance,
    start_early,
    *PLANNING,
    check_what_computes,
    prepare_catalog,
    wait_for_others,  # * if another process computes the same
    take_from_server,  # * if a server has lost a result from its memory
    begin,
    execute,  # * if a result is equal to an earlier one, or a stored result is damaged
    measure,
    announce,
    preview_tables,
)
"""From a workflow to its answer, or its failure: the steps that the author waits for."""

KEEPING: tuple[RunStep, ...] = (keep, track, expire)
"""Store within the budget, in the background."""


def answered(run: Run) -> Run:
    """Run to the answer or the failure, and start the steps in the background. Release the leases if interrupted."""
    try:
        run = through(ANSWERING, run)
        recorded = run.tools.recording.submit(_record_safely, replace(run, outputs=deepcopy(run.outputs)))
        return replace(run, storing=awaited_at_exit(run.tools.storing.submit(_finish, run, recorded)))
    except BaseException:
        run.leases.release_all()
        raise


def _record_safely(run: Run) -> Run:
    """Record the run, which the next plan waits for. If that fails, return it unchanged: its answer is valid."""
    try:
        return record(run)
    except (HelixError, OSError) as error:
        run.tools.observer.warning(f"the iteration could not be recorded: {error}")
        return run


def _finish(run: Run, recorded: Future[Run]) -> Mapping[str, int]:
    """Store and evict once the iteration is recorded; return stored bytes by node. Never raises."""
    warning = run.tools.observer.warning
    try:
        return through(KEEPING, recorded.result()).stored
    except (HelixError, OSError) as error:
        warning(f"storing after the answer failed: {error}")
    except Exception as error:  # noqa: BLE001 - a defect is reported, and earlier results stay stored
        warning(
            f"storing after the answer ended early, by a defect of Helix: {type(error).__name__}: {error}; results "
            "stored before are kept"
        )
    finally:
        run.leases.release_all()
    return {}
