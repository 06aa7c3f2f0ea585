"""From a workflow and a catalog to a plan. No Spark: a plan waits for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace

from helix_spark.answers.capture_nodes import capture_nodes, may_be_captured
from helix_spark.catalog.leases.holders import writer
from helix_spark.catalog.view import CatalogView
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.leaving_out import leave_out
from helix_spark.dag.merging import merge_equal
from helix_spark.hermetic.action import actions_to_come
from helix_spark.history.metrics import metrics_of
from helix_spark.identity.data_version import pin_versions
from helix_spark.identity.node_description import describe
from helix_spark.planner.planned_features import planned_left_out
from helix_spark.planner.planning import make_plan, planning_problem
from helix_spark.planner.situation import Situation
from helix_spark.run.foresight import foresee, may_come_back, others_among, past_lineage
from helix_spark.run.function_answers import FunctionAnswers
from helix_spark.run.known_nodes import RecordsRead, calibrated_loads, known_nodes, newest_fits, sampled
from helix_spark.run.measured_on import changed_tests, describe_tests
from helix_spark.run.on_record import OnRecord
from helix_spark.run.recorded_outputs import recorded_outputs
from helix_spark.run.run import Run


def declare(run: Run) -> Run:
    """Compile the graph as its author declares it, and describe its nodes.

    Raises:
        WorkflowError, SignatureError, SourceError: see there.
    """
    settings = run.tools.sessions.settings_that_change_results()
    compiled = pin_versions(compile_workflow(run.workflow))
    with actions_to_come() if any(map(may_be_captured, compiled.nodes)) else nullcontext():
        whole = capture_nodes(compiled, settings)
    answered = FunctionAnswers(run.tools.catalog, compiled.workflow, settings, run.tools.sessions, whole)
    return replace(run, whole=whole, described=describe(whole, settings), answered=answered)


def look_up(run: Run) -> Run:
    """Sign, look up in the catalog and estimate all that a plan starts from.

    Raises:
        CatalogError: see there.
    """
    catalog, whole, tools = run.tools.catalog, run.whole, run.tools
    view = catalog.snapshot(whole.workflow)
    sample = sampled(view.artifacts.values())
    also = may_come_back(view) | sample.keys() | (_stored_of_late(view) if tools.budget is not None else set())
    records = OnRecord(
        catalog, view, run.described, run.id, also=also, held=tools.held, equal=run.equal, answered=run.answered
    )
    signed = of_whole = records.sign(whole)
    fits = newest_fits(whole, catalog)
    leaving = leave_out(
        whole, fits, {name: own.declared for name, own in signed.items()},
        {name for name, own in signed.items() if own.random},
    )
    if leaving.dag is not whole:
        signed = records.sign(leaving.dag)
    dag = merge_equal(leaving.dag, {name: own.signature for name, own in signed.items()})
    measured = records.measured
    read = RecordsRead(view, measured, calibrated_loads(sample, measured), records.known_random)
    held = tools.held.union(signed[name].signature for name in run.had)
    notices = (*leaving.notices, *_told_of_misfits(catalog.rejections), *_other_tests(run, view))
    situation = Situation(
        dag, known_nodes(dag, run.described, signed, read, held, fits, catalog), view.next_iteration,
        budget=tools.budget, overhead=_bytes_beside(view), session_runs=tools.sessions.started,
        session_worked=tools.sessions.worked, notices=notices,
        recorded=recorded_outputs(view, dag, signed, whole.outputs),
        left_out=planned_left_out(leaving.dag, lambda name: read.compute_seconds(of_whole[name].signature) or 0.0),
    )
    situation = _foreseen(_with_others(situation, read), read, tools.one_run)
    return replace(run, records=read, dag=dag, situation=situation, comparable=_comparable(read))


def decide(run: Run) -> Run:
    """Decide what to load, to compute and to store.

    Raises:
        PlanError: an output cannot be had.
    """
    return replace(run, plan=make_plan(run.situation, run.tools.policy))


def plan_again(run: Run) -> Run:
    """Look up and decide again, as others stored something, or the run found something out."""
    return decide(look_up(run))


def _comparable(records: RecordsRead) -> frozenset[str]:
    """Return the nodes of which the content of an earlier version's result is recorded."""
    contents = {signature for signature, record in records.measured.items() if record.content is not None}
    return frozenset(node.name for past in records.view.past for node in past.nodes if node.signature in contents)


def _told_of_misfits(rejections: Sequence[str]) -> Iterator[str]:
    """Yield what a plan says of records that do not fit: they are treated as missing."""
    if rejections:
        more = f", and {len(rejections) - 1} more" if len(rejections) > 1 else ""
        yield f"the catalog has records that do not fit, and this plan goes without them ({rejections[0]}{more})"


def _other_tests(run: Run, view: CatalogView) -> Iterator[str]:
    past = next((one.record for one in reversed(view.past) if one.record.status == "done"), None)
    if past is not None:
        yield from changed_tests(describe_tests(run.whole, run.described), metrics_of(past), past.number)


def _stored_of_late(view: CatalogView) -> set[str]:
    """Return stored results of recorded iterations: from them lineage is known."""
    return {node.signature for past in view.past for node in past.nodes} & view.artifacts.keys()


def _bytes_beside(view: CatalogView) -> int:
    """Return the bytes of records and leftovers. Missing results count by their records, and take no room."""
    return view.other_bytes - sum(record.bytes for record in view.missing)


def _with_others(situation: Situation, records: RecordsRead) -> Situation:
    """Add what else is stored, and where there is a budget, what that costs to have again."""
    if situation.budget is not None:
        situation = replace(situation, lineage=past_lineage(planning_problem(situation).nodes, records))
    current = {one.signature for one in situation.nodes}
    live = records.view.artifacts.values()
    return replace(situation, others=others_among(live, current, situation.lineage, records))


def _foreseen(situation: Situation, records: RecordsRead, one_run: bool | None) -> Situation:
    random = {one.name for one in situation.nodes if one.signed.random}
    expected = foresee(planning_problem(situation).nodes, random, records, writer=writer(), one_run=one_run)
    return replace(
        situation, scenarios=expected.scenarios, horizon=expected.horizon,
        starts=expected.starts, fresh_process=expected.fresh_process,
    )
