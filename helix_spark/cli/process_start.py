"""When this process began, as whoever typed its command began to wait: Python's own start is part of that."""

from __future__ import annotations

import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import click


def process_start() -> float | None:
    """On the clock of `time.perf_counter()`; None where the system does not tell: then nobody guesses.

    Linux tells in `/proc`; elsewhere psutil does, where it is installed.
    """
    age = _age_in_proc() if Path("/proc/self/stat").exists() else _age_by_psutil()
    return None if age is None or age < 0 else time.perf_counter() - age


def waiting_since() -> float | None:
    """When whoever typed the command that runs began to wait; None where this process is somebody else's, a test's."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.find_object(float)


def _age_in_proc() -> float | None:
    """Seconds. The time stands behind the name, which may hold anything, in ticks since the machine was started."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def _age_by_psutil() -> float | None:
    try:
        psutil: Any = import_module("psutil")
    except ImportError:
        return None
    return float(time.time() - psutil.Process().create_time())
