"""The commands, on a workflow that needs no Spark: what they print, the keys of their JSON, their exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from helix_spark.catalog.catalog import Catalog
from helix_spark.cli.author_file import load_file
from helix_spark.cli.main import helix, main
from helix_spark.cli.options import exit_code
from helix_spark.errors import (
    CatalogError,
    HelixError,
    NodeError,
    ParameterError,
    ResultTypeError,
    SetupError,
    SourceError,
    WorkflowError,
)

SCHEMA = (Path(__file__).parents[2] / "docs" / "tools.md").read_text().partition("## The schema")[2]

JOB = """
import pandas as pd
import helix_spark as hx

def prices(factor: float = 1.0, broken: bool = False) -> hx.Workflow:
    wf = hx.Workflow("prices")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0, 3.0]})))

    @wf.scanner
    def scaled(data: pd.DataFrame) -> pd.DataFrame:
        return data * factor

    @wf.reducer(output=True)
    def total(scaled: pd.DataFrame) -> float:
        return float(scaled.a.sum()) / (0 if broken else 1)

    @wf.reducer(output=True)
    def odd(scaled: pd.DataFrame) -> float:
        return float("nan")

    @wf.reducer
    def unused(scaled: pd.DataFrame) -> float:
        return 0.0

    return wf
"""


class Command:
    """Runs `helix` in a folder with a job and a catalog of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.job = folder, folder / "prices_job.py"
        self.job.write_text(JOB)

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(helix, list(arguments))

    def json(self, *arguments: str) -> Any:
        done = self(*arguments, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    def run(self, *arguments: str) -> Result:
        done = self("run", str(self.job), "-q", *arguments)
        assert done.exit_code == 0, done.stderr
        return done


@contextmanager
def commands_in(folder: Path) -> Iterator[Command]:
    """Run commands in a folder, without settings from outside."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("CATALOG", "BUDGET", "POLICY", "MLFLOW"):
            patch.delenv(f"HELIX_{name}", raising=False)
        patch.setattr(sys, "path", list(sys.path))
        yield Command(folder)
        sys.modules.pop("prices_job", None)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with commands_in(tmp_path) as command:
        yield command


@pytest.fixture(scope="module")
def folder_after_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with commands_in(tmp_path_factory.mktemp("run")) as command:
        command.run()
        return command.folder


@pytest.fixture
def command_after_a_run(folder_after_a_run: Path) -> Iterator[Command]:
    """Commands in a folder where the job has run once, for tests that only read there."""
    with commands_in(folder_after_a_run) as command:
        yield command


def documented(text: str) -> tuple[set[str], set[str], set[str], set[str]]:
    """The keys that the manual promises: of the object, of a node, of `plan`, of `storage`."""
    entries = dict(re.findall(r"^    (\w+)\s{2,}((?:.|\n {13,})*)", text, flags=re.MULTILINE))
    nodes = re.sub(r"\([^)]*\)", "", entries["nodes"].removeprefix("list: "))
    plan, storage = entries["plan"], re.sub(r"\([^)]*\)", "", entries["storage"])

    def names(listed: str) -> set[str]:
        return {name.strip() for name in listed.split(",")}

    return set(entries), names(nodes), names(plan), names(storage)


# JSON


@pytest.mark.parametrize("name", ["run", "plan"])
def test_the_json_of_run_and_plan_has_the_keys_that_are_documented(command: Command, name: str) -> None:
    printed = command.json(name, str(command.job))
    top, nodes, plan, storage = documented(SCHEMA)
    assert set(printed) == top
    assert set(printed["nodes"][0]) == nodes
    assert set(printed["plan"]) == plan
    assert set(printed["storage"]) == storage


def test_what_run_prints_as_json(command: Command) -> None:
    printed = command.json("run", str(command.job), "-m", "first", "--set", "factor=2")
    assert printed["workflow"] == "prices"
    assert printed["iteration"] == 1
    assert printed["message"] == "first"
    assert printed["parameters"] == {"factor": 2.0, "broken": False}
    assert printed["outputs"] == {"total": 12.0, "odd": "NaN"}
    assert printed["dropped"] == ["unused"]
    assert {node["name"]: node["state"] for node in printed["nodes"]} == dict.fromkeys(
        ("data", "scaled", "total", "odd"), "compute"
    )
    assert all(node["seconds"] is not None for node in printed["nodes"] if node["name"] != "data")
    assert printed["storage"]["budget"] is None


def test_what_plan_prints_as_json_and_that_it_writes_nothing(command: Command) -> None:
    printed = command.json("plan", str(command.job), "--budget", "1 MB")
    assert printed["iteration"] == 1
    assert printed["seconds"] is None
    assert printed["storage"]["budget"] == 1_000_000
    assert not (command.folder / "catalog").exists()


def test_what_is_stored_is_told_as_of_now(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(*arguments: str) -> set[str]:
        return {node["name"] for node in command.json(*arguments)["nodes"] if node["stored"]}

    first = said("run", str(command.job), "--policy", "always")
    assert {"scaled", "total"} <= first
    assert said("show", "1") == first
    monkeypatch.setenv("COLUMNS", "120")
    assert re.search(r" pure +scaled ", command("show", "1").stdout)
    # The records of the run alone are more than that: what takes room is evicted behind the answer.
    again = said("run", str(command.job), "--policy", "never", "--budget", "1 kB")
    live = {record.node for record in Catalog.open(command.folder / "catalog", create=False).live()}
    assert again == first & live
    assert "scaled" not in again
    assert said("show", "1") == said("show", "2") == again
    assert not re.search(r" pure +scaled ", command("show", "1").stdout)


# Commands, in the order in which people use them


def test_run_edit_run_again(command: Command) -> None:
    first = command.run("--policy", "always")  # what is cheap to compute is not stored otherwise
    assert "prices, iteration 1" in first.stdout
    assert re.search(r"total +6\b", first.stdout)
    assert "not used by any output: unused" in first.stdout
    again = command.run()
    assert "nothing had to be computed" in again.stdout
    edited = command.run("--set", "factor=2")
    assert re.search(r"total +12 +\(was 6, \+6\)", edited.stdout)


def test_plan_says_why(command_after_a_run: Command) -> None:
    command = command_after_a_run
    text = command("plan", str(command.job), "--set", "factor=2").stdout
    assert re.search(r"compute +\S+ +scaled +.*factor.* 1\.0 -> 2\.0", text)
    unneeded = command("plan", str(command.job)).stdout
    assert "\nnot needed: data, scaled\n" in unneeded
    assert "prune" not in unneeded


def test_explain_one_node(command_after_a_run: Command) -> None:
    command = command_after_a_run
    done = command("explain", "total", str(command.job))
    assert done.exit_code == 0
    assert "load: stored by iteration 1" in done.stdout
    assert f"{command.job}:13" in done.stdout
    assert command.json("explain", "total", str(command.job))["state"] == "load"
    missing = command("explain", "totla", str(command.job))
    assert missing.exit_code == 2
    assert "did you mean 'total'?" in missing.stderr


def test_log_show_and_diff(command: Command) -> None:
    command.run("-m", "as it was")
    command.run("--set", "factor=2", "-m", "twice")
    log = command("log").stdout
    assert re.search(r"^prices +2 .*\n(.*\n)*prices +1 ", log, flags=re.MULTILINE)
    assert "twice" in log
    assert [entry["iteration"] for entry in command.json("log")] == [2, 1]
    assert set(command.json("log", "-n", "1")[0]["proofs"].values()) == {"pure"}
    shown = command("show", "2").stdout
    assert re.search(r"compute +\S+ +\S+ +scaled", shown)
    assert {node["name"] for node in command.json("show", "2")["nodes"]} == {"data", "scaled", "total", "odd"}
    text = command("diff", "1", "2").stdout
    assert re.search(r"factor +1 +2 +\+1", text)
    assert re.search(r"~ scaled +closure value `factor` 1\.0 -> 2\.0", text)
    assert re.search(r"total +6 +12 +\+6", text)
    assert ". through inputs" in text
    compared = command.json("diff", "1", "2")
    assert compared["parameters"] == {"factor": [1.0, 2.0]}
    assert compared["outputs"] == {"total": [6.0, 12.0]}
    assert set(compared["changed"]) == {"scaled", "total", "odd"}


def test_what_a_failed_iteration_did_not_reach_is_not_shown_as_computed(command: Command) -> None:
    assert command("run", str(command.job), "-q", "--set", "broken=true").exit_code == 1
    shown = command("show", "1").stdout
    assert re.search(r"compute +\S+ +\S+ +scaled", shown)
    assert re.search(r"failed .* total", shown)


def keys(command: str) -> set[str]:
    """The first word of each key that the schema names for a command."""
    text = re.search(rf"^{command} +((?:.|\n )*)", SCHEMA, flags=re.MULTILINE)
    assert text is not None
    return set(re.findall(r"\w+", text[1]))


def test_the_json_of_reading_commands_has_the_keys_that_are_documented(command: Command) -> None:
    command.run()
    command.run("--set", "factor=2")
    for words in (["log"], ["show", "2"], ["diff", "1", "2"], ["storage"], ["config"], ["doctor"]):
        done = command(*words, "--json")
        printed = json.loads(done.stdout)
        first = printed[0] if isinstance(printed, list) else printed
        assert words == ["config"] or not set(first) - keys(words[0]) - keys("log")


LONG = """
import pandas as pd
import helix_spark as hx

def long(factor: float = 1.0) -> hx.Workflow:
    wf = hx.Workflow("a_workflow_with_a_name_that_is_rather_long")
    wf.source("data_of_which_the_name_is_so_long_that_no_table_has_room_for_it", hx.table(pd.DataFrame({"a": [1.0]})))

    @wf.reducer(output=True)
    def total_of_what_is_in_the_data_after_it_was_multiplied_by_the_factor(
        data_of_which_the_name_is_so_long_that_no_table_has_room_for_it: pd.DataFrame
    ) -> float:
        return float(data_of_which_the_name_is_so_long_that_no_table_has_room_for_it.a.sum()) * factor

    return wf
"""


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_are_no_wider_than_the_terminal(
    command: Command, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    command.job.write_text(LONG)
    command.run("-m", "what this is about " * 10)
    command.run("--set", "factor=2")
    for words in (["plan", str(command.job)], ["log"], ["show", "1"], ["diff", "1", "2"]):
        text = command(*words).stdout
        assert max(map(len, text.splitlines())) <= columns, words
        assert "\x1b" not in text


def test_no_colour_where_none_is_wanted(command_after_a_run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    command = command_after_a_run
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    assert coloured.search(command("plan", str(command.job), "--set", "factor=2").stdout)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured.search(command("plan", str(command.job), "--set", "factor=2").stdout)


def test_help_tells_exit_codes(command: Command) -> None:
    text = command("--help").stdout
    assert "Exit codes:" in text
    assert re.search(r"3 +the catalog or the machine", text)


def test_a_workflow_that_the_catalog_does_not_have_is_refused_with_the_nearest(command_after_a_run: Command) -> None:
    command = command_after_a_run
    for words in (["log", "prizes"], ["show", "1", "prizes"], ["diff", "1", "1", "--workflow", "prizes"]):
        done = command(*words)
        assert done.exit_code == 2, words
        assert "the catalog has no workflow 'prizes'" in done.stderr
        assert "did you mean 'prices'?" in done.stderr


def test_a_workflow_may_be_named_by_an_option_everywhere(command: Command) -> None:
    command.run()
    for words in (["log"], ["show", "1"], ["diff", "1", "1"], ["checkout", "1"]):
        assert command(*words, "--workflow", "prices").exit_code == 0, words
    assert command("log", "prices", "--workflow", "prices").exit_code == 0
    both = command("log", "prices", "--workflow", "other")
    assert both.exit_code == 2
    assert "two workflows are named: 'prices' and 'other'" in both.stderr


def test_checkout_refuses_a_file_that_is_none(command: Command) -> None:
    command.run()
    for word, remedy in (("prices", "--workflow prices"), ("prices_jbo", "name the workflow's file")):
        done = command("checkout", "1", word)
        assert done.exit_code == 2
        assert f"there is no file '{word}'" in done.stderr
        assert remedy in done.stderr
    assert list(command.folder.glob("*iteration*")) == []
    assert command("checkout", "1", "new.py").exit_code == 0
    assert (command.folder / "new.iteration-1.py").exists()


def test_a_file_may_run_a_partial_of_its_function(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(command.job), "--json"])
    with pytest.raises(SystemExit) as ended:
        main(partial(load_file(command.job).prices, factor=2.0))
    assert ended.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["parameters"] == {"factor": 2.0, "broken": False}
    assert printed["outputs"]["total"] == 12.0


def test_no_difference(command: Command) -> None:
    command.run()
    command.run()
    assert "no difference" in command("diff", "1", "2").stdout


def test_an_iteration_that_does_not_exist(command_after_a_run: Command) -> None:
    command = command_after_a_run
    done = command("show", "7")
    assert done.exit_code == 2
    assert "there is no iteration 7" in done.stderr
    assert "the newest is 1" in done.stderr


def test_a_reader_that_has_read_enough_is_no_failure(command: Command) -> None:
    command.run()
    command.run("--set", "factor=2")
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    for words in (["diff", "1", "2"], ["log"]):
        read, write = os.pipe()
        os.close(read)  # as `head` does once it has its lines
        try:
            done = subprocess.run(
                [sys.executable, "-m", "helix_spark", *words], stdout=write, stderr=subprocess.PIPE, text=True,
                check=False, env=environ,
            )
        finally:
            os.close(write)
        assert (done.returncode, done.stderr) == (0, ""), words


# Exit codes


def test_exit_codes() -> None:
    assert {exit_code(NodeError("rows", "failed")), exit_code(ResultTypeError("x"))} == {1}
    assert {exit_code(kind("x")) for kind in (ParameterError, WorkflowError, SourceError, HelixError)} == {2}
    assert {exit_code(kind("x")) for kind in (CatalogError, SetupError)} == {3}


def test_a_failing_function_ends_with_1_names_its_line_and_is_in_the_log(command: Command) -> None:
    done = command("run", str(command.job), "-q", "--set", "broken=true")
    assert done.exit_code == 1
    assert "reducer 'total' failed: ZeroDivisionError" in done.stderr
    assert f"at {command.job}:15" in done.stderr
    assert "Traceback" not in done.stderr
    assert command.json("log")[0]["status"] == "failed"


def test_a_function_that_returns_what_is_no_result_ends_with_1(command: Command) -> None:
    command.job.write_text(JOB.replace("return float(scaled.a.sum())", "return {1, 2} or float(scaled.a.sum())"))
    done = command("run", str(command.job), "-q")
    assert done.exit_code == 1
    assert "'total' returned a builtins.set" in done.stderr
    assert command.json("log")[0]["status"] == "failed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "facotr=2"], "did you mean 'factor'?"), (["--set", "factor=two"], "takes float"),
        (["--budget", "lots"], "'lots' is no size"), (["--policy", "alway"], "did you mean 'always'?"),
        (["--experiment", "mine"], "--experiment needs MLflow, and no MLflow server is named"),
        (["--log-models"], "--log-models needs MLflow, and no MLflow server is named"),
        (["--rerun-effects"], "--rerun-effects is for scripts, and this file declares a workflow"),
    ],
)
def test_bad_input_ends_with_2_and_writes_nothing(command: Command, arguments: list[str], words: str) -> None:
    done = command("run", str(command.job), *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert not (command.folder / "catalog").exists()


def test_a_watch_refuses_what_is_about_mlflow_without_one(command: Command) -> None:
    for arguments in (["--experiment", "mine"], ["--log-models"]):
        done = command("watch", str(command.job), *arguments)
        assert done.exit_code == 2
        assert "no MLflow server is named" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workflow", "prices"], "--workflow needs --export"), (["-n", "30"], "--limit needs --export"),
        (["--export", "all.html", "--host", "0.0.0.0"], "--host cannot be combined with --export"),
        (["--export", "all.html", "--port", "8760"], "--port cannot be combined with --export"),
    ],
)
def test_options_of_the_pages_that_would_be_ignored_are_refused(
    command_after_a_run: Command, arguments: list[str], words: str
) -> None:
    command = command_after_a_run
    done = command("ui", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert not (command.folder / "all.html").exists()


def test_no_fewer_than_one_iteration_can_be_asked_for(command_after_a_run: Command) -> None:
    command = command_after_a_run
    for words in (["log", "-n", "0"], ["log", "-n", "-5"], ["ui", "--export", "all.html", "-n", "-1"]):
        done = command(*words)
        assert done.exit_code == 2, words
        assert "x>=1" in done.stderr
    assert not (command.folder / "all.html").exists()


def test_pages_without_what_shows_them_name_the_extra(
    command_after_a_run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = command_after_a_run
    for name in ("app", "one_file"):
        monkeypatch.setitem(sys.modules, f"helix_spark.ui.{name}", None)
    for words in (["ui", "--port", "0"], ["ui", "--export", "all.html"]):
        done = command(*words)
        assert done.exit_code == 3
        assert "`make setup`, or `pip install -e '.[ui]'` in the checkout" in done.stderr


def test_a_missing_file_ends_with_2(command: Command) -> None:
    done = command("run", str(command.folder / "prices_jbo.py"))
    assert done.exit_code == 2
    assert f"did you mean '{command.job}'?" in done.stderr


def test_a_folder_that_is_no_catalog_ends_with_3(command: Command) -> None:
    for arguments in (["run", str(command.job)], ["plan", str(command.job)], ["log"]):
        done = command(*arguments, "--catalog", str(command.folder))
        assert done.exit_code == 3
        assert "is not a catalog: it holds other files" in done.stderr
    assert list(command.folder.iterdir()) == [command.job]


def test_a_catalog_that_is_not_there_ends_with_3_where_it_is_only_read(command: Command) -> None:
    done = command("log", "--catalog", str(command.folder / "nowhere"))
    assert done.exit_code == 3
    assert not (command.folder / "nowhere").exists()


def test_the_catalog_may_come_from_the_environment(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIX_CATALOG", str(command.folder / "elsewhere"))
    command.run()
    assert (command.folder / "elsewhere" / "helix.json").exists()


def test_verify_says_what_is_damaged_and_changes_nothing(command: Command) -> None:
    command("run", f"{command.job}", "--policy", "always", "-q")
    assert command.json("verify", "--deep")["sound"]
    file = next((command.folder / "catalog" / "tables").rglob("part-*"))
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(data)
    assert command("verify").exit_code == 0
    done = command("verify", "--deep")
    assert done.exit_code == 3
    assert "scaled (prices 1), table: damaged: " in done.stdout
    assert "1 damaged (every page and checksum)" in done.stdout
    assert file.read_bytes() == data


def test_gc_deletes_what_nobody_refers_to_and_says_why(command: Command) -> None:
    command("run", f"{command.job}", "--policy", "always", "-q")
    orphan = command.folder / "catalog" / "tables" / ("a" * 64) / ("b" * 32)
    orphan.mkdir(parents=True)
    (orphan / "part").write_bytes(b"x" * 10)
    assert command("gc").stdout == "nothing to delete\n"
    dry = command.json("gc", "--dry-run", "--grace", "0s")
    assert (dry["deleted"], dry["bytes"], len(dry["leftovers"])) == (False, 10, 1)
    assert "never published, untouched for" in command("gc", "--grace", "0").stdout
    assert not orphan.exists()
    assert command.json("verify", "--deep")["sound"]
    assert command("gc", "--grace", "soon").exit_code == 2
