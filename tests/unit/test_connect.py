"""Servers of Spark Connect: which one is meant, and what is said before anything runs where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.engine.spark.checks import doctor
from helix_spark.engine.spark.connect_server import planned_settings
from helix_spark.errors import SetupError

NOBODY = "sc://localhost:1/;user_id=secret"
CLIENT = "SPARK_CONNECT_MODE_ENABLED"
VARIABLES = (CLIENT, "SPARK_REMOTE", "SPARK_API_MODE", "SPARK_CONNECT_MODE", "PYSPARK_SUBMIT_ARGS")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    # As in a process of its own: other tests may have left a session and its JVM in this one.
    monkeypatch.setattr("helix_spark.engine.spark.connect_server._jvm_exists", lambda: False)


def job(ran: list[str]) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2]})))

    @wf.reducer(output=True)
    def total(data: pd.DataFrame) -> int:
        ran.append("total")
        return int(data.a.sum())

    return wf


@pytest.mark.parametrize(
    ("variables", "settings"),
    [
        ({"SPARK_REMOTE": "local[7]"}, {}),
        ({"PYSPARK_SUBMIT_ARGS": "--remote local[7] pyspark-shell"}, {}),
        ({"PYSPARK_SUBMIT_ARGS": "--conf spark.remote=local[7] pyspark-shell"}, {}),
        ({"SPARK_REMOTE": "local[2]"}, {"spark.remote": "local[7]"}),
        ({"SPARK_REMOTE": "local[2]"}, {"spark.master": "local[7]"}),
        ({"SPARK_API_MODE": "connect", "SPARK_CONNECT_MODE": "1"}, {"spark.master": "local[7]"}),
        ({}, {"spark.api.mode": "connect", "spark.master": "local[7]"}),
    ],
)
def test_spark_connect_without_a_server_is_a_session_of_our_own(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], settings: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    planned = planned_settings(settings)
    assert planned["spark.master"] == "local[7]"
    assert not planned.keys() & {"spark.remote", "spark.api.mode"}, "with these its JVM would start another server"


@pytest.mark.parametrize(
    ("variables", "settings"),
    [
        ({"SPARK_REMOTE": NOBODY}, {}),
        ({"PYSPARK_SUBMIT_ARGS": f"--remote '{NOBODY}' pyspark-shell"}, {}),
        ({"PYSPARK_SUBMIT_ARGS": f"--conf 'spark.remote={NOBODY}' pyspark-shell"}, {}),
        ({"SPARK_REMOTE": "local[2]"}, {"spark.remote": NOBODY}),
    ],
)
def test_a_named_server_that_does_not_answer_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], settings: dict[str, str]
) -> None:
    ran: list[str] = []
    monkeypatch.setattr("helix_spark.engine.server.session.running_session", lambda: None)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with hx.Helix(tmp_path / "catalog", settings=settings) as helix:
        for asked in (helix.run, helix.plan):
            with pytest.raises(SetupError, match="no server answers at sc://localhost:1, which is named") as refused:
                asked(job(ran))
            assert "secret" not in str(refused.value)
    assert ran == []


def test_the_doctor_tells_of_a_named_server_that_does_not_answer() -> None:
    (check,) = [one for one in doctor(environ={"SPARK_REMOTE": NOBODY}) if one.name == "spark and delta"]
    assert not check.ok
    assert "no server answers at sc://localhost:1" in check.found
    assert "secret" not in check.found


_IN_A_THREAD = """
import os
import threading

from pyspark.sql.connect.session import SparkSession

from helix_spark.engine.server.session import Sessions

session = SparkSession("sc://localhost:1")
SparkSession._set_default_and_active_session(session)
Sessions(session).activate()
found = []
thread = threading.Thread(target=lambda: found.append(SparkSession.getActiveSession()))
thread.start()
thread.join()
print(found == [session], flush=True)
os._exit(0)  # else pyspark tells the server that the session ends, for minutes
"""


def test_a_session_of_a_server_elsewhere_is_active_in_all_threads_as_a_fitted_model_needs_it() -> None:
    command = [sys.executable, "-c", _IN_A_THREAD]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["True"], done.stderr[-3000:]
