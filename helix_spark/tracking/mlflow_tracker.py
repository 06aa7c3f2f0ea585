"""MLflow as a tracker: iterations are queued, and sent in the background by a separate process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from helix_spark.engine.results.stored_results import export_model
from helix_spark.engine.spark.gateway import first_line
from helix_spark.errors import ParameterError
from helix_spark.run.tracker import Finished
from helix_spark.sizes import without_password
from helix_spark.tracking.entry import entry_of
from helix_spark.tracking.sender import TIMEOUT_VARIABLE, URI_VARIABLE

START_SECONDS = 90.0
"""Seconds that the sender has to start. Importing mlflow takes 3 to 6 s, and much longer on a busy machine."""

SENDER = (  # a file `mlflow.py` in the current folder must not shadow mlflow
    sys.executable, "-c",
    "import sys; sys.path[:] = filter(None, sys.path); from helix_spark.tracking.sender import main; main()",
)

Warn = Callable[[str], None]


class MlflowTracker:
    """A tracker that logs each iteration as an MLflow run, after its answer; no iteration waits or fails because of it.

    The run has parameters, metrics (numeric outputs, dicts flattened), tags, and plan and graph as artifacts.

    Args:
        uri: URI of the tracking server, or a store such as "sqlite:///mlflow.db".
        experiment: name of the experiment; by default the workflow's name.
        log_models: also log the models of an iteration.
        timeout: seconds allowed for sending one iteration.

    Raises:
        ParameterError: `uri` is empty.
    """

    def __init__(
        self, uri: str, *, experiment: str | None = None, log_models: bool = False, timeout: float = 30.0
    ) -> None:
        if not uri:
            raise ParameterError("MLflow needs the URI of a server", remedy='such as "http://localhost:5000"')
        self._experiment, self._log_models = experiment, log_models
        self._uri, self._timeout = uri, timeout
        self._server = f"MLflow at {without_password(uri)}"
        self._inbox: SimpleQueue[tuple[Mapping[str, Any], Warn] | None] = SimpleQueue()
        # A daemon, so that a slow server does not keep the program from ending.
        self._thread = Thread(target=self._work, name="helix-tracker", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._is_given_up = False

    def track(self, finished: Finished, warning: Warn) -> None:
        """Queue an iteration. Save its models first if they are logged, as the session may end before they are sent."""
        folder, models = "", dict[str, dict[str, str]]()
        if self._log_models and finished.models:
            folder = tempfile.mkdtemp(prefix="helix-mlflow-")
            pyspark = json.loads(finished.record.versions)["pyspark"]
            try:
                for name, model in finished.models.items():
                    model_folder = Path(folder, str(len(models)))
                    class_name = export_model(model, model_folder / "sparkml")
                    models[name] = {"folder": str(model_folder), "class_name": class_name, "pyspark": pyspark}
            except Exception as error:  # noqa: BLE001 - a model's writer may raise anything; the run is logged anyway
                models.clear()
                warning(f"the models of iteration {finished.record.number} are not logged: {first_line(error)}")
        self.send(entry_of(finished, self._experiment, models) | {"temporary": folder}, warning)

    def send(self, entry: Mapping[str, Any], warning: Warn) -> None:
        """Queue an entry of `entry_of`, and remove its folder once sent. A failure drops it and calls `warning`."""
        if self._thread.ident is None:
            self._thread.start()
        self._inbox.put((entry, warning))

    def close(self) -> None:
        """Wait until everything is sent or dropped: 90 seconds and the time of one entry at most."""
        if self._thread.ident is None:
            return
        self._inbox.put(None)
        self._thread.join(START_SECONDS + self._timeout)
        if self._thread.is_alive() and self._process is not None:
            self._is_given_up = True
            self._process.kill()
            self._thread.join(1.0)

    def _work(self) -> None:
        missed, is_open = 0, True
        while is_open:
            queued = [self._inbox.get()]
            while not self._inbox.empty():
                queued.append(self._inbox.get())
            is_open = queued[-1] is not None
            batch = [item for item in queued if item is not None]
            for (entry, warning), answer in zip(batch, self._answers([entry for entry, _ in batch]), strict=True):
                error = answer.get("error")
                if error is not None and not missed:  # once, as a watch would warn at each save
                    warning(f"{self._server} has no run of {entry['title']}: {error}")
                missed = 0 if error is None else missed + 1
                last = warning
                if entry["temporary"]:
                    shutil.rmtree(entry["temporary"], ignore_errors=True)
        if missed > 1:
            last(f"{self._server} has no run of the last {missed} iterations")

    def _answers(self, entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the sender's answer to each entry, or an error if it did not answer."""
        if not entries:
            return []
        root = str(Path(__file__).resolve().parents[2])
        environ = {
            # mlflow's default retries for minutes. The user's settings take precedence.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": f"{max(1, self._timeout):.0f}",
            "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])),
            URI_VARIABLE: self._uri, TIMEOUT_VARIABLE: f"{self._timeout:g}",
        }
        # In a new session, as Ctrl-C at the terminal is for the run only.
        self._process = process = subprocess.Popen(
            SENDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ,
            start_new_session=True,
        )
        lines = "".join(f"{json.dumps(entry)}\n" for entry in entries).encode()
        try:
            output, _ = process.communicate(lines, START_SECONDS + self._timeout * len(entries))
            is_late = self._is_given_up
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            is_late = True
        failure = "it could not be sent in time" if is_late else \
            f"the sending process ended early (exit code {process.returncode})"
        complete = [line for line in output.splitlines(keepends=True) if line.endswith(b"\n")]
        answers = [json.loads(line) for line in complete[: len(entries)]]
        return [*answers, *[{"error": failure}] * (len(entries) - len(answers))]
