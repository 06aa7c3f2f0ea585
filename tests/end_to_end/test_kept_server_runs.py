"""Whole runs next to a server that stays: scripts and workflows, one after the other, and what befalls them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from select import select

import pytest

from tests.end_to_end.plain_programs import under_helix, write_program
from tests.fakes.quick_java import SUBMIT_ARGUMENTS
from tests.faults import kept_servers
from tests.faults.kept_servers import Runs, jvm_of, runs_in
from tests.faults.row import FAULTS, Fault, Tally

WORKFLOW = """
import helix_spark as hx
import pandas as pd
from pyspark.ml.classification import LogisticRegression
from pyspark.sql import DataFrame, functions as F

def job(reg: float = 0.1) -> hx.Workflow:
    wf = hx.Workflow("job")
    data = wf.source("data", hx.table(pd.DataFrame({"a": [float(i) for i in range(60)]})))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        data.createOrReplaceTempView("seen")
        return data.withColumn("label", (F.col("a") > 30).cast("double"))

    a = wf.extractor("a", hx.Fields("a"), on=rows)
    income = wf.synthesizer("income", rows, features=[a], label="label", split=hx.HashSplit(test=0.2, seed=1))
    model = wf.learner("model", LogisticRegression, on=income, regParam=reg, maxIter=3)
    predictions = wf.predict("predictions", model, income)

    @wf.reducer(output=True)
    def right(predictions: pd.DataFrame) -> float:
        return float((predictions.prediction == predictions.label).mean())

    @wf.reducer(output=True, depends_on=[])
    def summed(rows: DataFrame) -> float:
        return rows.rdd.map(lambda row: row.a + reg * 0).sum()

    return wf
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Runs in one folder. A test attaches to the server that the test before it left, or starts one."""
    with runs_in(tmp_path_factory.mktemp("runs")) as found:
        found.environment["PYSPARK_SUBMIT_ARGS"] = SUBMIT_ARGUMENTS
        yield found


def command(runs: Runs, *words: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [sys.executable, "-m", "helix_spark", *words], cwd=runs.folder, env=runs.environment, text=True,
        capture_output=True, check=False,
    )
    assert not ended.returncode, ended.stderr
    return ended


def tables_in_memory(runs: Runs) -> int:
    """Return how many tables of earlier runs the server has in memory."""
    found = runs.point.status()
    return 0 if found is None else int(found["rows"])


def await_tables(runs: Runs, least: int) -> None:
    until = time.monotonic() + 60
    while tables_in_memory(runs) < least:
        assert time.monotonic() < until, f"{tables_in_memory(runs)} tables, not {least}"
        time.sleep(0.05)


def await_idle(runs: Runs) -> None:
    """Wait until the server is idle: it closes the sessions of a run only after the run's process has ended."""
    until = time.monotonic() + 60
    while (status := runs.point.status()) is None or status["runs"]:
        assert time.monotonic() < until, f"not idle: {status}"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_script_and_a_workflow_attach_to_the_server_that_the_first_run_left(runs: Runs) -> None:
    tally = Tally()
    runs.point.stop()
    runs.check(tally, said="a Spark server stays for the next runs")
    jvm = jvm_of(runs.point)
    runs.edit("second")
    runs.check(tally)
    assert not tally.wrong
    (runs.folder / "job.py").write_text(WORKFLOW)
    iteration = json.loads(command(runs, "run", "job.py", "--json").stdout)
    assert iteration["outputs"]["summed"] == sum(range(60))
    assert "model" in [node["name"] for node in iteration["nodes"] if node["state"] == "compute"]
    assert jvm_of(runs.point) == jvm


SETTINGS = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.config("spark.sql.session.timeZone", sys.argv[1]).getOrCreate()
print(sorted(name for name in spark.conf.getAll if "authenticate" in name))
spark.conf.set("spark.sql.session.timeZone", "UTC")
spark.sql("RESET")
print(spark.conf.get("spark.sql.session.timeZone"))
"""


@pytest.mark.slow
def test_a_program_has_its_own_settings_not_those_of_the_run_that_started_the_server(runs: Runs) -> None:
    (runs.folder / "settings.py").write_text(SETTINGS)
    for zone in ("Asia/Tokyo", "Europe/Paris"):  # the first may start the server
        assert command(runs, "run", "settings.py", zone).stdout.splitlines()[:2] == ["[]", zone]


RECALLED = """
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

LISTING_CLIENTS = """
import atexit, runpy, sys

sys.modules["not_forked"] = sys  # a fork server takes no command whose process has further modules
clients = ("pyspark.sql.connect.session", "grpc", "pandas", "networkx", "highspy")
atexit.register(lambda: print([client for client in clients if client in sys.modules]))
runpy.run_module("helix_spark", run_name="__main__", alter_sys=True)
"""


def run_recalled(runs: Runs, *words: str, server: str = "off") -> str:
    """Run the job `RECALLED`, and list the clients of Spark that its process has loaded."""
    ended = subprocess.run(
        [sys.executable, "-c", LISTING_CLIENTS, "run", "recalled.py", *words], cwd=runs.folder, text=True,
        env={**runs.environment, "HELIX_SERVER": server, "PYTHONHASHSEED": "0"}, capture_output=True, check=False,
    )
    assert not ended.returncode, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_an_unchanged_run_loads_no_client(runs: Runs) -> None:
    (runs.folder / "recalled.py").write_text(RECALLED)
    (runs.folder / "people.csv").write_text("1\n2\n3\n4\n5\n")
    assert "pyspark.sql.connect.session" in run_recalled(runs, server="on")
    unchanged = run_recalled(runs)
    assert "number  2" in unchanged
    assert unchanged.endswith("[]\n")
    (runs.folder / "recalled.py").write_text(RECALLED.replace("old", "new"))
    edited = run_recalled(runs)
    assert "newnew" in edited
    assert edited.endswith("[]\n")
    assert "number  4" in run_recalled(runs, "--set", "least=1", server="on")


@pytest.mark.slow
def test_a_program_that_is_run_again_asks_nothing_of_spark(runs: Runs) -> None:
    write_program(runs.folder)
    first, again = under_helix(runs.folder, **runs.environment), under_helix(runs.folder, **runs.environment)
    assert first.asked > first.reused
    assert again.asked == again.reused
    assert again.printed == first.printed


CACHED = """
import sys
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.getOrCreate()

def weighed(groups):
    for rows in groups:
        yield rows.assign(weight=rows.id * 3 % 7)

rows = spark.read.csv("ids.csv", schema="id long").mapInPandas(weighed, "id long, weight long").sort("weight").cache()
print(rows.where(F.col("weight") > int(sys.argv[1])).count())
print([row.id for row in rows.randomSplit([0.5, 0.5], 3)[0].collect()])
print(rows.alias("a").join(rows.alias("b"), "id").count())
"""


@pytest.mark.slow
def test_a_script_finds_in_memory_what_its_last_run_persisted(runs: Runs) -> None:
    def printed(told: str) -> list[str]:
        return [line for line in told.splitlines() if line[:1].isdigit() or line[:1] == "["]

    write_cached(runs, 60)
    first, _ = run_cached(runs, 1)
    assert first == ["compute"]
    await_tables(runs, 1)
    second, told = run_cached(runs, 2)
    assert second == ["load"]
    _, scratch = run_cached(runs, 2, "--catalog", "other")
    assert printed(told) == printed(scratch) != []
    write_cached(runs, 70)
    assert run_cached(runs, 2)[0] == ["compute"]


@pytest.mark.long
def test_what_a_script_persisted_is_computed_again_behind_the_servers_end(runs: Runs) -> None:
    write_cached(runs, 80)
    runs.point.stop()
    assert run_cached(runs, 4)[0] == ["compute"]
    await_tables(runs, 1)
    assert tables_in_memory(runs) == 1
    assert run_cached(runs, 5)[0] == ["load"]
    runs.point.stop()
    assert run_cached(runs, 6)[0] == ["compute"]


def write_cached(runs: Runs, rows: int) -> None:
    (runs.folder / "cached.py").write_text(CACHED)
    (runs.folder / "ids.csv").write_text("".join(f"{number}\n" for number in range(rows)))


def run_cached(runs: Runs, least: int, *words: str) -> tuple[list[str], str]:
    """Return the states of the tables of a run that stores nothing, and what it says."""
    done = command(runs, "run", "cached.py", "--json", "--policy", "never", *words, str(least))
    nodes = json.loads(done.stdout)["nodes"]
    return [node["state"] for node in nodes if node["kind"] == "table"], done.stderr


@pytest.mark.long
@pytest.mark.parametrize("fault", [
    pytest.param(one, id=one.name) for one in FAULTS if one.inject.__module__ == kept_servers.__name__
])
def test_what_befalls_a_server_costs_a_line_and_no_answer(fault: Fault, tmp_path: Path) -> None:
    tally = Tally()
    folder = tmp_path / "fault"
    folder.mkdir()
    fault.inject(folder, 1, tally)  # type: ignore[arg-type]  # any folder
    assert tally.injected
    assert not tally.wrong


NAPS = """
import sys
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.getOrCreate()
tasks, begun = int(sys.argv[1]), sys.argv[2]

@F.udf("int")
def nap(number):
    import pathlib, time
    pathlib.Path(begun).touch()
    time.sleep(0.1)
    return 1

print(spark.range(0, tasks, 1, tasks).select(nap("id").alias("one")).groupBy().sum("one").first()[0], flush=True)
"""


@pytest.mark.slow
def test_a_short_run_beside_a_long_one_has_its_share_of_the_cores(runs: Runs) -> None:
    (runs.folder / "naps.py").write_text(NAPS)
    if not jvm_of(runs.point):
        command(runs, "run", "naps.py", "1", str(runs.folder / "first"))
    begun = runs.folder / "begun"
    long = subprocess.Popen(
        [sys.executable, "-m", "helix_spark", "run", "naps.py", "2000", str(begun)], cwd=runs.folder,
        env=runs.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    try:
        while not begun.exists():
            assert long.poll() is None
            time.sleep(0.1)
        assert command(runs, "run", "naps.py", "8", str(runs.folder / "other")).stdout == "8\n"
        has_answered, _, _ = select([long.stdout], [], [], 0)
        assert not has_answered, "the long one had the cores to itself"
        assert long.poll() is None
    finally:
        long.kill()
        long.communicate()


LEARNER = """
import helix_spark as hx
import pandas as pd
from pyspark.ml.classification import LogisticRegression
from pyspark.sql import DataFrame, functions as F

def job(reg: float = 0.1) -> hx.Workflow:
    wf = hx.Workflow("learner")
    wf.source("data", hx.csv("rows.csv", schema="a double"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.withColumn("label", (F.col("a") > 30).cast("double")).sort(F.desc("a"))

    a = wf.extractor("a_of", hx.Fields("a"), on="rows")
    examples = wf.synthesizer("examples", "rows", features=[a], label="label")
    model = wf.learner("model", LogisticRegression, on=examples, regParam=reg, maxIter=3)

    @wf.reducer(output=True)
    def scores(model, examples: DataFrame) -> list:
        return [row.probability[1] for row in model.transform(examples).sort("features").collect()]

    return wf
"""


@pytest.mark.slow
def test_a_run_finds_the_examples_in_memory_that_the_last_one_left(runs: Runs) -> None:
    write_learner(runs)
    first, _ = learned(runs, 0.1)
    assert first["examples"] == "compute"
    await_tables(runs, 2)
    second, scores = learned(runs, 0.2)
    assert (second["examples"], second["rows"], second["model"]) == ("load", "prune", "compute")
    assert scores == learned_from_scratch(runs, 0.2)
    await_idle(runs)
    assert re.search(r"idle for .*, .* of it for \d+ tables", command(runs, "server", "status").stdout)
    assert planned(runs, 0.4)["examples"] == "load"
    assert command(runs, "server", "stop").stdout == "1 stopped\n"
    assert command(runs, "server", "status").stdout == "no server is running\n"
    assert planned(runs, 0.4)["examples"] == "compute"


@pytest.mark.long
def test_later_runs_find_them_too_and_a_run_behind_the_servers_end_answers_alike(runs: Runs) -> None:
    write_learner(runs)
    runs.point.stop()
    states, _ = learned(runs, 0.5)
    assert states["examples"] == "compute"
    await_tables(runs, 2)
    assert tables_in_memory(runs) == 2
    for reg in (0.6, 0.7):
        states, _ = learned(runs, reg)
        assert states["examples"] == "load"
    runs.point.stop()
    lost, scores = learned(runs, 0.8)
    assert lost["examples"] == "compute"
    assert scores == learned_from_scratch(runs, 0.8)


def write_learner(runs: Runs) -> None:
    (runs.folder / "learner.py").write_text(LEARNER)
    (runs.folder / "rows.csv").write_text("".join(f"{number}\n" for number in range(60)))


def learned(runs: Runs, reg: float) -> tuple[dict[str, str], list[float]]:
    """Return the states of the nodes and the scores, of a run that stores nothing."""
    words = ("run", "learner.py", "--json", "--policy", "never", "--set", f"reg={reg}")
    found = json.loads(command(runs, *words).stdout)
    assert not [node for node in found["nodes"] if node["stored"]]
    return {node["name"]: node["state"] for node in found["nodes"]}, found["outputs"]["scores"]


def planned(runs: Runs, reg: float) -> dict[str, str]:
    """Return the states of the nodes in the plan of such a run."""
    words = ("plan", "learner.py", "--json", "--policy", "never", "--set", f"reg={reg}")
    return {node["name"]: node["state"] for node in json.loads(command(runs, *words).stdout)["nodes"]}


def learned_from_scratch(runs: Runs, reg: float) -> list[float]:
    words = ("run", "learner.py", "--json", "--catalog", f"other{reg}", "--set", f"reg={reg}")
    scores: list[float] = json.loads(command(runs, *words).stdout)["outputs"]["scores"]
    return scores
