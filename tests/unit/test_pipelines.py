"""Which workflows no pipeline of Spark ML's holds, and what is said of them. Without Spark; see tests/spark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.ml.clustering import KMeans
from pyspark.sql import Column, DataFrame

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.engine.lowering.columns import SourceColumn, pipeline
from helix_spark.engine.results.node_results import ModelResult, NodeResult, ValueResult
from helix_spark.errors import HelixError, OperatorError

LEARNER = "pyspark.ml.classification.LogisticRegression"


@dataclass(frozen=True)
class FeaturesModel:
    """A model of Spark ML that reads one column, or names none."""

    features: str

    def hasParam(self, name: str) -> bool:  # noqa: N802 - as pyspark calls it
        return bool(self.features)

    def getOrDefault(self, name: str) -> str:  # noqa: N802 - as above
        return self.features


def refused(wf: hx.Workflow, learner: str = "model", features: str = "features") -> str:
    """What is said of a learner whose model reads this column."""
    dag = compile_workflow(wf)
    model = FeaturesModel(features)

    def result(name: str) -> NodeResult:
        return ModelResult(model) if name == learner else ValueResult(["a"])

    with pytest.raises(OperatorError) as caught:
        pipeline(dag[learner], dag, result)
    return str(caught.value)


def base(**synthesizer: Any) -> tuple[hx.Workflow, hx.NodeRef]:
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("a.csv", schema="a double, b string"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data

    @wf.extractor
    def doubled(rows: DataFrame) -> Column:
        return rows.a * 2

    return wf, doubled


def test_a_function_among_the_features_is_named_with_what_to_do() -> None:
    wf, doubled = base()
    plain = wf.extractor("b_is", hx.OneHot("b"), on="rows")
    examples = wf.synthesizer("examples", "rows", features=[plain, doubled], label="a > 1")
    wf.learner("model", LEARNER, on=examples, output=True)
    text = refused(wf)
    assert "extractor 'doubled', of which 'examples' is made, is a function" in text
    assert f"at {__file__}:" in text
    assert "add the column where 'rows' is made" in text
    assert "wf.extractor('doubled', hx.Fields('doubled'), on=rows)" in text


def test_a_function_that_a_ready_made_extractor_reads_is_one_among_them() -> None:
    wf, doubled = base()
    bucket = wf.extractor("bucket", hx.Bucketizer(doubled, bins=2), on="rows")
    examples = wf.synthesizer("examples", "rows", features=[bucket], label="a > 1")
    wf.learner("model", LEARNER, on=examples, output=True)
    assert "extractor 'doubled', of which 'examples' is made, is a function" in refused(wf)


def test_examples_of_a_function_and_models_of_one() -> None:
    wf, _ = base()

    @wf.synthesizer
    def examples(rows: DataFrame) -> DataFrame:
        return rows

    wf.learner("model", LEARNER, on=examples, output=True)

    @wf.learner(output=True)
    def own(examples: DataFrame) -> Any:
        return KMeans().fit(examples)

    assert "'model' is fitted on synthesizer 'examples', and what makes its columns is a function's" in refused(wf)
    assert "learner 'own' is no estimator of Spark ML's on examples" in refused(wf, "own")


def test_what_examples_keep_of_extractors_no_model_may_read() -> None:
    wf, doubled = base()
    plain = wf.extractor("b_is", hx.OneHot("b"), on="rows")
    examples = wf.synthesizer("examples", "rows", features=[plain], label="a > 1", keep=[doubled, "a"])
    wf.learner("model", LEARNER, on=examples, output=True)
    for features in ("doubled", ""):  # another column; a pipeline or a search, which does not say
        text = refused(wf, features=features)
        assert "'model' may read other columns than `features`, and 'examples' keeps doubled of extractors" in text


def test_what_is_no_learner_of_the_iteration_is_refused(tmp_path: Path) -> None:
    import pandas as pd

    wf = hx.Workflow("plain")
    wf.source("data", hx.table(pd.DataFrame({"a": [1]})))

    @wf.reducer(output=True)
    def total(data: pd.DataFrame) -> int:
        return int(data.a.sum())

    with hx.Helix(tmp_path / "catalog") as helix:
        made = helix.run(wf)
        with pytest.raises(OperatorError, match="reducer 'total' is no estimator"):
            made.pipeline("total")
        with pytest.raises(HelixError, match="no node is named 'modle'"):
            made.pipeline("modle")


def test_columns_that_are_taken_again_are_text_as_well() -> None:
    assert SourceColumn("a `b`.c").sql == "`a ``b``.c`"
    assert SourceColumn("age", as_number=True).sql == "coalesce(CAST(`age` AS DOUBLE), CAST('NaN' AS DOUBLE))"
