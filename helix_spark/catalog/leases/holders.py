"""Which process holds something, and whether it is still there."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from helix_spark.catalog.places.json_text import parsed

_GREATEST_PID = 1 << 31
_LONGEST = 255
"""Letters of a machine's name at most (hostname(7))."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, told apart from any other that had its number before or will have it.

    Attributes:
        host: name of its machine, for people.
        machine: the boot of the machine and the space of process numbers, where the system tells; else the host.
        pid: its number there.
        started: when the system says it started, in the system's own form; empty where it does not say.
    """

    host: str
    machine: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine, since it last started."""
        return self.machine == _machine()

    @property
    def is_gone(self) -> bool:
        """Whether it is known to have ended. Of other machines nothing is known; and when a process started, not of
        those that /proc hides (`hidepid`: other users')."""
        if not self.is_here:
            return False
        started = _started(self.pid)
        return not _exists(self.pid) or bool(started and self.started and started != self.started)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def this_process() -> Holder:
    """The process that asks."""
    return Holder(socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()))


def writer() -> str:
    """The process that asks, as the records of iterations name it: JSON object of host and pid."""
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid()})


def holder_from(text: str) -> Holder | None:
    """A holder from its JSON; None if the text is none (half-written, or of a version that wrote less)."""
    try:
        given = parsed(text)
        pid = int(given["pid"])
        if not 0 < pid < _GREATEST_PID:
            return None
        return Holder(str(given["host"])[:_LONGEST], str(given["machine"]), pid, str(given["started"]))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _started(pid: int) -> str:
    # Field 22 of proc(5)'s stat, in ticks since boot. The name in field 2 may hold blanks and brackets.
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else ""


def _is_zombie(pid: int) -> bool:
    return _stat(pid)[:1] == ["Z"]


def _stat(pid: int) -> list[str]:
    """Fields 3 and following; none where there is no such file."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
