"""Session mode: each system has one warm driver; they take turns, one iteration each.

A driver may serve one script after the other: each begins with a folder of its own and nothing cached.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from benchmarks.harness import ROOT
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


class Driver:
    """A process with a session, started and warm: it has run the unedited plain job once, for nothing."""

    def __init__(self, workload: str, folder: Path, first: Version, heap: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, workload, folder, first, heap))
        self._process.start()
        theirs.close()
        self.pid = self._process.pid or 0
        self._receive()

    @property
    def serves(self) -> bool:
        """Whether it can serve another script: after a failure it cannot."""
        return self._process.is_alive()

    def begin(self, begin: Begin) -> None:
        """Forgets the last script, and begins another one."""
        self._ask(begin)

    def run(self, version: Version) -> Measured:
        """Runs a version.

        Raises:
            RuntimeError: it failed; with the error's text.
        """
        measured: Measured = self._ask(version)
        return measured

    def end(self) -> None:
        """Ends the script."""
        self._ask(None)

    def close(self) -> None:
        """Ends the process."""
        if self._process.is_alive():
            self._connection.send(None)
        self._process.join()

    def _ask(self, what: Begin | Version | None) -> Any:
        self._connection.send(what)
        return self._receive()

    def _receive(self) -> Any:
        try:
            received = self._connection.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"the driver ended with exit code {self._process.exitcode}") from None
        if isinstance(received, str):
            self._process.join()
            raise RuntimeError(received)
        return received


class WarmDrivers:
    """The drivers of one workload, a system each, kept from one script to the next.

    Args:
        heap: of each driver's JVM, as Spark writes it.
    """

    def __init__(self, workload: str, heap: str = HEAP) -> None:
        self._workload, self._heap, self._drivers = workload, heap, dict[str, Driver]()
        self._home = tempfile.TemporaryDirectory(prefix="helix-drivers-")

    @contextmanager
    def script(self, begin: Begin) -> Iterator[Driver]:
        """The driver of a system while a script lasts.

        Raises:
            RuntimeError: it could not be started.
        """
        system = begin.system
        if system not in self._drivers:
            home = Path(self._home.name) / system
            self._drivers[system] = Driver(self._workload, home, begin.script[0], self._heap)
        driver = self._drivers[system]
        driver.begin(begin)
        try:
            yield driver
        finally:
            if driver.serves:
                driver.end()
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


def _serve(connection: Connection, workload: str, folder: Path, first: Version, heap: str) -> None:
    import traceback

    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # for Spark's workers
    try:
        for measured in _serving(connection, workload, folder, first, heap):
            connection.send(measured)
    except Exception:  # noqa: BLE001 - whatever it is, the one who asked is told
        connection.send(traceback.format_exc())


def _serving(
    connection: Connection, workload: str, home: Path, first: Version, heap: str
) -> Iterator[Measured | None]:
    from helix_spark.engine.spark.connect_server import NO_SETTINGS, ConnectServer

    with ExitStack() as ends, _inside(home):
        own = ConnectServer({"spark.driver.memory": heap}, defaults=NO_SETTINGS)
        ends.callback(own.stop)
        spark = own.driver
        _, plain = write_texts(workload, first, home)
        run_plain(plain, spark, ForThisRun({}), first.keys)
        spark.catalog.clearCache()
        yield None
        while (begin := connection.recv()) is not None:
            with (
                _inside(begin.folder),
                runner(begin, workload, spark) as run,
            ):
                yield None
                while (version := connection.recv()) is not None:
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
