"""The servers that are kept for this user: whether one is kept for this process, their states, their ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from helix_spark.engine.server.meeting import MeetingPoint
from helix_spark.errors import SetupError

SERVER_VARIABLE = "HELIX_SERVER"
"""``off``: each run starts Spark for itself. ``on``: a server is kept, wherever the run is."""

_AT_ONCE = 0.3
"""Seconds that a keeper has to say what its server has in memory, before a plan goes without."""

_INITS = frozenset({"systemd", "init", "tini", "dumb-init", "docker-init", "catatonit", "s6-svscan", "runit"})
"""Names of processes that take care of those whose parents have ended."""

PATIENCE = 10.0
"""Seconds that a keeper has to say that it is there."""

AGAIN = 0.01
"""Seconds between two looks at whether something has begun, or ended."""

_MOST_SERVERS = 2
"""Of one person. Each holds some gigabytes."""


def why_none_is_kept(environ: Mapping[str, str] = os.environ) -> str:
    """Return why no server is kept for this process, in words; empty if one is.

    >>> why_none_is_kept({"HELIX_SERVER": "off"}), why_none_is_kept({"HELIX_SERVER": "on", "CI": "true"})
    ('HELIX_SERVER is off', '')
    """
    asked = environ.get(SERVER_VARIABLE, "").lower()
    if asked in ("off", "on"):
        return "HELIX_SERVER is off" if asked == "off" else ""
    if environ.get("CI", "").lower() not in ("", "0", "false"):
        return "this is CI"
    if "PYSPARK_GATEWAY_PORT" in environ:
        return "spark-submit has started the JVM"
    if not _orphans_are_reaped():
        return "no process of this container takes care of others whose parents have ended"
    return ""


def _orphans_are_reaped() -> bool:
    try:
        first = Path("/proc/1/comm").read_text().strip()
    except OSError:
        return not Path("/proc").is_dir()  # macOS has launchd; here nothing can be told
    return first in _INITS or not any(Path(one).exists() for one in ("/.dockerenv", "/run/.containerenv"))


def rows_in_server() -> Mapping[str, int]:
    """Return bytes of the rows in memory of this folder's server, by key; none if it does not answer at once."""
    if why_none_is_kept():
        return {}
    with suppress(SetupError, OSError):
        found: dict[str, int] = (MeetingPoint.of(str(Path.cwd())).ask({"ask": "rows"}, _AT_ONCE) or {}).get("rows", {})
        return found
    return {}


def make_room(point: MeetingPoint, say: Callable[[str], None]) -> bool:
    """End idle servers of other folders, the longest idle first, to have room for one; return whether there is."""
    others = _others(point)
    idle = sorted((one for one in others if not one[1]["runs"]), key=lambda one: -one[1]["idle_seconds"])
    surplus = max(0, len(others) - _MOST_SERVERS + 1)
    for one, found in idle[:surplus]:
        say(f"the server of {found['folder']} is ended: no more than {_MOST_SERVERS} are kept")
        stop_server(one)
    return len(idle) >= surplus


def has_room(point: MeetingPoint) -> bool:
    """Return whether one more may stay as it is."""
    return len(_others(point)) < _MOST_SERVERS


def _others(point: MeetingPoint) -> list[tuple[MeetingPoint, dict[str, Any]]]:
    return [(one, found) for one in MeetingPoint.all() if one != point and (found := status_of(one)) is not None]


def status_of(point: MeetingPoint) -> dict[str, Any] | None:
    """Return what a server says of itself; None where there is none, or none that answers."""
    return point.ask({"ask": "status"}, PATIENCE) if point.keeper() else None


def stop_server(point: MeetingPoint) -> bool:
    """End a server, also one that does not answer; return whether there was one."""
    if not point.keeper():
        return False
    point.ask({"ask": "stop"}, PATIENCE)
    await_end(point)
    return True


def await_end(point: MeetingPoint) -> None:
    """Wait until no process keeps a server there. Kill a keeper that does not end within a while."""
    since = time.monotonic()
    while point.keeper():
        if time.monotonic() - since > 2 * PATIENCE:
            end_keeper(point)
        time.sleep(AGAIN)


def end_keeper(point: MeetingPoint) -> None:
    if pid := point.keeper():
        for one in reversed(family(pid)):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(one, signal.SIGKILL)


def family(pid: int) -> list[int]:
    """Return a process and those that it has started, with theirs, where the system tells."""
    children: dict[int, list[int]] = {}
    for found in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parent = int(found.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(found.parent.name))
    members = [pid]
    for one in members:
        members += children.get(one, [])
    return members


def resident_bytes(pid: int) -> int:
    """Return the bytes of memory that a process holds; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
