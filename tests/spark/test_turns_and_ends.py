"""Functions that share a session's names, runs that fail halfway, and the thread of whoever asked for a run."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.errors import NodeError
from tests.spark.workflows import jobs_of_their_own

pytestmark = pytest.mark.spark
NUMBERS = pd.DataFrame({"n": [1, 2, 3]})


def summed(rows: DataFrame) -> int:
    """By a view of a name that others use as well."""
    rows.createOrReplaceTempView("p")
    time.sleep(0.5)  # long enough for another one to register its own
    return int(rows.sparkSession.sql("SELECT sum(n) AS n FROM p").first()["n"])  # type: ignore[index]  # it has a row


def test_functions_that_register_one_view_read_their_own(spark: SparkSession, tmp_path: Path) -> None:
    wf = hx.Workflow("views")
    wf.source("data", hx.table(NUMBERS))

    @wf.reducer(output=True)
    def ones(data: DataFrame) -> int:
        return summed(data)

    @wf.reducer(output=True)
    def tens(data: DataFrame) -> int:
        return summed(data.selectExpr("n * 10 AS n"))

    @wf.reducer
    def factor(data: pd.DataFrame) -> int:
        return 100

    @wf.synthesizer(output=True)
    def hundreds(data: DataFrame, factor: int) -> DataFrame:
        data.selectExpr(f"n * {factor} AS n").createOrReplaceTempView("p")
        time.sleep(0.5)
        return data.sparkSession.sql("SELECT n FROM p")

    def read(session: SparkSession) -> DataFrame:
        session.range(1, 4).selectExpr("id * 1000 AS n").createOrReplaceTempView("p")
        time.sleep(0.5)
        return session.sql("SELECT n FROM p")

    wf.source("read", hx.reader(read, version="1"))

    @wf.reducer(output=True)
    def thousands(read: DataFrame) -> int:
        return int(read.agg(F.sum("n")).first()[0])  # type: ignore[index]  # it has a row

    with hx.Helix(tmp_path / "catalog", policy="never", spark=spark) as helix:
        made = helix.run(wf)
        assert (made["ones"], made["tens"], made["hundreds"]["rows"], made["thousands"]) == (6, 60, 3, 6000)
        assert sorted(made.pandas("hundreds").n) == [100, 200, 300]


def half(computed: bool) -> hx.Workflow:
    """A run that fails after `costly` was computed, or when it is but planned to be."""
    wf = hx.Workflow("half")
    wf.source("data", hx.table(NUMBERS))

    @wf.scanner(keep="always")
    def costly(data: DataFrame) -> DataFrame:
        return data.selectExpr("n * 2 AS n")

    if computed:
        @wf.reducer
        def rows(costly: DataFrame) -> int:
            return costly.count()

        @wf.reducer(output=True)
        def broken(rows: int) -> int:
            raise ValueError("no")
    else:
        @wf.reducer
        def wrong(data: pd.DataFrame) -> int:
            raise ValueError("no")

        @wf.reducer(output=True)
        def total(costly: DataFrame, wrong: int) -> int:
            return costly.count() + wrong

    return wf


@pytest.mark.parametrize("computed", [True, False])
def test_a_run_that_fails_holds_and_stores_what_it_computed_and_computes_no_more(
    spark: SparkSession, tmp_path: Path, computed: bool
) -> None:
    wf = half(computed)
    with hx.Helix(tmp_path / "catalog", policy="never", spark=spark) as helix:
        with pytest.raises(NodeError):
            helix.run(wf)
        helix.wait()
        assert ("costly" in {record.node for record in helix.catalog.live()}) is computed
        assert helix.plan(wf)["costly"].held is computed


def test_a_function_between_two_jobs_does_not_run_the_next_one_when_another_fails(
    spark: SparkSession, tmp_path: Path
) -> None:
    wf = hx.Workflow("ends")
    wf.source("data", hx.table(NUMBERS))

    @wf.reducer(output=True)
    def long(data: DataFrame) -> int:
        time.sleep(2.0)  # the other one fails meanwhile
        rows = data.sparkSession.range(0, 10**11, 1, 2)
        return int(rows.selectExpr("sum(id % 7) AS n").first()["n"])  # type: ignore[index]  # it has a row

    @wf.reducer(output=True)
    def broken(data: pd.DataFrame) -> int:
        time.sleep(0.5)
        raise ValueError("no")

    with hx.Helix(tmp_path / "catalog", policy="never", spark=spark) as helix:
        start = time.monotonic()
        with pytest.raises(NodeError, match="'broken' failed"):
            helix.run(wf)
        assert time.monotonic() - start < 20


def test_the_callers_thread_keeps_its_tags(spark: SparkSession, tmp_path: Path) -> None:
    wf = hx.Workflow("caller")
    wf.source("data", hx.table(NUMBERS))

    @wf.scanner(output=True)
    def made(data: DataFrame) -> DataFrame:
        return data.withColumn("m", F.col("n") + data.count())

    with jobs_of_their_own(spark), hx.Helix(tmp_path / "catalog", policy="never", spark=spark) as helix:
        assert helix.run(wf)["made"] == {"table": "made", "rows": 3}
