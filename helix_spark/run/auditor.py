"""Audits in the background: behind answers, while nobody waits for one, each in a process of its own.

The process starts from nothing, so that what a session holds in memory and has imported cannot stand in for what a
result rests on; and it ends at once when it is told to. That of a command which has ended stays behind; the next run on
its catalog ends it. Audits take a small share of the time that reuse saves.
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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from threading import Event, Lock, Thread, Timer
from typing import IO, Any, Literal, get_args

from helix_spark.cache_folder import cache_folder
from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.engine.server.fit import counting_variables
from helix_spark.engine.spark.gateway import first_line
from helix_spark.history.states import saved_seconds
from helix_spark.identity.parts import digest, encode
from helix_spark.planner.plan import Plan
from helix_spark.workflow.workflow import Workflow

When = Literal["off", "idle", "all"]
"""All are results of scripts, too, whatever it takes."""

WHENS: tuple[When, ...] = get_args(When)

IDLE_SECONDS = 2.0
"""Seconds after an answer was stored in which nobody asked for anything: then nobody is taken to wait for one."""

OVERTIME = 2.0
"""An audit is expected to take its seconds at most. One that takes so many times as long is ended."""

SHARE, NEWEST = 0.03, 500
"""Audits take at most this share of what reuse saved in so many of the newest iterations of a workflow."""

LEAST_SECONDS = 1.0
"""What the process takes to begin: for less it is not started."""

PROGRAM = "helix_spark.cli.sent_audit"
"""What the process runs: it reads one `Job`, and prints a line of JSON for each part of the audit."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the process is asked, in plain values: it goes through a pipe, and is never stored. `work` is a workflow,
    pickled, or the file of a script and its arguments; `path` is where modules are found; `cells` is the text of what
    is in no file, as `linecache` has it; `stays` says whether the process outlives the one that starts it."""

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
    """Return the job to audit results of a workflow. What cannot be sent raises whatever its author had it raise."""
    from helix_spark.engine.spark.worker_code import sent_to_another_process

    cells = {name: text for name, text in linecache.cache.items() if not Path(name).is_file()}
    return Job(
        sent_to_another_process(workflow), tuple(sys.path), cells, catalog, dict(settings), tuple(wanted), seconds
    )


def circumstances(code: Iterable[str]) -> str:
    """Return a digest of what surrounds an audit: digests of code and data, the host, the folder, and the variables
    that count. Where it is another, what was verified is looked at again."""
    told = ((name, value) for name, value in counting_variables(os.environ).items() if name not in _OF_AN_AUDIT)
    variables = (encode(*one) for one in sorted(told))
    return digest("circumstances", socket.gethostname(), os.getcwd(), *sorted(code), *variables)  # noqa: PTH109 - text


_OF_AN_AUDIT = frozenset({"PYTHONHASHSEED", "TMPDIR", "SPARK_LOCAL_DIRS", "PYTHONPATH"})


def seconds_left(catalog: CatalogReader, workflow: str) -> float:
    """Return how long audits of a workflow may still take."""
    newest = catalog.iterations(workflow, NEWEST)
    saved = sum(saved_seconds(one) or 0.0 for one in newest)
    return SHARE * saved - (catalog.audit_seconds(workflow, newest[-1].number) if newest else 0.0)


def _start(stdin: IO[bytes] | int, stdout: int, folder: str, *inherited: int) -> subprocess.Popen[bytes]:
    given = os.environ.get("PYTHONHASHSEED", "random")  # another hash seed, unless one was given
    path = [str(Path(__file__).resolve().parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    own = {
        "PYTHONHASHSEED": "0" if given == "random" else given, "TMPDIR": folder, "HELIX_SERVER": "off",
        "SPARK_LOCAL_DIRS": folder, "PYTHONPATH": os.pathsep.join(dict.fromkeys(filter(None, path))),
    }
    return subprocess.Popen(
        [sys.executable, "-m", PROGRAM], stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, **own}, pass_fds=inherited,
    )


_FOLDER = "helix-audit-"


def leave_behind(job: Job, catalog: CatalogReader) -> None:
    """Start a process that audits once this one has ended, unless there is one. It inherits a lock on a file that says
    which one it is, by its id and its folder."""
    lock = _lock_of(catalog)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as held, suppress(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = tempfile.mkdtemp(prefix=_FOLDER)
        with (Path(folder) / "job").open("wb+") as file:
            pickle.dump(replace(job, stays=True), file)
            file.seek(0)
            process = _start(file, subprocess.DEVNULL, folder, held.fileno())
        held.truncate(0)
        held.write(f"{process.pid} {folder}")


def _lock_of(catalog: CatalogReader) -> Path:
    return cache_folder() / "audits" / digest("audits", catalog.id)[:32]  # of the id whoever made the catalog decides


def end_left_behind(catalog: CatalogReader) -> None:
    """End the audit that an earlier command left behind for a catalog, if there is one, at once."""
    try:
        with _lock_of(catalog).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # nobody holds it: that process has ended
    except BlockingIOError:
        number, _, folder = _lock_of(catalog).read_text().partition(" ")
        if number.isdigit() and int(number) != os.getpid() and Path(folder).name.startswith(_FOLDER):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(int(number), signal.SIGKILL)
            rmtree(folder, ignore_errors=True)
    except OSError:  # there is none
        pass


class AuditProcess:
    """A process that audits. It ends with its parent."""

    def __init__(self, job: Job) -> None:
        self._folder = tempfile.mkdtemp(prefix=_FOLDER)  # a process that is killed leaves files behind
        self._process = _start(subprocess.PIPE, subprocess.PIPE, self._folder)
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


Begin = Callable[[Collection[str], float], Job | None]
"""Returns the audit of the results that have these signatures, which may take so many seconds; None where another
process cannot make it."""


class Auditor:
    """Has results computed again that are unproven, or were verified in other circumstances.

    Args:
        when: see `When`.
        seconds: that an audit behind an answer may take.
        is_left: whether audits are made once this process has ended, and not beside it.
    """

    def __init__(
        self, when: When, seconds: float, warn: Callable[[str], None], catalog: CatalogReader, *, is_left: bool = False
    ) -> None:
        self.when = when
        self.is_left = is_left
        self._seconds, self._warn, self._catalog = seconds, warn, catalog
        self._last: tuple[str, Collection[str], Begin] | None = None
        self._lock, self._is_over = Lock(), Event()
        self._running: AuditProcess | None = None
        self._seen, self._warned = set[str](), set[str]()

    def stop(self) -> Event:
        """End what is under way at once, and begin another turn. Return the event of its end, for `answered`."""
        with self._lock:
            end_left_behind(self._catalog)
            self._last = None
            self._is_over.set()
            self._is_over = Event()
            if self._running is not None:
                self._running.stop()
            self._running = None
            return self._is_over

    def answered(self, is_over: Event, plan: Plan, begin: Begin) -> None:
        """Audit what a run stored or reused, unless another run begins before that."""
        wanted = [
            one.signature for one in plan.nodes
            if (one.stored or one.keep) and not one.is_instance and one.proof in ("unproven", "aged")
        ]
        self.audit_when_idle(is_over, plan.workflow, wanted, begin)

    def audit_when_idle(self, is_over: Event, name: str, signatures: Collection[str], begin: Begin) -> None:
        """Audit those results that this process has not audited yet, unless another run begins before that."""
        wanted = [one for one in signatures if one not in self._seen]
        if self.when == "off" or not wanted:
            return
        if self.is_left:
            self._last = name, wanted, begin
        else:
            Thread(target=self._audit, args=(is_over, name, wanted, begin), daemon=True).start()

    def close(self) -> None:
        """End what is under way; leave the audit of the last answer behind, where that is how it is made and servers
        may stay behind, too."""
        last = self._last
        self.stop()
        may_stay = os.environ.get("HELIX_SERVER", "").lower() != "off"
        if last is not None and may_stay and (job := self._job(*last)) is not None:
            try:
                leave_behind(job, self._catalog)
            except OSError as error:
                self._warn_once(f"results of {last[0]!r} cannot be audited by themselves: {error}")

    def _job(self, name: str, wanted: Collection[str], begin: Begin) -> Job | None:
        left = self._seconds if self.when == "all" else seconds_left(self._catalog, name)
        seconds = min(self._seconds, left)
        if seconds < LEAST_SECONDS:
            return None
        try:
            return begin(wanted, seconds)
        except Exception as error:  # noqa: BLE001 - the author's objects may raise anything when they are to be sent
            why = f"{type(error).__name__}: {first_line(error)}"
            self._warn_once(f"results of {name!r} cannot be audited by themselves: {why}")
            return None

    def _audit(self, is_over: Event, name: str, wanted: Collection[str], begin: Begin) -> None:
        if is_over.wait(IDLE_SECONDS):
            return
        if (job := self._job(name, wanted, begin)) is None:
            return
        running = AuditProcess(job)
        with self._lock:
            if is_over.is_set():
                running.stop()
            else:
                self._running = running
        overtime = Timer(OVERTIME * job.seconds, running.stop)
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
