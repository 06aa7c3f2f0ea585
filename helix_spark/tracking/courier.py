"""Hand entries to the sender's process in order, in the background, within a time limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

START_SECONDS = 90.0
"""What starting the sender may take. Importing mlflow takes 3 to 6 s, a multiple of that on a machine that is busy."""

URI_VARIABLE, TIMEOUT_VARIABLE = "HELIX_MLFLOW", "HELIX_MLFLOW_SECONDS"
"""Name the server to the sender, and the seconds that one entry may take. Not on its command line: that is for all to
read, and a URI may hold a password."""


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
        command: starts the sender. It reads entries, a line of JSON each, and answers each by a line.
        place: where to, in words, for warnings.
        timeout: seconds that one entry may take.
        variables: of the environment, for the sender alone.
    """

    def __init__(
        self, command: Sequence[str], place: str, timeout: float, variables: Mapping[str, str] | None = None
    ) -> None:
        self._command, self._place, self._timeout = command, place, timeout
        self._variables = {TIMEOUT_VARIABLE: f"{timeout:g}", **(variables or {})}
        self._inbox: SimpleQueue[Delivery | None] = SimpleQueue()
        # A daemon: a program may end however long a server takes.
        self._thread = Thread(target=self._work, name="helix-tracker", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._is_given_up = False

    def take(self, delivery: Delivery) -> None:
        if self._thread.ident is None:
            self._thread.start()
        self._inbox.put(delivery)

    def close(self) -> None:
        """Wait for what was taken, for as long as one entry may take, and stop the sender."""
        if self._thread.ident is None:
            return
        self._inbox.put(None)
        self._thread.join(START_SECONDS + self._timeout)
        if self._thread.is_alive() and self._process is not None:
            self._is_given_up = True
            self._process.kill()
            self._thread.join(1.0)

    def _work(self) -> None:
        missed = 0
        while entries := list(self._waiting()):
            for delivery, answer in zip(entries, self._send(entries), strict=True):
                error = answer.get("error")
                if error is not None and not missed:  # a watch does not warn at each save
                    delivery.warning(f"MLflow at {self._place} has no run of {delivery.title}: {error}")
                missed = 0 if error is None else missed + 1
                delivery.done()
            last = entries[-1]
        if missed > 1:
            last.warning(f"MLflow at {self._place} has no run of the last {missed} iterations")

    def _waiting(self) -> Iterator[Delivery]:
        """Yield the entries that are there, and wait for the first; none once all is taken."""
        delivery = self._inbox.get()
        while delivery is not None:
            yield delivery
            if self._inbox.empty():
                return
            delivery = self._inbox.get()
        self._inbox.put(None)

    def _send(self, entries: Sequence[Delivery]) -> list[Mapping[str, Any]]:
        """Return the sender's answer to each entry; its silence and its end are answers, too."""
        root = str(Path(__file__).resolve().parents[2])
        environ = {
            # Fewer tries than mlflow's own, which go on for minutes; what the user has set stays.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": f"{max(1, self._timeout):.0f}",
            "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])),
            **self._variables,
        }
        # A session of its own: Ctrl-C at the terminal is meant for the run.
        self._process = process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ,
            start_new_session=True,
        )
        lines = "".join(f"{json.dumps(one.entry)}\n" for one in entries).encode()
        try:
            said, _ = process.communicate(lines, START_SECONDS + self._timeout * len(entries))
            is_late = self._is_given_up
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            is_late = True
        silence = "it could not be sent in time" if is_late else \
            f"the process that sends ended early (exit code {process.returncode})"
        answers = [json.loads(line) for line in said.splitlines(keepends=True)[: len(entries)] if line.endswith(b"\n")]
        return [*answers, *[{"error": silence}] * (len(entries) - len(answers))]


def sender_command() -> list[str]:
    """Return what starts the sender. A file `mlflow.py` in the current folder is none of its business."""
    return [sys.executable, "-c", "import sys; sys.path[:] = filter(None, sys.path); "
            "from helix_spark.tracking.sender import main; main()"]
