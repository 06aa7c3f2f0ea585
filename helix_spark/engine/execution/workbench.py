"""What executions of plans work with, and what the author's code told from Spark's workers meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.table_check import DamagedArtifactError
from helix_spark.dag.node import Dag
from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.execution.timing import Step
from helix_spark.engine.results.loading import DamagedResultError
from helix_spark.engine.results.memory import MemoryTier
from helix_spark.engine.spark.connect import master_of
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.engine.spark.settings import is_on_this_machine
from helix_spark.hermetic.task import Purpose
from helix_spark.hermetic.worker_reports import WorkerReports
from helix_spark.planner.plan import Plan

if TYPE_CHECKING:
    from helix_spark.engine.spark.session import Sessions


class StepClock:
    """Runs forced steps, says when they begin and end, and how long they took. Several threads may use it at a time."""

    def __init__(self, sessions: Sessions, observer: Observer) -> None:
        self._sessions, self._observer = sessions, observer

    def step(self, names: tuple[str, ...], work: Callable[[], object]) -> Step:
        """Do the work of a step. What fails has no step.

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
        """Return the seconds that compiler threads of the driver's JVM have taken so far, 0 if they are not counted."""
        if not self._sessions.started:
            return 0.0
        client = driver_client(self._sessions.get())
        return 0.0 if client is None else client.compiler_seconds()


@dataclass(frozen=True, slots=True)
class Workbench:
    """What executions work with: one session, one catalog, one memory tier."""

    sessions: Sessions
    catalog: Catalog
    memory: MemoryTier
    observer: Observer
    clock: StepClock
    reports: WorkerReports = field(default_factory=WorkerReports)

    def take_reports(self, dag: Dag, plan: Plan, outcome: Outcome) -> frozenset[str]:
        """Note what the author's code has done in Spark's workers since the last time, and return the names of nodes
        with something new. Behind an answer storing may have it run once more, or for the first time."""
        names = {plan[node.name].signature: node.name for node in dag.nodes}
        names |= {key: name for key, name in outcome.purposes.items() if name in names.values()}
        found = self.reports.take(names)
        return frozenset(names[key] for key, seen in found.items() if outcome.note(dag[names[key]], seen))

    def purpose(self, signature: str) -> Purpose:
        """Return what functions of a node are written for. Workers on other machines see the folder of a catalog that
        is on a disk; with one in an object store they tell nothing."""
        root, spark = self.catalog.root, self.sessions.get()
        if is_on_this_machine(master_of(spark)):
            return Purpose(signature, self.reports.folder, str(Path.cwd()) if driver_client(spark) is not None else "")
        return Purpose(signature, self.reports.folder_in(root) if isinstance(root, Path) else "")

    def check(self, record: ArtifactRecord) -> None:
        """Raise DamagedResultError where a stored table's files are not what was written."""
        try:
            self.catalog.check_table(record)
        except DamagedArtifactError as damage:
            raise DamagedResultError(record, damage.what) from damage
