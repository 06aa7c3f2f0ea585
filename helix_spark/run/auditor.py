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

PROGRAM, JOB_FILE = "helix_spark.cli.sent_audit", "job"
"""What the process runs: it reads one `Job` from a file in its folder, and prints a line of JSON for each part of the
audit (see `cli.schema`, audit), or `error`: why it stopped."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the process is asked, in plain values: it goes through a file of this user's for a while. `work` is a
    workflow, pickled, or the file of a script and its arguments; `path` is where modules are found; `cells` is the text
    of what is in no file, as `linecache` has it; `stays` says whether the process outlives the one that starts it."""

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


_FOLDER = "helix-audit-"


def begin_audit(job: Job, catalog: CatalogReader) -> subprocess.Popen[bytes] | None:
    """Start the process that audits, unless there is one for the catalog. It inherits a lock on a file that says which
    one it is, by its id and its folder."""
    given = os.environ.get("PYTHONHASHSEED", "random")  # another hash seed, unless one was given
    path = [str(Path(__file__).resolve().parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    lock, end = _lock_of(catalog), subprocess.DEVNULL if job.stays else subprocess.PIPE
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as held, suppress(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = tempfile.mkdtemp(prefix=_FOLDER)  # a process that is killed leaves files behind
        with (Path(folder) / JOB_FILE).open("wb") as file:
            pickle.dump(job, file)
        own = {
            "PYTHONHASHSEED": "0" if given == "random" else given, "TMPDIR": folder, "HELIX_SERVER": "off",
            "SPARK_LOCAL_DIRS": folder, "PYTHONPATH": os.pathsep.join(dict.fromkeys(filter(None, path))),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM], stdin=end, stdout=end, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **own}, pass_fds=[held.fileno()],
        )
        held.truncate(0)
        held.write(f"{process.pid} {folder}")
        return process
    return None


def _lock_of(catalog: CatalogReader) -> Path:
    return cache_folder() / "audits" / digest("audits", catalog.id)[:32]  # of the id whoever made the catalog decides


def end_audit(catalog: CatalogReader) -> None:
    """End the audit of a catalog at once, if one is under way, whichever process began it."""
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
        self._seen, self._warned = set[str](), set[str]()

    def stop(self) -> Event:
        """End what is under way at once, and begin another turn. Return the event of its end, for `answered`."""
        with self._lock:
            end_audit(self._catalog)
            self._last = None
            self._is_over.set()
            self._is_over = Event()
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
            self._begin(last[0], replace(job, stays=True))

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

    def _begin(self, name: str, job: Job) -> subprocess.Popen[bytes] | None:
        try:
            return begin_audit(job, self._catalog)
        except OSError as error:
            self._warn_once(f"results of {name!r} cannot be audited by themselves: {error}")
            return None

    def _audit(self, is_over: Event, name: str, wanted: Collection[str], begin: Begin) -> None:
        if is_over.wait(IDLE_SECONDS) or (job := self._job(name, wanted, begin)) is None:
            return
        with self._lock:
            process = None if is_over.is_set() else self._begin(name, job)
        if process is None or process.stdout is None:
            return
        with process:
            for line in process.stdout:
                if line.endswith(b"\n"):  # else it was ended in the middle of it
                    self._tell(name, json.loads(line))

    def _tell(self, name: str, part: Mapping[str, Any]) -> None:
        """Warn of what a part of an audit found."""
        if part.get("error"):
            self._warn_once(f"an audit of {name!r} came to no end: {part['error']}")
        for one in part.get("results", ()):
            self._seen.add(one["signature"])
            if one["verdict"] == "different" and one["to_blame"]:
                self._warn(_different_text(one["node"], one["why"], one["heirs"]))

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
