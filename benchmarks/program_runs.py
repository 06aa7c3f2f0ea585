"""Runs plain PySpark programs, by themselves and under `helix run`, for the benchmarks that compare the two."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from helix_spark.engine.server.kept_servers import FOLDER_VARIABLE

ROOT = Path(__file__).resolve().parent.parent
HELIX = str(Path(sys.executable).with_name("helix"))

_SUMMARY = re.compile(r"of (\d+) questions to Spark (\d+) w")
_FITS = re.compile(r"; (\d+) fit")
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Run:
    """One run: how it ended, what it printed to stdout and stderr, its seconds, and those until it had printed its last
    line; of one under Helix, how many questions it asked, how many were answered from the record, and how many models
    were fitted. -1 of others."""

    code: int
    printed: str
    said: str
    seconds: float
    answered: float = -1.0
    asked: int = -1
    reused: int = -1
    fits: int = -1


def run(command: list[str], folder: Path, more: Mapping[str, str] = _NOTHING) -> Run:
    """Runs a command in a folder.

    Args:
        more: environment variables.
    """
    began = answered = time.perf_counter()
    lines: list[str] = []
    with tempfile.TemporaryFile("w+") as said_there:
        env = {**os.environ, "PYTHONUNBUFFERED": "1", **more}
        if "PYTHONDONTWRITEBYTECODE" not in more:
            env.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody waits for modules that each process compiles anew
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=said_there, text=True, env=env)
        late = threading.Timer(600, process.kill)
        late.start()
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            answered = time.perf_counter()
        code = process.wait()
        seconds = time.perf_counter() - began
        late.cancel()
        said_there.seek(0)
        said = said_there.read()
    told, fits = _SUMMARY.search(said), _FITS.search(said)
    found = Run(code, "".join(lines), said, seconds, answered - began)
    if told is None:
        return found
    return replace(found, asked=int(told[1]), reused=int(told[2]), fits=int(fits[1]) if fits else 0)


class MetApart:
    """Servers that stay for runs with these variables, apart from others of the user, until `close`.

    Attributes:
        folder: where they are met; a short path, as a socket's is.
    """

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="helix-met-", dir="/tmp")
        self.environment = {"HELIX_SERVER": "on", FOLDER_VARIABLE: self.folder}

    def close(self) -> None:
        """Ends them."""
        command = [sys.executable, "-m", "helix_spark", "server", "stop", "--all"]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **fixed(), **self.environment})
        shutil.rmtree(self.folder)


def sound(found: Run) -> Run:
    """A run that ended well. Raises RuntimeError for another one, with what it said."""
    if found.code:
        raise RuntimeError(f"it ended with {found.code}: {found.said[-3000:]}")
    return found


def fixed() -> dict[str, str]:
    """Variables by which a program gives the same by itself each time, and finds this checkout."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {"PYTHONHASHSEED": "0", "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": path}
