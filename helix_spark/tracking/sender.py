"""The process that sends to MLflow: it reads a line of JSON for each entry from stdin, and answers each with a line.

Only this module imports mlflow. `mlflow_tracker` starts it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from helix_spark.errors import install
from helix_spark.tracking.entry import RUN_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI_VARIABLE, TIMEOUT_VARIABLE = "HELIX_MLFLOW", "HELIX_MLFLOW_SECONDS"
"""Environment variables of the server's URI and of the seconds allowed for one entry. The URI may contain a password,
and other users can read command lines."""

_BATCH = 100
"""The most parameters that `MlflowClient.log_batch` accepts; it accepts more metrics."""


def send(client: MlflowClient, entry: Mapping[str, Any]) -> str:
    """Create the run of an iteration, or complete an unfinished one; return its id. Raises errors of the client."""
    from mlflow.entities import Metric, Param

    name = entry["experiment"]
    existing = client.get_experiment_by_name(name)
    if existing is not None and existing.lifecycle_stage == "deleted":
        raise ValueError(f"the experiment {name!r} is deleted on the server; restore it, or name another")
    experiment = str(client.create_experiment(name) if existing is None else existing.experiment_id)
    runs = client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{entry['run']}'", max_results=1)
    if runs and runs[0].info.status != "RUNNING":
        return str(runs[0].info.run_id)
    run = str((runs[0] if runs else client.create_run(
        experiment, start_time=entry["started"], tags=dict(entry["tags"]), run_name=entry["name"]
    )).info.run_id)
    metrics = [Metric(name, value, entry["ended"], 0) for name, value in entry["metrics"].items()]
    parameters = [Param(name, value) for name, value in entry["parameters"].items()]
    for start in range(0, max(len(metrics), len(parameters)), _BATCH):
        client.log_batch(run, metrics=metrics[start:start + _BATCH], params=parameters[start:start + _BATCH])
    for path, text in entry["texts"].items():
        client.log_text(run, text, path)
    for name, model in entry["models"].items():
        _log_model(client, experiment, run, name, model)
    client.set_terminated(run, status=entry["status"], end_time=entry["ended"])
    return run


def _log_model(client: MlflowClient, experiment: str, run: str, name: str, model: Mapping[str, str]) -> None:
    """Log a saved Spark ML model in MLflow's spark flavor, from its files, without a session."""
    from mlflow import pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    logged = client.create_logged_model(experiment, name=name, source_run_id=run, model_type="spark")
    description = Model(run_id=run, model_id=logged.model_id)
    description.add_flavor(
        "spark", pyspark_version=model["pyspark"], model_data="sparkml", code=None, model_class=model["class_name"]
    )
    pyfunc.add_to_model(description, loader_module="mlflow.spark", data="sparkml")
    folder = Path(model["folder"])
    description.save(str(folder / "MLmodel"))
    (folder / "requirements.txt").write_text(f"mlflow\npyspark=={model['pyspark']}\n")
    client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run, [LoggedModelOutput(logged.model_id, step=0)])


_LONGEST = 2_000
"""Characters of an error's text."""


def describe_failure(error: Exception) -> str:
    """Return why an entry could not be sent.

    >>> describe_failure(ValueError("odd"))
    'odd'
    """
    text = " ".join(str(error).split())
    refusal = re.search(r"(?:error|status) code 40[13]|40[13] Client Error", text)
    if refusal or getattr(error, "error_code", "") in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return (
            "the server refuses access; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN"
        )
    if "timed out" in text.lower():
        return "the server does not answer in time"
    if "connection" in text.lower() or "max retries exceeded" in text.lower():
        return "no server answers there"
    return text[:_LONGEST] or type(error).__name__


def main() -> None:
    """Answer each line of standard input with a line. An entry that takes too long ends this process."""
    uri, seconds = os.environ.pop(URI_VARIABLE), float(os.environ[TIMEOUT_VARIABLE])
    os.nice(19)  # so that the next run is not slowed down
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries must not mix with the answers

    def answer(value: Mapping[str, Any]) -> None:
        print(json.dumps(value), file=answers, flush=True)

    def give_up() -> None:
        answer({"error": f"the server did not answer in {seconds:.0f} s"})
        os._exit(1)

    entries = [json.loads(line) for line in sys.stdin]
    try:
        from mlflow import MlflowClient

        client = MlflowClient(uri)
    except Exception as error:  # noqa: BLE001 - mlflow raises any error of its stores; it is reported
        missing = f"mlflow is not installed ({error}); {install('mlflow')}"
        for _ in entries:
            answer({"error": missing if isinstance(error, ImportError) else describe_failure(error)})
        return
    for entry in entries:
        limit = Timer(seconds, give_up)
        limit.start()
        try:
            answer({"run": send(client, entry)})
        except Exception as error:  # noqa: BLE001 - as above; the next entry may succeed
            answer({"error": describe_failure(error)})
        finally:
            limit.cancel()
