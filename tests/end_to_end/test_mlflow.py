"""Iterations in a real MLflow: a server on SQLite, the commands as a user gives them. About a minute in all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.ports import free_port

# Imported in processes of their own alone: it takes seconds, and each process of tests looks at this file.
pytestmark = [
    pytest.mark.spark, pytest.mark.slow, pytest.mark.long,
    pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is not installed"),
]
ROOT = Path(__file__).resolve().parents[2]
JOB = """
from pyspark.ml.classification import LogisticRegression
import pandas as pd

import helix_spark as hx


def people(reg: float = 0.1) -> hx.Workflow:
    wf = hx.Workflow("people")
    data = wf.source("data", hx.csv("people.csv", schema="age double, rich int"))
    age = wf.extractor("age", hx.Fields("age"), on=data)
    examples = wf.synthesizer("examples", data, features=[age], label="rich", split=hx.HashSplit(test=0.3))
    model = wf.learner("model", LogisticRegression, on=examples, regParam=reg, maxIter=3)
    wf.predict("predictions", model, examples)

    @wf.reducer(output=True)
    def scores(predictions: pd.DataFrame) -> dict[str, float]:
        right = predictions.prediction == predictions.label
        return {"accuracy": float(right.mean()), "rows": len(predictions)}

    return wf
"""
LOAD = """
import json, sys
import mlflow
from helix_spark.engine.server.session import Sessions

mlflow.set_tracking_uri(sys.argv[1])
with Sessions(settings={"spark.master": "local[1]"}) as sessions:
    sessions.get()
    model = mlflow.spark.load_model(f"models:/{sys.argv[2]}")
    print(json.dumps({"class": type(model).__name__, "reg": model.stages[0].getRegParam()}))
"""


def environ(folder: Path) -> dict[str, str]:
    return {
        **os.environ, "PYTHONPATH": str(ROOT), "HELIX_CDS": "off", "PYSPARK_PYTHON": sys.executable,
        "HELIX_CATALOG": str(folder / "catalog"), "MLFLOW_DISABLE_TELEMETRY": "true",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server; its URI."""
    folder = tmp_path_factory.mktemp("server")
    uri = f"http://127.0.0.1:{free_port()}"
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [
            sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
            "--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1",
            "--port", uri.rpartition(":")[2], "--workers", "1",
        ],
        cwd=folder, env=environ(folder), stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )
    try:
        until = time.monotonic() + 180
        while not answers(uri):
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError((folder / "log").read_text()[-3000:])
            time.sleep(0.25)
        yield uri
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)
        log.close()


def answers(uri: str) -> bool:
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def folder(server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder in a git repository, with two iterations shown in MLflow, the first with its model."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "people.py").write_text(JOB)
    (folder / "people.csv").write_text("\n".join(f"{20 + i % 50},{int(i % 50 > 25)}" for i in range(200)))
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "people.py"], [*author, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    helix(folder, "run", "people.py", "--mlflow", server, "--log-models", "-m", "first")
    helix(folder, "run", "people.py", "--mlflow", server, "--experiment", "other")
    return folder


def helix(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "helix_spark", *arguments], cwd=folder, env=environ(folder), capture_output=True,
        text=True, timeout=300, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "warning: MLflow" not in done.stderr
    return done.stdout


def client(server: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(server)


def runs(server: str, experiment: str) -> list[Any]:
    found = client(server).get_experiment_by_name(experiment)
    return list(client(server).search_runs([found.experiment_id]))


def test_an_iteration_is_a_run_with_all_that_is_known_of_it(folder: Path, server: str, tmp_path: Path) -> None:
    run, = runs(server, "people")
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "people 1"
    of_nodes = {name for name in run.data.params if "." in name}
    assert {name: value for name, value in run.data.params.items() if name not in of_nodes} == {"reg": "0.1"}
    answer = json.loads(helix(folder, "show", "1", "--json"))["outputs"]["scores"]
    assert run.data.metrics["scores.accuracy"] == answer["accuracy"]
    assert run.data.metrics["scores.rows"] == answer["rows"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
    assert run.data.tags["mlflow.source.git.commit"] == head.stdout.strip()
    assert run.data.tags["helix.git.dirty"] == "false"
    assert run.data.tags["helix.iteration"] == "1"
    assert run.data.tags["mlflow.note.content"] == "first"
    assert {file.path for file in client(server).list_artifacts(run.info.run_id)} >= {
        "plan.json", "plan.txt", "dag.svg", "outputs.json",
    }
    plan = json.loads(Path(client(server).download_artifacts(run.info.run_id, "plan.json", str(tmp_path))).read_text())
    assert {node["name"]: node["state"] for node in plan["nodes"]}["model"] == "compute"


def test_the_model_is_one_of_mlflows_own(folder: Path, server: str) -> None:
    run, = runs(server, "people")
    logged, = run.outputs.model_outputs
    assert client(server).get_logged_model(logged.model_id).name == "model"
    done = subprocess.run(
        [sys.executable, "-c", LOAD, server, logged.model_id], cwd=folder, env=environ(folder), capture_output=True,
        text=True, timeout=300, check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"class": "PipelineModel", "reg": 0.1}


def test_a_named_experiment_and_an_iteration_that_computed_nothing(folder: Path, server: str) -> None:
    run, = runs(server, "other")
    assert run.data.metrics["helix.nodes.compute"] == 0
    assert run.data.tags["helix.iteration"] == "2"
