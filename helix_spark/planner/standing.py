"""A plan that goes on from another one, after a computed result turned out to be an earlier one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import State


def carried_on(before: Plan, after: Plan, ran: Collection[str], equal: Mapping[str, str]) -> Plan:
    """The later plan, with what happened by the earlier one.

    Args:
        ran: names of the nodes that were computed or loaded by then.
        equal: of these, those that turned out to be earlier results, with what is told of that.
    """
    def told(node: PlannedNode) -> PlannedNode:
        if node.name not in ran:
            return node
        had = before[node.name]
        reason = f"{had.reason}; {_standing(had, before, after, equal)}" if node.name in equal else had.reason
        return replace(
            node, state=had.state, reason=reason, predicted_seconds=had.predicted_seconds, held=had.held,
        )

    return replace(after, nodes=tuple(map(told, after.nodes)), run_all_seconds=before.run_all_seconds)


def _standing(node: PlannedNode, before: Plan, after: Plan, equal: Mapping[str, str]) -> str:
    """What a result is equal to, and what below it is not computed for that reason.

    A node that several equal results are above is told of with each.
    """
    text = equal[node.name]
    below, names = {node.name}, list[str]()
    for reader in before.nodes:
        if below.isdisjoint(reader.inputs):
            continue
        below.add(reader.name)
        if reader.state is State.COMPUTE and after[reader.name].state is not State.COMPUTE:
            names.append(f"`{reader.name}`")
    if not names:
        return text
    return f"{text}: {', '.join(names)} {'stands' if len(names) == 1 else 'stand'}"
