"""A learner that only adds up reads small rows in one partition; others read them as they are divided."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pyspark.ml.classification import LinearSVC, LogisticRegression, RandomForestClassifier
from pyspark.ml.clustering import KMeans
from pyspark.ml.feature import VectorAssembler, Word2Vec, Word2VecModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.engine.lowering.lowering import in_few_partitions
from helix_spark.engine.results.node_results import nullable
from tests.fakes.observer import Warned
from tests.spark.workflows import Census, partitions_of

pytestmark = pytest.mark.spark


@pytest.mark.parametrize(("stage", "partitions"), [
    (LogisticRegression, 1), (LinearSVC, 1), (RandomForestClassifier, 2), (KMeans, 2),
])
def test_only_learners_that_add_up_read_fewer_partitions(
    spark: SparkSession, stage: type, partitions: int
) -> None:
    rows = spark.range(100, numPartitions=2).cache()
    try:
        assert rows.count() == 100
        assert partitions_of(in_few_partitions(rows, stage())) == partitions
    finally:
        rows.unpersist()


def test_rows_that_are_worth_dividing_stay_divided(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helix_spark.engine.lowering.lowering.PARTITION_BYTES", 100)
    rows = spark.range(100, numPartitions=2).cache()
    try:
        assert rows.count() == 100
        assert partitions_of(in_few_partitions(rows, LogisticRegression())) == 2
    finally:
        rows.unpersist()


def test_somebody_elses_class_of_that_name_is_left_alone(spark: SparkSession) -> None:
    rows = spark.range(100, numPartitions=2)
    other = type("LogisticRegression", (), {})()
    assert in_few_partitions(rows, other) is rows


def test_the_examples_are_computed_in_a_step_of_their_own_before_the_fit(spark: SparkSession, tmp_path: Path) -> None:
    heard = Warned()
    with hx.Helix(tmp_path / "catalog", policy="never", spark=spark, observer=heard) as helix:
        iteration = helix.run(Census().workflow())
    assert heard.started.index("examples") < heard.started.index("model")
    assert iteration.node_seconds["examples"] > 0


def test_making_columns_nullable_leaves_rows_divided_as_they_were(spark: SparkSession) -> None:
    vectors = VectorAssembler(inputCols=["id"], outputCol="v").transform(spark.range(50, numPartitions=2))
    one = nullable(vectors.repartition(1).sortWithinPartitions("id"))
    assert all(field.nullable for field in one.schema)
    assert partitions_of(one) == 1
    assert partitions_of(nullable(vectors).persist()) == 2
    assert [row.id for row in one.collect()] == list(range(50))


def in_order(data: DataFrame) -> DataFrame:
    return data.select("n", F.split("words", " ").alias("words")).repartition(1).sortWithinPartitions("n")


def test_a_learner_that_depends_on_the_division_of_its_rows_finds_the_authors_model(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Word2Vec numbers words of equal frequency in the order in which its partitions bring them."""
    data = pd.DataFrame({
        "n": range(60), "words": [" ".join(f"w{(i * k) % 23}" for k in range(1, 6)) for i in range(60)],
    })
    wf = hx.Workflow("words")
    wf.source("data", hx.table(data))

    @wf.scanner
    def given(data: DataFrame) -> DataFrame:
        return in_order(data)

    wf.learner("model", Word2Vec, on=given, vectorSize=3, minCount=0, seed=1, inputCol="words", outputCol="v")

    @wf.reducer(output=True)
    def vectors(model: Word2VecModel) -> dict[str, list[float]]:
        return {row.word: list(row.vector) for row in model.getVectors().collect()}

    with hx.Helix(tmp_path / "catalog", policy="never", spark=spark) as helix:
        found = helix.run(wf)["vectors"]
    rows = in_order(spark.createDataFrame(data))
    alone = Word2Vec(vectorSize=3, minCount=0, seed=1, inputCol="words", outputCol="v").fit(rows)
    assert found == {row.word: list(row.vector) for row in alone.getVectors().collect()}


@pytest.mark.long
def test_a_model_is_the_same_to_the_last_digit_however_its_rows_were_divided(spark: SparkSession) -> None:
    rows = spark.range(400).select(
        F.rand(1).alias("a"), F.rand(2).alias("b.c"), F.array(F.create_map(F.lit(1), F.rand(4))).alias("m"),
        (F.rand(3) > 0.5).cast("double").alias("label"),
    ).localCheckpoint()
    found = set()
    for partitions in (1, 2, 7):
        again = rows.repartition(partitions, "a")
        read = in_few_partitions(again, LogisticRegression()).withColumnRenamed("b.c", "b")
        features = VectorAssembler(inputCols=["a", "b"], outputCol="features").transform(read)
        found.add(tuple(LogisticRegression(maxIter=5).fit(features).coefficients))
    assert len(found) == 1
