"""What fits of Spark ML say of themselves: the slots of a pipeline by name, steps of a training, points of a search."""

from __future__ import annotations

import pytest
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression, RandomForestClassifier
from pyspark.ml.clustering import KMeans
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.ml.tuning import ParamGridBuilder, TrainValidationSplit
from pyspark.sql import SparkSession

from helix_spark.engine.results.fitted_cards import card_of_model
from helix_spark.history.model_card import card_from
from tests.spark.workflows import PEOPLE

pytestmark = [pytest.mark.spark, pytest.mark.long]


def test_models_say_what_they_weigh_by_name_and_how_they_were_trained(spark: SparkSession) -> None:
    rows = spark.createDataFrame(PEOPLE).selectExpr("*", "double(age > 40) as label")
    stages = [
        StringIndexer(inputCols=["sex"], outputCols=["sex_index"]),
        OneHotEncoder(inputCols=["sex_index"], outputCols=["sex_vector"], dropLast=False),
        VectorAssembler(inputCols=["age", "sex_vector"], outputCol="features"),
    ]
    prepared = Pipeline(stages=stages).fit(rows).transform(rows)
    whole = card_of_model(Pipeline(stages=[*stages, LogisticRegression(maxIter=3)]).fit(rows))
    assert whole.parts[0].kind == "StringIndexerModel"
    fit = whole.parts[-1]
    assert {name.split(" = ")[0] for name, _ in fit.weights} == {"age", "sex_index"}
    assert fit.slots == 1 + len({row.sex for row in rows.collect()})
    assert len(fit.history) >= 2
    assert ("maxIter", "3", True) in fit.parameters
    forest = card_of_model(RandomForestClassifier(numTrees=2, seed=1).fit(prepared), ["age", "a", "b"])
    assert dict(forest.figures)["trees"] == 2
    assert forest.columns == ("importance",)
    centers = card_of_model(KMeans(k=2, seed=1).fit(prepared))
    assert centers.columns == ("center 0", "center 1")
    learner = LogisticRegression()
    search = TrainValidationSplit(
        estimator=learner, evaluator=MulticlassClassificationEvaluator(), seed=1,
        estimatorParamMaps=ParamGridBuilder().addGrid(learner.regParam, [0.1, 0.2]).build(),
    ).fit(prepared)
    found = card_of_model(search)
    assert {name for name, _, _ in found.parameters} >= {"seed", "trainRatio"}
    assert not any("regParam" in value for _, value, _ in found.parameters), "its names are drawn anew each time"
    assert [name for name, _ in found.figures] == ["score at regParam=0.1", "score at regParam=0.2"]
    assert all(card_from(card.text()) == card for card in (whole, forest, centers, found))
