"""Tables of Spark's that are computed anew and hold what earlier ones held."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml import Model
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

import helix_spark as hx
from helix_spark.engine.results import model_contents
from helix_spark.engine.results.contents import count, observed
from helix_spark.planner.problem import State

pytestmark = [pytest.mark.spark]

VECTOR = StructType([StructField("v", VectorUDT())])

DIFFER: list[tuple[str | StructType, Any, Any]] = [
    ("a double", [(0.0,)], [(-0.0,)]),
    ("a double", [(float("nan"),)], [(None,)]),
    ("a int, b int", [(1, None)], [(None, 1)]),
    ("a string, b string", [("ab", "c")], [("a", "bc")]),
    ("a int", [(1,), (2,)], [(2,), (1,)]),
    ("a array<int>", [([1, None],)], [([None, 1],)]),
    ("a array<int>", [([],)], [(None,)]),
    ("a array<string>", [(["1, 2"],)], [(["1", "2"],)]),
    ("a array<double>", [([0.0],)], [([-0.0],)]),
    ("a array<double>", [([float("nan")],)], [([None],)]),
    ("a array<array<int>>", [([[1], [2]],)], [([[1, 2], []],)]),
    ("a struct<x: int, y: int>", [((1, None),)], [((None, 1),)]),
    ("a struct<x: int>", [((None,),)], [(None,)]),
    ("a array<struct<x: int, y: int>>", [([(1, None)],)], [([(None, 1)],)]),
    ("a map<string, int>", [({"a": 1},)], [({"a": None},)]),
    (VECTOR, [(Vectors.dense([0.0, 1.0]),)], [(Vectors.dense([-0.0, 1.0]),)]),
    (VECTOR, [(Vectors.dense([0.0, 1.0]),)], [(Vectors.sparse(2, [1], [1.0]),)]),
]


@pytest.mark.parametrize(("schema", "one", "other"), DIFFER)
def test_what_differs_has_another_digest(spark: SparkSession, schema: Any, one: Any, other: Any) -> None:
    first, second = (count(spark.createDataFrame(rows, schema)) for rows in (one, other))
    assert first[1] is not None
    assert first != second


def test_what_cannot_be_told_exactly_has_none(spark: SparkSession) -> None:
    assert count(spark.sql("SELECT array(timestamp '2020-01-01') AS a")) == (1, None)
    assert count(spark.sql("SELECT 1 AS a, 2 AS a")) == (1, None)


def test_the_digest_of_a_table_is_taken_while_its_rows_are_written(spark: SparkSession, tmp_path: Path) -> None:
    made = spark.range(0, 100, 1, 3).selectExpr("id", "CASE WHEN id % 3 = 0 THEN -0.0D ELSE id / 7 END AS x")
    seen = Observation()
    watched, told = observed(made.where("id % 2 = 1"), seen)
    watched.write.parquet(str(tmp_path / "rows"))
    assert (seen.get["rows"], told()) == count(made.where("id % 2 = 1"))
    odd, untold = observed(spark.sql("SELECT array(timestamp '2020-01-01') AS a"), seen := Observation())
    odd.write.parquet(str(tmp_path / "odd"))
    assert (seen.get["rows"], untold()) == (1, None)


def test_a_table_that_is_only_stored_has_its_content_on_record(spark: SparkSession, tmp_path: Path) -> None:
    wf = hx.Workflow("stored")
    wf.source("data", hx.table(pd.DataFrame({"x": [1.0, 2.0]})))

    @wf.scanner(keep="always")
    def doubled(data: DataFrame) -> DataFrame:
        return data.select((F.col("x") * 2).alias("x"))

    @wf.reducer(output=True)
    def total(doubled: DataFrame) -> float:
        return float(doubled.agg(F.sum("x")).first()[0])

    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        signature = helix.run(wf).plan["doubled"].signature
        helix.wait()
        assert helix.catalog.results((), [signature]).measured[signature].content is not None


def study(text: Path, rules: tuple[str, ...], least: int = 0) -> hx.Workflow:
    wf = hx.Workflow("texts")
    wf.source("lines", hx.text(str(text)))

    @wf.scanner
    def words(lines: DataFrame) -> DataFrame:
        @F.udf("string")
        def cleaned(line: str) -> str:
            for rule in rules:
                line = line.replace(rule, " ")
            return line.strip()

        made = lines.where(F.length("value") > least).select(cleaned("value").alias("text"))
        return made.where("text <> ''").select(F.length("text").alias("long"), F.col("text").contains("a").alias("has"))

    @wf.synthesizer
    def examples(words: DataFrame) -> DataFrame:
        from pyspark.ml.feature import VectorAssembler

        return VectorAssembler(inputCols=["long"], outputCol="features").transform(
            words.select("long", F.col("has").cast("double").alias("label"))
        )

    @wf.learner
    def model(examples: DataFrame) -> Model:
        return LogisticRegression(maxIter=3).fit(examples)

    @wf.reducer(output=True)
    def weight(model: Model) -> float:
        return float(model.coefficients[0])

    return wf


@pytest.mark.long
def test_a_rule_that_hits_nothing_and_a_newline_stop_at_the_parse(spark: SparkSession, tmp_path: Path) -> None:
    text = tmp_path / "lines.txt"
    text.write_text("a b\nc d e\nfa-a\nggg\n")
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        def ran(rules: tuple[str, ...], least: int = 0) -> tuple[hx.Iteration, set[str]]:
            done = helix.run(study(text, rules, least))
            done.wait()
            return done, set(done.plan.in_state(State.COMPUTE)) - {"lines"}

        first, everything = ran(("-",))
        assert everything == {"words", "examples", "model", "weight"}
        second, computed = ran(("-", "#"))
        assert computed == {"words"}
        assert "equal to iteration 1's result: `examples`, `model`, `weight` stand" in second.plan["words"].reason
        assert second["weight"] == first["weight"]
        text.write_text(text.read_text() + "\n")
        third, computed = ran(("-", "#"))
        assert computed == {"words"}
        assert third["weight"] == first["weight"]
        fourth, computed = ran(("-", "#"), least=3)
        assert computed == everything
        assert fourth["weight"] != first["weight"]


def fitted(rewritten: bool, iterations: int = 3) -> hx.Workflow:
    wf = hx.Workflow("fitted")
    wf.source("data", hx.table(pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [0.0, 0.0, 1.0, 1.0]})))

    @wf.synthesizer
    def examples(data: DataFrame) -> DataFrame:
        from pyspark.ml.feature import VectorAssembler

        made = data.withColumnRenamed("y", "label")
        return VectorAssembler(inputCols=["x"], outputCol="features").transform(made)

    @wf.learner(keep="always")
    def model(examples: DataFrame) -> Model:
        if rewritten:
            regression = LogisticRegression().setMaxIter(iterations)
            return regression.fit(examples)
        return LogisticRegression(maxIter=iterations).fit(examples)

    @wf.reducer
    def weight(model: Model) -> float:
        time.sleep(1)
        return float(model.coefficients[0])

    @wf.reducer(output=True)
    def answer(weight: float) -> float:
        return weight + 1

    return wf


@pytest.mark.long
@pytest.mark.parametrize("here", [True, False])
def test_a_model_is_known_again_by_its_files(
    spark: SparkSession, tmp_path: Path, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_contents, "is_written_here", lambda: here)  # as in a cluster
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        first = helix.run(fitted(rewritten=False))
        first.wait()
        second = helix.run(fitted(rewritten=True))
        assert "model" in second.plan.in_state(State.COMPUTE)
        assert "weight" not in second.plan.in_state(State.COMPUTE)
        assert "equal to iteration 1's result" in second.plan["model"].reason
        assert second["answer"] == first["answer"]
        second.wait()
        third = helix.run(fitted(rewritten=True, iterations=5))
        assert "weight" in third.plan.in_state(State.COMPUTE)
        helix.wait()
        assert not helix.catalog.gc(dry_run=True, grace_seconds=0)
        assert third["answer"] != first["answer"]
        third.wait()
        found = helix.audit(fitted(rewritten=True, iterations=5))
        assert found.sound
        assert {"model", "weight", "answer"} <= {one.node for one in found.results if one.verdict == "verified"}
