"""From a plan to its outcome: other processes that compute the same are waited for, then the plan is executed until all
is had or nothing helps.

Nobody holds one lease while waiting for another, so no two drivers wait for each other; and since the first record of a
result wins, a lease that is lost costs time and nothing else.

Early cut-off: what was computed anew and holds what an earlier result held is that earlier result. All that lies below
it is then signed as before, found again, and the rest of the plan is made anew while the run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial

from helix_spark.answers.capture_nodes import check_columns_exist
from helix_spark.catalog.catalog_reader import WHY_MISSING
from helix_spark.catalog.leases.leases import Lease
from helix_spark.dag.node import Dag, Node, slice_to_outputs
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.lowering.stages import check_stages
from helix_spark.engine.lowering.watcher import begin_in_spark
from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.engine.results.stored_results import DamagedResultError, kept_result
from helix_spark.errors import NotStoredError
from helix_spark.identity.signing import change_since
from helix_spark.planner.joint import NEVER
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.planning import make_plan
from helix_spark.planner.problem import State
from helix_spark.run.preparation import plan_again
from helix_spark.run.recording import Provenance, plan_summary, start_iteration
from helix_spark.run.run import Run
from helix_spark.run.run_outputs import hold_in_memory


def note_provenance(run: Run) -> Run:
    """Read the file that declares the workflow at once, for it may be edited while the run goes on."""
    return replace(run, provenance=Provenance.read(run.workflow.where))


def check_what_computes(run: Run) -> Run:
    """Check stages that are to be computed, and that columns exist. Raises OperatorError, ColumnNotFoundError."""
    nodes = [node for node in run.dag.nodes if run.plan[node.name].state is State.COMPUTE]
    check_stages(nodes)
    check_columns_exist(nodes, run.dag, run.tools.sessions.settings_that_change_results())
    return run


def prepare_catalog(run: Run) -> Run:
    """Create the catalog, before anything is leased in it. Quarantine stored results that are gone or incomplete: a
    live record would keep new data from being published."""
    run.tools.catalog.make()
    for record in run.tools.catalog.quarantine_missing(run.view.missing):
        run.tools.observer.warning(
            f"the stored result of {record.node!r} cannot be loaded: {WHY_MISSING}; it is computed again when needed"
        )
    return run


def take_from_server(run: Run) -> Run:
    """Take over into the session results that are nowhere but in the memory of a server that stays. Plan again without
    it if one is gone."""
    memory, taken = run.tools.memory, set[str]()
    for node in run.plan.nodes:
        if node.state is State.LOAD and not (node.stored or node.held):
            if (result := kept_result(node.signature, run.tools.catalog, run.tools.sessions)) is None:
                run.tools.observer.warning(f"the server has lost `{node.name}`, which it had in memory")
                return plan_again(replace(run, takes_from_server=False))
            memory.put(result, node.signature)
            taken.add(node.name)
    held = tuple(replace(node, held=True) if node.name in taken else node for node in run.plan.nodes)
    return replace(run, plan=replace(run.plan, nodes=held))


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
    for text in plan.warnings:
        tools.observer.warning(text)
    return run


# Other processes ------------------------------------------------------------------------------------------------------

WORTH_WAITING = 1.0
"""Seconds that having a result must be expected to take for it to be leased: what takes less is not worth a wait."""

_MOST_WAITS = 50
"""Waits of a run before it computes whatever others do; each time, somebody else had come to an end."""

FACTOR, LEAST = 3.0, 30.0
"""A result is waited for as long as three times what this run expects to take; 30 seconds at least, as what takes a
second in the plan may wait for a session or for the cores. A holder that lives and comes to no end (its code hangs, its
data grew) would be waited for without limit else: its heartbeat goes on."""


def wait_for_others(run: Run) -> Run:
    """Wait while another process computes what this plan would compute, then plan with what that stored.

    A process that takes too long is not waited for again. In the end the run holds the leases of its plan.
    """
    late: set[str] = set()
    for _ in range(_MOST_WAITS):
        wanted = {signature: name for signature, name in expensive(run.plan).items() if signature not in late}
        taken = (run.leased.take(signature) for signature in sorted(wanted))
        blocking = next((lease for lease in taken if lease is not None), None)  # the first that another process has
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


def _waited(blocking: Lease, name: str, run: Run) -> bool:
    """Wait for the end of a lease. Return whether it came in time. Raise EndedError if the Helix is closed."""
    tools, holder = run.tools, str(blocking.holder or "another process")
    tools.observer.waiting(name, holder)
    limit, begun = max(LEAST, FACTOR * run.plan.predicted_seconds), time.monotonic()

    def is_late() -> bool:
        tools.check_open()
        return time.monotonic() - begun > limit

    if tools.catalog.leases.wait(blocking.name, until=is_late):
        return True
    tools.observer.warning(
        f"{name!r} was waited for {limit:.0f} seconds, and {holder} still computes it: it is computed here as well"
    )
    return False


# Execution ------------------------------------------------------------------------------------------------------------

def execute(run: Run) -> Run:
    """Execute the plan until all is there or something fails; another plan from where a result turns out to be an
    earlier one, or a stored one to be damaged."""
    set_aside: set[str] = set()
    so_far = None
    while True:
        outcome = run.tools.executor.execute(
            run.dag, run.plan, run.view.artifacts, run.id, registering(run), worth_comparing(run), so_far,
            run.answered.begin, partial(_change_since_signed, run),
        )
        run, so_far = replace(run, outcome=outcome), None
        if outcome.equal and outcome.failure is None:
            run, so_far = cut_off(run), outcome
        elif (found := _without_damage(run, set_aside)) is not None:
            run = found
        else:
            return run
        run.tools.observer.planned(run.numbered)


def _change_since_signed(run: Run, node: Node) -> str:
    """Return what has changed of a node since it was signed, in words; empty if nothing has."""
    return change_since(node, run.described[node.name], run.answered.settings)


def compute_output(run: Run, name: str, signature: str) -> NodeResult:
    """Compute an output that was answered from the record, from what is stored.

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
    run = compute_alone(run, (node.name,))
    hold_in_memory(run)
    return run.outcome.results[node.name]


def compute_alone(
    run: Run, names: Collection[str], *, again: Collection[str] | None = (),
    announce: Callable[[Plan], None] = lambda plan: None,
) -> Run:
    """Compute nodes that are not stored, and nothing else, from what is stored.

    Args:
        again: names of those that are computed although they are stored, and whose functions ask Spark all; None: of
            all, so that nothing is loaded but instances.
        announce: called with the plan before anything runs.

    Raises:
        NodeError: the author's code or a Spark job failed.
        NotStoredError: it takes an instance of an earlier run that was not kept.
    """
    run = plan_alone(run, names, again=again)
    situation, computed = run.situation, run.computed
    if lost := [one for one in situation.nodes if one.signed.instance == "earlier" and one.name in computed]:
        raise NotStoredError(
            f"{lost[0].name!r} is one of several right answers, and the one that this was made of was not kept",
            where=lost[0].node.where, remedy="run the workflow again: it makes another one, and all that is made of it",
        )
    announce(run.plan)
    outcome = run.tools.executor.execute(
        run.dag, run.plan, run.view.artifacts, run.id, registering(run),
        begin_call=run.answered.begin if again == () else begin_in_spark,
    )
    if outcome.failure is not None:
        release_results(outcome)
        raise outcome.failure
    return replace(run, outcome=outcome)


def plan_alone(run: Run, names: Collection[str], *, again: Collection[str] | None = ()) -> Run:
    """Plan to compute nodes, and nothing else; see `compute_alone`."""
    situation = run.situation.alone(slice_to_outputs(replace(run.dag, outputs=tuple(names))))
    situation = replace(situation, nodes=tuple(
        replace(one, artifact=one.artifact if one.signed.instance else None, held=False)
        if again is None or one.name in again else one
        for one in situation.nodes
    ))
    return replace(run, situation=situation, plan=make_plan(situation, NEVER))


def registering(run: Run) -> frozenset[str]:
    """Return the names of nodes whose code registers views or functions with the session."""
    return frozenset(node.name for node in run.dag.nodes if run.described[node.name].in_turns)


def _without_damage(run: Run, set_aside: set[str]) -> Run | None:
    """Quarantine a damaged stored result, once each, and plan again without it and all that this run had: any of that
    may be made of it. None where that is not what ended the run."""
    damage, tools = run.outcome.failure, run.tools
    if not isinstance(damage, DamagedResultError) or damage.record.attempt in set_aside:
        return None
    # It may be held, too: its rows were read before its files went, and its DataFrame is asked for now.
    tools.memory.drop(damage.record.signature)
    if tools.catalog.quarantine(damage.record.signature, damage.what, attempt=damage.record.attempt) is not None:
        # Else it was evicted since this run planned, and its files are gone for that reason.
        tools.observer.warning(f"{damage.what}; it is computed again")
    set_aside.add(damage.record.attempt)
    release_results(run.outcome)
    return plan_again(run)


def worth_comparing(run: Run) -> frozenset[str]:
    """Return the nodes to compare with earlier results as soon as they are computed.

    Nondeterministic results are never compared, nor those without an earlier version whose content is recorded, nor
    those below which less work is expected than `--cut-off` says: a match costs planning once more.
    """
    plan, below = run.plan, _seconds_below(run.dag, run.plan)
    contents = {signature for signature, record in run.records.measured.items() if record.content is not None}
    comparable = {node.name for past in run.view.past for node in past.nodes if node.signature in contents}
    return frozenset(
        node.name for node in run.dag.nodes
        if node.name in comparable and plan[node.name].state is State.COMPUTE
        and not plan[node.name].random and not plan[node.name].is_instance
        and below[node.name] > run.tools.cut_off
    )


def cut_off(run: Run) -> Run:
    """Plan the rest again where a result turned out to be an earlier one, and drop what is not needed any more."""
    outcome, before = run.outcome, run.plan
    equal, outcome.equal = outcome.equal, {}
    done = {name for name in outcome.results if before[name].state is State.COMPUTE and _is_held(name, outcome)}
    ran = run.dag.upstream_within(done, outcome.results.keys()) | done
    stands = {before[name].declared: signature for name, signature in equal.items()}
    found = plan_again(replace(run, equal={**run.equal, **stands}), [name for name in ran if _is_held(name, outcome)])
    if _shape(found.dag) != _shape(run.dag):  # it merges nodes that what is under way does not
        return run
    earlier = {name: _describe_earlier(found, one) for name, one in equal.items()}
    found = replace(found, plan=_carry_on(before, found.plan, ran, earlier))
    release_results(outcome, {node.name for node in found.plan.nodes if node.state is State.COMPUTE} | ran)
    return found


def release_results(outcome: Outcome, needed: Collection[str] = ()) -> None:
    """Drop the results that the rest of a run does not need."""
    for name in outcome.results.keys() - needed:
        result = outcome.results.pop(name)
        if name in outcome.pinned and isinstance(result, TableResult):
            result.unpin()
    outcome.pinned &= outcome.results.keys()
    outcome.filled &= outcome.results.keys()


def _seconds_below(dag: Dag, plan: Plan) -> Mapping[str, float]:
    """Return the expected seconds of the dearest chain of computations below each node."""
    below: dict[str, float] = {}
    for node in reversed(dag.nodes):
        readers = [plan[name] for name in dag.readers(node.name)]
        below[node.name] = max(
            (one.predicted_seconds + below[one.name] for one in readers if one.state is State.COMPUTE), default=0.0
        )
    return below


def _is_held(name: str, outcome: Outcome) -> bool:
    """Return whether a result is in memory, so that reading it computes nothing."""
    result = outcome.results[name]
    if isinstance(result, TableResult):
        return name in outcome.filled or result.collected
    return isinstance(result, ModelResult | ValueResult)


def _shape(dag: Dag) -> list[tuple[str, tuple[str, ...]]]:
    return [(node.name, node.inputs) for node in dag.nodes]


def _carry_on(before: Plan, after: Plan, ran: Collection[str], equal: Mapping[str, str]) -> Plan:
    """Return the later plan with what happened by the earlier one; `equal` has sentences about equal results."""
    def with_history(node: PlannedNode) -> PlannedNode:
        if node.name not in ran:
            return node
        had = before[node.name]
        reason = "; ".join(filter(None, (had.reason, equal.get(node.name, ""))))
        return replace(node, state=had.state, reason=reason, predicted_seconds=had.predicted_seconds, held=had.held)

    return replace(after, nodes=tuple(map(with_history, after.nodes)), run_all_seconds=before.run_all_seconds)


def _describe_earlier(run: Run, signature: str) -> str:
    """Name an earlier result by the newest remembered iteration that had it."""
    number = next(
        (past.record.number for past in reversed(run.view.past)
         if any(node.signature == signature for node in past.nodes)), None,
    )
    return "equal to an earlier result" if number is None else f"equal to iteration {number}'s result"
