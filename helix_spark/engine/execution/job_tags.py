"""Names Spark's jobs after their run, so that they can be cancelled with it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING

from helix_spark.dag.node import Dag, computes_with_spark
from helix_spark.engine.execution.units import Unit
from helix_spark.engine.spark.driver_client import DriverClient, driver_client
from helix_spark.engine.spark.spark_errors import spark_errors
from helix_spark.errors import SetupError
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.workflow.operators import Read, Result

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from helix_spark.engine.spark.session import Sessions


@dataclass(slots=True)
class JobTags:
    """The tags of one execution's jobs.

    Attributes:
        run: the tag; another one once the run is cancelled.
        eager: names of lazy nodes that take a session at once: those that are persisted, or register something with it.
        tagged: the session of which the caller's thread has a tag, and which; None before that.
    """

    sessions: Sessions
    dag: Dag
    plan: Plan
    run: str
    eager: frozenset[str] = frozenset()
    tagged: tuple[SparkSession, str] | None = None

    def tag(self, names: Sequence[str]) -> None:
        """Tag the jobs of this thread, which is one of ours, to be cancelled with the run. Where nodes take a session,
        it is waited for: the first jobs of a process are tagged, too."""
        if self.sessions.started or any(ran_in_spark(name, self.dag, self.plan) for name in names):
            spark = self.sessions.get()
            spark.clearTags()
            spark.addTag(self.run)

    def tag_caller(self, unit: Unit) -> None:
        """Tag the jobs of the caller's thread, to be cancelled with the run: functions may look at their data while
        they declare. Its own tags stay what they are. A session is waited for only where a lazy unit takes one at once:
        a source is read when its readers ask for it."""
        takes_one = any(
            name in self.eager
            or (ran_in_spark(name, self.dag, self.plan) and not isinstance(self.dag[name].operator, Read))
            for name in unit.names
        )
        if takes_one and self.tagged is None:
            spark = self.sessions.get()
            spark.addTag(self.run)
            self.tagged = spark, self.run

    def untag_caller(self) -> None:
        """Remove the tag from the caller's thread."""
        if self.tagged is not None and not self.sessions.ended:
            with suppress(*spark_errors()):  # a JVM that has ended knows no tags any more
                spark, tag = self.tagged
                spark.removeTag(tag)

    def cancel(self) -> None:
        """End the jobs of the run."""
        if self.sessions.started and not self.sessions.ended:
            with suppress(SetupError, *spark_errors()):  # a JVM whose end is the failure has no jobs left
                self.sessions.get().interruptTag(self.run)

    def cancel_late(self) -> None:
        """Cancel behind the run what Spark begins all the same: of a query that was interrupted while it was planned,
        other threads begin stages later, which would run to their end. Only our own JVM can be told. What the run
        does from now on, such as storing what it has, has another tag."""
        if not self.sessions.started or self.sessions.ended:
            return
        ended, self.run = self.run, f"{self.run}_after"
        with suppress(SetupError, *spark_errors()):
            if (client := driver_client(self.sessions.get())) is not None:
                Thread(target=_cancel_late, args=(client, ended), name="helix-late-jobs", daemon=True).start()


def _cancel_late(client: DriverClient, tag: str) -> None:
    with suppress(*spark_errors(), OSError, AttributeError):  # a JVM that has ended begins nothing
        for _ in range(_LATE_LOOKS):
            client.cancel(tag)
            time.sleep(_LATE_SECONDS)


_LATE_LOOKS, _LATE_SECONDS = 10, 0.3
"""Stages were begun up to a second after their query had been interrupted."""


def ran_in_spark(name: str, dag: Dag, plan: Plan) -> bool:
    """Return whether a step of a node has had Spark do something."""
    own, node = plan[name], dag[name]
    if own.state is State.COMPUTE:
        return computes_with_spark(node, dag)
    return node.result is Result.MODEL and not own.held
