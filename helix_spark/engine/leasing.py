"""Takes leases on what is worth waiting for, so that two drivers do not compute one expensive result.

Nobody holds one lease while waiting for another, so no two drivers wait for each other; and since the first record of a
result wins, a lease that is lost costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import Lease
from helix_spark.engine.observer import Observer
from helix_spark.engine.preparation import Prepared
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State

PlanAgain = Callable[[], tuple[Prepared, Plan]]
"""Looks the workflow up in the catalog once more, and plans."""

WORTH_WAITING = 1.0
"""Seconds that having a result must be expected to take for it to be leased: what takes less is not worth a wait."""

_MOST_WAITS = 50
"""How often a run waits before it computes whatever others do; each time, somebody else had come to an end."""


def expensive(plan: Plan) -> dict[str, str]:
    """Names of nodes that are to be computed and stored, and take long to have, by signature.

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


def after_others(
    prepared: Prepared, plan: Plan, again: PlanAgain, catalog: Catalog, observer: Observer,
) -> tuple[Prepared, Plan, tuple[str, ...]]:
    """Waits while another process computes what this plan would compute, then plans with what it stored.

    Returns the plan to run, and the leases it holds: to be released when their results are stored, or will not be.
    """
    for _ in range(_MOST_WAITS):
        wanted = expensive(plan)
        held, blocking = _take_all(wanted, catalog)
        if blocking is None and not catalog.live_among(held):
            return prepared, plan, held
        for signature in held:
            catalog.leases.release(signature)
        if blocking is not None:
            observer.waiting(wanted[blocking.name], str(blocking.holder or "another process"))
            catalog.leases.wait(blocking.name)
        prepared, plan = again()
    return prepared, plan, ()


def _take_all(wanted: dict[str, str], catalog: Catalog) -> tuple[tuple[str, ...], Lease | None]:
    held: list[str] = []
    for signature in sorted(wanted):
        found = catalog.leases.take(signature)
        if found is not None:
            return tuple(held), found
        held.append(signature)
    return tuple(held), None
