"""Who is handed a model gets one of its own, with all that the fitted one had."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.ml import Pipeline
from pyspark.ml.classification import (
    FMClassifier,
    LinearSVC,
    LogisticRegression,
    MultilayerPerceptronClassifier,
    OneVsRest,
    RandomForestClassifier,
)
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession

from helix_spark.engine.results.node_results import ModelResult

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def examples(spark: SparkSession) -> DataFrame:
    rows = spark.range(40).selectExpr("cast(id % 2 AS double) AS label", "id % 7 AS a", "id * id % 5 AS b")
    return VectorAssembler(inputCols=["a", "b"], outputCol="features").transform(rows).cache()


def summary(model: Any) -> Any:
    return model.summary() if callable(model.summary) else model.summary


LEARNERS: dict[type, dict[str, Any]] = {
    RandomForestClassifier: {"numTrees": 3, "seed": 1}, LinearSVC: {"maxIter": 2}, LogisticRegression: {"maxIter": 2},
    MultilayerPerceptronClassifier: {"layers": [2, 2], "maxIter": 2, "seed": 1},
    FMClassifier: {"maxIter": 2, "seed": 1},
}


SHORT = {RandomForestClassifier, LogisticRegression}


@pytest.mark.parametrize("learner", [
    pytest.param(one, marks=[] if one in SHORT else pytest.mark.long, id=one.__name__) for one in LEARNERS
])
def test_a_copy_has_the_summary_of_its_training(examples: DataFrame, learner: type) -> None:
    fitted = learner(**LEARNERS[learner]).fit(examples)
    copied = ModelResult(fitted).copy()
    assert copied.hasSummary
    assert summary(copied).accuracy == summary(fitted).accuracy
    copied.setPredictionCol("guess")
    assert fitted.getPredictionCol() == "prediction", "it is a copy"


@pytest.mark.long
def test_so_have_models_inside_another_one(examples: DataFrame) -> None:
    inner = LinearSVC(maxIter=1)
    grid = ParamGridBuilder().addGrid(inner.regParam, [0.1]).build()
    search = CrossValidator(
        estimator=inner, estimatorParamMaps=grid, evaluator=BinaryClassificationEvaluator(), numFolds=2, seed=1
    )
    assert ModelResult(Pipeline(stages=[inner]).fit(examples)).copy().stages[0].hasSummary
    assert ModelResult(OneVsRest(classifier=inner).fit(examples)).copy().models[0].hasSummary
    found = search.fit(examples)
    copied = ModelResult(found).copy()
    assert copied.bestModel.hasSummary
    copied.bestModel.setPredictionCol("guess")
    copied.avgMetrics.clear()
    assert (found.bestModel.getPredictionCol(), len(found.avgMetrics)) == ("prediction", 1), "it is a copy"
    assert copied.transform(examples).columns[-1] == "guess"


@pytest.mark.long
def test_a_model_that_was_loaded_has_none_and_needs_none(examples: DataFrame, tmp_path: Any) -> None:
    fitted = RandomForestClassifier(numTrees=3, seed=1).fit(examples)
    fitted.write().save(str(tmp_path / "model"))
    loaded = type(fitted).load(str(tmp_path / "model"))
    assert not ModelResult(loaded).copy().hasSummary
