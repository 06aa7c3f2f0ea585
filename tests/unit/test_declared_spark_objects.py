"""A file whose declarations hold Spark's objects is loaded without a JVM, unless it asks Spark something."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from helix_spark.cli.main import helix

HEAD = """
import helix_spark as hx, pandas as pd
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import Column, DataFrame, SparkSession, Window, functions as F
from pyspark.sql.types import DoubleType, StructType

ADULT = F.col("age") >= 18
BY_SEX = Window.partitionBy("sex")
SCHEMA = StructType().add("age", DoubleType())
twice = F.udf(lambda value: value * 2.0, "double")

def held(reg: float = 0.1) -> hx.Workflow:
    wf = hx.Workflow("held")
    data = wf.source("data", hx.table(pd.DataFrame({"age": [20.0, 30.0], "sex": ["f", "m"], "y": [0.0, 1.0]})))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.where(ADULT).withColumns({"mean": F.avg("age").over(BY_SEX), "double": twice("age")})

    age = wf.extractor("age", hx.Fields("age"), on=rows)
    examples = wf.synthesizer("examples", rows, features=[age], label="y")
    stage = LogisticRegression(maxIter=5)
    grid = ParamGridBuilder().addGrid(stage.regParam, [reg, 1.0]).build()
    search = CrossValidator(
        estimator=Pipeline(stages=[stage]), estimatorParamMaps=grid, evaluator=BinaryClassificationEvaluator(), seed=1,
    )
    model = wf.learner("model", search, on=examples)
"""
LOOKS = """
    @wf.reducer(output=True)
    def size(rows: DataFrame) -> int:
        return rows.where(ADULT).count()
    return wf
"""
TELLS = """
    wf.output(model)
    return wf
"""


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nonexistent")


def planned(folder: Path, text: str) -> str:
    (folder / "held.py").write_text(text)
    command = ["plan", str(folder / "held.py"), "--catalog", str(folder / "catalog")]
    done = CliRunner().invoke(helix, command)
    return done.output + str(done.exception or "")


@pytest.mark.usefixtures("no_java")
@pytest.mark.parametrize("ending", [TELLS, LOOKS])
def test_columns_windows_functions_and_stages_are_declared_without_a_jvm(tmp_path: Path, ending: str) -> None:
    assert "held, iteration 1" in planned(tmp_path, HEAD + ending)


@pytest.mark.usefixtures("no_java")
def test_a_file_that_asks_spark_while_it_is_loaded_has_it_started(tmp_path: Path) -> None:
    asks = HEAD.replace("BY_SEX =", "ROWS = SparkSession.builder.getOrCreate().range(3).count()\nBY_SEX =")
    assert "so Spark is started first" in planned(tmp_path, asks + TELLS)
