"""Fits of Spark ML tell which features had no influence."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml.classification import DecisionTreeClassifier, LogisticRegression
from pyspark.ml.clustering import KMeans
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.history.feature_weights import feature_weights
from helix_spark.run.iteration import Iteration
from tests.fakes.observer import Warned
from tests.fakes.policy import loading
from tests.spark.workflows import PEOPLE, computed

pytestmark = pytest.mark.spark

L1 = {"regParam": 0.02, "elasticNetParam": 1.0, "maxIter": 30}


@dataclass(frozen=True)
class Learning:
    """One version of a workflow with an extractor that tells nothing, `same`; each field is something to edit."""

    learner: Any = LogisticRegression
    parameters: dict[str, Any] = field(default_factory=lambda: dict(L1))
    label: str = "age < 40"
    offset: float = 0.0

    def workflow(self) -> hx.Workflow:
        wf = hx.Workflow("learning")
        offset = self.offset
        wf.source("data", hx.table(PEOPLE))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.where(data.age > 20)

        @wf.extractor
        def same(rows: DataFrame) -> Column:
            return F.lit(1.0) + rows.rich * offset

        sex = wf.extractor("sex_is", hx.OneHot("sex", drop_last=False), on=rows)
        work = wf.extractor("work_is", hx.OneHot("work"), on=rows)
        age = wf.extractor("age", hx.Fields("age"), on=rows)
        examples = wf.synthesizer(
            "examples", rows, features=[sex, same, age, work], label=self.label, split=hx.HashSplit(test=0.3)
        )
        model = wf.learner("model", self.learner, on=examples, **self.parameters)
        wf.predict("predictions", model, examples)

        @wf.reducer(output=True)
        def predicted(predictions: pd.DataFrame) -> list[float]:
            return sorted(predictions.prediction.tolist())

        return wf


class Runs:
    """Runs versions one after the other, each as a process of its own would: nothing is held in memory."""

    def __init__(self, folder: Path, spark: SparkSession) -> None:
        self.folder, self.spark, self.heard = folder, spark, Warned()

    def helix(self, policy: str = "always") -> hx.Helix:
        self.heard = Warned()
        return hx.Helix(self.folder, policy=loading(policy), spark=self.spark, observer=self.heard)

    def __call__(self, policy: str = "always", **edits: Any) -> Iteration:
        with self.helix(policy) as helix:
            iteration = helix.run(Learning(**edits).workflow())
            iteration.wait()
            return iteration

    def told(self, **edits: Any) -> dict[str, bool]:
        """By feature, whether the fit on record gave it no weight."""
        with self.helix() as helix:
            workflow = Learning(**edits).workflow()
            found = list(feature_weights(compile_workflow(workflow), helix.plan(workflow), helix.catalog))
        return {one.feature: one.without_influence for one in found}


@pytest.fixture
def run(tmp_path: Path, spark: SparkSession) -> Runs:
    return Runs(tmp_path / "catalog", spark)


@pytest.mark.long
def test_a_feature_without_weight_is_told(run: Runs) -> None:
    run()
    again = run()
    assert computed(again) == set()
    assert run.told()["same"]

    # The examples are loaded now: which slots are whose was stored with them.
    tried = run(parameters={**L1, "regParam": 0.1})
    assert computed(tried) == {"model", "predictions", "predicted"}
    told = run.told(parameters={**L1, "regParam": 0.1})
    assert set(told) == {"sex_is", "same", "age", "work_is"}
    assert told["same"]


@pytest.mark.long
def test_a_tree_tells_what_it_does_not_split_by(run: Runs) -> None:
    tree = {"learner": DecisionTreeClassifier, "parameters": {"maxDepth": 3, "seed": 1}}
    run(**tree)
    assert {name for name, is_weightless in run.told(**tree).items() if is_weightless} == {"sex_is", "same", "work_is"}


@pytest.mark.long
def test_weights_of_several_classes(run: Runs) -> None:
    classes = {"label": "int(age / 20)"}
    run("never", **classes)
    told = run.told(**classes)
    assert told["same"]
    assert not told["age"]


@pytest.mark.long
def test_a_model_without_weights_tells_nothing(run: Runs) -> None:
    clusters = {"learner": KMeans, "parameters": {"k": 2, "seed": 1}}
    run(**clusters)
    assert run.told(**clusters) == {}
