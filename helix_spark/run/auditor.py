"""Audits in the background: behind answers, while nobody waits for one, each in a process of its own.

The process starts from nothing, so that what a session holds in memory and has imported cannot stand in for what a
result rests on; and it ends at once when it is told to.
"""

from __future__ import annotations

import json
import linecache
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from threading import Event, Lock, Thread, Timer
from typing import Any, Literal, get_args

from helix_spark.engine.spark.gateway import first_line
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.workflow.workflow import Workflow

When = Literal["off", "idle"]

WHENS: tuple[When, ...] = get_args(When)

IDLE_SECONDS = 2.0
"""Seconds after an answer was stored in which nobody asked for anything: then nobody is taken to wait for one."""

OVERTIME = 2.0
"""An audit is expected to take its seconds at most. One that takes so many times as long is ended."""

PROGRAM = "helix_spark.cli.sent_audit"
"""What the process runs: it reads one `Job`, and prints a line of JSON for each part of the audit."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the process is asked, in plain values: it goes through a pipe, and is never stored. `work` is a workflow,
    pickled, or the file of a script and its arguments; `path` is where modules are found; `cells` is the text of what
    is in no file, as `linecache` has it."""

    work: bytes | tuple[str, ...]
    path: tuple[str, ...]
    cells: Mapping[str, Any]
    catalog: str
    settings: Mapping[str, str]
    wanted: tuple[str, ...]
    seconds: float
    shared: tuple[str, ...] = ()


def job_for(
    workflow: Workflow, wanted: Collection[str], seconds: float, catalog: str, settings: Mapping[str, str]
) -> Job:
    """Return the job to audit results of a workflow. What cannot be sent raises whatever its author had it raise."""
    from helix_spark.engine.spark.worker_code import sent_to_another_process

    cells = {name: text for name, text in linecache.cache.items() if not Path(name).is_file()}
    return Job(
        sent_to_another_process(workflow), tuple(sys.path), cells, catalog, dict(settings), tuple(wanted), seconds
    )


class AuditProcess:
    """A process that audits. It ends with its parent."""

    def __init__(self, job: Job) -> None:
        self._folder = tempfile.mkdtemp(prefix="helix-audit-")  # a process that is killed leaves files behind
        given = os.environ.get("PYTHONHASHSEED", "random")  # another hash seed, unless one was given
        path = [str(Path(__file__).resolve().parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        own = {
            "PYTHONHASHSEED": "0" if given == "random" else given, "TMPDIR": self._folder, "HELIX_SERVER": "off",
            "SPARK_LOCAL_DIRS": self._folder, "PYTHONPATH": os.pathsep.join(dict.fromkeys(filter(None, path))),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **own},
        )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: there is nothing to read then
            pickle.dump(job, self._process.stdin)
            self._process.stdin.flush()

    def parts(self) -> Iterator[Mapping[str, Any]]:
        """Yield each part of the audit once it is done (see `cli.schema`, audit), or `error`: why it stopped.

        One thread goes through it to its end, also where the process was stopped: what it leaves behind goes then.
        """
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


Begin = Callable[[Collection[str], float], AuditProcess]
"""Begins an audit of the results that have these signatures, which may take so many seconds."""


class Auditor:
    """Has results computed again that are unproven. An audit behind an answer may take `seconds`."""

    def __init__(self, when: When, seconds: float, warn: Callable[[str], None]) -> None:
        self.when = when
        self._seconds, self._warn = seconds, warn
        self._lock, self._is_over = Lock(), Event()
        self._running: AuditProcess | None = None
        self._seen, self._warned = set[str](), set[str]()

    def stop(self) -> Event:
        """End what is under way at once, and begin another turn. Return the event of its end, for `answered`."""
        with self._lock:
            self._is_over.set()
            self._is_over = Event()
            if self._running is not None:
                self._running.stop()
            self._running = None
            return self._is_over

    def answered(self, is_over: Event, plan: Plan, begin: Begin) -> None:
        """Audit what a run stored or reused, unless another run begins before that.

        What was verified before is looked at once more where this process reused it: an undeclared input of a result
        shows only after it has changed.
        """
        wanted = [
            one.signature for one in plan.nodes if not one.random and not one.is_instance and (
                ((one.stored or one.keep) and one.proof == "unproven") or (one.state is State.LOAD and not one.held)
            )
        ]
        self.audit_when_idle(is_over, plan.workflow, wanted, begin)

    def audit_when_idle(self, is_over: Event, name: str, signatures: Collection[str], begin: Begin) -> None:
        """Audit those results that this process has not audited yet, unless another run begins before that."""
        wanted = [one for one in signatures if one not in self._seen]
        if self.when == "idle" and wanted:
            Thread(target=self._audit, args=(is_over, name, wanted, begin), daemon=True).start()

    def _audit(self, is_over: Event, name: str, wanted: Collection[str], begin: Begin) -> None:
        if is_over.wait(IDLE_SECONDS):
            return
        try:
            running = begin(wanted, self._seconds)
        except Exception as error:  # noqa: BLE001 - the author's objects may raise anything when they are to be sent
            why = f"{type(error).__name__}: {first_line(error)}"
            self._warn_once(f"results of {name!r} cannot be audited by themselves: {why}")
            return
        with self._lock:
            if is_over.is_set():
                running.stop()
            else:
                self._running = running
        overtime = Timer(OVERTIME * self._seconds, running.stop)
        overtime.daemon = True
        overtime.start()
        try:
            for part in running.parts():
                if part.get("error"):
                    self._warn_once(f"an audit of {name!r} came to no end: {part['error']}")
                for one in part.get("results", ()):
                    self._seen.add(one["signature"])
                    if one["verdict"] == "different" and one["to_blame"]:
                        self._warn(_different_text(one["node"], one["why"], one["heirs"]))
        finally:
            overtime.cancel()

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)


def _different_text(node: str, why: str, heirs: Collection[str]) -> str:
    """Return what people are told of a result that came out different.

    >>> _different_text("rows", "2 and 3", ["total"])
    'an audit computed `rows` again and it came out different (2 and 3): neither it nor total is reused any more'
    """
    what = f"neither it nor {', '.join(heirs)} is" if heirs else "it is not"
    return f"an audit computed `{node}` again and it came out different ({why}): {what} reused any more"
