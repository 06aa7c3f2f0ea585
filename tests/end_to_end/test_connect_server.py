"""Workflows by a server of Spark Connect, in a process of its own, that was started as Spark's documentation says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.connect_servers import serving

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]
ROOT = Path(__file__).resolve().parents[2]
CENSUS = str(ROOT / "jobs" / "census.py")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server that ends with the tests."""
    with serving(tmp_path_factory.mktemp("server")) as (at, _):
        yield at


def helix(folder: Path, *words: str, remote: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "HELIX_CDS": "off", **({"SPARK_REMOTE": remote} if remote else {})}
    command = [str(Path(sys.executable).with_name("helix")), *words]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ran(folder: Path, file: str, *words: str, remote: str = "") -> dict[str, Any]:
    printed, complaints = (running := helix(folder, "run", file, "--json", *words, remote=remote)).communicate(
        timeout=300
    )
    assert running.returncode == 0, complaints[-3000:]
    found: dict[str, Any] = json.loads(printed)
    return found


def states(found: dict[str, Any]) -> dict[str, str]:
    return {node["name"]: node["state"] for node in found["nodes"]}


def signatures(found: dict[str, Any]) -> dict[str, str]:
    return {node["name"]: node["signature"] for node in found["nodes"]}


def test_local_runs_have_the_same_answers_and_signatures_and_reuse_the_results(tmp_path: Path, address: str) -> None:
    there = ran(tmp_path, CENSUS, "--catalog", "shared", remote=address)
    here = ran(tmp_path, CENSUS, "--catalog", "own")
    assert there["outputs"] == here["outputs"]
    assert signatures(there) == signatures(here)
    again = ran(tmp_path, CENSUS, "--catalog", "shared")
    assert "compute" not in states(again).values()
    edited = ran(tmp_path, CENSUS, "--catalog", "own", "--set", "reg=0.01", remote=address)
    computed = {name for name, state in states(edited).items() if state == "compute"}
    assert computed == {"model", "predictions", "accuracy", "auc"}


ODD = '''
    from collections.abc import Iterator

    import pandas as pd
    from pyspark.sql import Column, DataFrame
    from pyspark.sql import functions as F

    import helix_spark as hx


    def odd():
        wf = hx.Workflow("odd")
        wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3, 4, 5, 6], "b": ["x", "y", "x", "y", "z", "z"]})))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.withColumn("c", F.col("a") * 2)

        @wf.synthesizer
        def counted(rows: DataFrame) -> DataFrame:
            return rows.withColumn("n", F.lit(rows.count())).where(rows.a > 0)

        @wf.synthesizer
        def by_view(rows: DataFrame) -> DataFrame:
            rows.createOrReplaceTempView("p")
            return rows.sparkSession.sql("SELECT b, sum(c) AS s FROM p GROUP BY b")

        @wf.synthesizer
        def by_name(rows: DataFrame) -> DataFrame:
            return rows.sparkSession.sql("SELECT b, max(c) AS s FROM {r} GROUP BY b", r=rows)

        @wf.synthesizer
        def by_registered(rows: DataFrame) -> DataFrame:
            rows.sparkSession.udf.register("plus", lambda value: value + 1, "long")
            return rows.selectExpr("plus(a)", "b").withColumnRenamed("plus(a)", "a")

        @wf.synthesizer
        def by_batch(rows: DataFrame) -> DataFrame:
            def squared(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
                for frame in frames:
                    yield frame.assign(d=frame.a ** 2)
            return rows.select("a").mapInPandas(squared, "a long, d long")

        @wf.synthesizer
        def first_rows(rows: DataFrame) -> DataFrame:
            return rows.limit(rows.count() - 1)

        @wf.synthesizer
        def renamed(rows: DataFrame) -> DataFrame:
            return rows.select(*(F.col(field.name).alias(f"x_{field.name}") for field in rows.schema.fields))

        @wf.reducer(output=True)
        def totals(
            counted: pd.DataFrame, by_view: pd.DataFrame, by_name: pd.DataFrame, by_registered: pd.DataFrame,
            by_batch: pd.DataFrame, first_rows: pd.DataFrame, renamed: pd.DataFrame,
        ) -> list[int]:
            return [
                int(counted.n.sum()), int(by_view.s.sum()), int(by_name.s.max()), int(by_registered.a.sum()),
                int(by_batch.d.sum()), len(first_rows), int(renamed.x_c.sum()),
            ]

        return wf
'''


def test_functions_that_ask_count_speak_sql_and_send_python_are_called_in_its_session(
    tmp_path: Path, address: str
) -> None:
    (tmp_path / "odd.py").write_text(textwrap.dedent(ODD))
    assert ran(tmp_path, "odd.py", remote=address)["outputs"]["totals"] == [36, 42, 12, 27, 91, 5, 42]
    again = ran(tmp_path, "odd.py", remote=address)
    assert again["outputs"]["totals"] == [36, 42, 12, 27, 91, 5, 42]
    doubtful = {node["name"] for node in again["nodes"] if "may differ each time" in node["reason"]}
    assert doubtful == {"first_rows", "totals"}


def test_a_session_that_a_script_gives_is_used_and_left(tmp_path: Path, address: str) -> None:
    (tmp_path / "odd.py").write_text(textwrap.dedent(ODD))
    (tmp_path / "script.py").write_text(textwrap.dedent(f'''
        from pyspark.sql import SparkSession

        import helix_spark as hx
        from odd import odd

        spark = SparkSession.builder.remote("{address}").getOrCreate()
        with hx.Helix("catalog", spark=spark) as helix:
            print(helix.run(odd())["totals"])
        print(spark.range(3).count())
    '''))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.splitlines()[-2:] == ["[36, 42, 12, 27, 91, 5, 42]", "3"], done.stderr[-3000:]


JVM = '''
    import pandas as pd
    from pyspark.sql import DataFrame

    import helix_spark as hx


    def rdd():
        wf = hx.Workflow("rdd")
        wf.source("data", hx.table(pd.DataFrame({"a": [1, 2]})))

        @wf.scanner(output=True)
        def rows(data: DataFrame) -> DataFrame:
            return data.rdd.map(lambda row: (row.a,)).toDF(["a"])

        return wf
'''


def test_code_of_rdds_is_refused_with_its_line_and_what_to_do(tmp_path: Path, address: str) -> None:
    (tmp_path / "rdd.py").write_text(textwrap.dedent(JVM))
    running = helix(tmp_path, "run", "rdd.py", remote=address)
    _, complaints = running.communicate(timeout=120)
    assert running.returncode != 0
    assert "rdd.py:14" in complaints
    assert "do the same with DataFrames" in complaints


SLOW = '''
    import time

    import pandas as pd
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    import helix_spark as hx


    def slow(seconds: int = 60):
        wf = hx.Workflow("slow")
        wf.source("data", hx.table(pd.DataFrame({"a": [1, 2]})))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.withColumn("b", F.col("a") + 1)

        @wf.synthesizer(output=True)
        def waited(rows: DataFrame) -> DataFrame:
            def wait(value: int) -> int:
                time.sleep(seconds)
                return value
            return rows.withColumn("c", F.udf(wait, "long")("b"))

        return wf
'''


LEISURELY = '''
    import time

    import pandas as pd
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql import functions as F
    from pyspark.sql.types import DoubleType

    import helix_spark as hx

    def waiting(value):
        time.sleep(0.02)
        return value

    at_leisure = F.udf(waiting, DoubleType())
    wf = hx.Workflow("leisurely")
    data = wf.source("data", hx.table(pd.DataFrame({"a": [float(row) for row in range(20)]})))

    @wf.extractor
    def slow(data: DataFrame) -> Column:
        return at_leisure(data.a)

    @wf.extractor
    def cheap(data: DataFrame) -> Column:
        return data.a * 2

    wf.synthesizer("examples", data, features=[slow, cheap], label="a")

    @wf.reducer(output=True)
    def rows(examples: pd.DataFrame) -> int:
        return len(examples)

    with hx.Helix("catalog", spark=SparkSession.builder.remote("{address}").getOrCreate(), policy="never") as helix:
        print(helix.run(wf).node_seconds["slow"])
'''


def test_functions_in_the_servers_workers_get_their_seconds_of_a_step(tmp_path: Path, address: str) -> None:
    (tmp_path / "leisurely.py").write_text(textwrap.dedent(LEISURELY).replace("{address}", address))
    done = subprocess.run(
        [sys.executable, "leisurely.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert float(done.stdout.splitlines()[-1]) >= 0.18, "twenty rows of 0.02 s each, in two tasks or one"


def test_a_server_that_dies_during_a_run_is_told_and_the_catalog_goes_on(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    with serving(tmp_path) as (at, server):
        running = helix(tmp_path, "run", "slow.py", remote=at)
        time.sleep(15)
        assert running.poll() is None
        os.killpg(server.pid, signal.SIGKILL)
        _, complaints = running.communicate(timeout=120)
    assert running.returncode != 0
    assert "the server of Spark Connect ended" in complaints, complaints[-3000:]
    assert "Traceback" not in complaints
    assert ran(tmp_path, "slow.py", "--set", "seconds=0")["outputs"]["waited"]["rows"] == 2


def test_an_interrupt_ends_the_run_and_its_jobs(tmp_path: Path, address: str) -> None:
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    running = helix(tmp_path, "run", "slow.py", remote=address)
    time.sleep(12)
    assert running.poll() is None
    begun = time.monotonic()
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)
    assert running.returncode == 130
    assert time.monotonic() - begun < 15
    assert ran(tmp_path, "slow.py", "--set", "seconds=0", remote=address)["outputs"]["waited"]["rows"] == 2
