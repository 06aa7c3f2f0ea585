"""Filling pins: a persisted table that a fit reads is computed in a step of its own, before the fit.

Spark would compute it inside the fit's first job. Apart, the table's seconds and the fit's are both measured instead of
shared out by guesses, and the fit may read it in fewer partitions than it is computed in (`partitions.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from threading import Lock

from helix_spark.engine.results import TableResult
from helix_spark.engine.step_clock import StepClock
from helix_spark.engine.timing import Step


class Filling:
    """The pins of one run. Several fits may ask for one at the same time: the first fills it, the others wait.

    Args:
        pinned: names of the tables that are persisted in this run, and are empty at first.
    """

    def __init__(self, pinned: Collection[str], clock: StepClock) -> None:
        self._clock = clock
        self._locks = {name: Lock() for name in pinned}
        self._full: set[str] = set()

    def passed(self, names: Collection[str]) -> None:
        """Notes that a step has read its way through these nodes: what of them is pinned is full now."""
        self._full.update(names)

    def fill(self, name: str, table: TableResult) -> Step | None:
        """Computes a pinned table; None where there is nothing to fill."""
        if name not in self._locks:
            return None
        with self._locks[name]:
            if name in self._full:
                return None
            step = self._clock.step((name,), lambda: table.frame().count())
            self._full.add(name)
            return step
