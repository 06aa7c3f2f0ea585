"""Filling: tables whose rows are kept are computed in steps of their own, before what reads them.

Spark would compute a pinned table inside the first job that reads it, and a collected one when it is first looked at.
Several readers that start at the same time would wait for it together, and each take that for its own work. Apart, the
table's seconds and its readers' are measured instead of shared out by guesses, and a fit may read a pinned table in
fewer partitions than it is computed in (`partitions.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from threading import Lock

from helix_spark.engine.execution.timing import Step
from helix_spark.engine.execution.workbench import StepClock
from helix_spark.engine.results.contents import count
from helix_spark.engine.results.node_results import TableResult


class Filling:
    """The kept tables of one run. Several units may ask for one at the same time: the first fills it, the others wait.

    Args:
        pinned: names of the tables that are persisted in this run.
        filled: of these, those that have their rows already; the others are empty at first.
        contents: takes the digests of what tables hold, by name, where they are counted.
        compared: names of the tables whose digests are taken then: the others' can wait until the answer is there.

    Attributes:
        rows: how many rows a table has, by its name, where it was counted to fill its pin.
    """

    def __init__(
        self, pinned: Collection[str], clock: StepClock, filled: Collection[str] = (),
        contents: dict[str, str] | None = None, compared: Collection[str] = (),
    ) -> None:
        self.rows: dict[str, int] = {}
        self._contents, self._compared = contents, frozenset(compared)
        self._clock = clock
        self._pinned, self._empty = frozenset(pinned), set(pinned) - set(filled)
        self._locks: dict[str, Lock] = defaultdict(Lock)

    @property
    def full(self) -> frozenset[str]:
        """Names of the pinned tables whose rows are all in memory by now."""
        return self._pinned - self._empty

    def fill(self, name: str, table: TableResult) -> Step | None:
        """Compute a pinned table; None where there is nothing to fill."""
        def counted() -> None:
            if self._contents is None or name not in self._compared:
                self.rows[name] = table.frame().count()
                return
            self.rows[name], content = count(table.frame())
            if content is not None:
                self._contents[name] = content

        with self._locks[name]:
            if name not in self._empty:
                return None
            step = self._clock.step((name,), counted)
            self._empty.remove(name)
            return step

    def collect(self, name: str, table: TableResult) -> Step | None:
        """Fetch a table's rows into this process, by way of its pin where it has one and they come from Spark; None
        where they are here."""
        with self._locks[name]:
            if table.collected:
                return None
            step = self._clock.step((name,), table.arrow)
            if table.through_frame:
                self._empty.discard(name)
            return step
