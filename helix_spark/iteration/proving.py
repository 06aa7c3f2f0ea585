"""Nothing is reused before an audit has verified it: what of a plan that takes, and what is left of the stored results
once an audit has been."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from helix_spark.iteration.audit import auditable
from helix_spark.iteration.preparation import Prepared
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State


def to_be_verified(prepared: Prepared, plan: Plan, excused: Collection[str] = ()) -> tuple[str, ...]:
    """Names of the nodes whose results a plan reuses, and no audit has computed again yet.

    Args:
        excused: signatures of results of which no audit can tell whether they come out the same.
    """
    doubtful = frozenset(auditable(prepared)).intersection(plan.in_state(State.LOAD))
    return tuple(
        node.name for node in plan.nodes
        if node.name in doubtful and node.proof == "unproven" and node.signature not in excused
    )


def verifying_first(plan: Plan, names: Collection[str]) -> Plan:
    """The plan, in which nodes say that they are verified before they are reused."""
    return replace(plan, nodes=tuple(
        replace(node, reason=f"{node.reason}; unproven, so it is computed again and compared before it is reused")
        if node.name in names else node for node in plan.nodes
    ))


def only_proven(prepared: Prepared, excused: Collection[str] = ()) -> Prepared:
    """What is left to be reused where what is unproven is not. Argument as for `to_be_verified`."""
    situation = prepared.situation
    doubtful = {prepared.signed[name].signature for name in auditable(prepared)}.difference(situation.verified, excused)
    stored = {signature: one for signature, one in situation.stored.items() if signature not in doubtful}
    held_back = sum(one.bytes for signature, one in situation.stored.items() if signature in doubtful)
    return replace(prepared, situation=replace(situation, stored=stored, overhead=situation.overhead + held_back))
