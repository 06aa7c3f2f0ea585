"""The order of an execution: units start as soon as what they need is there, independent ones at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from helix_spark.engine.execution.node_work import NodeWork
from helix_spark.engine.execution.timing import Step
from helix_spark.engine.execution.units import Unit
from helix_spark.hermetic.action import actions_to_come
from helix_spark.hermetic.context import ThreadContext
from helix_spark.planner.problem import State
from helix_spark.waits import first_done

_CANCEL_AGAIN = 0.2
"""Seconds after which the jobs are cancelled that a function has begun since the last time."""


@dataclass(slots=True)
class Dispatch:
    """One execution of one plan.

    Attributes:
        work: has the results.
        pool: the threads of forced units.
        ends: each ends the execution with its error once it has one.
        context: what the calling thread has set; threads of the pool work in it.
        running: names of the nodes that each call of the pool's is for.
    """

    work: NodeWork
    pool: ThreadPoolExecutor
    ends: frozenset[Future[list[Step]]]
    context: ThreadContext = field(default_factory=ThreadContext)
    running: dict[Future[list[Step]], tuple[str, ...]] = field(default_factory=dict)

    def run(self, units: Iterable[Unit]) -> None:
        """Run all of these units, then count the rows of the outputs; end early where a result turned out to be an
        earlier one."""
        with actions_to_come():
            self._have_all(list(units))
        if self.work.outcome.equal:
            return
        for name in self.work.uncounted():
            self.running[self.pool.submit(self.context.call, self.work.count, name)] = (name,)
        while self.running:
            self._take_what_is_done()

    def _have_all(self, waiting: list[Unit]) -> None:
        while self.running or (waiting and not self.work.outcome.equal):
            if not self.work.outcome.equal:
                waiting = self._advance(waiting)
            self._take_what_is_done()

    def drain(self, grace: float | None) -> bool:
        """Wait for what is still running after a failure; its results count, its errors are the same failure's.

        Spark's jobs are cancelled, and those that a function begins meanwhile as well: a fit that is between two of its
        jobs would run to its end. A function of the author's cannot be cancelled.

        Args:
            grace: seconds to wait at most.

        Returns whether all came to an end.
        """
        until = None if grace is None else time.monotonic() + grace
        left = {future for future in self.running if not future.cancel()}
        self.work.tags.cancel()
        while left and (until is None or time.monotonic() < until):
            done, left = wait(left, timeout=_CANCEL_AGAIN)
            for future in done:
                if future.exception() is None:
                    self.work.outcome.steps.extend(future.result())
            if left:
                self.work.tags.cancel()
        if self.running:
            self.work.tags.cancel_late()
        return not left

    def _take_what_is_done(self) -> None:
        """Wait for the first of what is running.

        Raises:
            EndedError: the executor was ended meanwhile, or before, or what it runs was edited.
        """
        if self.running or any(end.done() for end in self.ends):
            done = first_done({*self.running, *self.ends})
            for end in self.ends & done:
                end.result()
            for future in done:
                self.running.pop(future)
                self.work.outcome.steps.extend(future.result())

    def _advance(self, waiting: list[Unit]) -> list[Unit]:
        """Extend the plans of lazy units, and start the forced ones whose needs are there. Lazy ones go first: what is
        wrong with them is found before any job runs."""
        for unit in waiting[:]:  # needs before their readers
            if not unit.forced and self._ready(unit):
                self.work.tags.tag_caller(unit)
                self.work.have(unit)
                waiting.remove(unit)
        for unit in [unit for unit in waiting if unit.forced and self._ready(unit)]:
            if not self._must_wait(unit):  # for one that was started right before it
                self.running[self.pool.submit(self.context.call, self.work.step, unit)] = unit.names
                waiting.remove(unit)
        return waiting

    def _ready(self, unit: Unit) -> bool:
        return unit.needs <= self.work.outcome.results.keys() and not self._must_wait(unit)

    def _must_wait(self, unit: Unit) -> bool:
        """Return whether a unit and another one that is under way may both register views or functions with the
        session: what one registers as `p`, the other would read as its own `p`. A table is bound to what it was made of
        once its unit is done, so nothing has to wait for its jobs."""
        if unit.state is not State.COMPUTE or self.work.registering.isdisjoint(unit.names):
            return False
        return any(not self.work.registering.isdisjoint(names) for names in self.running.values())
