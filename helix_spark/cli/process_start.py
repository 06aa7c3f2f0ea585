"""The start of this process: when it was, and how to start it again under a fixed hash seed.

People wait for Python's own start, too. Python orders sets of texts by the hash seed, and draws one for each process.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

_RUN_CODE = frozenset({"audit", "explain", "plan", "run", "watch"})
"""Verbs that run an author's code, or look at what it builds."""

_COMMANDS = frozenset({"helix", "helix.exe"})


def process_start() -> float | None:
    """Return when this process began, on the clock of `time.perf_counter()`; None where `/proc` does not tell."""
    try:
        # The time stands behind the name, which may hold anything, in ticks since the machine was started.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return None if age < 0 else time.perf_counter() - age


def waiting_since() -> float | None:
    """Return since when this command is waited for; None outside of commands, as in a test."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.find_object(float)


def fix_hash_seed(script: Path | None = None) -> None:
    """Start this process again, unless its hash seed is given or nothing that it does depends on it. Does nothing where
    the process is somebody else's: a notebook, a test.

    Args:
        script: the file that runs itself; None for the command `helix`.
    """
    if os.environ.get("PYTHONHASHSEED", "random") != "random":
        return
    running = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    if running is None or not sys.orig_argv[1:]:
        return
    if script is None:
        ours = running.name in _COMMANDS or running.parts[-2:] == ("helix_spark", "__main__.py")
        if not ours or sys.argv[1:2] == [] or sys.argv[1] not in _RUN_CODE:
            return
    else:
        own = getattr(sys.modules["__main__"], "__file__", None)
        if own is None or not Path(own).is_file() or not Path(own).samefile(script):
            return
    os.environ["PYTHONHASHSEED"] = "0"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
