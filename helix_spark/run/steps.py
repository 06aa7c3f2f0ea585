"""The way of a run from top to bottom: each step is a function that takes the run further. Plans, runs and audits go
through the same lists, each as far as it goes. Here are the steps that follow an answer, or a failure, too."""

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
from helix_spark.run.run_outputs import announce, hold_in_memory, look_at_tables, measure, measured, tables_elsewhere
from helix_spark.run.tracker import finished_on_record, tell
from helix_spark.waits import awaited_at_exit
from helix_spark.workflow.operators import Kind


def record(run: Run) -> Run:
    """Record the answer or the failure, and what it took to get there."""
    failure, void, catalog = run.outcome.failure, run.results.void, run.tools.catalog
    hold_in_memory(run, run.results.spoiled | run.results.drawn_once | void)
    for name in void:  # it is made of data that changed meanwhile
        run.tools.memory.drop(run.plan[name].signature)
    tables = dict(run.tables)
    if failure is None:
        with _spark_may_end(run, "the first rows of some outputs are not known"):
            tables.update(tables_elsewhere(run, run.results.spoiled | run.results.drawn_once | void))
    nodes = node_records.node_records(run, void)
    cards = {} if recording.ending_of(failure)[0] == "interrupted" else read_fits(run)
    run.answered.record(run.record.number, void | run.results.uncertain)
    results = node_records.result_records(run, cards)
    previews = {name: one.record(name) for name, one in tables.items()}
    ended = recording.record_end(
        catalog, run.record, run.provenance, failure, nodes, [one for one in results if one.node not in void],
        seconds=run.seconds, start_seconds=run.start_seconds, outputs=run.outputs,
        notes={
            "edit": edit_message(run.view.last, run.view.nodes, run.whole.parameters, nodes),
            "tables": {name: one.digest for name, one in previews.items()}, **measured(run),
            "unproven": {
                own.name: own.signature for own in run.plan.nodes if own.state is State.LOAD and own.proof == "unproven"
            },
        },
        changes=run.results.changes, texts=(*previews.values(), *cards.values()),
    )
    return replace(run, record=ended, tables=tables)


def keep(run: Run) -> Run:
    """Store and evict, and record what that taught of results. Report what was stored once that survives a loss of
    power.

    After a failure what was planned to be stored is, and nothing is evicted for it. After an interrupt nothing is: a
    person wants an end to it.
    """
    results, catalog, stored, gone = run.results, run.tools.catalog, dict[str, int](), set[str]()
    try:
        if run.outcome.failure is None:
            stored = results.keep()
        elif not run.is_interrupted:
            stored = results.keep_planned([node.signature for node in run.plan.nodes if node.keep])
        late = run.outcome.take_reports(run.tools.executor.reports, run.dag, run.plan) - results.void
        catalog.append_results(node_records.records_of_storing(run, stored, late))
        if not run.is_interrupted:
            gone = results.tidy()
    finally:
        for record in results.acknowledge(gone):
            run.tools.observer.stored(record.node, record.bytes)
    return replace(run, stored={name: size for name, size in stored.items() if run.plan[name].signature not in gone})


def expire(run: Run) -> Run:
    if what := run.tools.expiry.expire(run.tools.catalog):
        run.tools.observer.note(what)
    return run


def track(run: Run) -> Run:
    """Tell a tracker of the iteration, if it is recorded."""
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
    """Return what each fit of the run gave, by the learner's name."""
    with _spark_may_end(run, "what fits gave is not known"):
        return node_records.fitted_cards(run)
    return {}


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


LOOKING: tuple[RunStep, ...] = (declare, look_up)
"""What is declared, and what is on record of it. No Spark, nothing is written."""

PLANNING: tuple[RunStep, ...] = (recall, look_up, decide, call_functions)
"""What would be done. Steps that find something out later, marked with *, have it looked up and decided again."""

SHOWING: tuple[RunStep, ...] = (*PLANNING, check_what_computes)
"""A plan for people who do not run it."""

ANSWERING: tuple[RunStep, ...] = (
    note_provenance,
    start_early,
    *PLANNING,
    check_what_computes,
    prepare_catalog,
    wait_for_others,  # * where another process computes the same
    take_from_server,  # * where a server has lost what it had in memory
    begin,
    execute,  # * where a result turned out to be an earlier one, or a stored one to be damaged
    measure,
    announce,
    look_at_tables,
)
"""From a workflow to its answer, or its failure. Whoever asked waits for these."""

KEEPING: tuple[RunStep, ...] = (keep, track, expire)
"""What is to be stored is, within the budget. Nobody waits for these."""


def answered(run: Run) -> Run:
    """Run to the answer, or the failure, and begin what follows. Release the leases if it is interrupted before."""
    try:
        run = through(ANSWERING, run)
        on_record = run.tools.recording.submit(_recorded, replace(run, outputs=deepcopy(run.outputs)))
        return replace(run, behind=awaited_at_exit(run.tools.behind.submit(_finished, run, on_record)))
    except BaseException:
        run.leased.release_all()
        raise


def _recorded(run: Run) -> Run:
    """Record the run, which the next plan waits for; return it as it was if that fails: the answer stands."""
    try:
        return record(run)
    except (HelixError, OSError) as error:
        run.tools.observer.warning(f"the iteration could not be recorded: {error}")
        return run


def _finished(run: Run, on_record: Future[Run]) -> Mapping[str, int]:
    """Store and evict, once the iteration is recorded; return physical bytes stored by node. It raises nothing, as
    nobody may wait for it."""
    warning = run.tools.observer.warning
    try:
        return through(KEEPING, on_record.result()).stored
    except (HelixError, OSError) as error:
        warning(f"what follows the answer could not be done: {error}")
    except Exception as error:  # noqa: BLE001 - a defect is reported, and what was stored before is kept
        warning(
            f"what follows the answer ended early, by a defect of Helix: {type(error).__name__}: {error}; what was "
            "stored before is kept"
        )
    finally:
        run.leased.release_all()
    return {}
