"""The census on a cluster of processes: a master, two workers, a catalog in a folder that all of them see."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.ports import free_port

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """The address of a cluster's master; logs, process ids and work of it are in `folder`."""
    script = str(ROOT / "jobs" / "cluster.sh")
    environment = {
        **os.environ, "PYTHON": sys.executable, "MASTER_PORT": str(free_port()), "MASTER_UI_PORT": str(free_port()),
    }
    command = [script, "start", str(folder)]
    started = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        assert started.returncode == 0, started.stderr
        yield started.stdout.strip()
    finally:
        subprocess.run([script, "stop", str(folder)], env=environment, check=True)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster's master; the cluster ends with the tests."""
    with cluster(tmp_path_factory.mktemp("cluster")) as address:
        yield address


def submitting(master: str, folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [
        str(Path(sys.executable).with_name("spark-submit")), "--master", master, "--conf", "spark.ui.enabled=false",
        "--conf", "spark.executor.memory=600m", str(ROOT / "jobs" / "census.py"), "--catalog", str(folder / "catalog"),
        "--json", *options,
    ]
    environment = {**os.environ, "HELIX_CDS": "off", "PYSPARK_PYTHON": sys.executable}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def answer(running: subprocess.Popen[str]) -> dict[str, Any]:
    printed, complaints = running.communicate(timeout=300)
    assert running.returncode == 0, complaints[-3000:]
    found: dict[str, Any] = json.loads(printed[printed.index("{"):])
    return found


def submit(master: str, folder: Path, *options: str) -> dict[str, Any]:
    return answer(submitting(master, folder, *options))


def computed(printed: dict[str, Any]) -> set[str]:
    return {node["name"] for node in printed["nodes"] if node["state"] == "compute"}


def test_the_census_runs_on_a_cluster_and_reuses_there(master: str, tmp_path: Path) -> None:
    first = submit(master, tmp_path, "--policy", "always")
    assert 0.8 < first["outputs"]["accuracy"] < 0.9
    other = submit(master, tmp_path, "--policy", "always", "--set", "reg=0.01")
    assert {"model", "predictions", "accuracy", "auc"} <= computed(other)
    assert not any(name.endswith(".fit") or name == "rows" for name in computed(other))


def test_a_run_that_loses_a_worker_answers_and_leaves_a_sound_catalog(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    options = ("--policy", "always", "--set", "times=10")
    with cluster(tmp_path / "cluster") as master:
        running = submitting(master, tmp_path, *options)
        await_tasks(running, tmp_path / "cluster" / "work-2")
        lose(tmp_path / "cluster" / "worker-2.pid")
        assert running.poll() is None, "the run was over before the worker was lost"
        answered = answer(running)
        again = submit(master, tmp_path, *options)
        undisturbed = submit(master, tmp_path / "whole", *options)
    assert answered["outputs"] == pytest.approx(undisturbed["outputs"], abs=1e-9)
    assert again["outputs"] == answered["outputs"]
    assert not computed(again), "what the run stored after the loss serves the next one"
    verify = [sys.executable, "-m", "helix_spark", "verify", "--catalog", str(tmp_path / "catalog")]
    verified = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def await_tasks(running: subprocess.Popen[str], work: Path) -> None:
    """Until an executor of a worker has done some tasks of a run."""
    give_up = time.monotonic() + 120
    while sum(log.read_text().count("Finished task") for log in work.glob("app-*/*/stderr")) < 3:
        assert running.poll() is None, answer(running)
        assert time.monotonic() < give_up, "no executor did anything"
        time.sleep(0.05)


def lose(worker: Path) -> None:
    """Kills a worker and the executors it started, at once, as a machine goes that loses its power."""
    os.killpg(int(worker.read_text()), signal.SIGKILL)
