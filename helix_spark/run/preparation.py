"""From a workflow and a catalog to the situation a plan starts from. No Spark: a plan waits for nothing."""

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
from helix_spark.planner.planning import planning_problem
from helix_spark.planner.situation import Situation
from helix_spark.run.fit_records import newest_fits
from helix_spark.run.foresight import foresee, may_come_back, others_among, past_lineage
from helix_spark.run.function_answers import FunctionAnswers
from helix_spark.run.known_nodes import known_nodes
from helix_spark.run.measured_on import changed_tests, describe_tests
from helix_spark.run.on_record import OnRecord
from helix_spark.run.recorded_answers import around_script
from helix_spark.run.recorded_outputs import recorded_outputs
from helix_spark.run.records_read import RecordsRead, calibrated_loads, sampled
from helix_spark.run.run import Run


def declare(run: Run) -> Run:
    """The graph as its author declares it, with what each node is.

    Raises:
        WorkflowError, SignatureError, SourceError: see there.
    """
    settings = run.tools.sessions.settings_that_change_results()
    compiled = pin_versions(compile_workflow(run.workflow))
    with actions_to_come() if any(map(may_be_captured, compiled.nodes)) else nullcontext():
        whole = capture_nodes(compiled, settings)
    as_script = around_script(*run.tools.sessions.settings_of_scripts())
    answered = FunctionAnswers(run.tools.catalog, compiled.workflow, settings, as_script, whole)
    return replace(run, whole=whole, described=describe(whole, settings), answered=answered)


def look_up(run: Run) -> Run:
    """Signed, looked up in the catalog, estimated: all that a plan starts from. Once more when the catalog changed, or
    the run found something out.

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
    recorded = {} if run.only_proven else recorded_outputs(view, dag, signed, whole.outputs)
    notices = (*leaving.notices, *_told_of_misfits(catalog.rejections), *_other_tests(run, view))
    situation = Situation(
        dag, known_nodes(dag, run.described, signed, read, held, fits, catalog), view.next_iteration,
        budget=tools.budget, overhead=_bytes_beside(view), session_runs=tools.sessions.started,
        session_worked=tools.sessions.worked, notices=notices,
        recorded={name: record.number for name, record in recorded.items()},
        left_out=planned_left_out(leaving.dag, lambda name: read.compute_seconds(of_whole[name].signature) or 0.0),
    )
    situation = _foreseen(_with_others(situation, read), read, tools.one_run)
    found = replace(run, records=read, dag=dag, situation=situation, recorded=recorded, comparable=_comparable(read))
    return _without_unverified(found) if run.only_proven else found


def auditable_nodes(run: Run) -> list[str]:
    """Return the nodes whose results are stored and would be the same if computed again, as far as is known."""
    return [
        one.name for one in run.situation.nodes
        if one.signature in run.view.artifacts and not one.signed.random and not one.node.wishes.fixed
    ]


def _without_unverified(run: Run) -> Run:
    """Reuse nothing that is unproven, but for results that no audit can compare."""
    situation, excused, asked = run.situation, run.tools.auditor.excused, frozenset(auditable_nodes(run))
    doubtful = {
        one.signature: one.artifact for one in situation.nodes
        if one.artifact is not None and one.name in asked and not one.verified and one.signature not in excused
    }
    nodes = tuple(replace(one, artifact=None) if one.signature in doubtful else one for one in situation.nodes)
    held_back = sum(one.bytes for one in doubtful.values())
    return replace(run, situation=replace(situation, nodes=nodes, overhead=situation.overhead + held_back))


def _comparable(records: RecordsRead) -> frozenset[str]:
    """Names of the nodes of which it is on record what an earlier version's result holds."""
    contents = {signature for signature, record in records.measured.items() if record.content is not None}
    return frozenset(node.name for past in records.view.past for node in past.nodes if node.signature in contents)


def _told_of_misfits(rejections: Sequence[str]) -> Iterator[str]:
    """Yield what a plan says of records that do not fit: they are as good as not there."""
    if rejections:
        more = f", and {len(rejections) - 1} more" if len(rejections) > 1 else ""
        yield f"the catalog has records that do not fit, and this plan goes without them ({rejections[0]}{more})"


def _other_tests(run: Run, view: CatalogView) -> Iterator[str]:
    """Warnings of outputs that the last iteration measured on other test rows."""
    past = next((one.record for one in reversed(view.past) if one.record.status == "done"), None)
    if past is not None:
        yield from changed_tests(describe_tests(run.whole, run.described), metrics_of(past), past.number)


def _stored_of_late(view: CatalogView) -> set[str]:
    """Stored results of iterations on record: what they took says what it takes to have others again from them."""
    return {node.signature for past in view.past for node in past.nodes} & view.artifacts.keys()


def _bytes_beside(view: CatalogView) -> int:
    """Return the bytes of the records and of leftovers. Missing results count by their records until the run has ended
    them, and take no room."""
    return view.other_bytes - sum(record.bytes for record in view.missing)


def _with_others(situation: Situation, records: RecordsRead) -> Situation:
    """With what else is stored. What that costs to have again is looked into only where there is a budget: without one
    all of it is kept."""
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
