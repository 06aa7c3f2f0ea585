"""Runs plain PySpark programs, by themselves and under `helix run`, for the benchmarks that compare the two."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parent.parent
HELIX = str(Path(sys.executable).with_name("helix"))

_SUMMARY = re.compile(r"of (\d+) questions to Spark (\d+) w")
_FITS = re.compile(r"; (\d+) fit")
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Run:
    """One run: how it ended, what it printed to stdout and stderr, and its seconds; of one under Helix, how many
    questions it asked, how many were answered from the record, and how many models were fitted. -1 of others."""

    code: int
    printed: str
    said: str
    seconds: float
    asked: int = -1
    reused: int = -1
    fits: int = -1


def run(command: list[str], folder: Path, more: Mapping[str, str] = _NOTHING) -> Run:
    """Runs a command in a folder.

    Args:
        more: environment variables.
    """
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=600, env={**os.environ, **more}
    )
    seconds = time.perf_counter() - began
    told, fits = _SUMMARY.search(done.stderr), _FITS.search(done.stderr)
    if told is None:
        return Run(done.returncode, done.stdout, done.stderr, seconds)
    counts = int(told[1]), int(told[2]), int(fits[1]) if fits else 0
    return Run(done.returncode, done.stdout, done.stderr, seconds, *counts)


def sound(found: Run) -> Run:
    """A run that ended well. Raises RuntimeError for another one, with what it said."""
    if found.code:
        raise RuntimeError(f"it ended with {found.code}: {found.said[-3000:]}")
    return found


def fixed() -> dict[str, str]:
    """Variables by which a program gives the same by itself each time, and finds this checkout."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {"PYTHONHASHSEED": "0", "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": path}
