"""What a plan finds without Spark: columns, parameters of stages by name and type, options of readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.errors import ColumnNotFoundError, HelixError, OperatorError
from helix_spark.planner.plan import Plan

PATH = "pyspark.ml.classification.LogisticRegression"
TABLE = pd.DataFrame({"key": [1], "age": [1.0], "sex": ["F"], "y": [1.0]})


def planned(folder: Path, declare: Callable[[hx.Workflow, hx.NodeRef], Any]) -> Plan:
    wf = hx.Workflow("w")
    made = declare(wf, wf.source("data", hx.table(TABLE)))
    wf.output(*(made if isinstance(made, tuple) else (made,)))
    with hx.Helix(folder / "catalog") as helix:
        return helix.plan(wf)


def examples(wf: hx.Workflow, data: hx.NodeRef, **more: Any) -> hx.NodeRef:
    age = wf.extractor("age_of", hx.Fields("age"), on=data)
    return wf.synthesizer("examples", data, features=[age], **{"label": "y", **more})


def scanned(build: Callable[[DataFrame], DataFrame]) -> Callable[[hx.Workflow, hx.NodeRef], Any]:
    def declare(wf: hx.Workflow, data: hx.NodeRef) -> Any:
        def rows(data: DataFrame) -> DataFrame:
            return build(data)

        return wf.scanner(rows)

    return declare


def extracted(wf: hx.Workflow, data: hx.NodeRef) -> Any:
    @wf.extractor
    def older(data: DataFrame) -> Column:
        return data.agee + 1

    return wf.synthesizer("examples", data, features=[older], label="y")


@pytest.mark.parametrize(("declare", "column"), [
    (lambda wf, data: wf.scanner("rows", hx.Fields("agee"), on=data), "agee"),
    (lambda wf, data: examples(wf, data, keep=["sexx"]), "sexx"),
    (lambda wf, data: examples(wf, data, split=hx.HashSplit(key=["keyy"])), "keyy"),
    (lambda wf, data: examples(wf, data, split="part"), "part"),
    (lambda wf, data: examples(wf, data, split=hx.TimeSplit("day", before=3)), "day"),
    (lambda wf, data: wf.synthesizer(
        "e", data, features=[wf.extractor("s", hx.OneHot("sx"), on=data)], label="y"), "sx"),
    (lambda wf, data: wf.synthesizer(
        "e", data, features=[wf.extractor("s", StringIndexer, on=data, inputCol="sx")], label="y"), "sx"),
    (lambda wf, data: wf.learner("m", PATH, on=examples(wf, data), weightCol="w"), "w"),
    (lambda wf, data: wf.learner("m", PATH, on=examples(wf, data, label=None)), "label"),
    (lambda wf, data: wf.learner("m", PATH, on=data, labelCol="y"), "features"),
    (extracted, "agee"),
    (scanned(lambda data: data.where(data.agee > 1)), "agee"),
    (scanned(lambda data: data.select("age", "sexx")), "sexx"),
    (scanned(lambda data: data.withColumn("more", F.col("ag") + 1).where("more > 1").where(F.col("more") > 0)), None),
    (scanned(lambda data: data.withColumn("more", F.col("ag") + 1).where(F.col("more") > 0)), "ag"),
])
def test_a_column_that_a_table_does_not_have_is_told_by_a_plan(
    tmp_path: Path, declare: Any, column: str | None
) -> None:
    if column is None:  # SQL text may make a column
        planned(tmp_path, declare)
        return
    with pytest.raises(ColumnNotFoundError) as caught:
        planned(tmp_path, declare)
    assert f"reads column {column!r}, which" in str(caught.value)
    assert "there are:" in str(caught.value)
    assert f"{__file__}:" in str(caught.value)


@pytest.mark.parametrize("declare", [
    scanned(lambda data: data.select("AGE", F.col("Sex"))),
    scanned(lambda data: data.select(F.explode(F.array("age"))).where(F.col("col") > 1)),
    scanned(lambda data: data.select(F.upper("sex")).where(F.col("upper(sex)") == "F")),
    scanned(lambda data: data.withColumn("more", F.col("age")).select((F.col("more") + 1).alias("one"), "more")),
    scanned(lambda data: data.alias("d").where(F.col("d.age") > 1)),
    scanned(lambda data: data.groupBy("sex").count().where(F.col("count") > 1)),
    scanned(lambda data: data.select(F.transform(F.array("age"), lambda one: one + 1).alias("made"))),
    lambda wf, data: wf.learner("m", PATH, on=examples(wf, data), featuresCol="features", predictionCol="mine"),
    lambda wf, data: wf.learner("m", "pyspark.ml.clustering.KMeans", on=examples(wf, data, label=None)),
])
def test_columns_that_are_there_or_made_on_the_way_are_not_told(tmp_path: Path, declare: Any) -> None:
    assert planned(tmp_path, declare).nodes


@pytest.mark.parametrize(("what", "given", "words"), [
    (LogisticRegression, {"regParm": 0.1}, ("takes no parameter 'regParm'", "did you mean 'regParam'?")),
    (PATH, {"regParm": 0.1}, ("takes no parameter 'regParm'", "did you mean 'regParam'?")),
    (LogisticRegression, {"regParam": "a"}, ("'regParam' is given 'a'", "Could not convert a to float")),
    (PATH, {"maxIter": 1.5}, ("'maxIter' is given 1.5", "to int")),
    (PATH, {"fitIntercept": "yes"}, ("'fitIntercept' is given 'yes'",)),
])
def test_a_parameter_of_another_name_or_type_is_told_by_a_plan(
    tmp_path: Path, what: Any, given: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(OperatorError) as caught:
        planned(tmp_path, lambda wf, data: wf.learner("m", what, on=examples(wf, data), **given))
    for one in (*words, f"{__file__}:"):
        assert one in str(caught.value)


def test_parameters_that_fit_are_taken(tmp_path: Path) -> None:
    given = {"regParam": 1, "maxIter": 5.0, "weightCol": None, "thresholds": [0.5, 0.5]}
    assert planned(tmp_path, lambda wf, data: wf.learner("m", PATH, on=examples(wf, data), **given)).nodes
    with pytest.raises(HelixError, match="list of strings"):
        hx.Workflow("w").extractor("x", VectorAssembler, on="data", inputCols="age")
