"""What failpoints do where a test arms them: stop a process, or make it fail; see `helix_spark.catalog.failpoints`."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from helix_spark.catalog.failpoints import POINTS


def armed(text: str) -> dict[str, str]:
    """Return the environment of a process whose failpoints are armed; none are where the text is empty.

    Args:
        text: NAME:ACTION, or NAME@N:ACTION, which acts at the N-th time only; several are divided by commas. An action
            is ``kill`` (as SIGKILL does: nothing is cleaned up), ``pause`` (as SIGSTOP does: all threads stand still
            until somebody sends SIGCONT), ``raise`` (an OSError, as a disk gives), ``sleep=SECONDS`` or ``hold=FILE``
            (write the file, and go on once it is deleted).
    """
    parsed(text)
    paths = filter(None, (str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")))
    return {**os.environ, "HELIX_FAILPOINT": f"{__name__} {text}" if text else "", "PYTHONPATH": os.pathsep.join(paths)}


def parsed(text: str) -> dict[str, tuple[int, str]]:
    """Return the number of the time and the action of each failpoint that a text arms.

    >>> parsed("publish.recorded@2:kill,store.begun:raise")
    {'publish.recorded': (2, 'kill'), 'store.begun': (0, 'raise')}
    """
    actions: dict[str, tuple[int, str]] = {}
    for entry in filter(None, text.split(",")):
        place, _, action = entry.partition(":")
        name, _, nth = place.partition("@")
        if name not in POINTS:
            raise ValueError(f"{name!r} is no failpoint; there are: {', '.join(POINTS)}")
        if action not in ("kill", "pause", "raise") and not action.startswith(("sleep=", "hold=")):
            raise ValueError(f"{action!r} is none of kill, pause, raise, sleep=SECONDS, hold=FILE")
        actions[name] = (int(nth or 0), action)
    return actions


def hook(text: str) -> Callable[[str], None]:
    """Return what is to be called with each failpoint that is reached."""
    actions, reached = parsed(text), Counter[str]()

    def reach(name: str) -> None:
        if name in actions:
            reached[name] += 1
            nth, action = actions[name]
            if nth in (0, reached[name]):
                act(name, action)

    return reach


def act(name: str, action: str) -> None:
    """Do what is armed."""
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "pause":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "raise":
        raise OSError(errno.EIO, f"the failpoint {name} was reached")
    elif action.startswith("hold="):
        file = Path(action.removeprefix("hold="))
        file.touch()
        while file.exists():
            time.sleep(0.02)
    else:
        time.sleep(float(action.removeprefix("sleep=")))
