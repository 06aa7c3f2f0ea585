"""Places where tests stop a process, or make it fail: named, and listed here. Without the variable they cost a look at
a module's constant.

``HELIX_FAILPOINT=NAME:ACTION`` arms one: ``kill`` (as SIGKILL does: nothing is cleaned up), ``pause`` (as SIGSTOP does:
all threads stand still until somebody sends SIGCONT), ``raise`` (an OSError, as a disk gives) or ``sleep=SECONDS``.
``NAME@N:ACTION`` acts at the N-th time only. Several are divided by commas.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

POINTS: Mapping[str, str] = {
    "store.begun": "a place to write to was given, nothing is written",
    "store.file_written": "the data file is there, the table's log is not",
    "store.written": "all is written, nothing is published",
    "publish.recorded": "the record is there, its writer has not been told",
    "log.appending": "records are about to be appended",
    "log.appended": "records are appended, their writer has not been told",
    "log.syncing": "records are appended, and would not survive a loss of power",
    "end.recorded": "an end is recorded, the data is still there",
    "delete.begun": "an ended attempt's folder is about to be deleted",
    "fold.written": "files of records were folded, the replaced ones are still there",
    "fold.deleting": "a file of records that was folded is about to be deleted",
    "gc.found": "leftovers were found, nothing was done about them",
    "gc.recorded": "the ends of attempts that nobody published are recorded, their data is still there",
    "takeover.recorded": "the records of an older layout are in the log, and lie there as tables as well",
    "repair.aside": "something that cannot be read is about to be moved aside",
    "lease.taken": "a lease was taken, the work has not begun",
}
"""All failpoints, in the order of a result's life, and what is so when each is reached."""

def _parsed(text: str) -> dict[str, tuple[int, str]]:
    """
    >>> _parsed("publish.recorded@2:kill,store.begun:raise")
    {'publish.recorded': (2, 'kill'), 'store.begun': (0, 'raise')}
    """
    armed: dict[str, tuple[int, str]] = {}
    for entry in filter(None, text.split(",")):
        place, _, action = entry.partition(":")
        name, _, nth = place.partition("@")
        if name not in POINTS:
            raise ValueError(f"HELIX_FAILPOINT names {name!r}; there are: {', '.join(POINTS)}")
        armed[name] = (int(nth or 0), action)
    return armed


@cache
def _armed() -> dict[str, tuple[int, str]]:
    """Return what is armed in this process, which may have been forked from one with another environment."""
    return _parsed(os.environ.get("HELIX_FAILPOINT", ""))


_REACHED: dict[str, int] = {}
_WATCHERS: list[Callable[[str], None]] = []


@contextmanager
def watched(by: Callable[[str], None]) -> Iterator[None]:
    """Call `by` with every failpoint that is reached while a block runs."""
    _WATCHERS.append(by)
    try:
        yield
    finally:
        _WATCHERS.remove(by)


def reach(name: str) -> None:
    """Do what is armed for a failpoint, and tell its watchers."""
    if name in _armed():
        _act(name)
    for told in _WATCHERS:
        told(name)


def _act(name: str) -> None:
    _REACHED[name] = _REACHED.get(name, 0) + 1
    nth, action = _armed()[name]
    if nth not in (0, _REACHED[name]):
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "pause":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "raise":
        raise OSError(errno.EIO, f"the failpoint {name} was reached")
    elif action.startswith("sleep="):
        time.sleep(float(action.removeprefix("sleep=")))
    else:
        raise ValueError(f"HELIX_FAILPOINT: {action!r} is none of kill, pause, raise, sleep=SECONDS")
