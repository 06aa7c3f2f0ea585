"""Shapes that workflows come in, beyond the plain ones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from workflows import PEOPLE, computed, loading

import helix_spark as hx
from helix_spark.engine.randomness import plan_randomness
from helix_spark.errors import OperatorError

pytestmark = pytest.mark.spark


def weighted(factor: float = 2.0) -> hx.Workflow:
    wf = hx.Workflow("weighted")
    data = wf.source("data", hx.table(PEOPLE))
    age = wf.extractor("age_of", hx.Fields("age"), on=data)

    @wf.extractor
    def weight(data: DataFrame) -> Column:
        return data.age * factor

    examples = wf.synthesizer("examples", data, features=[age], label="rich", keep=["sex", weight, age])
    wf.output(examples)
    wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=examples, weightCol="weight", maxIter=2)
    wf.output("model")
    return wf


def test_examples_keep_what_an_extractor_made(tmp_path: Path, spark: SparkSession) -> None:
    with hx.Helix(tmp_path, policy=loading("always"), spark=spark) as helix:
        first = helix.run(weighted())
        made = first.pandas("examples")
        assert list(made.columns) == ["features", "label", "weight", "age_of", "sex"]
        assert list(made.weight) == list(PEOPLE.age * 2)
        assert list(made.age_of) == list(PEOPLE.age)
        first.wait()
        assert computed(helix.run(weighted())) == set()
        assert {"weight", "examples", "model"} <= computed(helix.run(weighted(3.0)))


def test_an_extractor_cannot_be_kept_under_a_name_that_is_taken() -> None:
    wf = hx.Workflow("clash")
    data = wf.source("data", hx.table(PEOPLE))
    label = wf.extractor("label", hx.Fields("age"), on=data)
    with pytest.raises(OperatorError, match="have a column of that name already"):
        wf.synthesizer("examples", data, features=[label], label="rich", keep=[label])


def test_what_is_collected_and_sorted_is_no_chance(spark: SparkSession) -> None:
    frame = spark.createDataFrame(pd.DataFrame({"a": [1, 1, 2], "b": [1, 2, 3]}))
    collected = F.collect_list(F.struct("b"))
    assert plan_randomness(frame.groupBy("a").agg(F.sort_array(collected))) is None
    assert plan_randomness(frame.groupBy("a").agg(F.sort_array(F.collect_set("b"), asc=False))) is None
    assert "collect_list" in str(plan_randomness(frame.groupBy("a").agg(collected)))
    both = frame.groupBy("a").agg(F.sort_array(collected), F.collect_list("b"))
    assert "collect_list" in str(plan_randomness(both))


def test_distinct_is_no_chance_and_one_row_of_many_is(spark: SparkSession) -> None:
    frame = spark.createDataFrame(pd.DataFrame({"a": [1, 1, 2], "b": [1, 2, 3]}))
    assert plan_randomness(frame.distinct()) is None
    assert plan_randomness(frame.union(frame).dropDuplicates(["b", "a"]).where("a > 1")) is None
    assert "dropDuplicates" in str(plan_randomness(frame.dropDuplicates(["a"])))
    assert "dropDuplicates" in str(plan_randomness(frame.distinct().join(frame.dropDuplicates(["a"]), "a")))


def test_only_what_a_node_adds_to_its_inputs_is_looked_at_first(spark: SparkSession) -> None:
    base = spark.createDataFrame([(1, 2), (1, 3)], "a int, b int").groupBy("a").agg(F.collect_list("b").alias("all"))
    other = spark.range(3).withColumnRenamed("id", "a")
    plain = [base.withColumn("more", F.size("all")), base.join(other, "a").where("a > 0").groupBy("a").count()]
    for frame in plain:
        assert plan_randomness(frame, [base, other]) is None
        assert "collect_list" in str(plan_randomness(frame))
    suspicious = [
        base.withColumn("more", F.rand()), base.limit(1), base.dropDuplicates(["a"]), base.sample(0.5),
        base.withColumn("now", F.current_timestamp()), base.groupBy("a").agg(F.first("all")),
        base.where(F.col("a") > base.agg(F.first("a")).scalar()),
    ]
    for frame in suspicious:
        assert plan_randomness(frame, [base, other]) is not None
