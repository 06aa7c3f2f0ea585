"""Takes leases on what is worth waiting for, so that two drivers do not compute one expensive result.

Nobody holds one lease while waiting for another, so no two drivers wait for each other; and since the first record of a
result wins, a lease that is lost costs time and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from helix_spark.catalog.leases.leases import Lease
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.run.preparation import plan_again
from helix_spark.run.run import Run

WORTH_WAITING = 1.0
"""Seconds that having a result must be expected to take for it to be leased: what takes less is not worth a wait."""

_MOST_WAITS = 50
"""Waits of a run before it computes whatever others do; each time, somebody else had come to an end."""

FACTOR = 3.0
LEAST = 30.0
"""A result is waited for as long as three times what its holder, or where that did not say, this run, expects to take;
30 seconds at least, as what takes a second in the plan may wait for a session or for the cores. A holder that lives and
comes to no end (its code hangs, its data grew) would be waited for without limit else: its heartbeat goes on."""


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


def wait_for_others(run: Run) -> Run:
    """Wait while another process computes what this plan would compute, then plan with what that stored.

    A process that takes too long is not waited for again. In the end the run holds the leases of its plan.
    """
    late: set[str] = set()
    for _ in range(_MOST_WAITS):
        wanted = {signature: name for signature, name in expensive(run.plan).items() if signature not in late}
        blocking = _take_all(wanted, run)
        if blocking is None and not _stored_meanwhile(run):
            return run
        run.leased.release_all()
        if blocking is not None and not _waited(blocking, wanted[blocking.name], run):
            late.add(blocking.name)
        run = plan_again(run)
    return run


def _stored_meanwhile(run: Run) -> bool:
    return bool(run.tools.catalog.live_among(run.leased.names))


def _waited(blocking: Lease, name: str, run: Run) -> bool:
    """Wait for the end of a lease. Return whether it came in time. Raise EndedError if the Helix is closed."""
    tools, planned = run.tools, run.plan.predicted_seconds
    holder = str(blocking.holder or "another process")
    tools.observer.waiting(name, holder)
    expected = blocking.expected if blocking.expected is not None else planned
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


def _take_all(wanted: Iterable[str], run: Run) -> Lease | None:
    """Take leases, up to the first one that another process has; return that one."""
    expected = run.plan.predicted_seconds
    found = (run.leased.take(signature, expected) for signature in sorted(wanted))
    return next((lease for lease in found if lease is not None), None)
