"""Leases on work: a result that is being computed, a folder that is being written, an iteration that runs.

A lease is a file ``leases/NAME`` that is created only if absent. It names its holder, which rewrites it as a heartbeat.
No answer rests on a lease: if two processes compute one result, the first record wins, as without leases. So a lease on
a result may be lost, doubled or taken over wrongly; at worst, work is done twice. The lease of an attempt protects a
folder that is being written: `gc` deletes it once the lease is dead.

Before a lease is taken over or a folder deleted, the lease is read twice, timed by the reader's own monotonic clock, to
see whether its heartbeat goes on. Clocks of two machines are compared (`is_dead`) only to say that a run elsewhere has
died, and to choose which leases `gc` reads twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from getpass import getuser
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.places.json_text import parsed_as
from helix_spark.catalog.places.place import Place, text_in
from helix_spark.regular_files import OddFileError

HEARTBEAT, _LOOKS = 2.0, 0.1
"""Seconds between two heartbeats, and between two reads of an awaited lease."""

PATIENCE = 20.0
"""Seconds without a heartbeat after which a lease is taken over: ten missed ones on a disk, four in an object store."""

SILENCE_SECONDS = 60.0
"""Seconds without a heartbeat after which a run on another machine is shown as dead; nothing is decided by it."""

GRACE_SECONDS = 3 * 24 * 3600.0
"""Seconds that a folder stays if its writer may be alive: more than a weekend, after which a sleeping laptop goes on.
Folders known to be orphaned are deleted earlier."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, distinct from earlier and later ones with the same number.

    Attributes:
        host: name of its machine, for people.
        machine: id of the machine's boot and of the PID namespace, if the system has them; else the host.
        started: start time in the system's own form; empty if unknown.
    """

    host: Annotated[str, Meta(max_length=255)]  # hostname(7)
    machine: str
    pid: Annotated[int, Meta(gt=0, lt=1 << 31)]
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def is_here(self) -> bool:
        """True for a process of this machine since it last started."""
        return self.machine == _machine()

    @property
    def is_gone(self) -> bool:
        """True if it has certainly ended; False if that is unknown: on other machines, or if /proc hides its start."""
        if not self.is_here:
            return False
        with contextlib.suppress(PermissionError):
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return True
        state, started = _state_and_start(self.pid)
        return state == "Z" or bool(started and self.started and started != self.started)  # Z is a zombie

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def this_process() -> Holder:
    return Holder(os.uname().nodename, _machine(), os.getpid(), _state_and_start(os.getpid())[1])


def writer() -> str:
    """Return this process as a JSON object of host, pid and user, for the record of an iteration."""
    user = ""
    with contextlib.suppress(KeyError, OSError, ImportError):  # some containers have no user name
        user = getuser()
    return json.dumps({"host": os.uname().nodename, "pid": os.getpid(), "user": user})


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{os.uname().nodename} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return os.uname().nodename


def _state_and_start(pid: int) -> tuple[str, str]:
    """Return the state of a process and its start in ticks since boot; empty if unknown."""
    try:  # fields 3 and 22 of proc(5)'s stat; the name in field 2 may hold blanks and brackets
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *fields = text.rpartition(")")[2].split()
        return state, fields[18]
    except (OSError, ValueError, IndexError):
        return "", ""


class Lease(NamedTuple):
    """A lease as read: the text of its file, and its last heartbeat in Unix seconds of the disk or store."""

    name: str
    text: str
    touched: float

    @property
    def holder(self) -> Holder | None:
        """The process that holds it; None if the file names none."""
        try:
            return parsed_as(self.text, Holder)
        except ValueError:
            return None

    @property
    def is_gone(self) -> bool:
        """True if its holder has certainly ended: an empty file lost its bytes when the holder's machine lost power."""
        return not self.text.strip("\0") or ((holder := self.holder) is not None and holder.is_gone)


class Leases:
    """The leases in a folder. One process may use it from several threads."""

    def __init__(self, folder: Place) -> None:
        self._folder = folder
        # An object store counts requests.
        self.heartbeat, self._looks = (HEARTBEAT, _LOOKS) if isinstance(folder, Path) else (5.0, 1.0)
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()
        self._beating: threading.Thread | None = None

    def take(self, name: str) -> Lease | None:
        """Take a lease, or return that of another process. A lease that cannot be written is invisible to others."""
        with self._lock:
            if name in self._held:
                self._held[name] += 1
                return None
            foreign_lease = self._create(name)
            if foreign_lease is None:
                self._held[name] = 1
                self._start_heartbeat()
        reach("lease.taken")
        return foreign_lease

    def release(self, name: str) -> None:
        """Release a lease. Its file is deleted once it was released as often as it was taken."""
        with self._lock:
            if name not in self._held:
                return
            self._held[name] -= 1
            if self._held[name]:
                return
            del self._held[name]
            with contextlib.suppress(OSError):
                if self._is_ours(name):
                    (self._folder / name).unlink()

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[Callable[[], bool] | None]:
        """Hold a lease for the block; take it over from a process that gives no heartbeat while it is watched.

        Yield None if another process holds it; else a predicate: True while this process still holds it, as another one
        takes it over from a process that is suspended for long.
        """
        foreign_lease, until = self.take(name), time.monotonic() + 2 * PATIENCE
        if foreign_lease is not None and (
            time.time() - foreign_lease.touched <= SILENCE_SECONDS
            or not self.wait(name, until=lambda: time.monotonic() > until) or self.take(name) is not None
        ):
            yield None
            return
        try:
            yield lambda: self._is_ours(name)
        finally:
            self.release(name)

    def find(self, name: str) -> Lease | None:
        """Return the lease of a name, dead or not."""
        path = self._folder / name
        try:
            touched = path.lstat().st_mtime
            return Lease(name, text_in(path), touched)
        except (OddFileError, UnicodeDecodeError):
            return Lease(name, "?", touched)  # it blocks others until it was untouched for long enough
        except OSError:
            return None

    def at_work_elsewhere(self) -> str:
        """Return a description of another process that holds a lease and may be alive; empty if there is none."""
        own = this_process()
        for name in self.names():
            lease = self.find(name)
            if lease and lease.holder != own and not self.is_dead(name):
                return str(lease.holder or "another process")
        return ""

    def is_dead(self, name: str) -> bool:
        """True if there is no lease, or its process has ended, or is silent for `SILENCE_SECONDS` elsewhere."""
        lease = self.find(name)
        return lease is None or self._seems_dead(lease, SILENCE_SECONDS)

    def wait(self, name: str, *, until: Callable[[], bool] = lambda: False) -> bool:
        """Wait until a lease is released, or remove one whose holder ended or is silent. Return False at `until`."""
        lease, since = self.find(name), time.monotonic()
        while lease is not None:
            if until():
                return False
            if lease.is_gone or time.monotonic() - since > PATIENCE:
                self.remove([lease])
                return True
            time.sleep(self._looks)
            now = self.find(name)
            if now != lease:
                lease, since = now, time.monotonic()
        return True

    def names(self) -> Iterator[str]:
        with contextlib.suppress(OSError):
            yield from sorted(path.name for path in self._folder.glob("[!.]*"))

    def dead(self, *, untouched: float) -> dict[str, Lease]:
        """Return the leases whose process has ended, by name. If that is unknown, return those that were `untouched`
        for so many seconds, and give no heartbeat while they are watched: clocks of two machines may differ."""
        leases = [lease for lease in map(self.find, self.names()) if lease and self._seems_dead(lease, untouched)]
        if not all(lease.is_gone for lease in leases):
            time.sleep(PATIENCE)
        return {lease.name: lease for lease in leases if lease.is_gone or self.find(lease.name) == lease}

    def remove(self, leases: Iterable[Lease]) -> None:
        """Remove leases that are still as they were read."""
        for lease in leases:
            with contextlib.suppress(OSError):
                if self.find(lease.name) == lease:
                    (self._folder / lease.name).unlink()

    def _create(self, name: str) -> Lease | None:
        for _ in range(3):
            try:
                self._folder.make_folder()
                (self._folder / name).write_new(this_process().to_json().encode())
                return None
            except FileExistsError:
                lease = self.find(name)
                if lease is not None and not lease.is_gone:
                    return None if lease.holder == this_process() else lease
                if lease is not None:
                    self.remove([lease])
            except OSError:
                return None
        return self.find(name)

    def _seems_dead(self, lease: Lease, untouched: float) -> bool:
        if lease.is_gone or ((holder := lease.holder) is not None and holder.is_here):
            return lease.is_gone
        return time.time() - lease.touched > untouched  # by the clocks of two machines

    def _is_ours(self, name: str) -> bool:
        lease = self.find(name)
        return lease is not None and lease.holder == this_process()

    def _start_heartbeat(self) -> None:
        def keep_beating() -> None:
            while True:
                time.sleep(self.heartbeat)
                with self._lock:
                    if not self._held:
                        self._beating = None
                        return
                self.beat()

        if self._beating is None or not self._beating.is_alive():
            self._beating = threading.Thread(target=keep_beating, name="helix-heartbeat", daemon=True)
            self._beating.start()

    def beat(self) -> None:
        """Write one heartbeat for each lease of this process."""
        for name in list(self._held):
            with self._lock, contextlib.suppress(OSError, UnicodeDecodeError):
                text = text_in(self._folder / name)
                if name in self._held and Lease(name, text, 0.0).holder == this_process():
                    (self._folder / name).replace_text(json.dumps({**json.loads(text), "beat": time.time_ns()}))


class RunLeases:
    """The leases of one run, to be released at its end."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self.names: list[str] = []

    def take(self, name: str) -> Lease | None:
        foreign_lease = self._leases.take(name)
        if foreign_lease is None:
            self.names.append(name)
        return foreign_lease

    def release(self, name: str) -> None:
        if name in self.names:
            self._leases.release(name)
            self.names.remove(name)

    def release_all(self) -> None:
        while self.names:
            self.release(self.names[-1])
