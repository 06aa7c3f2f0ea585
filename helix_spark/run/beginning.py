"""From a plan to an iteration under way: what is wrong is said before anything runs, and the record says that it runs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from helix_spark.answers.column_checks import check_columns_exist
from helix_spark.catalog.view import WHY_MISSING
from helix_spark.engine.lowering.stages import check_stages
from helix_spark.planner.problem import State
from helix_spark.run.provenance import Provenance
from helix_spark.run.recording import plan_summary, start_iteration
from helix_spark.run.run import Run


def note_provenance(run: Run) -> Run:
    """Read the file that declares the workflow at once, for it may be edited while the run goes on."""
    return replace(run, provenance=Provenance.read(run.workflow.where))


def say_who_else_declares(run: Run) -> Run:
    """Warn where another file declares a workflow of the same name."""
    if elsewhere := run.provenance.declared_elsewhere(run.view.last):
        run.tools.observer.warning(elsewhere)
    return run


def check_what_computes(run: Run) -> Run:
    """Check the stages that are to be computed and the columns that nodes name, and note how long planning took by
    then.

    Raises:
        OperatorError: a stage cannot be had; nothing was run.
        ColumnNotFoundError: a table does not have a column.
    """
    planned = time.perf_counter() - run.begun
    nodes = [node for node in run.dag.nodes if run.plan[node.name].state is State.COMPUTE]
    check_stages(nodes)
    check_columns_exist(nodes, run.dag, run.tools.sessions.settings_that_change_results())
    return replace(run, planning_seconds=planned)


def make_catalog(run: Run) -> Run:
    """The catalog is there before anything is leased in it."""
    run.tools.catalog.make()
    return run


def end_missing(run: Run) -> Run:
    """Quarantine stored results that are gone or incomplete: a live record would keep new data from being published."""
    for record in run.tools.catalog.quarantine_missing(run.view.missing):
        run.tools.observer.warning(
            f"the stored result of {record.node!r} cannot be loaded: {WHY_MISSING}; it is computed again when "
            "needed"
        )
    return run


def begin(run: Run) -> Run:
    """The iteration is on record as running, and people are told of its plan."""
    tools, plan = run.tools, run.plan
    run.leased.take(run.id)
    tools.memory.next_version(node.signature for node in plan.nodes)
    record = start_iteration(
        tools.catalog, run.id, plan.workflow, plan.iteration, time.time(), run.message, plan.parameters,
        {**plan_summary(plan), "metrics": _declared_metrics(run)},
    )
    run = replace(run, before=run.view.last, record=record)
    tools.observer.planned(run.numbered)
    tools.standing.tell(plan, tools.observer.warning)
    return run


def _declared_metrics(run: Run) -> list[Mapping[str, Any]]:
    """Return what the author says of numbers among the outputs."""
    declared = (one for node in run.whole.nodes for one in node.wishes.metrics)
    return [{"name": one.name, "better": one.better or "", "primary": one.primary} for one in declared]
