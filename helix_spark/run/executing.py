"""From a plan to its outcome: what is wrong is said before anything runs, other processes that compute the same are
waited for, the record says that the iteration runs, and the plan is executed until all is had or nothing helps.

Nobody holds one lease while waiting for another, so no two drivers wait for each other; and since the first record of a
result wins, a lease that is lost costs time and nothing else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import replace

from helix_spark.answers.capture_nodes import check_columns_exist
from helix_spark.catalog.leases.leases import Lease
from helix_spark.catalog.view import WHY_MISSING
from helix_spark.dag.node import slice_to_outputs
from helix_spark.engine.lowering.stages import check_stages
from helix_spark.engine.results.loading import DamagedResultError, looked_into
from helix_spark.engine.results.node_results import NodeResult
from helix_spark.errors import CatalogError, NotStoredError
from helix_spark.planner.plan import Plan
from helix_spark.planner.planning import make_plan
from helix_spark.planner.policies import NEVER
from helix_spark.planner.problem import State
from helix_spark.run.cut_off import cut_off, release_results, worth_comparing
from helix_spark.run.preparation import plan_again
from helix_spark.run.recording import Provenance, plan_summary, start_iteration
from helix_spark.run.run import Run
from helix_spark.run.run_outputs import hold_in_memory


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
    declared = (one for node in run.whole.nodes for one in node.wishes.metrics)
    metrics = [{"name": one.name, "better": one.better or "", "primary": one.primary} for one in declared]
    record = start_iteration(
        tools.catalog, run.id, plan.workflow, plan.iteration, time.time(), run.message, plan.parameters,
        {**plan_summary(plan), "metrics": metrics},
    )
    run = replace(run, record=record)
    tools.observer.planned(run.numbered)
    tools.standing.tell(plan, tools.observer.warning)
    return run


# Other processes ------------------------------------------------------------------------------------------------------

WORTH_WAITING = 1.0
"""Seconds that having a result must be expected to take for it to be leased: what takes less is not worth a wait."""

_MOST_WAITS = 50
"""Waits of a run before it computes whatever others do; each time, somebody else had come to an end."""

FACTOR = 3.0
LEAST = 30.0
"""A result is waited for as long as three times what its holder, or where that did not say, this run, expects to take;
30 seconds at least, as what takes a second in the plan may wait for a session or for the cores. A holder that lives and
comes to no end (its code hangs, its data grew) would be waited for without limit else: its heartbeat goes on."""


def wait_for_others(run: Run) -> Run:
    """Wait while another process computes what this plan would compute, then plan with what that stored.

    A process that takes too long is not waited for again. In the end the run holds the leases of its plan.
    """
    late: set[str] = set()
    for _ in range(_MOST_WAITS):
        wanted = {signature: name for signature, name in expensive(run.plan).items() if signature not in late}
        blocking = _take_all(wanted, run)
        if blocking is None and not run.tools.catalog.live_among(run.leased.names):
            return run
        run.leased.release_all()
        if blocking is not None and not _waited(blocking, wanted[blocking.name], run):
            late.add(blocking.name)
        run = plan_again(run)
    return run


def expensive(plan: Plan) -> dict[str, str]:
    """Return names by signature of nodes to be computed and stored that are worth a lease.

    What is computed for a node alone counts with it: how the seconds of one job divide among its nodes is a guess.
    """
    seconds: dict[str, float] = {}
    for node in plan.nodes:
        if node.state is State.COMPUTE:
            inputs = (plan[name] for name in node.inputs)
            seconds[node.name] = node.compute_seconds + sum(
                seconds.get(source.name, 0.0) for source in inputs if not source.keep
            )
    return {
        plan[name].signature: name for name, took in seconds.items()
        if took >= WORTH_WAITING and plan[name].keep and not plan[name].stored and not plan[name].random
    }


def _take_all(wanted: Iterable[str], run: Run) -> Lease | None:
    """Take leases, up to the first one that another process has; return that one."""
    expected = run.plan.predicted_seconds
    found = (run.leased.take(signature, expected) for signature in sorted(wanted))
    return next((lease for lease in found if lease is not None), None)


def _waited(blocking: Lease, name: str, run: Run) -> bool:
    """Wait for the end of a lease. Return whether it came in time. Raise EndedError if the Helix is closed."""
    tools, holder = run.tools, str(blocking.holder or "another process")
    tools.observer.waiting(name, holder)
    expected = blocking.expected if blocking.expected is not None else run.plan.predicted_seconds
    limit, begun = max(LEAST, FACTOR * expected), time.monotonic()

    def is_late() -> bool:
        tools.check_open()
        return time.monotonic() - begun > limit

    if tools.catalog.leases.wait(blocking.name, until=is_late):
        return True
    tools.observer.warning(
        f"{name!r} was waited for {limit:.0f} seconds, and {holder} still computes it (it expected {expected:.0f}): "
        "it is computed here as well"
    )
    return False


# Execution ------------------------------------------------------------------------------------------------------------

def execute(run: Run) -> Run:
    """Execute the plan until all is there or something fails; another plan from where a result turns out to be an
    earlier one, or a stored one to be damaged."""
    set_aside: set[str] = set()
    so_far, compares = None, True
    while True:
        compared = worth_comparing(run) if compares or run.tools.cut_off == math.inf else frozenset[str]()
        outcome = run.tools.executor.execute(
            run.dag, run.plan, run.view.artifacts, run.id, registering(run), compared, so_far, run.answered.begin,
        )
        run, so_far = replace(run, outcome=outcome), None
        if outcome.equal and outcome.failure is None:
            run, compares = cut_off(run)
            so_far = outcome
        elif (found := _without_damage(run, set_aside)) is not None:
            run = found
        else:
            return run
        run.tools.observer.planned(run.numbered)


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
    situation = run.situation.alone(dag)
    run = replace(run, situation=situation, plan=make_plan(situation, NEVER))
    outcome = run.tools.executor.execute(
        dag, run.plan, run.view.artifacts, run.id, registering(run), begin_call=run.answered.begin
    )
    if outcome.failure is not None:
        raise outcome.failure
    hold_in_memory(replace(run, outcome=outcome))
    return outcome.results[node.name]


def registering(run: Run) -> frozenset[str]:
    """Return the names of nodes whose code registers views or functions with the session."""
    return frozenset(node.name for node in run.dag.nodes if run.described[node.name].in_turns)


def _without_damage(run: Run, set_aside: set[str]) -> Run | None:
    """Quarantine a damaged stored result, once each, and plan again without it and all that this run had: any of that
    may be made of it. None where that is not what ended the run.

    Args:
        set_aside: attempts that were quarantined before; this one is added.
    """
    damage, tools = run.outcome.failure, run.tools
    if not isinstance(damage, DamagedResultError) or damage.record.attempt in set_aside:
        return None
    # It may be held, too: its rows were read before its files went, and its DataFrame is asked for now.
    tools.memory.drop(damage.record.signature)
    try:
        found: CatalogError = looked_into(damage, tools.catalog)
    except CatalogError as error:
        found = error
    if found is not damage:  # it is sound after all, or cannot be reached
        run.outcome.failure = found
        return None
    if tools.catalog.quarantine(damage.record.signature, damage.what, attempt=damage.record.attempt) is not None:
        # Else it was evicted since this run planned, and its files are gone for that reason.
        tools.observer.warning(f"{damage.what}; it is computed again")
    set_aside.add(damage.record.attempt)
    release_results(run.outcome)
    return plan_again(run)
