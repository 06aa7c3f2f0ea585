"""The command `helix` with a server of Spark Connect in its own process.

What happens is in the variable FAKED: ``slow`` has each query wait for a minute, ``keeping`` has what a run computed
take as long to be stored.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyspark.sql.connect.proto as pb

from helix_spark.cli import watching
from helix_spark.cli.main import main
from helix_spark.cli.programs import ScriptFile
from helix_spark.engine.server import starting
from helix_spark.engine.server.starting import ProgramServer
from helix_spark.program import program_record
from tests.fakes.connect_server import FakeServer

_COMMAND = (
    sys.executable, "-c",
    f"import sys; sys.path[0] = {str(Path(__file__).parents[2])!r}; from tests.fakes.command import faked; faked()",
)


def start(
    folder: Path, *words: str, behaviour: str = "", background: bool = False, stderr: int = subprocess.STDOUT
) -> subprocess.Popen[str]:
    """Start the command in a folder.

    Args:
        background: whether it ignores SIGINT, as what a shell starts with ``&``.
        stderr: see `subprocess.Popen`.
    """
    environ = {**os.environ, "FAKED": behaviour, "PYTHONHASHSEED": "0", "HELIX_CATALOG": "catalog"}
    return subprocess.Popen(
        [*_COMMAND, *words], cwd=folder, text=True, env=environ,
        stdout=subprocess.PIPE, stderr=stderr,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN if background else signal.default_int_handler),
    )


class SlowServer(FakeServer):
    """A server whose queries take a minute."""

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the service calls it so
        Path("asked").touch()
        time.sleep(60)
        return super().ExecutePlan(request, metadata)

    def Interrupt(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        return pb.InterruptResponse()


class KeptServer:
    """The server of `helix watch`."""

    def __init__(self, *_: object) -> None:
        """Nothing: there is no process."""

    def hold(self) -> None:
        """Nothing, as above."""

    def close(self) -> None:
        Path("stopped").touch()


def keep_slowly(*_: Any, **__: Any) -> None:
    """Store nothing, in a minute."""
    Path("keeping").touch()
    time.sleep(60)


def run_command(script: ScriptFile, place: Any) -> list[str]:
    """The command of a run of `helix watch`."""
    return [*_COMMAND, "run", str(script.path)]


def faked() -> None:
    server = SlowServer() if os.environ["FAKED"] == "slow" else FakeServer()
    # For this process; what is not there any more is an error.
    patch.object(ProgramServer, "stub", lambda _: server).start()
    patch.object(starting, "HeldServer", KeptServer).start()
    patch.object(watching, "_command", run_command).start()
    if os.environ["FAKED"] == "keeping":
        patch.object(program_record, "keep_results", keep_slowly).start()
    sys.argv[0] = "helix"
    main()
