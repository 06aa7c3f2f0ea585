"""From a plan to its outcome: wait for other processes that compute the same results, then execute the plan, and plan
again if a result is equal to an earlier one or damaged.

A run holds no lease while it waits for another, so no two drivers wait for each other. The first record of a result
wins, so a lost lease costs only time.

Early cut-off: a computed result with the content of an earlier result takes over its identity. The nodes below then
have their earlier signatures, and the rest is planned again while the run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial

from helix_spark.answers.capture_nodes import check_columns_exist
from helix_spark.catalog.catalog_reader import WHY_MISSING
from helix_spark.catalog.leases import Lease
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
from helix_spark.run.run_outputs import keep_in_memory


def note_provenance(run: Run) -> Run:
    """Read the file that declares the workflow at once: it may be edited during the run."""
    return replace(run, provenance=Provenance.read(run.workflow.where))


def check_what_computes(run: Run) -> Run:
    """Check that the stages to compute are valid and columns exist. Raises OperatorError, ColumnNotFoundError."""
    nodes = [node for node in run.dag.nodes if run.plan[node.name].state is State.COMPUTE]
    check_stages(nodes)
    check_columns_exist(nodes, run.dag, run.tools.sessions.settings_that_change_results())
    return run


def prepare_catalog(run: Run) -> Run:
    """Create the catalog before anything is leased in it. Quarantine missing or incomplete results: their live records
    would prevent the publication of new data."""
    run.tools.catalog.make()
    for record in run.tools.catalog.quarantine_missing(run.view.missing):
        run.tools.observer.warning(
            f"the stored result of {record.node!r} cannot be loaded: {WHY_MISSING}; it is computed again when needed"
        )
    return run


def take_from_server(run: Run) -> Run:
    """Take results from a warm server's memory into the session. Plan again without the server if it lost a result."""
    memory, loaded = run.tools.memory, set[str]()
    for node in run.plan.nodes:
        if node.state is State.LOAD and not (node.stored or node.held):
            if (result := kept_result(node.signature, run.tools.catalog, run.tools.sessions)) is None:
                run.tools.observer.warning(f"the server has lost `{node.name}` from its memory")
                return plan_again(replace(run, takes_from_server=False))
            memory.put(result, node.signature)
            loaded.add(node.name)
    nodes = tuple(replace(node, held=True) if node.name in loaded else node for node in run.plan.nodes)
    return replace(run, plan=replace(run.plan, nodes=nodes))


def begin(run: Run) -> Run:
    """Record that the iteration runs, and announce its plan."""
    tools, plan = run.tools, run.plan
    run.leases.take(run.id)
    tools.memory.next_version(node.signature for node in plan.nodes)
    metrics = [
        {"name": metric.name, "better": metric.better or "", "primary": metric.primary}
        for node in run.declared_dag.nodes for metric in node.wishes.metrics
    ]
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
"""The least expected seconds of a leased result: a shorter computation is not worth a wait."""

_MOST_WAITS = 50
"""The most waits of a run; then it computes regardless of other processes."""

FACTOR, LEAST = 3.0, 30.0
"""Limit of one wait: three times this run's expected seconds, and at least 30, as a job of one second may wait for a
session or for cores. The lease of a holder whose code hangs never ends by itself: its heartbeat goes on."""


def wait_for_others(run: Run) -> Run:
    """Wait while another process computes a result of this plan, then plan again with its stored results. Do not wait
    again for a result that takes too long. In the end the run holds the leases of its plan."""
    late: set[str] = set()
    for _ in range(_MOST_WAITS):
        to_lease = {signature: name for signature, name in names_to_lease(run.plan).items() if signature not in late}
        conflicts = (run.leases.take(signature) for signature in sorted(to_lease))
        blocking = next((lease for lease in conflicts if lease is not None), None)
        if blocking is None and not run.tools.catalog.live_among(run.leases.names):
            return run
        run.leases.release_all()
        if blocking is not None and not _wait_for_lease(blocking, to_lease[blocking.name], run):
            late.add(blocking.name)
        run = plan_again(run)
    return run


def names_to_lease(plan: Plan) -> dict[str, str]:
    """Return names, by signature, of the nodes to compute and store that are worth a lease. Seconds of inputs that are
    not stored are added to their readers': the division of one job among its nodes is a guess."""
    seconds: dict[str, float] = {}
    for node in plan.nodes:
        if node.state is State.COMPUTE:
            inputs = (plan[name] for name in node.inputs)
            seconds[node.name] = node.compute_seconds + sum(
                seconds.get(source.name, 0.0) for source in inputs if not source.keep
            )
    return {
        plan[name].signature: name for name, total in seconds.items()
        if total >= WORTH_WAITING and plan[name].keep and not plan[name].stored and not plan[name].random
    }


def _wait_for_lease(lease: Lease, name: str, run: Run) -> bool:
    """Wait for the end of a lease; return whether it ended in time. Raises EndedError if the Helix is closed."""
    tools, holder = run.tools, str(lease.holder or "another process")
    tools.observer.waiting(name, holder)
    limit, start = max(LEAST, FACTOR * run.plan.predicted_seconds), time.monotonic()

    def is_late() -> bool:
        tools.check_open()
        return time.monotonic() - start > limit

    if tools.catalog.leases.wait(lease.name, until=is_late):
        return True
    tools.observer.warning(f"{holder} still computes {name!r} after {limit:.0f} seconds: it is computed here as well")
    return False


# Execution ------------------------------------------------------------------------------------------------------------

def execute(run: Run) -> Run:
    """Execute the plan until it is done or fails. Plan again if a result is equal to an earlier one, or damaged."""
    damaged_attempts: set[str] = set()
    so_far = None
    while True:
        outcome = run.tools.executor.execute(
            run.dag, run.plan, run.view.artifacts, run.id, registering_nodes(run), _nodes_to_compare(run), so_far,
            run.calls.begin, partial(_change_since_signed, run),
        )
        run, so_far = replace(run, outcome=outcome), None
        if outcome.equal and outcome.failure is None:
            run, so_far = _cut_off(run), outcome
        elif (next_run := _without_damage(run, damaged_attempts)) is not None:
            run = next_run
        else:
            return run
        run.tools.observer.planned(run.numbered)


def _change_since_signed(run: Run, node: Node) -> str:
    """Describe the changes of a node since it was signed; empty for no change."""
    return change_since(node, run.described[node.name], run.calls.settings)


def compute_output(run: Run, name: str, signature: str) -> NodeResult:
    """Compute an output that was answered from the record, from stored results.

    Raises:
        NotStoredError: the result would be different now.
        NodeError: the author's code or a Spark job failed.
    """
    node = run.dag[name]
    if run.situation[name].signature != signature:
        raise NotStoredError(
            f"the result of {name!r} was not kept, and its code or inputs have changed since", where=node.where,
            remedy="run the workflow again",
        )
    run.tools.observer.warning(f"`{name}` was not kept: it is computed now, for this request")
    run = compute_alone(run, (node.name,))
    keep_in_memory(run)
    return run.outcome.results[node.name]


def compute_alone(
    run: Run, names: Collection[str], *, again: Collection[str] | None = (),
    announce: Callable[[Plan], None] = lambda plan: None,
) -> Run:
    """Compute nodes that are not stored, and nothing else, from stored results. `announce` gets the plan first.

    Args:
        again: names of nodes to compute although they are stored, without recorded answers in their functions; None for
            all nodes, so that only instances are loaded.

    Raises:
        NodeError: the author's code or a Spark job failed.
        NotStoredError: a necessary instance of an earlier run was not kept.
    """
    run = plan_alone(run, names, again=again)
    computed = run.computed
    if lost := [node for node in run.situation.nodes if node.signed.instance == "earlier" and node.name in computed]:
        raise NotStoredError(
            f"{lost[0].name!r} is one of several right answers, and the answer that was used here was not kept",
            where=lost[0].node.where,
            remedy="run the workflow again: it computes another one, and all results that depend on it",
        )
    announce(run.plan)
    outcome = run.tools.executor.execute(
        run.dag, run.plan, run.view.artifacts, run.id, registering_nodes(run),
        begin_call=run.calls.begin if again == () else begin_in_spark,
    )
    if outcome.failure is not None:
        release_results(outcome)
        raise outcome.failure
    return replace(run, outcome=outcome)


def plan_alone(run: Run, names: Collection[str], *, again: Collection[str] | None = ()) -> Run:
    """Plan to compute nodes, and nothing else; see `compute_alone`."""
    situation = run.situation.alone(slice_to_outputs(replace(run.dag, outputs=tuple(names))))
    situation = replace(situation, nodes=tuple(
        replace(node, artifact=node.artifact if node.signed.instance else None, held=False)
        if again is None or node.name in again else node
        for node in situation.nodes
    ))
    return replace(run, situation=situation, plan=make_plan(situation, NEVER))


def registering_nodes(run: Run) -> frozenset[str]:
    """Return the nodes whose code registers views or functions with the session."""
    return frozenset(node.name for node in run.dag.nodes if run.described[node.name].in_turns)


def _without_damage(run: Run, damaged_attempts: set[str]) -> Run | None:
    """Quarantine a damaged stored result, once each, and plan again without all results of this run: any of them may
    depend on it. Return None if no such damage ended the run."""
    damage, tools = run.outcome.failure, run.tools
    if not isinstance(damage, DamagedResultError) or damage.record.attempt in damaged_attempts:
        return None
    # Its rows may be in memory, read before its files were damaged.
    tools.memory.drop(damage.record.signature)
    if tools.catalog.quarantine(damage.record.signature, damage.what, attempt=damage.record.attempt) is not None:
        # Otherwise it was evicted since this run planned, so its files are missing rightly.
        tools.observer.warning(f"{damage.what}; it is computed again")
    damaged_attempts.add(damage.record.attempt)
    release_results(run.outcome)
    return plan_again(run)


def _nodes_to_compare(run: Run) -> frozenset[str]:
    """Return the nodes to compare with earlier results as soon as they are computed: deterministic ones with recorded
    content of an earlier version. A match costs another planning, so the work below must take longer than `--cut-off`.
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


def _cut_off(run: Run) -> Run:
    """Plan the rest again with the equal earlier results, and release unneeded results."""
    outcome, before = run.outcome, run.plan
    equal, outcome.equal = outcome.equal, {}
    done = {name for name in outcome.results if before[name].state is State.COMPUTE and _is_in_memory(name, outcome)}
    ran = run.dag.upstream_within(done, outcome.results.keys()) | done
    equivalents = {before[name].declared: signature for name, signature in equal.items()}
    in_memory = [name for name in ran if _is_in_memory(name, outcome)]
    after = plan_again(replace(run, equal={**run.equal, **equivalents}), in_memory)
    if _edges(after.dag) != _edges(run.dag):  # it merges nodes that the running plan keeps apart
        return run
    sentences = {name: _describe_earlier(after, signature) for name, signature in equal.items()}
    after = replace(after, plan=_with_history(before, after.plan, ran, sentences))
    release_results(outcome, after.computed | ran)
    return after


def release_results(outcome: Outcome, needed: Collection[str] = ()) -> None:
    """Release all results but the needed ones."""
    for name in outcome.results.keys() - needed:
        result = outcome.results.pop(name)
        if name in outcome.pinned and isinstance(result, TableResult):
            result.unpin()
    outcome.pinned &= outcome.results.keys()
    outcome.filled &= outcome.results.keys()


def _seconds_below(dag: Dag, plan: Plan) -> Mapping[str, float]:
    """Return the expected seconds of the longest chain of computations below each node."""
    below: dict[str, float] = {}
    for node in reversed(dag.nodes):
        computed = (reader for name in dag.readers(node.name) if (reader := plan[name]).state is State.COMPUTE)
        below[node.name] = max((reader.predicted_seconds + below[reader.name] for reader in computed), default=0.0)
    return below


def _is_in_memory(name: str, outcome: Outcome) -> bool:
    """Return whether a result is in memory, so that reading it computes nothing."""
    result = outcome.results[name]
    if isinstance(result, TableResult):
        return name in outcome.filled or result.collected
    return isinstance(result, ModelResult | ValueResult)


def _edges(dag: Dag) -> list[tuple[str, tuple[str, ...]]]:
    return [(node.name, node.inputs) for node in dag.nodes]


def _with_history(before: Plan, after: Plan, ran: Collection[str], equal: Mapping[str, str]) -> Plan:
    """Return the later plan, in which nodes that ran are as planned before; `equal` has sentences on equal results."""
    def with_history(node: PlannedNode) -> PlannedNode:
        if node.name not in ran:
            return node
        old = before[node.name]
        reason = "; ".join(filter(None, (old.reason, equal.get(node.name, ""))))
        return replace(node, state=old.state, reason=reason, predicted_seconds=old.predicted_seconds, held=old.held)

    return replace(after, nodes=tuple(map(with_history, after.nodes)), run_all_seconds=before.run_all_seconds)


def _describe_earlier(run: Run, signature: str) -> str:
    """Name an earlier result by the newest iteration in the view that had it."""
    for past in reversed(run.view.past):
        if any(node.signature == signature for node in past.nodes):
            return f"equal to iteration {past.record.number}'s result"
    return "equal to an earlier result"
