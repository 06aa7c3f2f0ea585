"""Times forced steps, and how much of them the driver's JVM spent on compiling code."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.execution.timing import Step

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from helix_spark.engine.spark.session import Sessions


class StepClock:
    """Runs forced steps, says when they begin and end, and how long they took. Several threads may use it at a time."""

    def __init__(self, sessions: Sessions, observer: Observer) -> None:
        self._sessions, self._observer = sessions, observer
        self._compiler: tuple[SparkSession, Any] | None = None

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
        """Seconds that all compiler threads of the driver's JVM have taken so far; 0 without one that counts them."""
        if not self._sessions.started:
            return 0.0
        spark = self._sessions.get()
        if self._compiler is None or self._compiler[0] is not spark:
            self._compiler = spark, _compiler_of(spark)
        compiler = self._compiler[1]
        return float(compiler.getTotalCompilationTime()) / 1000 if compiler is not None else 0.0


def _compiler_of(spark: SparkSession) -> Any:
    jvm = spark.sparkContext._jvm
    compiler = jvm.java.lang.management.ManagementFactory.getCompilationMXBean() if jvm is not None else None
    return compiler if compiler is not None and compiler.isCompilationTimeMonitoringSupported() else None
