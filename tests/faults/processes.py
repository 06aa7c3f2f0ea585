"""Processes of Python that faults are injected into, and what they start."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from shutil import which
from typing import Any

from helix_spark.engine.server.kept_servers import family
from tests.fakes.armed_failpoints import armed

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 90.0
"""Seconds after which a process counts as hanging."""


def start_python(
    *words: object, failpoint: str = "", before: Sequence[str] = (), **options: Any
) -> subprocess.Popen[str]:
    """Start Python with these arguments in a process group of its own; errors go to its output.

    Args:
        failpoint: as `armed` takes it.
        before: command that runs it.
        options: of `Popen`, in place of the usual ones.
    """
    options = {
        "cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True,
        "env": armed(failpoint), **options,
    }
    process: subprocess.Popen[str] = subprocess.Popen(
        [*before, sys.executable, *map(str, words)], text=True, **options
    )
    return process


def run_python(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments to its end, at most for two minutes."""
    options = {"cwd": ROOT, "timeout": 120, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, *map(str, words)], text=True, check=False, **options
    )
    return done


def start_job(
    catalog: Path | str, key: int, *options: str, failpoint: str = "", before: Sequence[str] = (),
    largest: int | None = None,
) -> subprocess.Popen[str]:
    """Start the job.

    Args:
        largest: bytes that a file may have; writing more fails, as on a full disk.
    """
    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a shell starts with & ignores it, and so would its children
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    return start_python(
        "-m", "tests.faults.job", catalog, key, *options, failpoint=failpoint, before=before, preexec_fn=prepare
    )


def without_rights() -> tuple[str, ...]:
    """Return a command that takes the superuser's right to write everywhere from the one that it runs."""
    return ("setpriv", "--bounding-set=-all") if os.geteuid() == 0 and which("setpriv") else ()


def printed_until(process: subprocess.Popen[str], is_last: Callable[[str], object]) -> list[str]:
    """Return the lines that a process prints, up to the first for which `is_last` is true."""
    assert process.stdout is not None
    printed: list[str] = []
    for line in process.stdout:
        printed.append(line.rstrip())
        if is_last(printed[-1]):
            break
    return printed


def ended(process: subprocess.Popen[str], before: Sequence[str] = ()) -> list[str]:
    """Return the lines that a process printed, after those read before. Raises TimeoutExpired if it hangs."""
    try:
        return [*before, *process.communicate(timeout=LONGEST)[0].splitlines()]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def jvms_below(pid: int, with_text: bytes = b"") -> list[int]:
    """Return the JVMs below a process, oldest first, whose command lines have a text."""
    jvms = []
    for descendant in family(pid)[1:]:
        folder = Path("/proc", str(descendant))
        with suppress(OSError):
            if (folder / "comm").read_text() == "java\n" and with_text in (folder / "cmdline").read_bytes():
                jvms.append(descendant)
    return sorted(jvms)
