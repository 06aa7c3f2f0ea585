"""The decision what to store, made again when a run is over: on what it measured, and what it has in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from helix_spark.costs.model import Estimate, EstimateSource, NodeEstimate
from helix_spark.dag.node import Dag
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.results.node_results import ModelResult, TableResult, ValueResult
from helix_spark.iteration.run import Run
from helix_spark.planner.plan import Plan
from helix_spark.planner.planning import replan_storage
from helix_spark.planner.problem import Certificate, Derivation, Solution, State


def decide_storage(run: Run, sizes: Mapping[str, int], *, to_write: bool = True) -> Plan:
    """Return the plan with storage decided on what the run measured.

    Args:
        sizes: bytes of results that were stored already, or were too large to be.
        to_write: whether what is not stored may still be; else it is decided what stays of what is.
    """
    plan = run.plan
    seconds = {one.name: one.warm_seconds for one in run.nodes if one.warm_seconds is not None}
    again = seconds_to_have_again(run.dag, seconds, names_at_hand(run.outcome))
    held = run.tools.memory.held
    nodes = tuple(
        replace(one, held=one.signature in held, costs=_measured(
            one.costs, seconds.get(one.name) if plan[one.name].state is State.COMPUTE else None,
            again.get(one.name, 0.0), sizes.get(one.name),
        ))
        for one in run.situation.nodes
    )
    chosen = {
        node.name: Derivation(
            node.name, node.state, node.inputs if node.state is State.COMPUTE else (), seconds.get(node.name, 0.0)
        )
        for node in plan.nodes if to_write and node.state is not State.PRUNE
    }
    spent = sum(way.seconds for way in chosen.values())
    solution = Solution(chosen, Certificate("optimal", spent, spent, 0.0, "none needed", 0.0))
    return replan_storage(plan, replace(run.situation, nodes=nodes), run.tools.policy, solution)


def seconds_to_have_again(dag: Dag, seconds: Mapping[str, float], at_hand: Collection[str]) -> dict[str, float]:
    """Return the seconds that writing each result of this run would compute again, by name.

    A lazy table that is not persisted comes from its inputs again, as far up as nothing is in memory. A table that
    columns extend is made once for all of them: it counts with its other readers, not with each column.

    Args:
        seconds: of each node that ran.
        at_hand: names of the results whose rows are in memory.
    """
    again: dict[str, float] = {}
    for node in dag.nodes:
        if node.name in seconds and node.name not in at_hand:
            inputs = (name for name in dict.fromkeys(node.inputs) if name != node.base)
            again[node.name] = seconds[node.name] + sum(again.get(name, 0.0) for name in inputs)
    return again


def names_at_hand(outcome: Outcome) -> frozenset[str]:
    """Return the names of the results whose rows are in memory, so that writing them reads nothing."""
    return frozenset(
        name for name, result in outcome.results.items()
        if name in outcome.pinned or isinstance(result, ModelResult | ValueResult)
        or (isinstance(result, TableResult) and result.at_hand)
    )


def _measured(costs: NodeEstimate, seconds: float | None, again: float, size: int | None) -> NodeEstimate:
    return replace(
        costs, write=replace(costs.write, amount=costs.write.amount + again),
        compute=costs.compute if seconds is None else Estimate(seconds, EstimateSource.MEASURED),
        bytes=costs.bytes if size is None else Estimate(size, EstimateSource.MEASURED),
    )
