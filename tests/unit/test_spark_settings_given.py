"""Spark's settings as the commands are given them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from helix_spark.cli import watching
from helix_spark.cli.main import helix, main
from helix_spark.cli.options import spark_settings
from helix_spark.engine.server.session import Sessions
from helix_spark.errors import ParameterError
from helix_spark.helix import Helix
from tests.fakes.doubled import workflow

JOB = """
from tests.fakes.doubled import workflow as shared
import helix_spark as hx

def prices() -> hx.Workflow:
    return shared()
"""
ANSI = "spark.sql.ansi.enabled"


@pytest.fixture(autouse=True)
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HELIX_CATALOG", "HELIX_MLFLOW", "PYSPARK_SUBMIT_ARGS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "prices_job.py").write_text(JOB)


def test_of_several_values_the_last_counts() -> None:
    given = ["spark.a=1", "spark.b = x=y", "spark.a=2", "spark.c="]
    assert spark_settings(given) == {"spark.a": "2", "spark.b": "x=y", "spark.c": ""}


@pytest.mark.parametrize("text", ["spark.a", "memory=12g", "=1"])
def test_what_is_no_setting_of_spark_s_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="is not a Spark setting"):
        spark_settings([text])
    assert CliRunner().invoke(helix, ["run", "prices_job.py", "--conf", text]).exit_code == 2


def test_a_setting_that_leaves_delta_out_is_refused() -> None:
    done = CliRunner().invoke(helix, ["plan", "prices_job.py", "--conf", "spark.sql.extensions=org.example.Other"])
    assert done.exit_code == 3
    assert "leaves Delta out" in done.stderr


def signatures(printed: Mapping[str, Any]) -> dict[str, str]:
    return {node["name"]: node["signature"] for node in printed["nodes"]}


def test_what_changes_results_counts_in_runs_plans_and_explanations() -> None:
    assert CliRunner().invoke(helix, ["run", "prices_job.py", "-q"]).exit_code == 0
    changed = ["prices_job.py", "--conf", f"{ANSI}=false", "--json"]
    planned = json.loads(CliRunner().invoke(helix, ["plan", *changed]).stdout)
    reasons = {node["name"]: (node["state"], node["reason"]) for node in planned["nodes"]}
    assert reasons["data"] == ("compute", f"setting `{ANSI}` true -> false")
    explained = json.loads(CliRunner().invoke(helix, ["explain", "data", *changed]).stdout)
    assert (explained["state"], explained["reason"]) == reasons["data"]
    ran = json.loads(CliRunner().invoke(helix, ["run", *changed, "-q"]).stdout)
    assert {node["name"]: (node["state"], node["reason"]) for node in ran["nodes"]} == reasons
    same = ["prices_job.py", "--conf", "spark.driver.memory=3g", "--conf", f"{ANSI}=false", "--json"]
    again = json.loads(CliRunner().invoke(helix, ["plan", *same]).stdout)
    assert signatures(again) == signatures(ran), "memory changes no result"


def test_how_many_rows_a_python_function_is_given_at_once_counts() -> None:
    def planned(*more: str) -> dict[str, str]:
        return signatures(json.loads(CliRunner().invoke(helix, ["plan", "prices_job.py", "--json", *more]).stdout))

    assert planned() != planned("--conf", "spark.sql.execution.arrow.maxRecordsPerBatch=100")


def test_a_watch_and_a_file_that_runs_itself_take_them_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def run_and_print(engine: Helix, *_: object, **__: object) -> None:
        seen.append(engine.sessions.settings_that_change_results()[ANSI])
        raise RuntimeError("as a watch never ends by itself")

    monkeypatch.setattr(Sessions, "warm", lambda _: None)
    monkeypatch.setattr(watching, "run_and_print", run_and_print)
    assert CliRunner().invoke(helix, ["watch", "prices_job.py", "--conf", f"{ANSI}=false"]).exit_code == 1
    assert seen == ["false"]
    monkeypatch.setattr(sys, "argv", ["prices_job.py", "--conf", f"{ANSI}=false", "--json"])
    with pytest.raises(SystemExit) as ended:
        main(workflow)
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["workflow"] == "shared"
