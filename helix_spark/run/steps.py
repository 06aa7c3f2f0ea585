"""The way of a run from top to bottom: each step is a function that takes the run further. Plans, runs and audits go
through the same lists, each as far as it goes."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import replace
from functools import partial

from helix_spark.engine.execution.observer import Observer
from helix_spark.errors import HelixError
from helix_spark.run.after_answer import forget_void, keep, record, track
from helix_spark.run.executing import (
    begin,
    check_what_computes,
    end_missing,
    execute,
    make_catalog,
    note_provenance,
    wait_for_others,
)
from helix_spark.run.preparation import decide, declare, look_up
from helix_spark.run.run import Run, RunStep, through
from helix_spark.run.run_outputs import announce, hold_results, look_at_tables, measure

LOOKING: tuple[RunStep, ...] = (declare, look_up)
"""What is declared, and what is on record of it. No Spark, nothing is written."""

PLANNING: tuple[RunStep, ...] = (*LOOKING, decide)
"""What would be done. Steps that find something out later, marked with *, have it looked up and decided again."""

SHOWING: tuple[RunStep, ...] = (*PLANNING, check_what_computes)
"""A plan for people who do not run it."""

ANSWERING: tuple[RunStep, ...] = (
    note_provenance,
    *PLANNING,
    check_what_computes,
    make_catalog,
    end_missing,
    wait_for_others,  # * where another process computes the same
    begin,
    end_missing,  # of what the plan for this turn of the catalog says is gone
    execute,  # * where a result turned out to be an earlier one, or a stored one to be damaged
    measure,
    hold_results,
    announce,
    look_at_tables,
)
"""From a workflow to its answer, or its failure. Whoever asked waits for these."""

RECORDING: tuple[RunStep, ...] = (forget_void, record)
"""The answer is on record. The next plan waits for these."""

KEEPING: tuple[RunStep, ...] = (keep, track)
"""What is to be stored is, within the budget. Nobody waits for these."""


def answered(run: Run) -> Run:
    """Run to the answer, or the failure, and begin what follows. Release the leases if it is interrupted before."""
    try:
        run = through(ANSWERING, run)
        on_record = run.tools.recording.submit(_recorded, replace(run, outputs=deepcopy(run.outputs)))
        behind = run.tools.behind.submit(_finished, on_record)
    except BaseException:
        run.leased.release_all()
        raise
    behind.add_done_callback(partial(_tell_defect, run.tools.observer))
    return replace(run, behind=behind)


def _recorded(run: Run) -> Run:
    """Record the run; return it as it was if that fails. Never raises: the answer stands."""
    try:
        return through(RECORDING, run)
    except (HelixError, OSError) as error:
        run.tools.observer.warning(f"the iteration could not be recorded: {error}")
        return run


def _finished(on_record: Future[Run]) -> Mapping[str, int]:
    """Store and evict, once the iteration is recorded; return physical bytes stored by node. Never raises."""
    run = on_record.result()
    try:
        return through(KEEPING, run).stored
    except (HelixError, OSError) as error:
        run.tools.observer.warning(f"what follows the answer could not be done: {error}")
        return {}
    finally:
        run.leased.release_all()


def _tell_defect(observer: Observer, behind: Future[Mapping[str, int]]) -> None:
    """Report an unforeseen failure after an answer, as the caller may not wait for the end."""
    if not behind.cancelled() and (error := behind.exception()) is not None:
        observer.warning(
            f"what follows the answer ended early, by a defect of Helix: {type(error).__name__}: {error}; what was "
            "stored before is kept"
        )
