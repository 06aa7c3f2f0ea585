"""MLflow as a tracker: notes an iteration quickly, and lets the courier do the rest."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from helix_spark.engine.results.storing import export_model
from helix_spark.engine.spark.gateway import first_line
from helix_spark.errors import ParameterError
from helix_spark.run.tracker import Finished
from helix_spark.sizes import without_password
from helix_spark.tracking.courier import URI_VARIABLE, Courier, Delivery, sender_command
from helix_spark.tracking.entry import entry_of


class MlflowTracker:
    """Makes one MLflow run of each iteration, behind its answer; an iteration never waits or fails for it.

    Parameters, metrics (numeric outputs, dicts of numbers flattened), tags, the plan and the graph as artifacts.

    Args:
        uri: of the tracking server, or a store such as "sqlite:///mlflow.db".
        experiment: its name; else the workflow's.
        log_models: whether the models that an iteration had are logged, too.
        timeout: seconds that the run of one iteration may take to be sent.
        command: starts the process that sends, for tests.

    Raises:
        ParameterError: there is no `uri`.
    """

    def __init__(
        self, uri: str, *, experiment: str | None = None, log_models: bool = False, timeout: float = 30.0,
        command: Sequence[str] | None = None,
    ) -> None:
        if not uri:
            raise ParameterError("MLflow needs the URI of a server", remedy='such as "http://localhost:5000"')
        self._experiment, self._log_models = experiment, log_models
        self._courier = Courier(command or sender_command(), without_password(uri), timeout, {URI_VARIABLE: uri})

    def track(self, finished: Finished, warning: Callable[[str], None]) -> None:
        """Note an iteration; saves its models if they are wanted, for the session may end before they are sent."""
        folder: Path | None = None
        models: dict[str, dict[str, str]] = {}
        if self._log_models and finished.models:
            folder = Path(tempfile.mkdtemp(prefix="helix-mlflow-"))
            pyspark = json.loads(finished.record.versions)["pyspark"]
            try:
                for name, model in finished.models.items():
                    own = folder / str(len(models))
                    kind = export_model(model, own / "sparkml")
                    models[name] = {"folder": str(own), "class_name": kind, "pyspark": pyspark}
            except Exception as error:  # noqa: BLE001 - a model's own writer may raise anything; the run is noted
                _remove(folder)
                folder, models = None, {}
                warning(f"the models of iteration {finished.record.number} are not logged: {first_line(error)}")
        title = f"iteration {finished.record.number} of {finished.record.workflow}"
        entry = entry_of(finished, self._experiment, models)
        self._courier.take(Delivery(entry, title, warning, lambda: _remove(folder)))

    def close(self) -> None:
        """Wait until everything is sent, or could not be; never for longer than starting and one entry may take."""
        self._courier.close()


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
