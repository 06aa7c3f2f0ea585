"""Hand entries to the sender's process in order, in the background, within a time limit."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

START_SECONDS = 90.0
"""What starting the sender may take. Importing mlflow takes 3 to 6 s, a multiple of that on a machine that is busy."""

URI_VARIABLE = "HELIX_MLFLOW"
"""Names the server to the sender. Not on its command line: that is for all to read, and a URI may hold a password."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An entry on its way.

    Attributes:
        entry: as JSON's types.
        title: what it is, in words.
        warning: prints what went wrong.
        done: called once the entry was taken, or given up.
    """

    entry: Mapping[str, Any]
    title: str
    warning: Callable[[str], None]
    done: Callable[[], None]


class Courier:
    """Delivers entries from a thread of its own; what the server does not take is given up.

    Args:
        command: starts the sender.
        place: where to, in words, for warnings.
        timeout: seconds that one entry may take.
        variables: of the environment, for the sender alone.
    """

    def __init__(
        self, command: Sequence[str], place: str, timeout: float, variables: Mapping[str, str] | None = None
    ) -> None:
        self._command, self._place, self._timeout = command, place, timeout
        self._variables = dict(variables or {})
        self._inbox: SimpleQueue[Delivery | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()
        self._closing = self._gave_up = False
        self._missed = 0

    def take(self, delivery: Delivery) -> None:
        """Take an entry and return at once."""
        with self._lock:
            if self._thread is None:
                # A daemon: a program may end however long a server takes.
                self._thread = Thread(target=self._work, name="helix-tracker", daemon=True)
                self._thread.start()
        self._inbox.put(delivery)

    def close(self) -> None:
        """Wait for what was taken, for as long as one entry may take, and stop the sender."""
        self._closing = True
        self._inbox.put(None)
        if self._thread is None:
            return
        self._thread.join(START_SECONDS + self._timeout)
        process = self._process
        if self._thread.is_alive() and process is not None:
            process.kill()
            self._thread.join(1.0)

    def _work(self) -> None:
        last = None
        while (delivery := self._inbox.get()) is not None:
            last = delivery
            if self._gave_up:
                self._missed += 1
            else:
                self._deliver(delivery)
            delivery.done()
        if last is not None and self._missed > 1:
            last.warning(f"MLflow at {self._place} has no run of the last {self._missed} iterations")
        self._stop()

    def _deliver(self, delivery: Delivery) -> None:
        """Send an entry; warn of the first that is missed, since a watch should not warn at each save."""
        error = self._send(delivery.entry).get("error")
        if error is not None and not self._missed:
            delivery.warning(f"MLflow at {self._place} has no run of {delivery.title}: {error}")
        self._missed = 0 if error is None else self._missed + 1
        self._gave_up = self._closing and error is not None

    def _send(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the sender's answer; its silence and its end are answers, too."""
        if self._process is None or self._process.poll() is not None:
            started = self._start()
            if "error" in started:
                self._stop()
                return started
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(entry).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            return self._ended()
        return self._answer(self._timeout, f"the server did not answer in {self._timeout:.0f} s")

    def _start(self) -> Mapping[str, Any]:
        root = str(Path(__file__).resolve().parents[2])
        environ = {
            # Fewer tries than mlflow's own, which go on for minutes; what the user has set stays.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": f"{max(1, self._timeout):.0f}",
            "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])),
            **self._variables,
        }
        # A session of its own: Ctrl-C at the terminal is meant for the run.
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ,
            start_new_session=True,
        )
        return self._answer(START_SECONDS, "mlflow could not be loaded in time")

    def _answer(self, seconds: float, late: str) -> Mapping[str, Any]:
        process = self._process
        if process is None or process.stdout is None:
            return self._ended()
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        if not ready:
            self._stop()
            return {"error": late}
        line = process.stdout.readline()
        if not line:
            return self._ended()
        try:
            answer: Mapping[str, Any] = json.loads(line)
        except ValueError:  # half a line: it was killed while it wrote
            return self._ended()
        return answer

    def _ended(self) -> Mapping[str, Any]:
        code = self._process.wait() if self._process is not None else None
        return {"error": f"the process that sends ended early (exit code {code})"}

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # what it had not read yet cannot be flushed to a process that ended


def sender_command() -> list[str]:
    """Return what starts the sender. A file `mlflow.py` in the current folder is none of its business."""
    return [sys.executable, "-c", "import sys; sys.path[:] = filter(None, sys.path); "
            "from helix_spark.tracking.sender import main; main()"]
