"""Background audits: after answers, while this process is idle, each in a process of its own.

The process starts fresh, so that memory and imports of a session cannot hide a dependency of a result. It can be killed
at any time. The audit of a command may outlive the command; the next run on its catalog ends it. Audits take a small
share of the time that reuse saves.
"""

from __future__ import annotations

import fcntl
import json
import linecache
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from threading import Event, Lock, Thread
from typing import Any, Literal, get_args

from helix_spark.cache_folder import cache_folder
from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.engine.server.fit import counting_variables
from helix_spark.engine.spark.gateway import first_line
from helix_spark.history.states import saved_seconds
from helix_spark.identity.parts import digest, encode
from helix_spark.planner.plan import Plan
from helix_spark.workflow.workflow import Workflow

When = Literal["off", "idle", "all"]
"""`idle` audits results of workflows within a share of the saved time; `all` audits scripts, too, without a limit."""

WHENS: tuple[When, ...] = get_args(When)

IDLE_SECONDS = 2.0
"""Seconds without a request after an answer was stored until an audit begins."""

OVERTIME = 2.0
"""An audit is ended after this multiple of its seconds."""

SHARE, NEWEST = 0.03, 500
"""Audits take at most this share of the seconds that reuse saved in this number of newest iterations of a workflow."""

LEAST_SECONDS = 1.0
"""Seconds that the process takes to start; it is not started for less."""

PROGRAM, JOB_FILE = "helix_spark.cli.sent_audit", "job"
"""The module that the process runs. It reads one `Job` from a file in its folder, and prints a line of JSON for each
part of the audit (see `cli.schema`, audit), or the `error` that stopped it."""


@dataclass(frozen=True, slots=True)
class Job:
    """An audit for the process, pickled to a file. `work` is a pickled workflow, or a script's file and its arguments;
    `cells` are texts of code without a file, as `linecache` has them; `stays` is True if it outlives its parent."""

    work: bytes | tuple[str, ...]
    path: tuple[str, ...]
    cells: Mapping[str, Any]
    catalog: str
    settings: Mapping[str, str]
    wanted: tuple[str, ...]
    seconds: float
    shared: tuple[str, ...] = ()
    stays: bool = False


def job_for(
    workflow: Workflow, wanted: Collection[str], seconds: float, catalog: str, settings: Mapping[str, str]
) -> Job:
    """Return the job to audit results of a workflow. Pickling the author's objects may raise any exception."""
    from helix_spark.engine.spark.worker_code import sent_to_another_process

    cells = {name: text for name, text in linecache.cache.items() if not Path(name).is_file()}
    return Job(
        sent_to_another_process(workflow), tuple(sys.path), cells, catalog, dict(settings), tuple(wanted), seconds
    )


def circumstances(code: Iterable[str]) -> str:
    """Return a digest of an audit's environment: digests of code and data, the host, the folder, and the relevant
    variables. In another environment, verified results are audited again."""
    variables = counting_variables(os.environ).items()
    encoded = (encode(name, value) for name, value in sorted(variables) if name not in _AUDIT_VARIABLES)
    return digest("circumstances", socket.gethostname(), os.getcwd(), *sorted(code), *encoded)  # noqa: PTH109 - text


_AUDIT_VARIABLES = frozenset({"PYTHONHASHSEED", "TMPDIR", "SPARK_LOCAL_DIRS", "PYTHONPATH"})
"""Variables that `begin_audit` sets for the process."""


def seconds_left(catalog: CatalogReader, workflow: str) -> float:
    """Return the seconds that audits of a workflow may still take."""
    newest = catalog.iterations(workflow, NEWEST)
    saved = sum(saved_seconds(iteration) or 0.0 for iteration in newest)
    return SHARE * saved - (catalog.audit_seconds(workflow, newest[-1].number) if newest else 0.0)


_FOLDER = "helix-audit-"


def begin_audit(job: Job, catalog: CatalogReader) -> subprocess.Popen[bytes] | None:
    """Start the audit process, unless the catalog has one. It inherits a lock on the file of its id and folder."""
    seed = os.environ.get("PYTHONHASHSEED", "random")
    path = [str(Path(__file__).resolve().parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    lock, pipe = _lock_path(catalog), subprocess.DEVNULL if job.stays else subprocess.PIPE
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as lock_file, suppress(BlockingIOError):
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = tempfile.mkdtemp(prefix=_FOLDER)  # a process that is killed leaves files
        with (Path(folder) / JOB_FILE).open("wb") as file:
            pickle.dump(job, file)
        variables = {
            "PYTHONHASHSEED": "0" if seed == "random" else seed, "TMPDIR": folder, "HELIX_SERVER": "off",
            "SPARK_LOCAL_DIRS": folder, "PYTHONPATH": os.pathsep.join(dict.fromkeys(filter(None, path))),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **variables}, pass_fds=[lock_file.fileno()],
        )
        lock_file.truncate(0)
        lock_file.write(f"{process.pid} {folder}")
        return process
    return None


def _lock_path(catalog: CatalogReader) -> Path:
    return cache_folder() / "audits" / digest("audits", catalog.id)[:32]  # a catalog's id may be any text


def end_audit(catalog: CatalogReader) -> None:
    """Kill the running audit of a catalog, if there is one, of any process."""
    try:
        with _lock_path(catalog).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # if the lock is free, the audit has ended
    except BlockingIOError:
        pid, _, folder = _lock_path(catalog).read_text().partition(" ")
        if pid.isdigit() and int(pid) != os.getpid() and Path(folder).name.startswith(_FOLDER):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(int(pid), signal.SIGKILL)
            rmtree(folder, ignore_errors=True)
    except OSError:  # there is none
        pass


Begin = Callable[[Collection[str], float], Job | None]
"""Returns the job to audit results, by their signatures, within a number of seconds; None if another process cannot run
it."""


class Auditor:
    """Audits results that are unproven, or were verified in other circumstances.

    Args:
        when: see `When`.
        seconds: limit of an audit after an answer.
        is_left: True if audits run once this process has ended, instead of next to it.
    """

    def __init__(
        self, when: When, seconds: float, warn: Callable[[str], None], catalog: CatalogReader, *, is_left: bool = False
    ) -> None:
        self.when = when
        self.is_left = is_left
        self._seconds, self._warn, self._catalog = seconds, warn, catalog
        self._last: tuple[str, Collection[str], Begin] | None = None
        self._lock, self._is_over = Lock(), Event()
        self._audited, self._warned = set[str](), set[str]()

    def stop(self) -> Event:
        """Kill the running audit. Return an event, set by the next call, that ends the audits begun until then."""
        with self._lock:
            end_audit(self._catalog)
            self._last = None
            self._is_over.set()
            self._is_over = Event()
            return self._is_over

    def answered(self, is_over: Event, plan: Plan, begin: Begin) -> None:
        """Audit the results that a run stored or reused, unless another run begins first."""
        signatures = [
            node.signature for node in plan.nodes
            if (node.stored or node.keep) and not node.is_instance and node.proof in ("unproven", "aged")
        ]
        self.audit_when_idle(is_over, plan.workflow, signatures, begin)

    def audit_when_idle(self, is_over: Event, name: str, signatures: Collection[str], begin: Begin) -> None:
        """Audit the results that this process has not audited yet, unless another run begins first."""
        unaudited = [signature for signature in signatures if signature not in self._audited]
        if self.when == "off" or not unaudited:
            return
        if self.is_left:
            self._last = name, unaudited, begin
        else:
            Thread(target=self._audit, args=(is_over, name, unaudited, begin), daemon=True).start()

    def close(self) -> None:
        """Kill the running audit. If audits run after this process, and its servers may live on, start the last one."""
        last = self._last
        is_over = self.stop()
        if last is not None and os.environ.get("HELIX_SERVER", "").lower() != "off":
            self._start(is_over, *last, stays=True)

    def _start(
        self, is_over: Event, name: str, signatures: Collection[str], begin: Begin, *, stays: bool = False
    ) -> subprocess.Popen[bytes] | None:
        """Start the audit process; None if there is no time for it, or it cannot run."""
        limit = self._seconds if self.when == "all" else seconds_left(self._catalog, name)
        if (seconds := min(self._seconds, limit)) < LEAST_SECONDS:
            return None
        try:
            job = begin(signatures, seconds)
            with self._lock:
                if job is None or is_over.is_set():
                    return None
                return begin_audit(replace(job, stays=stays), self._catalog)
        except Exception as error:  # noqa: BLE001 - the author's objects may raise anything when they are pickled
            why = f"{type(error).__name__}: {first_line(error)}"
            self._warn_once(f"results of {name!r} cannot be audited by themselves: {why}")
            return None

    def _audit(self, is_over: Event, name: str, signatures: Collection[str], begin: Begin) -> None:
        process = None if is_over.wait(IDLE_SECONDS) else self._start(is_over, name, signatures, begin)
        if process is None or process.stdout is None:
            return
        with process:
            for line in process.stdout:
                if line.endswith(b"\n"):  # else the process was killed within the line
                    self._report(name, json.loads(line))

    def _report(self, name: str, part: Mapping[str, Any]) -> None:
        """Warn of different results in a part of an audit, and of its error."""
        if part.get("error"):
            self._warn_once(f"an audit of {name!r} failed: {part['error']}")
        for result in part.get("results", ()):
            self._audited.add(result["signature"])
            if result["verdict"] == "different" and result["to_blame"]:
                self._warn(_different_text(result["node"], result["why"], result["heirs"]))

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)


def _different_text(node: str, why: str, heirs: Collection[str]) -> str:
    """Return the warning about a result that came out different.

    >>> _different_text("rows", "2 and 3", ["total"])
    'an audit computed `rows` again and it came out different (2 and 3): neither it nor total is reused any more'
    """
    results = f"neither it nor {', '.join(heirs)} is" if heirs else "it is not"
    return f"an audit computed `{node}` again and it came out different ({why}): {results} reused any more"
