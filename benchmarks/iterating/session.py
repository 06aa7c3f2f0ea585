"""Session mode: each system has one warm driver for the whole script; they take turns, one iteration each."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.iterating.measured import Measured
from benchmarks.iterating.systems import (
    PLAIN,
    POLICIES,
    ROOT,
    ForThisRun,
    keeper,
    run_ours,
    run_plain,
    write_texts,
)
from benchmarks.scripts.edit import Version

SETTINGS = {"spark.driver.memory": "1536m"}
"""For everybody: eight drivers are up at the same time, and take about 2 GB each."""


class Driver:
    """A system in a process of its own, started and warm: it has run the unedited plain job once, for nothing."""

    def __init__(self, system: str, workload: str, folder: Path, first: Version) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, system, workload, folder, first))
        self._process.start()
        theirs.close()
        self.pid = self._process.pid or 0
        self._receive()

    def run(self, version: Version) -> Measured:
        """Runs a version.

        Raises:
            RuntimeError: it failed; with the error's text.
        """
        self._connection.send(version)
        measured: Measured = self._receive()
        return measured

    def close(self) -> None:
        """Ends the process."""
        if self._process.is_alive():
            self._connection.send(None)
        self._process.join()

    def _receive(self) -> Any:
        received = self._connection.recv()
        if isinstance(received, str):
            raise RuntimeError(received)
        return received


def _serve(connection: Connection, system: str, workload: str, folder: Path, first: Version) -> None:
    import traceback

    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # for Spark's workers
    try:
        for measured in _serving(connection, system, workload, folder, first):
            connection.send(measured)
    except Exception:  # noqa: BLE001 - whatever it is, the one who asked is told
        connection.send(traceback.format_exc())


def _serving(
    connection: Connection, system: str, name: str, folder: Path, first: Version
) -> Iterator[Measured | None]:
    from helix_spark.engine.session import SessionProvider
    from helix_spark.helix import Helix

    with SessionProvider(settings=SETTINGS) as sessions:
        spark = sessions.get()
        _, plain = write_texts(name, first, folder)
        run_plain(plain, spark, ForThisRun({}), first.keys)
        spark.catalog.clearCache()
        yield None
        if system in PLAIN:
            keeping = keeper(system, folder, spark)
            while (version := connection.recv()) is not None:
                _, plain = write_texts(name, version, folder)
                yield run_plain(plain, spark, keeping, version.keys)
            return
        catalog = folder / "catalog"
        with Helix(catalog, policy=POLICIES[system], spark=spark) as engine:
            while (version := connection.recv()) is not None:
                job, _ = write_texts(name, version, folder)
                yield run_ours(job, engine, version, catalog)
