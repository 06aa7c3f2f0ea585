"""The census on a cluster of processes: a master, two workers, a catalog in a folder that all of them see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ports import free_port

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster's master; the cluster ends with the tests."""
    folder = tmp_path_factory.mktemp("cluster")
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


def submit(master: str, folder: Path, *options: str) -> dict[str, Any]:
    command = [
        str(Path(sys.executable).with_name("spark-submit")), "--master", master, "--conf", "spark.ui.enabled=false",
        "--conf", "spark.executor.memory=600m", str(ROOT / "jobs" / "census.py"), "--catalog", str(folder / "catalog"),
        "--json", *options,
    ]
    environment = {**os.environ, "HELIX_CDS": "off", "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    printed: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{"):])
    return printed


def computed(printed: dict[str, Any]) -> set[str]:
    return {node["name"] for node in printed["nodes"] if node["state"] == "compute"}


def test_the_census_runs_on_a_cluster_and_reuses_there(master: str, tmp_path: Path) -> None:
    first = submit(master, tmp_path, "--policy", "always")
    assert 0.8 < first["outputs"]["accuracy"] < 0.9
    other = submit(master, tmp_path, "--policy", "always", "--set", "reg=0.01")
    assert {"model", "predictions", "accuracy", "auc"} <= computed(other)
    assert not any(name.endswith(".fit") or name == "rows" for name in computed(other))
