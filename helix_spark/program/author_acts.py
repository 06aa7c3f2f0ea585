"""Lasting acts of a program's own code, as Python's audit events tell them before they happen."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from helix_spark.answers.answering import Answerer
from helix_spark.answers.questions import AnsweredQuestion
from helix_spark.hermetic.asking import asker

_WRITES = {
    "open": "wrote {}", "os.remove": "removed {}", "os.rename": "renamed {}", "os.truncate": "truncated {}",
    "os.mkdir": "made the folder {}", "os.rmdir": "removed the folder {}",
    "shutil.rmtree": "removed the folder {}", "shutil.move": "moved {}",
}
_TWO_PATHS = ("os.rename", "shutil.move")
_OTHERS = {
    "socket.connect": "connected to a server", "subprocess.Popen": "started {}", "os.system": "started a command",
    "sqlite3.connect": "opened the database {}", "builtins.input": "asked for input",
}
_EVENTS = _WRITES | _OTHERS
"""Audit events of lasting acts, with their descriptions, which contain the first argument."""


class AuthorActs:
    """Acts of the author's code and libraries: the first one, which a second start would repeat, and writes to data of
    the program, which the service that answers it is told of. `answerer` returns that service; None without one."""

    def __init__(self, answerer: Callable[[], Answerer | None]) -> None:
        self._answerer = answerer
        self._first, self._thread = "", threading.local()

    def start(self) -> None:
        """Listen from now on, until `stop`."""
        _add_hook()
        _LISTENING.add(self)

    def stop(self) -> None:
        _LISTENING.discard(self)

    def first(self, asked: Sequence[AnsweredQuestion]) -> str:
        """Describe the first lasting act; empty if there was none."""
        effect = next((answer for answer in asked if answer.fresh and answer.question.kind == "effect"), None)
        if effect is None:
            return self._first
        return f"had Spark run {effect.caller.call or effect.caller.function} (line {effect.caller.line})"

    def hear(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        if getattr(self._thread, "is_hearing", False):
            return
        self._thread.is_hearing = True
        try:
            named = arguments[:2] if event in _TWO_PATHS else arguments[:1]
            paths = [Path(os.fsdecode(path)) for path in named if isinstance(path, str | bytes | os.PathLike)]
            answerer = self._answerer() if event in _WRITES else None
            written = [] if answerer is None else [path for path in paths if answerer.is_change(path)]
            if (written or not self._first) and (actor := asker(frame)) is not None and actor.place:
                self._first = self._first or actor.at(_EVENTS[event].format(arguments[0] if arguments else ""))
                for path in written:
                    assert answerer is not None
                    answerer.before_write(path)
        finally:
            self._thread.is_hearing = False


_LISTENING: set[AuthorActs] = set()


@cache
def _add_hook() -> None:
    sys.addaudithook(_hear)  # it cannot be removed


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _EVENTS and not (event == "open" and not _is_write(*arguments[1:])):
        for acts in tuple(_LISTENING):
            acts.hear(event, arguments, sys._getframe(1))


def _is_write(mode: object, flags: object) -> bool:
    """Return whether a file is opened for writing."""
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
