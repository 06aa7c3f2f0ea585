"""The fork server of a keeper: a Python that commands are forked from, in a process that is no member of the keeper's
family. Here it is started, found and ended; what it does is said in `helix_spark.cli.fork_server`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from socket import socket, socketpair

from helix_spark.engine.server.kept_servers import MeetingPoint


def script_of(module: str) -> str:
    """Return a text for Python's `-c` that calls a module's `main`. `-m` would have Python look for its own modules in
    the folder that the process works in."""
    package = str(Path(__file__).resolve().parents[3])
    return (f"import sys; sys.path.pop(0); {package!r} in sys.path or sys.path.insert(0, {package!r}); "
            f"from {module} import main; main()")


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
        self._link, theirs = socketpair()
        with theirs:
            started = subprocess.Popen(
                [sys.executable, "-c", script_of("helix_spark.cli.fork_server"), self.point.stem],
                stdin=theirs.fileno(), start_new_session=True, env={**self.environ, "PYTHONHASHSEED": "0"},
            )
        started.wait()  # it has left its orphan

    def end(self) -> None:
        """Let it take no more commands: it ends once those that it runs have ended."""
        if self._link is not None:
            self._link.close()
            self._link, self._took_commands = None, False

    def _is_open(self) -> bool:
        """Return whether it listens to its keeper: it says when it begins to take commands, and leaves at its end."""
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
        if (line := self.point.call(self.point.forks, patience=0.3)) is None:
            return 0
        with closing(line):
            return line.peer()[0]
