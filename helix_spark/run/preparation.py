"""From a workflow and a catalog to a plan. No Spark: a plan waits for nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import nullcontext
from dataclasses import replace

from helix_spark.answers.capture_nodes import capture_nodes, may_be_captured
from helix_spark.catalog.leases.holders import writer
from helix_spark.catalog.view import CatalogView
from helix_spark.costs.model import session_seconds
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.merging import merge_equal
from helix_spark.hermetic.action import actions_to_come
from helix_spark.history.metrics import metrics_of
from helix_spark.identity.data_version import pin_versions
from helix_spark.identity.signing import describe
from helix_spark.planner.planning import make_plan
from helix_spark.planner.situation import Situation
from helix_spark.planner.storage import PlanningProblem
from helix_spark.run.foresight import foresee, may_come_back, starts_of
from helix_spark.run.function_answers import FunctionAnswers
from helix_spark.run.known_nodes import Lookup, RecordsRead, calibrated_loads, known_nodes, sampled
from helix_spark.run.measured_on import changed_tests, describe_tests
from helix_spark.run.run import Run
from helix_spark.run.run_outputs import recorded_outputs


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


def look_up(run: Run, had: Collection[str] = ()) -> Run:
    """Sign, look up in the catalog and estimate all that a plan starts from.

    Args:
        had: names of the nodes whose results this run has already.

    Raises:
        CatalogError: see there.
    """
    catalog, whole, tools = run.tools.catalog, run.whole, run.tools
    view, in_memory = catalog.snapshot(whole.workflow), frozenset(tools.memory.held)
    sample = sampled(view.artifacts.values())
    also = may_come_back(view) | sample.keys()
    if tools.budget is not None:  # lineage is known from stored results of recorded iterations
        also |= {node.signature for past in view.past for node in past.nodes} & view.artifacts.keys()
    lookup = Lookup(catalog, view, run.described, run.id, also, in_memory, run.equal, run.answered)
    signed = lookup.sign(whole)
    dag = merge_equal(whole, {name: own.signature for name, own in signed.items()})
    read = RecordsRead(view, lookup.measured, calibrated_loads(sample, lookup.measured))
    held = in_memory.union(signed[name].signature for name in had)
    starts, session = starts_of(view), tools.sessions
    situation = Situation(
        dag, known_nodes(dag, run.described, signed, read, lookup.known_random, held, catalog),
        view.next_iteration, PlanningProblem(
            (), frozenset(), tools.budget,
            overhead=view.other_bytes - sum(record.bytes for record in view.missing),  # these take no room
            session_seconds=session_seconds(starts, runs=session.started, worked=session.worked),
            young=not session.worked,
        ), session.started,
        notices=tuple(_notices(run, view)),
        recorded=recorded_outputs(view, dag, signed, whole.outputs),
    )
    random = {one.name for one in situation.nodes if one.signed.random}
    ahead = foresee(situation.problem, random, read, writer=writer(), one_run=tools.one_run)
    return replace(run, records=read, situation=replace(situation, ahead=ahead))


def decide(run: Run) -> Run:
    """Decide what to load, to compute and to store.

    Raises:
        PlanError: an output cannot be had.
    """
    return replace(run, plan=make_plan(run.situation, run.tools.policy))


def plan_again(run: Run, had: Collection[str] = ()) -> Run:
    """Look up and decide again, as others stored something, or the run found something out; see `look_up`."""
    return decide(look_up(run, had))


def _notices(run: Run, view: CatalogView) -> Iterator[str]:
    """Yield what a plan says of records that do not fit, and of metrics that are measured on other rows than before."""
    if rejections := run.tools.catalog.rejections:
        more = f", and {len(rejections) - 1} more" if len(rejections) > 1 else ""
        yield f"the catalog has records that do not fit, and this plan goes without them ({rejections[0]}{more})"
    past = next((one.record for one in reversed(view.past) if one.record.status == "done"), None)
    if past is not None:
        yield from changed_tests(describe_tests(run.whole, run.described), metrics_of(past), past.number)
