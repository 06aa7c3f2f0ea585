"""A learner that only adds up reads small rows in one partition; others read them as they are divided."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.ml.classification import LinearSVC, LogisticRegression, RandomForestClassifier
from pyspark.ml.clustering import KMeans
from pyspark.sql import SparkSession
from workflows import Census, Heard

import helix_spark as hx
from helix_spark.engine.partitions import in_few_partitions

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
        assert in_few_partitions(rows, stage()).rdd.getNumPartitions() == partitions
    finally:
        rows.unpersist()


def test_rows_that_are_worth_dividing_stay_divided(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helix_spark.engine.partitions.PARTITION_BYTES", 100)
    rows = spark.range(100, numPartitions=2).cache()
    try:
        assert rows.count() == 100
        assert in_few_partitions(rows, LogisticRegression()).rdd.getNumPartitions() == 2
    finally:
        rows.unpersist()


def test_somebody_elses_class_of_that_name_is_left_alone(spark: SparkSession) -> None:
    rows = spark.range(100, numPartitions=2)
    other = type("LogisticRegression", (), {})()
    assert in_few_partitions(rows, other) is rows


def test_the_examples_are_computed_in_a_step_of_their_own_before_the_fit(spark: SparkSession, tmp_path: Path) -> None:
    heard = Heard()
    with hx.Helix(tmp_path / "catalog", policy="never", spark=spark, observer=heard) as helix:
        iteration = helix.run(Census().workflow())
    assert heard.started.index("examples") < heard.started.index("model")
    assert iteration.node_seconds["examples"] > 0
