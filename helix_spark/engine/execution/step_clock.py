"""Times forced steps, and how much of them the driver's JVM spent on compiling code."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.execution.timing import Step
from helix_spark.engine.spark.transport import Transport, transport_of

if TYPE_CHECKING:
    from helix_spark.engine.spark.session import Sessions


class StepClock:
    """Runs forced steps, says when they begin and end, and how long they took. Several threads may use it at a time."""

    def __init__(self, sessions: Sessions, observer: Observer) -> None:
        self._sessions, self._observer = sessions, observer
        self._transport: Transport | None = None

    def step(self, names: tuple[str, ...], work: Callable[[], object]) -> Step:
        """Does what a step does. What fails has no step.

        Args:
            names: of the nodes that the step is for.
        """
        start, compiled = time.perf_counter(), self._compiled()
        for name in names:
            self._observer.node_started(name)
        work()
        step = Step(names, start, time.perf_counter(), self._compiled() - compiled)
        for name in names:
            self._observer.node_finished(name, step.end - step.start)
        return step

    def _compiled(self) -> float:
        """Seconds that all compiler threads of the driver's JVM have taken so far; 0 where nobody counts them."""
        if not self._sessions.started:
            return 0.0
        spark = self._sessions.get()
        if self._transport is None or self._transport.spark is not spark:
            self._transport = transport_of(spark)
        return self._transport.compiler_seconds()
