"""The servers that are kept for this user: what each says of itself, and their ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from helix_spark.engine.server.meeting import MeetingPoint

PATIENCE = 10.0
"""Seconds that a keeper has to say that it is there."""

AGAIN = 0.01
"""Seconds between two looks at whether something has begun, or ended."""

_MOST_SERVERS = 2
"""Of one person. Each holds some gigabytes."""


def make_room(point: MeetingPoint, say: Callable[[str], None]) -> bool:
    """End servers of other folders that no run uses, the one that was idle longest first, so that there is room for one
    more; return whether there is."""
    others = [(one, found) for one in MeetingPoint.all() if one != point and (found := status_of(one)) is not None]
    idle = sorted((one for one in others if not one[1]["runs"]), key=lambda one: -one[1]["idle_seconds"])
    surplus = max(0, len(others) - _MOST_SERVERS + 1)
    for one, found in idle[:surplus]:
        say(f"the server of {found['folder']} is ended: no more than {_MOST_SERVERS} are kept")
        stop_server(one)
    return len(idle) >= surplus


def status_of(point: MeetingPoint) -> dict[str, Any] | None:
    """Return what a server says of itself; None where there is none, or none that answers."""
    if not point.keeper() or (line := point.call(PATIENCE)) is None:
        return None
    try:
        return line.ask({"ask": "status"}, PATIENCE)
    except (TimeoutError, OSError):
        return None
    finally:
        line.close()


def stop_server(point: MeetingPoint) -> bool:
    """End a server, also one that does not answer; return whether there was one."""
    if not point.keeper():
        return False
    if (line := point.call(PATIENCE)) is not None:
        with suppress(TimeoutError, OSError):
            line.ask({"ask": "stop"}, PATIENCE)
        line.close()
    await_end(point)
    return True


def await_end(point: MeetingPoint) -> None:
    """Wait until nobody keeps a server there; who does not end within a while is killed."""
    since = time.monotonic()
    while point.keeper():
        if time.monotonic() - since > 2 * PATIENCE:
            end_keeper(point)
        time.sleep(AGAIN)


def end_keeper(point: MeetingPoint) -> None:
    """Kill the process that keeps a server, and what it started."""
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
