"""A warm session remembers cached plans and the modules of its Python workers; no result may come from there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

import helix_spark as hx
from helix_spark.cli.author_file import load_file
from helix_spark.cli.watching import forget_project
from helix_spark.workflow.workflow import Workflow

pytestmark = pytest.mark.spark

JOB = """
import helix_spark as hx
import factors
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

def job() -> hx.Workflow:
    wf = hx.Workflow("job")
    wf.source("data", hx.table(pd.DataFrame({"n": [1.0, 2.0]})))

    @wf.scanner
    def scaled(data: DataFrame) -> DataFrame:
        scale = F.udf(lambda n: factors.scale(n), "double")
        shift = F.udf(factors.shift, "double")
        return data.select(shift(scale("n")).alias("n"))

    @wf.reducer(output=True)
    def total(scaled: DataFrame) -> float:
        return scaled.agg(F.sum("n")).first()[0]

    @wf.reducer(output=True)
    def most(scaled: DataFrame) -> float:
        return scaled.agg(F.max("n")).first()[0]

    return wf
"""
FACTORS = "def scale(n):\n    return {by} * n\n\ndef shift(n):\n    return n + {add}\n"


@pytest.fixture
def engine(tmp_path: Path, spark: SparkSession) -> Iterator[hx.Helix]:
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as engine:
        yield engine


def test_files_that_changed_are_read_although_a_table_made_of_them_is_cached(
    tmp_path: Path, engine: hx.Helix
) -> None:
    file = tmp_path / "data.csv"

    def job() -> Workflow:
        wf = hx.Workflow("job")
        wf.source("data", hx.csv(file, schema="n double"))

        @wf.scanner
        def doubled(data: DataFrame) -> DataFrame:
            return data.selectExpr("n * 2 AS n")

        @wf.reducer(output=True)
        def total(doubled: DataFrame) -> float:
            return float(doubled.selectExpr("sum(n)").first()[0])

        @wf.reducer(output=True)
        def most(doubled: DataFrame) -> float:
            return float(doubled.selectExpr("max(n)").first()[0])

        return wf

    answers = []
    for text in ("1\n2\n", "1\n2\n3\n", "1\n2\n5\n"):
        file.write_text(text)
        iteration = engine.run(job())
        iteration.wait()
        answers.append((iteration["total"], iteration["most"]))
    assert answers == [(6.0, 4.0), (12.0, 6.0), (16.0, 10.0)]


def test_an_edit_of_a_module_that_udfs_call_reaches_the_workers(
    tmp_path: Path, engine: hx.Helix, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "job.py").write_text(JOB)
    monkeypatch.setattr(sys, "path", [*sys.path])
    answers = []
    for by, add in ((1, 0), (10, 0), (10, 5)):
        (project / "factors.py").write_text(FACTORS.format(by=by, add=add))
        forget_project()
        iteration = engine.run(load_file(project / "job.py").job())
        iteration.wait()
        answers.append((iteration["total"], iteration["most"]))
    forget_project()
    assert answers == [(3.0, 2.0), (30.0, 20.0), (40.0, 25.0)]

