"""The command `helix` with a server of Spark Connect in its own process: `faked_command.py WORDS`.

What the server is to do is in the variable FAKED: ``slow`` has each query wait for a minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from program_fakes import FakeServer

from helix_spark.cli.main import main
from helix_spark.program.program_server import ProgramServer


def start(folder: Path, *words: str, behaviour: str = "", output: Path | None = None) -> subprocess.Popen[str]:
    """Start the command in a folder."""
    environ = {**os.environ, "FAKED": behaviour, "PYTHONHASHSEED": "0", "HELIX_CATALOG": "catalog"}
    where: Any = subprocess.PIPE if output is None else output.open("w")
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), *words], cwd=folder, text=True, env=environ,
        stdout=where, stderr=subprocess.STDOUT,
    )


class SlowServer(FakeServer):
    """A server whose queries take a minute."""

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the service calls it so
        Path("asked").touch()
        time.sleep(60)
        return super().ExecutePlan(request, metadata)


def faked(words: Sequence[str]) -> None:
    server = SlowServer() if os.environ["FAKED"] == "slow" else FakeServer()
    ProgramServer.stub = lambda _: server  # type: ignore[method-assign]  # for this process
    sys.argv = ["helix", *words]
    main()


if __name__ == "__main__":
    faked(sys.argv[1:])
