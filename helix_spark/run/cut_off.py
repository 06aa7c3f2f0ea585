"""Early cut-off: what was computed anew and holds what an earlier result held is that earlier result. All that lies
below it is then signed as before, found again, and the rest of the plan is made anew while the run goes on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

from helix_spark.dag.node import Dag
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.results.node_results import ModelResult, TableResult, ValueResult
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import State
from helix_spark.run.preparation import plan_again
from helix_spark.run.run import Run


def worth_comparing(run: Run) -> frozenset[str] | None:
    """Return the nodes to compare with earlier results as soon as they are computed; None if nothing is ever compared.

    Nondeterministic results are never compared, nor those without an earlier version whose content is recorded, nor
    those below which less work is expected than `--cut-off` says, or than planning took: a match costs planning once
    more.
    """
    if run.tools.cut_off == math.inf:
        return None
    plan, below = run.plan, _seconds_below(run.dag, run.plan)
    contents = {signature for signature, record in run.records.measured.items() if record.content is not None}
    comparable = {node.name for past in run.view.past for node in past.nodes if node.signature in contents}
    least = run.planning_seconds if run.tools.cut_off is None else run.tools.cut_off
    return frozenset(
        node.name for node in run.dag.nodes
        if node.name in comparable and plan[node.name].state is State.COMPUTE
        and not plan[node.name].random and not node.wishes.fixed
        and below[node.name] > least
    )


def cut_off(run: Run) -> tuple[Run, bool]:
    """Plan the rest again where a result turned out to be an earlier one, and drop what is not needed any more. Return
    also whether further results can be compared."""
    outcome, before = run.outcome, run.plan
    equal, outcome.equal = outcome.equal, {}
    done = {name for name in outcome.results if before[name].state is State.COMPUTE and _is_held(name, outcome)}
    ran = run.dag.upstream_within(done, outcome.results.keys()) | done
    stands = {before[name].declared: signature for name, signature in equal.items()}
    found = plan_again(replace(run, equal={**run.equal, **stands}), [name for name in ran if _is_held(name, outcome)])
    if _shape(found.dag) != _shape(run.dag):  # it has features, or merges nodes, that what is under way does not
        return run, False
    earlier = {name: _describe_earlier(found, one) for name, one in equal.items()}
    found = replace(found, plan=_carry_on(before, found.plan, ran, earlier))
    release_results(outcome, {node.name for node in found.plan.nodes if node.state is State.COMPUTE} | ran)
    return found, True


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
    """Return the later plan with what happened by the earlier one.

    Args:
        ran: nodes that were computed or loaded by then.
        equal: those that turned out to be earlier results, with a sentence about that.
    """
    def with_history(node: PlannedNode) -> PlannedNode:
        if node.name not in ran:
            return node
        had = before[node.name]
        reason = f"{had.reason}; {_describe_cut(had, before, after, equal)}" if node.name in equal else had.reason
        return replace(
            node, state=had.state, reason=reason, predicted_seconds=had.predicted_seconds, held=had.held,
        )

    return replace(after, nodes=tuple(map(with_history, after.nodes)), run_all_seconds=before.run_all_seconds)


def _describe_cut(node: PlannedNode, before: Plan, after: Plan, equal: Mapping[str, str]) -> str:
    """Say what a result is equal to, and what below it is not computed for that reason."""
    below, names = {node.name}, list[str]()
    for reader in before.nodes:
        if below.isdisjoint(reader.inputs):
            continue
        below.add(reader.name)
        if reader.state is State.COMPUTE and after[reader.name].state is not State.COMPUTE:
            names.append(f"`{reader.name}`")
    stands = f": {', '.join(names)} {'stands' if len(names) == 1 else 'stand'}" if names else ""
    return equal[node.name] + stands


def _describe_earlier(run: Run, signature: str) -> str:
    """Name an earlier result by the newest remembered iteration that had it."""
    number = next(
        (past.record.number for past in reversed(run.view.past)
         if any(node.signature == signature for node in past.nodes)), None,
    )
    return "equal to an earlier result" if number is None else f"equal to iteration {number}'s result"
