"""Takes leases on what is worth waiting for, so that two drivers do not compute one expensive result.

Nobody holds one lease while waiting for another, so no two drivers wait for each other; and since the first record of a
result wins, a lease that is lost costs time and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases.leases import Lease
from helix_spark.engine.execution.observer import Observer
from helix_spark.iteration.preparation import Prepared
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State

PlanAgain = Callable[[], tuple[Prepared, Plan]]
"""Looks the workflow up in the catalog once more, and plans."""

WORTH_WAITING = 1.0
"""Seconds that having a result must be expected to take for it to be leased: what takes less is not worth a wait."""

_MOST_WAITS = 50
"""How often a run waits before it computes whatever others do; each time, somebody else had come to an end."""

FACTOR = 3.0
LEAST = 30.0
"""A result is waited for as long as three times what its holder, or where that did not say, this run, expects to take;
30 seconds at least, as what takes a second in the plan may wait for a session or for the cores. A holder that lives and
comes to no end (its code hangs, its data grew) would be waited for without limit else: its heartbeat goes on."""


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
    prepared: Prepared, plan: Plan, again: PlanAgain, catalog: Catalog, observer: Observer, held: list[str],
    check_open: Callable[[], None] = lambda: None,
) -> tuple[Prepared, Plan]:
    """Waits while another process computes what this plan would compute, then plans with what it stored.

    Who takes too long is not waited for again: the run says so, and computes the result as well.

    Args:
        held: takes down each lease as it is had, so that whoever is interrupted knows what to give back. In the end,
            those of the plan to run: to be released when their results are stored, or will not be.
        check_open: called now and then while it waits; what it raises ends that.

    Returns the plan to run.
    """
    late: set[str] = set()
    for _ in range(_MOST_WAITS):
        wanted = {signature: name for signature, name in expensive(plan).items() if signature not in late}
        blocking = _take_all(wanted, catalog, plan.predicted_seconds, held)
        if blocking is None and not _stored_meanwhile(prepared, held, catalog):
            return prepared, plan
        while held:
            catalog.leases.release(held[-1])
            held.pop()
        if blocking is not None and not _waited(
            blocking, wanted[blocking.name], plan, catalog, observer, check_open
        ):
            late.add(blocking.name)
        prepared, plan = again()
    observer.warning(f"others were waited for {_MOST_WAITS} times; what they compute is computed here as well")
    return prepared, plan


def _stored_meanwhile(prepared: Prepared, signatures: Collection[str], catalog: Catalog) -> bool:
    """Whether one of these results is there by now; a table that lacks what this version reads does not count."""
    known = {gap.stored.attempt for gap in prepared.situation.unserved.values()}
    return any(record.attempt not in known for record in catalog.live_among(signatures).values())


def _waited(
    blocking: Lease, name: str, plan: Plan, catalog: Catalog, observer: Observer, check_open: Callable[[], None]
) -> bool:
    """Waits for the end of a lease. Returns whether it came in time."""
    holder = str(blocking.holder or "another process")
    observer.waiting(name, holder)
    expected = blocking.expected if blocking.expected is not None else plan.predicted_seconds
    limit, begun = max(LEAST, FACTOR * expected), time.monotonic()

    def is_late() -> bool:
        check_open()
        return time.monotonic() - begun > limit

    if catalog.leases.wait(blocking.name, until=is_late):
        return True
    observer.warning(
        f"{name!r} was waited for {limit:.0f} seconds, and {holder} still computes it (it expected {expected:.0f}): "
        "it is computed here as well"
    )
    return False


def _take_all(wanted: dict[str, str], catalog: Catalog, expected: float, held: list[str]) -> Lease | None:
    """Takes leases, up to the first one that another process has: that is returned."""
    for signature in sorted(wanted):
        found = catalog.leases.take(signature, expected)
        if found is not None:
            return found
        held.append(signature)
    return None
