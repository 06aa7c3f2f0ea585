"""As a user, in processes of their own: run, edit, run again, spark-submit, watch; and when no JVM may start."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from helix_spark.catalog.catalog import Catalog
from helix_spark.cli.main import helix
from tests.fakes.quick_java import JAVA_OPTIONS, SUBMIT_ARGUMENTS

pytestmark = [pytest.mark.spark, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
JOB = """
import pandas as pd
from pyspark.ml.classification import LogisticRegression
from pyspark.sql import DataFrame

import helix_spark as hx


def people(reg: float = 0.1) -> hx.Workflow:
    wf = hx.Workflow("people")
    data = wf.source("data", hx.csv("people.csv", schema="age double, sex string, rich int"))
    age = wf.extractor("age", hx.Fields("age"), on=data)
    sex = wf.extractor("sex", hx.OneHot("sex"), on=data)
    examples = wf.synthesizer("examples", data, features=[age, sex], label="rich", split=hx.HashSplit(test=0.3))
    model = wf.learner("model", LogisticRegression, on=examples, regParam=reg, maxIter=3)
    wf.predict("predictions", model, examples)

    @wf.reducer(output=True)
    def accuracy(predictions: pd.DataFrame) -> float:
        return round(float((predictions.prediction == predictions.label).mean()), 3)

    @wf.reducer(output=True)
    def tested(predictions: pd.DataFrame) -> int:
        return len(predictions)

    return wf


if __name__ == "__main__":
    hx.main(people)
"""
BUILT_AT_IMPORT = """
from pyspark.ml.feature import VectorAssembler

ASSEMBLER = VectorAssembler(inputCols=["age", "rich"], outputCol="both")
"""
USED = """
    both = wf.extractor("both", ASSEMBLER, on=data)
    wf.synthesizer("assembled", data, features=[both], output=True)
    return wf
"""
LATER = """
import helix_spark as hx
from pyspark.sql import DataFrame

wf = hx.Workflow("later")
data = wf.source("data", hx.csv("people.csv", schema="age double, sex string, rich int"))


@wf.scanner(output=True, keep="never")
def old(data: DataFrame) -> DataFrame:
    return data.where("age > 60")


with hx.Helix("later") as helix:
    first = helix.run(wf)
with hx.Helix("later") as helix:
    plan, again = helix.plan(wf), helix.run(wf)
    assert not helix.sessions.started
    assert [node.state for node in plan.nodes] == [node.state for node in again.plan.nodes] == ["prune", "prune"]
    assert again["old"] == first["old"]
    print(first["old"]["rows"], len(again.pandas("old")))
"""


class Folder:
    """A user's folder, and commands in it."""

    def __init__(self, path: Path) -> None:
        self.path, self.job = path, path / "people.py"
        self.job.write_text(JOB)
        rows = (f"{20 + i % 50},{'F' if i % 3 else 'M'},{int(i % 50 > 25)}" for i in range(300))
        (path / "people.csv").write_text("\n".join(rows))
        self.environ = {
            **os.environ, "PYTHONPATH": str(ROOT), "HELIX_CDS": "off", "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "PYSPARK_SUBMIT_ARGS": SUBMIT_ARGUMENTS,
        }
        self.environ.pop("HELIX_CATALOG", None)

    def helix(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.command(sys.executable, "-m", "helix_spark", *arguments, **environ)

    def command(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.path, env=self.environ | environ, capture_output=True, text=True, timeout=600,
            check=False,
        )

    def json(self, *arguments: str, **environ: str) -> Any:
        done = self.helix(*arguments, "--json", **environ)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def look(self, *arguments: str) -> str:
        """What a command that only reads prints; in this process, for each of its own takes a second."""
        done = CliRunner().invoke(helix, [*arguments, "--catalog", str(self.path / "catalog")])
        assert done.exit_code == 0, done.stderr
        return done.stdout

    def edit(self, before: str, after: str) -> None:
        text = self.job.read_text()
        assert before in text
        self.job.write_text(text.replace(before, after))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder in which the job was run once, everything stored; not to be changed."""
    folder = Folder(tmp_path_factory.mktemp("user"))
    done = folder.helix("run", "people.py", "--policy", "always", "-m", "first")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +accuracy +\S+$", done.stdout, flags=re.MULTILINE)
    assert "starting Spark" in done.stderr
    return folder


@pytest.fixture
def folder(first: Folder, tmp_path: Path) -> Folder:
    """A copy of it."""
    shutil.copytree(first.path, tmp_path / "user")
    return Folder(tmp_path / "user")


@pytest.fixture
def no_java(tmp_path: Path) -> Callable[[], list[str]]:
    """A JAVA_HOME whose `java` only notes that it was called; returns the calls."""
    home = tmp_path / "java"
    (home / "bin").mkdir(parents=True)
    calls = home / "calls"
    program = home / "bin" / "java"
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexit 1\n')
    program.chmod(0o755)
    (home / "release").write_text('JAVA_VERSION="17.0.1"\n')
    return lambda: calls.read_text().splitlines() if calls.exists() else []


def test_no_jvm_starts_for_a_plan_an_unchanged_run_or_an_edited_metric(
    folder: Folder, no_java: Callable[[], list[str]], tmp_path: Path
) -> None:
    java = {"JAVA_HOME": str(tmp_path / "java")}
    plan = folder.json("plan", "people.py", **java)
    assert {node["name"] for node in plan["nodes"] if node["state"] == "load"} == {"accuracy", "tested"}
    again = folder.json("run", "people.py", **java)
    assert again["iteration"] == 2
    assert not [node for node in again["nodes"] if node["state"] == "compute"]
    folder.edit(", 3)", ", 2)")
    edited = folder.json("run", "people.py", **java)
    assert [node["name"] for node in edited["nodes"] if node["state"] == "compute"] == ["accuracy"]
    assert edited["outputs"]["accuracy"] == round(again["outputs"]["accuracy"], 2)
    assert no_java() == []
    starts = [one.start_seconds for one in Catalog.open(folder.path / "catalog", create=False).iterations("people", 9)]
    assert starts[:2] == [None, None]
    assert starts[2] is not None
    assert starts[2] > 0, "the first iteration did start Spark, and later plans know what that took"


@pytest.mark.long
def test_the_stub_would_have_been_called(folder: Folder, no_java: Callable[[], list[str]], tmp_path: Path) -> None:
    done = folder.helix("run", "people.py", "--set", "reg=1.0", JAVA_HOME=str(tmp_path / "java"))
    assert done.returncode != 0
    assert no_java() != []
    assert "Traceback" not in done.stderr


def test_without_java_a_run_that_needs_spark_says_what_to_do(folder: Folder, tmp_path: Path) -> None:
    done = folder.helix("run", "people.py", "--set", "reg=1.0", JAVA_HOME=str(tmp_path / "nowhere"))
    assert done.returncode == 3
    assert "there is no bin/java in it" in done.stderr
    assert "install a Java runtime of version 17" in done.stderr


@pytest.mark.long
def test_an_edited_learner_is_learned_anew_and_the_versions_are_compared(folder: Folder) -> None:
    """The file that is edited builds an object of Spark's when it is loaded, too."""
    folder.edit("import helix_spark as hx\n", f"import helix_spark as hx\n{BUILT_AT_IMPORT}")
    folder.edit("    return wf\n", USED.removeprefix("\n"))
    done = folder.helix("run", "people.py", "--set", "reg=0.5", "-m", "stronger")
    assert done.returncode == 0, done.stderr
    assert "so Spark is started first" not in done.stderr
    assert "table of " in done.stdout
    computed = done.stdout[done.stdout.index("computed:"):done.stdout.index("loaded:")]
    assert "regParam" in computed
    assert "sex.fit" not in computed
    assert re.search(r"^people +2 ", folder.helix("log").stdout, flags=re.MULTILINE)
    assert [entry["message"] for entry in json.loads(folder.look("log", "--json"))] == ["stronger", "first"]
    assert re.search(r"compute +\S+ +\S+ +model", folder.look("show", "2"))
    assert json.loads(folder.look("show", "2", "--json"))["parameters"] == {"reg": 0.5}
    text = folder.look("diff", "1", "2")
    assert re.search(r"reg +0\.1 +0\.5", text)
    assert re.search(r"~ model +parameter `regParam` 0\.1 -> 0\.5", text)
    assert json.loads(folder.look("diff", "1", "2", "--json"))["parameters"] == {"reg": [0.1, 0.5]}
    assert "stored by iteration" in folder.helix("explain", "accuracy", "people.py").stdout


@pytest.mark.long
def test_an_unchanged_run_tells_an_output_that_is_not_kept_and_computes_it_for_who_asks(folder: Folder) -> None:
    (folder.path / "later.py").write_text(LATER)
    done = folder.command(sys.executable, "later.py", PYTHONHASHSEED="0")
    assert done.stdout == "54 54\n", done.stderr


def test_doctor(first: Folder) -> None:
    done = first.helix("doctor", "--json")
    names = {check["name"] for check in json.loads(done.stdout)}
    assert {"python", "java", "spark and delta", "solver", "catalog"} <= names
    assert first.helix("doctor").stdout.splitlines()[0].startswith("ok   python")


@pytest.mark.long
def test_a_job_runs_under_spark_submit(folder: Folder) -> None:
    submit = Path(sys.executable).with_name("spark-submit")
    done = folder.command(
        str(submit), "--master", "local[2]", "--conf", "spark.ui.enabled=false", "--driver-java-options", JAVA_OPTIONS,
        "people.py", "--catalog", "other", "--set", "reg=0.5", "--json",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    printed = json.loads(done.stdout[done.stdout.index("{"):])
    assert printed["parameters"] == {"reg": 0.5}
    assert printed["outputs"]["tested"] > 0
    assert (folder.path / "other" / "helix.json").exists()


@pytest.fixture
def watch(folder: Folder) -> Iterator[Callable[[str], str]]:
    """`helix watch` in the background; the function waits for words in what it prints from then on."""
    out = (folder.path / "out.txt").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "helix_spark", "watch", "people.py"], cwd=folder.path, env=folder.environ,
        stdout=out, stderr=subprocess.STDOUT,
    )
    read = 0

    def wait_for(words: str) -> str:
        nonlocal read
        until = time.monotonic() + 300
        while time.monotonic() < until and process.poll() is None:
            text = (folder.path / "out.txt").read_text()
            new = text[read:]
            if words in new and "from save to answer" in new[new.index(words):]:
                read = len(text)
                return new
            time.sleep(0.1)
        raise AssertionError(f"no {words!r} in: {(folder.path / 'out.txt').read_text()[read:]}")

    try:
        yield wait_for
    finally:
        process.terminate()
        process.wait(300)  # it may be starting Spark, which ends first
        out.close()


def test_watch_answers_at_each_save_and_outlives_a_syntax_error(folder: Folder, watch: Callable[[str], str]) -> None:
    helper = folder.path / "counting.py"
    helper.write_text("def counted(rows):\n    return len(rows)\n")
    assert "accuracy" in watch("people, iteration 2")
    folder.edit(", 3)", ", 1)")
    assert "accuracy" in watch("people, iteration 3")
    folder.edit("return len(predictions)", "return len(predictions")
    assert f"{folder.job.name}:" in watch("SyntaxError")
    folder.edit("return len(predictions", "return 2 * len(predictions)")
    answer = watch("people, iteration 4")
    assert re.search(r"tested +\d+ +\(was \d+, measured by other code\)", answer)
    # A helper that could not be imported is noticed once it is mended.
    folder.edit("import helix_spark as hx\n", "import helix_spark as hx\nfrom counting import counted\n")
    watch("people, iteration 5")
    folder.edit("return 2 * len(predictions)", "return counted(predictions)")
    first = re.search(r"tested +(\d+)", watch("people, iteration 6"))
    helper.write_text("def counted(rows):\n    return 3 * len(rows\n")
    assert "counting.py:2" in watch("SyntaxError")
    helper.write_text("def counted(rows):\n    return 3 * len(rows)\n")
    again = re.search(r"tested +(\d+)", watch("people, iteration 7"))
    assert first is not None
    assert again is not None
    assert int(again[1]) == 3 * int(first[1])
