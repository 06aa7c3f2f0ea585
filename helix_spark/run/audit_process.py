"""A process that computes stored results of a workflow again. It starts from nothing, so that what a session holds in
memory and has imported cannot stand in for what a result rests on; and it ends at once when it is told to."""

from __future__ import annotations

import json
import linecache
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from helix_spark.engine.spark.worker_code import sent_to_another_process
from helix_spark.workflow.workflow import Workflow

PROGRAM = "helix_spark.cli.sent_audit"
"""What the process runs: it reads one `Job`, and prints a line of JSON for each part of the audit."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the process is asked, in plain values: it goes through a pipe, and is never stored.

    Attributes:
        work: a workflow, pickled; or the file of a script and its arguments.
        path: where modules are found.
        cells: the text of what is in no file, as `linecache` has it.
        catalog: its place.
        settings: of Spark.
        wanted: signatures of the results to look at.
        seconds: that it is expected to take at most; None for no limit.
    """

    work: bytes | tuple[str, ...]
    path: tuple[str, ...]
    cells: Mapping[str, Any]
    catalog: str
    settings: Mapping[str, str]
    wanted: tuple[str, ...]
    seconds: float | None


class AuditProcess:
    """One such process. It ends with its parent.

    Args:
        job: what it is asked.
        gentle: whether all else goes first on this machine.
    """

    def __init__(self, job: Job, *, gentle: bool) -> None:
        self._folder = tempfile.mkdtemp(prefix="helix-audit-")  # a process that is killed leaves files behind
        told = {"PYTHONHASHSEED": _hash_seed(), "TMPDIR": self._folder, "SPARK_LOCAL_DIRS": self._folder}
        self._process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM, *(["--gentle"] if gentle else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **told, "PYTHONPATH": _python_path()},
        )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: there is nothing to read then
            pickle.dump(job, self._process.stdin)
            self._process.stdin.flush()

    def parts(self) -> Iterator[dict[str, Any]]:
        """What it says of each part of the audit, as soon as it does; ends with the process. To be gone through to its
        end by one thread, also where the process was stopped: what it leaves behind goes then."""
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                if line.endswith(b"\n"):  # else it was stopped in the middle of it
                    yield json.loads(line)
        finally:
            self.stop()
            with self._process:  # closes the pipes, and waits for its end
                pass
            rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """End it, and the JVM that it started, without waiting for that. Any thread may call it, more than once."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def job_for(
    workflow: Workflow, wanted: Collection[str], seconds: float | None, catalog: str, settings: Mapping[str, str]
) -> Job:
    """The job to audit results of a workflow; arguments as the attributes of `Job`.

    Raises:
        Exception: whatever the author's objects raise that cannot be sent.
    """
    cells = {name: told for name, told in linecache.cache.items() if not Path(name).is_file()}
    return Job(
        sent_to_another_process(workflow), tuple(sys.path), cells, catalog, dict(settings), tuple(wanted), seconds
    )


def _hash_seed() -> str:
    """Another one, unless it was given: what is made under a given one is always made under that."""
    given = os.environ.get("PYTHONHASHSEED", "random")
    return "0" if given == "random" else given


def _python_path() -> str:
    own = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(dict.fromkeys([own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]))
