"""The entry of the command `helix`: hand it to this folder's fork server if one fits; else run it here."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from helix_spark.engine.server.kept_servers import Line, MeetingPoint
from helix_spark.errors import SetupError

_STAYING = frozenset({"server", "ui", "watch"})
"""Long-running commands, which are not forked."""

_TO_FORK = 5.0
"""Seconds that a fork server has to take a command."""

_TO_GROUP = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT})
"""Signals that a terminal sends to a whole process group."""

_PASSED_ON = _TO_GROUP | {signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}

_AGAIN = 0.05
"""Seconds between two checks whether a process has ended."""


def main() -> None:
    """Run the command that this process was started for."""
    if sys.argv[1:2] and sys.argv[1].endswith(".py"):
        sys.argv.insert(1, "run")  # python -m helix_spark train.py
    if (line := _fork_server()) is not None:
        if (reply := line.receive()) is None:
            print("helix: the process that starts commands has just ended; run the command again", file=sys.stderr)
            sys.exit(1)
        if pid := int(reply["pid"]):  # 0: no process could be forked
            _follow(line, pid)
    from helix_spark.cli.main import main as run_here

    run_here()


def _fork_server() -> Line | None:
    """Return the connection to this folder's fork server if it takes this command; otherwise None."""
    if sys.platform != "linux" or os.environ.get("HELIX_SERVER", "").lower() == "off":
        return None
    if sys.argv[1:2] == [] or sys.argv[1] in _STAYING or sys.gettrace() is not None or sys.getprofile() is not None:
        return None
    with suppress(SetupError, OSError, ValueError):
        point = MeetingPoint.for_folder(str(Path.cwd()))
        if point.forks.exists() and (line := point.call(point.forks, _TO_FORK)) is not None:
            if _is_taken(line):
                return line
            line.close()
    return None


def _is_taken(line: Line) -> bool:
    """Send this process's state to a fork server; return whether the server takes the command. Raises OSError."""
    from helix_spark.cli.process_state import fixed_state, given_state, inherited_descriptors

    numbers = inherited_descriptors()
    if numbers[:3] != [0, 1, 2]:
        return False
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        line.send_descriptors([folder, *numbers])
        loaded = sorted({name.partition(".")[0] for name in sys.modules})
        line.send({"given": given_state(), "fixed": fixed_state(), "numbers": numbers, "loaded": loaded})
    finally:
        os.close(folder)
    if not (line.receive(_TO_FORK) or {}).get("fits"):
        return False
    line.send({"go": True})  # from here on this process must not run the command: it would run twice
    return True


def _follow(line: Line, pid: int) -> NoReturn:
    """Forward signals to the process that runs this command, and end as it does."""
    def pass_on(number: int, _frame: FrameType | None) -> None:
        send = os.killpg if number in _TO_GROUP else os.kill
        with suppress(ProcessLookupError):
            send(pid, signal.SIGSTOP if number == signal.SIGTSTP else number)
        if number == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)

    for number in _PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, pass_on)
    reply = line.receive()
    while reply is None and Path(f"/proc/{pid}").exists():
        time.sleep(_AGAIN)
    if reply is None:
        print("helix: the process that started this command was killed, so its exit code is unknown; `helix log` lists "
              "what is recorded", file=sys.stderr)
        os._exit(1)
    status = int(reply["status"])
    if os.WIFSIGNALED(status):
        ended_by = os.WTERMSIG(status)
        if ended_by != signal.SIGKILL:
            signal.signal(ended_by, signal.SIG_DFL)
        os.kill(os.getpid(), ended_by)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
