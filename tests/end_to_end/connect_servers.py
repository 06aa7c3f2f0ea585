"""Servers of Spark Connect in processes of their own, for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from helix_spark.engine.spark.jars import delta_jars
from helix_spark.engine.spark.settings import DELTA
from tests.end_to_end.ports import free_port


@contextmanager
def serving(
    folder: Path, *, host: str = "localhost", jars: Sequence[Path] = (), further: Mapping[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a server, and its process.

    Args:
        folder: its own, with its log.
        host: the name that it is asked by.
        jars: beside Delta's.
        further: settings.
    """
    port = free_port()
    settings = {
        **DELTA, "spark.connect.grpc.binding.port": str(port), "spark.ui.enabled": "false", "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "4", **(further or {}),
    }
    command = [
        str(Path(sys.executable).with_name("spark-submit")), "--master", "local[2]",
        "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
        "--jars", ",".join(map(str, [*delta_jars(), *jars])),
        *(word for name, value in settings.items() for word in ("--conf", f"{name}={value}")), "spark-internal",
    ]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "PYSPARK_PYTHON": sys.executable}, stdout=log, stderr=log,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 120
        while b"Spark Connect server started" not in (folder / "server.log").read_bytes():
            alive = server.poll() is None and time.monotonic() < until
            assert alive, (folder / "server.log").read_text()[-3000:]
            time.sleep(0.3)
        yield f"sc://{host}:{port}", server
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
