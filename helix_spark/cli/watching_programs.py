"""`helix watch train.py` for a plain PySpark program: runs it at each save, in a process of its own each time, beside a
server that stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from helix_spark.cli.programs import check_file
from helix_spark.cli.terminal import say
from helix_spark.cli.watching import await_change, stamps
from helix_spark.errors import ParameterError
from helix_spark.program.program_text import files_of_program, needs_classic
from helix_spark.tracking.courier import URI_VARIABLE


def watch_program(
    path: Path, arguments: Sequence[str], catalog: str, settings: Mapping[str, str], budget: str | None = None,
    mlflow: str | None = None, experiment: str | None = None,
) -> None:
    """Runs a program now and at each save, until interrupted.

    Args:
        budget: how much may be stored in all, such as "2 GiB".
        mlflow, experiment: where its runs are tracked, if they are.

    Raises:
        ParameterError: there is no such file, or it needs a classic session.
        SetupError: Spark cannot be started.
    """
    from helix_spark.engine.spark.connect_server import ConnectServer

    check_file(path)
    if (reason := needs_classic(path)) is not None:
        raise ParameterError(
            str(reason), remedy="run it by `helix run`, which starts one, and reuses nothing",
        )
    server = ConnectServer(settings)
    options = ["--catalog", catalog, *(("--budget", budget) if budget is not None else ())]
    options += [] if experiment is None else ["--experiment", experiment]
    command = [sys.executable, "-m", "helix_spark", "run", str(path), *options, "--", *arguments]
    environment = {**os.environ, **server.environment()}
    if mlflow is not None:  # not on the command line: it may hold a password
        environment[URI_VARIABLE] = mlflow
    try:
        while True:
            known = files_of_program(path)
            before = stamps(known)
            if sys.stdout.isatty():
                print("\033[2J\033[H", end="", flush=True)
            started = time.perf_counter()
            subprocess.run(command, env=environment, check=False)
            seconds = time.perf_counter() - started
            say(f"{seconds:.2f} s from save to end; watching {path}, Ctrl-C ends", to_stderr=True)
            await_change(known, before)
    finally:
        server.stop()
