"""A run in which Spark computes nothing calls no function of its tables and loads no client; others call them first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

import helix_spark as hx
from helix_spark.run import preparation
from helix_spark.run.iteration import Iteration
from tests.fakes.quick_java import SUBMIT_ARGUMENTS

pytestmark = pytest.mark.spark

JOB = """
from pyspark.sql import DataFrame
import helix_spark as hx

def job(least: int = 3) -> hx.Workflow:
    wf = hx.Workflow("people")
    wf.source("data", hx.csv("people.csv", schema="age double"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.where(data.age > least)

    @wf.reducer(output=True)
    def number(rows: DataFrame) -> int:
        return rows.count()

    @wf.reducer(output=True)
    def text(number: int) -> str:
        return "old" * number

    return wf
"""


TELLING = """
import atexit, runpy, sys

clients = ("pyspark.sql.connect.session", "grpc", "pandas", "networkx", "highspy")
atexit.register(lambda: print([one for one in clients if one in sys.modules]))
runpy.run_module("helix_spark", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "people.csv").write_text("1\n2\n3\n4\n5\n")
    return tmp_path


def run_job(folder: Path, *words: str) -> str:
    command = [sys.executable, "-c", TELLING, "run", "job.py", *words]
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYSPARK_SUBMIT_ARGS": SUBMIT_ARGUMENTS}
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_unchanged_run_loads_no_client(folder: Path) -> None:
    assert "pyspark.sql.connect.session" in run_job(folder)
    unchanged = run_job(folder)
    assert "number  2" in unchanged
    assert unchanged.endswith("[]\n")
    (folder / "job.py").write_text(JOB.replace("old", "new"))
    edited = run_job(folder)
    assert "newnew" in edited
    assert edited.endswith("[]\n")


@pytest.mark.long
def test_a_changed_run_behind_it_computes(folder: Path) -> None:
    for _ in range(2):
        run_job(folder)
    assert "number  4" in run_job(folder, "--set", "least=1")


def workflow(people: Path, least: int, more: int) -> hx.Workflow:
    wf = hx.Workflow("people")
    wf.source("data", hx.csv(str(people), schema="age double"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.where(data.age > least)

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> float:
        return float(rows.age.sum()) + more

    return wf


def test_a_record_that_does_not_hold_is_found_out_before_anything_is_computed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = tmp_path / "people.csv"
    people.write_text("1\n2\n3\n4\n5\n")
    monkeypatch.setattr(preparation, "calls_key", lambda *_: "0" * 64)  # an edit that nobody sees

    def run(least: int, more: int) -> Iteration:
        with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
            iteration = helix.run(workflow(people, least, more))
            iteration.wait()
            return iteration

    assert run(3, 0)["total"] == 9
    assert run(1, 1)["total"] == 15
    assert run(1, 2)["total"] == 16
    with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
        assert [node.state for node in helix.plan(workflow(people, 1, 2)).nodes if node.output] == ["load"]
