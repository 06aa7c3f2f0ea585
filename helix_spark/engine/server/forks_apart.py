"""The fork server of a keeper: a Python that commands are forked from, in a process that is no member of the keeper's
family. Here it is started, found and ended; what it does is said in `helix_spark.cli.fork_server`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket, socketpair

from helix_spark.engine.server.meeting import MeetingPoint

_SCRIPT = """
import sys
sys.path.pop(0)
if (package := {package!r}) not in sys.path:
    sys.path.insert(0, package)
from helix_spark.cli.fork_server import main
main()
"""

_AT_ONCE = 0.3
"""Seconds that it has to take a connection."""


def initial_environment() -> dict[str, str]:
    """Return this process's first environment, where the system tells: the author's code may have changed it since."""
    with suppress(OSError):
        pairs = (one.partition(b"=") for one in Path("/proc/self/environ").read_bytes().split(b"\0") if b"=" in one)
        return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    return dict(os.environ)


@dataclass(eq=False)
class ForksApart:
    """Starts a fork server, which is met at a point, and ends it. None is started where the environment is empty."""

    point: MeetingPoint
    environ: Mapping[str, str]
    _link: socket | None = None
    _took_commands: bool = False

    def start(self) -> None:
        """Start it, unless there is one; one that ended before it took commands would do so again."""
        if not self.environ or sys.platform != "linux" or self._is_open():
            return
        if self._link is not None and not self._took_commands:
            self.environ = {}
            return
        self.end()
        package = str(Path(__file__).resolve().parents[3])
        self._link, theirs = socketpair()
        with theirs:
            started = subprocess.Popen(
                [sys.executable, "-c", _SCRIPT.format(package=package)], stdin=theirs.fileno(), start_new_session=True,
                env={**self.environ, "PYTHONHASHSEED": "0"},
            )
        with suppress(ConnectionError):  # it has ended
            self._link.sendall(json.dumps({"stem": str(self.point.stem)}).encode() + b"\n")
        started.wait()  # it has left its orphan

    def end(self) -> None:
        """Let it take no more commands: it ends once those that it runs have ended."""
        if self._link is not None:
            self._link.close()
            self._link, self._took_commands = None, False

    def _is_open(self) -> bool:
        """Return whether it listens to its keeper still. It says so when it begins to take commands, and leaves when it
        takes no more."""
        if self._link is None:
            return False
        self._link.setblocking(False)
        try:
            while self._link.recv(1):
                self._took_commands = True
        except BlockingIOError:
            return True
        except ConnectionError:
            pass
        return False

    def seconds_since_use(self) -> float:
        """Return the time since it last began a command, or began to take them; 0 where there is none."""
        try:
            return max(time.time() - self.point.forks.stat().st_mtime, 0.0)
        except OSError:
            return 0.0

    def pid(self) -> int:
        """Return its process; 0 if it takes no commands."""
        if not self.point.forks.exists() or (line := self.point.call(self.point.forks, _AT_ONCE)) is None:
            return 0
        try:
            return line.their_process()
        finally:
            line.close()
