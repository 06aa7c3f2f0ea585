"""From a plan to its outcome: what is wrong is said before anything runs, the record says that the iteration runs, and
the plan is executed until all is had or nothing helps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from helix_spark.answers.capture_nodes import check_columns_exist
from helix_spark.catalog.view import WHY_MISSING
from helix_spark.dag.slicing import slice_to_outputs
from helix_spark.engine.execution.outcome import found_random
from helix_spark.engine.lowering.stages import check_stages
from helix_spark.engine.results.loading import DamagedResultError, looked_into
from helix_spark.engine.results.node_results import NodeResult
from helix_spark.errors import CatalogError, NotStoredError
from helix_spark.planner.planning import make_plan
from helix_spark.planner.policies import Never
from helix_spark.planner.problem import State
from helix_spark.run.answer_steps import hold_in_memory
from helix_spark.run.cut_off import worth_comparing
from helix_spark.run.data_read import DataRead
from helix_spark.run.preparation import plan_again
from helix_spark.run.provenance import Provenance
from helix_spark.run.recording import plan_summary, start_iteration
from helix_spark.run.run import Run


def note_provenance(run: Run) -> Run:
    """Read the file that declares the workflow at once, for it may be edited while the run goes on."""
    return replace(run, provenance=Provenance.read(run.workflow.where))


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
    """Create the catalog, before anything is leased in it."""
    run.tools.catalog.make()
    return run


def end_missing(run: Run) -> Run:
    """Quarantine stored results that are gone or incomplete: a live record would keep new data from being published."""
    for record in run.tools.catalog.quarantine_missing(run.view.missing):
        run.tools.observer.warning(
            f"the stored result of {record.node!r} cannot be loaded: {WHY_MISSING}; it is computed again when needed"
        )
    return run


def begin(run: Run) -> Run:
    """Record that the iteration runs, and announce its plan."""
    tools, plan = run.tools, run.plan
    run.leased.take(run.id)
    tools.memory.next_version(node.signature for node in plan.nodes)
    record = start_iteration(
        tools.catalog, run.id, plan.workflow, plan.iteration, time.time(), run.message, plan.parameters,
        {**plan_summary(plan), "metrics": _declared_metrics(run)},
    )
    run = replace(run, record=record)
    tools.observer.planned(run.numbered)
    tools.standing.tell(plan, tools.observer.warning)
    return run


def _declared_metrics(run: Run) -> list[Mapping[str, Any]]:
    declared = (one for node in run.whole.nodes for one in node.wishes.metrics)
    return [{"name": one.name, "better": one.better or "", "primary": one.primary} for one in declared]


def execute(run: Run) -> Run:
    """Execute the plan, until all is there, something fails, or a result turns out to be an earlier one."""
    outcome = run.tools.executor.execute(
        run.dag, run.plan, run.view.artifacts, run.id, registering(run), worth_comparing(run), run.goes_on_from,
        run.answered.begin,
    )
    return replace(run, outcome=outcome, goes_on_from=None, unfinished=False)


def set_damage_aside(run: Run) -> Run:
    """Quarantine a damaged stored result, once each, and plan again without it."""
    damage, tools = run.outcome.failure, run.tools
    if not isinstance(damage, DamagedResultError) or damage.record.attempt in run.set_aside:
        return run
    hold_in_memory(run, _uncertain(damage, run))
    # It may be held, too: its rows were read before its files went, and its DataFrame is asked for now.
    tools.memory.drop(damage.record.signature)
    if (sound := _quarantined(damage, run)) is not None:
        run.outcome.failure = sound
        return run
    run = plan_again(replace(run, had=frozenset(), set_aside=run.set_aside | {damage.record.attempt}))
    tools.observer.planned(run.numbered)
    return replace(run, unfinished=True)


def compute_output(run: Run, name: str, signature: str) -> NodeResult:
    """Compute an output that was answered from the record, from what is stored.

    Args:
        run: looked up now.
        signature: the one that the output had then.

    Raises:
        NotStoredError: it would be another result now.
        NodeError: the author's code or a Spark job failed.
    """
    node = run.dag[name]
    if run.situation[name].signature != signature:
        raise NotStoredError(
            f"the result of {name!r} was not kept, and what it is made of has changed since", where=node.where,
            remedy="run the workflow again",
        )
    run.tools.observer.warning(f"`{name}` was not kept: it is computed now, as its result is asked for")
    dag = slice_to_outputs(replace(run.dag, outputs=(node.name,)))
    situation = replace(run.situation.on(dag), recorded={}, others=(), scenarios=(), budget=None)
    plan = make_plan(situation, Never())
    artifacts = run.view.artifacts
    run = replace(run, dag=dag, situation=situation, plan=plan)
    outcome = run.tools.executor.execute(dag, plan, artifacts, run.id, registering(run), begin_call=run.answered.begin)
    if outcome.failure is not None:
        raise outcome.failure
    hold_in_memory(replace(run, outcome=outcome))
    return outcome.results[node.name]


def registering(run: Run) -> frozenset[str]:
    """Return the names of nodes whose code registers views or functions with the session."""
    return frozenset(node.name for node in run.dag.nodes if run.described[node.name].in_turns)


def _uncertain(damage: DamagedResultError, run: Run) -> frozenset[str]:
    """Return the nodes whose results the next try must not find in memory.

    They are made of a damaged result (their plans may have to read it), nondeterministic, or of data that changed.
    """
    names = {node.name for node in run.plan.nodes if node.signature == damage.record.signature}
    outcome = run.outcome
    chance = found_random(run.dag, run.plan, outcome, run.described)
    names.update(chance.found, chance.drawn)
    data = DataRead(run)
    names.update(name for name in data.names if data.change(name, contents=False) is not None)
    return run.dag.descendants(names).union(names)


def _quarantined(damage: DamagedResultError, run: Run) -> CatalogError | None:
    """Quarantine a damaged result; return the error of one that is sound after all, or cannot be reached."""
    try:
        found = looked_into(damage, run.tools.catalog)
    except CatalogError as error:
        return error
    if found is not damage:
        return found
    ended = run.tools.catalog.quarantine(damage.record.signature, damage.what, attempt=damage.record.attempt)
    if ended is not None:  # else it was evicted since this run planned, and its files are gone for that reason
        run.tools.observer.warning(f"{damage.what}; it is computed again")
    return None
