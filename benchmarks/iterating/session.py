"""Session mode: each system has one warm driver; they take turns, one iteration each.

A driver may serve one script after the other: each begins with its own folder and an empty cache.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import ROOT, Worker
from benchmarks.iterating.hamilton_peer import run_hamilton
from benchmarks.iterating.measured import Begin, Measured, RunVersion
from benchmarks.iterating.oracle import foreseen
from benchmarks.iterating.systems import (
    HAMILTON,
    ORACLE,
    PLAIN,
    POLICIES,
    ForThisRun,
    keeper,
    run_ours,
    run_plain,
    write_texts,
)
from benchmarks.scripts import Version
from tests.simulation.rule import RULES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HEAP = "1536m"
"""Of each driver: eight of them are up at the same time, and take about 2 GB each."""


class WarmDrivers:
    """The drivers of one workload, a system each, kept from one script to the next.

    Args:
        heap: of each driver's JVM, as Spark writes it.
    """

    def __init__(self, workload: str, heap: str, home: Path) -> None:
        self._workload, self._heap, self._home, self._workers = workload, heap, home, dict[str, Worker]()

    @contextmanager
    def script(self, begin: Begin) -> Iterator[Worker]:
        """Give the driver of a system while a script lasts; it runs versions, and answers what it measured.

        Raises:
            RuntimeError: it could not be started.
        """
        system = begin.system
        if system not in self._workers:
            self._workers[system] = Worker(_serve, self._workload, self._home / system, begin.script[0], self._heap)
        worker = self._workers[system]
        try:
            worker.run(begin)
            yield worker
            worker.run(None)
        except Exception:
            self.close(system)
            raise

    def close(self, *systems: str) -> None:
        """End these drivers, or all of them."""
        for system in systems or list(self._workers):
            if (worker := self._workers.pop(system, None)) is not None:
                worker.close()


@contextmanager
def warm_drivers(workload: str, heap: str = HEAP) -> Iterator[WarmDrivers]:
    """Give drivers, and end them afterwards."""
    with tempfile.TemporaryDirectory(prefix="helix-drivers-") as home, ExitStack() as ends:
        drivers = WarmDrivers(workload, heap, Path(home))
        ends.callback(drivers.close)
        yield drivers


def _serve(workload: str, home: Path, first: Version, heap: str) -> Generator[Measured | None, Any, None]:
    """Start a session, run the unedited plain job once to warm up, and serve scripts: each is a `Begin`, versions, and
    None."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # for Spark's workers
    from helix_spark.engine.spark.connect_server import NO_SETTINGS, ConnectServer

    with ExitStack() as ends, _inside(home):
        server = ConnectServer({"spark.driver.memory": heap}, defaults=NO_SETTINGS)
        ends.callback(server.stop)
        spark = server.driver
        _, plain = write_texts(workload, first, home)
        run_plain(plain, spark, ForThisRun({}), first.keys)
        while True:
            spark.catalog.clearCache()
            begin: Begin = yield None
            with _inside(begin.folder), runner(begin, workload, spark) as run:
                measured = None
                while (version := (yield measured)) is not None:
                    measured = run(version)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Make a folder the current one and the first on the path."""
    folder_before, path = Path.cwd(), list(sys.path)
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        os.chdir(folder_before)
        sys.path[:] = path


@contextmanager
def runner(begin: Begin, workload: str, spark: SparkSession) -> Iterator[RunVersion]:
    """Give a function that runs a version on the system of a script that begins."""
    system, folder = begin.system, begin.folder
    if system in PLAIN:
        keeping = keeper(system, folder, spark)
        yield lambda version: run_plain(write_texts(workload, version, folder)[1], spark, keeping, version.keys)
        return
    if system == HAMILTON:
        import hamilton.driver  # noqa: F401 - before the clock runs, as Helix is below

        yield lambda version: run_hamilton(write_texts(workload, version, folder)[1])
        return
    from helix_spark.helix import Helix

    catalog, policies = folder / "catalog", None
    if system == ORACLE:
        assert begin.records is not None
        policies = iter(foreseen(workload, begin.script, folder, begin.records, begin.budget))
    policy = POLICIES.get(system, "joint")
    with Helix(catalog, policy=RULES.get(policy, policy), budget=begin.budget, spark=spark) as engine:

        def run_version(version: Version) -> Measured:
            if policies is not None:
                engine._tools = replace(engine._tools, policy=next(policies))
            return run_ours(write_texts(workload, version, folder)[0], engine, version, catalog)

        yield run_version
