"""Session mode: each system has one warm driver; they take turns, one iteration each.

A driver may serve one script after the other: each begins with a folder of its own and nothing cached.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from benchmarks.harness import ROOT, Worker
from benchmarks.iterating.hamilton_peer import run_hamilton
from benchmarks.iterating.measured import Begin, Measured
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
from benchmarks.scripts.edit import Version
from tests.simulation.rule import RULES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from typing_extensions import Self

HEAP = "1536m"
"""Of each driver: eight of them are up at the same time, and take about 2 GB each."""


class WarmDrivers:
    """The drivers of one workload, a system each, kept from one script to the next.

    Args:
        heap: of each driver's JVM, as Spark writes it.
    """

    def __init__(self, workload: str, heap: str = HEAP) -> None:
        self._workload, self._heap, self._drivers = workload, heap, dict[str, Worker]()
        self._home = tempfile.TemporaryDirectory(prefix="helix-drivers-")

    @contextmanager
    def script(self, begin: Begin) -> Iterator[Worker]:
        """Give the driver of a system while a script lasts; it runs versions, and gives what it measured.

        Raises:
            RuntimeError: it could not be started.
        """
        system = begin.system
        if system not in self._drivers:
            home = Path(self._home.name) / system
            self._drivers[system] = Worker(_serve, self._workload, home, begin.script[0], self._heap)
            self._drivers[system].receive()  # it is warm
        driver = self._drivers[system]
        driver.run(begin)
        try:
            yield driver
        finally:
            if driver.is_alive:
                driver.run(None)
            else:
                del self._drivers[system]

    def close(self, system: str) -> None:
        """Ends one driver, if there is one."""
        if (driver := self._drivers.pop(system, None)) is not None:
            driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for system in list(self._drivers):
            self.close(system)
        self._home.cleanup()


def _serve(
    receive: Callable[[], Any], workload: str, home: Path, first: Version, heap: str
) -> Iterator[Measured | None]:
    """Start a session, run the unedited plain job once, for nothing, and serve scripts: each is a `Begin`, versions,
    and None."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # for Spark's workers
    from helix_spark.engine.spark.connect_server import NO_SETTINGS, ConnectServer

    with ExitStack() as ends, _inside(home):
        own = ConnectServer({"spark.driver.memory": heap}, defaults=NO_SETTINGS)
        ends.callback(own.stop)
        spark = own.driver
        _, plain = write_texts(workload, first, home)
        run_plain(plain, spark, ForThisRun({}), first.keys)
        spark.catalog.clearCache()
        yield None
        while (begin := receive()) is not None:
            with (
                _inside(begin.folder),
                runner(begin, workload, spark) as run,
            ):
                yield None
                while (version := receive()) is not None:
                    yield run(version)
            spark.catalog.clearCache()
            yield None


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """With a folder as the current one and the first on the path."""
    before, path = Path.cwd(), list(sys.path)
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        os.chdir(before)
        sys.path[:] = path


Run = Callable[[Version], Measured]


@contextmanager
def runner(begin: Begin, workload: str, spark: SparkSession) -> Iterator[Run]:
    """Give a function that runs a version on the system of a script that begins."""
    system, folder = begin.system, begin.folder
    if system in PLAIN:
        keeping = keeper(system, folder, spark)

        def run(version: Version) -> Measured:
            return run_plain(write_texts(workload, version, folder)[1], spark, keeping, version.keys)

        yield run
        return
    if system == HAMILTON:
        import hamilton.driver  # noqa: F401 - before the clock runs, as Helix is below

        yield lambda version: run_hamilton(write_texts(workload, version, folder)[1])
        return
    from helix_spark.helix import Helix

    catalog = folder / "catalog"
    if system == ORACLE:
        assert begin.records is not None
        policies = iter(foreseen(workload, begin.script, folder, begin.records, begin.budget))
        with Helix(catalog, budget=begin.budget, spark=spark) as engine:

            def run_knowing(version: Version) -> Measured:
                engine._tools = replace(engine._tools, policy=next(policies))
                return run_ours(write_texts(workload, version, folder)[0], engine, version, catalog)

            yield run_knowing
        return
    policy = RULES.get(POLICIES[system], POLICIES[system])
    with Helix(catalog, policy=policy, budget=begin.budget, spark=spark) as engine:
        yield lambda version: run_ours(write_texts(workload, version, folder)[0], engine, version, catalog)
