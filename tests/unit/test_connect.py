"""Spark Connect is refused before anything runs: a session of it that is given or active, and a wish for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

import helix_spark as hx
from helix_spark.engine.spark.borrowed import running_session
from helix_spark.engine.spark.checks import doctor
from helix_spark.engine.spark.own import planned_settings
from helix_spark.engine.spark.session import SessionProvider
from helix_spark.errors import SetupError

ADDRESS = "sc://elsewhere:443/;token=secret"
CLIENT = "SPARK_CONNECT_MODE_ENABLED"
VARIABLES = (CLIENT, "SPARK_REMOTE", "SPARK_API_MODE", "SPARK_CONNECT_MODE", "PYSPARK_SUBMIT_ARGS")


class Remote:
    """Stands for the class of pyspark, whose module needs grpc."""

    __module__ = "pyspark.sql.connect.session"


class Derived(Remote):
    """As a platform's own sessions are."""

    __module__ = __name__


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    # As in a process of its own: other tests may have left a session and its JVM in this one.
    monkeypatch.setattr("helix_spark.engine.spark.own._jvm_is_given", lambda: False)


@pytest.mark.parametrize("kind", [Remote, Derived])
def test_a_session_by_spark_connect_that_is_given_is_refused_at_once(tmp_path: Path, kind: Any) -> None:
    with pytest.raises(SetupError, match="the Spark session is one by Spark Connect") as refused:
        hx.Helix(tmp_path / "catalog", spark=kind())
    assert "driver's JVM" in str(refused.value)
    assert "give a classic session" in str(refused.value)
    assert "or none to have one started" in str(refused.value)
    assert not (tmp_path / "catalog").exists()


def test_so_is_an_active_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SparkSession, "active", Remote)
    with pytest.raises(SetupError, match="the Spark session is one by Spark Connect"):
        running_session()


def job(ran: list[str]) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2]})))

    @wf.reducer(output=True)
    def total(data: pd.DataFrame) -> int:
        ran.append("total")
        return int(data.a.sum())

    return wf


def test_a_process_that_works_by_spark_connect_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr("helix_spark.engine.spark.session.running_session", running_session)
    helix = hx.Helix(tmp_path / "catalog")
    monkeypatch.setenv(CLIENT, "1")  # as pyspark does when somebody makes the session
    with pytest.raises(SetupError, match="this process works by Spark Connect"):
        helix.run(job(ran))
    with pytest.raises(SetupError, match="begin another process"):
        SessionProvider()
    helix.close()
    assert ran == []


@pytest.mark.parametrize(
    ("variables", "settings", "asking"),
    [
        ({"SPARK_REMOTE": ADDRESS}, {}, "SPARK_REMOTE"),
        ({"SPARK_REMOTE": ""}, {}, "SPARK_REMOTE"),
        ({"SPARK_API_MODE": "Connect"}, {}, "SPARK_API_MODE"),
        ({"SPARK_CONNECT_MODE": "1"}, {}, "SPARK_CONNECT_MODE"),
        ({"PYSPARK_SUBMIT_ARGS": f"--remote '{ADDRESS}' pyspark-shell"}, {}, "spark.remote"),
        ({"PYSPARK_SUBMIT_ARGS": f"--conf 'spark.remote={ADDRESS}' pyspark-shell"}, {}, "spark.remote"),
        ({}, {"spark.remote": ADDRESS}, "spark.remote"),
        ({}, {"spark.api.mode": "connect"}, "spark.api.mode"),
    ],
)
def test_no_session_of_our_own_is_planned_where_spark_connect_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], settings: dict[str, str], asking: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SetupError, match=f"asked for by {asking}, and is not supported") as refused:
        planned_settings(settings)
    assert f"unset {asking} (SPARK_MASTER or spark.master" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_run_that_spark_remote_is_set_for_says_so_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    monkeypatch.setattr("helix_spark.engine.spark.session.running_session", lambda: None)
    monkeypatch.setenv("SPARK_REMOTE", ADDRESS)
    with hx.Helix(tmp_path / "catalog") as helix:
        for asked in (helix.run, helix.plan):
            with pytest.raises(SetupError, match="asked for by SPARK_REMOTE"):
                asked(job(ran))
        monkeypatch.delenv("SPARK_REMOTE")
        assert helix.run(job(ran))["total"] == 3
    assert ran == ["total"]


def test_who_asks_for_classic_sessions_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_API_MODE", "classic")
    monkeypatch.setenv("SPARK_CONNECT_MODE", "1")
    assert planned_settings({"spark.api.mode": "classic"})["spark.api.mode"] == "classic"


def test_the_doctor_says_so() -> None:
    (check,) = [one for one in doctor(environ={"SPARK_REMOTE": ADDRESS}) if one.name == "spark and delta"]
    assert not check.ok
    assert "asked for by SPARK_REMOTE" in check.found
    assert "secret" not in check.found
    assert "unset SPARK_REMOTE" in check.remedy
