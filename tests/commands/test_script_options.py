"""The options of commands hold for scripts, are refused, or a line says why they have no effect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from queue import Queue

import pytest
from click.testing import CliRunner

from helix_spark.catalog.catalog import Catalog
from helix_spark.cli import watching
from helix_spark.cli.main import helix
from helix_spark.cli.options import read_settings
from helix_spark.cli.programs import ScriptFile
from helix_spark.cli.watching import audit_when_idle
from helix_spark.run import auditor
from helix_spark.run.auditor import Auditor, Job
from tests.fakes.command import start

COUNTS = """
import os, sys
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
print("counted", spark.range(10).count())
os.system("echo from a child")
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("counts.py").write_text(COUNTS)
    return Path("counts.py")


@pytest.mark.parametrize("command", [["run"], ["plan"], ["explain", "rows.count"], ["watch"], ["audit"]])
def test_set_is_refused_before_anything_runs(command: list[str], script: Path) -> None:
    done = CliRunner().invoke(helix, [*command, str(script), "--set", "depth=3"])
    assert done.exit_code == 2
    assert "counts.py is a script, which takes arguments instead of --set depth=3" in done.stderr
    assert "sys.argv" in done.stderr
    assert not Path("catalog").exists()


@pytest.mark.parametrize("command", [["run"], ["plan"], ["explain", "rows.count"], ["watch"]])
@pytest.mark.parametrize(("option", "value", "words"), [
    ("--policy", "alway", "did you mean 'always'?"), ("--budget", "lots", "'lots' is no size"),
    ("--audit", "often", "'often' is not a value of audit"),
])
def test_a_value_that_makes_no_sense_is_refused_before_anything_runs(
    command: list[str], option: str, value: str, words: str, script: Path
) -> None:
    done = CliRunner().invoke(helix, [*command, str(script), option, value])
    assert done.exit_code == 2
    assert words in done.stderr
    assert not Path("catalog").exists()


@pytest.mark.parametrize("command", ["run", "watch"])
@pytest.mark.parametrize("option", [["--experiment", "mine"], ["--log-models"]])
def test_options_of_mlflow_are_refused_without_one(command: str, option: list[str], script: Path) -> None:
    done = CliRunner().invoke(helix, [command, str(script), *option])
    assert done.exit_code == 2
    assert f"{option[0]} needs MLflow, and no MLflow server is named" in done.stderr
    assert not Path("catalog").exists()


def run(*words: str) -> tuple[int, str, str]:
    """Exit code, standard output and stderr of the command."""
    process = start(Path.cwd(), *words, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[int, str, str]]:
    """A folder in which the script has run once, for tests that only read there, and what the command printed."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "counts.py").write_text(COUNTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, run("run", "counts.py", "--json", "-m", "first", "--cut-off", "5", "0")


@pytest.fixture
def ran(first_run: tuple[Path, tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(first_run[0])
    return Path("counts.py")


def test_the_json_of_a_run_is_all_that_standard_output_has(
    ran: Path, first_run: tuple[Path, tuple[int, str, str]]
) -> None:
    _, (code, output, errors) = first_run
    printed = json.loads(output)
    assert code == 0
    assert (printed["workflow"], printed["iteration"], printed["message"]) == ("counts", 1, "first")
    assert [(node["state"], node["code"].rpartition(":")[2]) for node in printed["nodes"]] == [("compute", "6")]
    assert "counted 3\n" in errors
    assert "from a child\n" in errors
    assert "--cut-off has no effect on a script: its requests are identified by their plans" in errors
    (iteration,) = Catalog.open("catalog", create=False).iterations()
    assert iteration.message == "first"
    code, output, _ = run("plan", str(ran), "--json", "0")
    assert (code, json.loads(output)["answers"][0]["state"]) == (0, "load")


def test_a_script_that_fails_prints_no_json(script: Path) -> None:
    assert run("run", str(script), "--json", "3")[:2] == (3, "")


def test_the_json_of_a_run_without_reuse_is_null(script: Path) -> None:
    script.write_text("import sys\nimport pyspark\nprint('printed')\nsys.exit()\nspark.range(3).rdd\n")
    code, output, errors = run("run", str(script), "--json")
    assert (code, output) == (0, "null\n")
    assert "counts.py:5 uses .rdd" in errors
    assert "printed" in errors


@pytest.mark.parametrize(("limit", "begins"), [("60", True), ("0", False)])
def test_while_idle_unproven_answers_are_audited_within_the_time(
    limit: str, begins: bool, ran: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(auditor, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(auditor, "begin_audit", lambda *_: None)
    monkeypatch.setenv("HELIX_AUDIT_SECONDS", limit)
    begun = Queue[tuple[str, ...]]()

    def begin(wanted: Collection[str], seconds: float) -> Job:
        begun.put(tuple(wanted))
        return Job((), (), {}, "", {}, tuple(wanted), seconds)

    catalog = Catalog.open("catalog", create=False)
    idle, place = Auditor("all", 60.0, pytest.fail, catalog), read_settings(ran)
    audit_when_idle(idle, idle.stop(), ScriptFile(ran, ("0",)), place, begin)
    assert begun.empty()  # Spark alone answered it
    (node,) = catalog.nodes(catalog.iterations()[0])
    monkeypatch.setattr(watching, "proofs_of", lambda *_: {node.name: "unproven"})
    audit_when_idle(idle, idle.stop(), ScriptFile(ran, ("0",)), place, begin)
    if begins:
        assert len(begun.get(timeout=30)) == 1
    else:
        assert "no audit in the background: it would take about 0 s" in capsys.readouterr().err
        assert begun.empty()


def test_what_a_watch_starts_is_given_its_options(script: Path) -> None:
    place = read_settings(script, policy="never", audit="idle", budget=None)
    assert place.options == ["--policy", "never"]


AUDITS = """
import json
from tests.fakes.connect_server import FakeServer
from helix_spark.cli.sent_audit import parts_of
from helix_spark.run.auditor import Job
from helix_spark.engine.server.starting import ProgramServer

server = FakeServer()
ProgramServer.stub = lambda _: server
(part,) = parts_of(Job(("counts.py", "0"), (), {}, "catalog", {}, (), 60.0))
print(json.dumps(part))
"""


@pytest.mark.long
def test_the_process_of_an_audit_takes_a_script(script: Path) -> None:
    assert run("run", str(script), "0")[0] == 0
    here = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", AUDITS], env=here, capture_output=True, text=True, check=True)
    part = json.loads(done.stdout.splitlines()[-1])
    assert [one["verdict"] for one in part["results"]] == ["verified"]
    assert "error" not in part
