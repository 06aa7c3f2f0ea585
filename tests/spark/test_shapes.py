"""Shapes that workflows come in, beyond the plain ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.ml.evaluation import BinaryClassificationEvaluator, ClusteringEvaluator
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.errors import OperatorError
from helix_spark.plans.nondeterminism import chance_in, choices_in
from helix_spark.plans.plan_messages import messages
from helix_spark.plans.written_plan import relation_of
from tests.fakes.policy import loading
from tests.spark.workflows import PEOPLE, computed

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
    with pytest.raises(OperatorError, match="already have a column of that name"):
        wf.synthesizer("examples", data, features=[label], label="rich", keep=[label])


def phrases(frame: DataFrame) -> str | None:
    """Why the rows of a table may differ each time."""
    parts = list(messages(relation_of(frame)))  # type: ignore[arg-type]  # a client's
    return next(iter((*chance_in(parts), *choices_in(parts))), None)


def test_what_is_collected_and_sorted_is_no_chance(spark: SparkSession) -> None:
    frame = spark.createDataFrame(pd.DataFrame({"a": [1, 1, 2], "b": [1, 2, 3]}))
    collected = F.collect_list(F.struct("b"))
    assert phrases(frame.groupBy("a").agg(F.sort_array(collected))) is None
    assert phrases(frame.groupBy("a").agg(F.sort_array(F.collect_set("b"), asc=False))) is None
    assert "collect_list" in str(phrases(frame.groupBy("a").agg(collected)))
    both = frame.groupBy("a").agg(F.sort_array(collected), F.collect_list("b"))
    assert "collect_list" in str(phrases(both))
    assert "string_agg" in str(phrases(frame.groupBy("a").agg(F.string_agg(F.col("b").cast("string")))))


def test_distinct_is_no_chance_and_one_row_of_many_is(spark: SparkSession) -> None:
    frame = spark.createDataFrame(pd.DataFrame({"a": [1, 1, 2], "b": [1, 2, 3]}))
    assert phrases(frame.distinct()) is None
    assert "dropDuplicates" in str(phrases(frame.dropDuplicates(["a"])))
    assert "dropDuplicates" in str(phrases(frame.distinct().join(frame.dropDuplicates(["a"]), "a")))


def answer(helix_folder: Path, spark: SparkSession, wf: hx.Workflow) -> Any:
    with hx.Helix(helix_folder, policy="never", spark=spark) as helix:
        return dict(helix.run(wf).outputs)


def test_an_extractor_gets_its_other_tables_as_it_asks_for_them(tmp_path: Path, spark: SparkSession) -> None:
    wf = hx.Workflow("lookup")
    data = wf.source("data", hx.table(PEOPLE))
    wf.source("pay", hx.table(pd.DataFrame({"work": ["office", "field"], "pays": [3.0, 2.0]})))

    @wf.extractor
    def pays(data: DataFrame, pay: pd.DataFrame) -> Column:
        found = F.lit(1.0)
        for row in pay.itertuples():
            found = F.when(data.work == row.work, row.pays).otherwise(found)
        return found

    @wf.extractor
    def most(data: DataFrame, pay: pa.Table) -> Column:
        return F.lit(max(pay["pays"].to_pylist())) + data.age * 0

    wf.synthesizer("examples", data, features=[pays, most], keep=["work", pays])

    @wf.reducer(output=True)
    def by_work(examples: pd.DataFrame) -> dict[str, list[float]]:
        return {str(work): sorted(set(some.pays)) for work, some in examples.groupby("work")}

    @wf.reducer(output=True)
    def vector(examples: pd.DataFrame) -> list[float]:
        return [float(number) for number in examples[examples.work == "field"].features.iloc[0]]

    assert answer(tmp_path, spark, wf) == {
        "by_work": {"field": [2.0], "home": [1.0], "office": [3.0]}, "vector": [2.0, 3.0],
    }


def test_an_optional_table_comes_in_the_form_of_the_table(tmp_path: Path, spark: SparkSession) -> None:
    wf = hx.Workflow("optional")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.where("age > 30")

    @wf.reducer(output=True)
    def kinds(
        data: pd.DataFrame | None = None, rows: pa.Table | None = None, more: DataFrame | None = None,
    ) -> list[str]:
        return [f"{type(one).__module__.split('.')[0]}.{type(one).__name__}" for one in (data, rows, more)]

    assert answer(tmp_path, spark, wf) == {"kinds": ["pandas.DataFrame", "pyarrow.Table", "builtins.NoneType"]}


ODD = PEOPLE.rename(columns={"age": "Age.Years", "sex": "Sex.Is", "work": "a `work`"})


def features_of_columns(people: pd.DataFrame, age: str, sex: str, work: str) -> hx.Workflow:
    """Every ready-made operator, over columns of these names."""
    wf = hx.Workflow("named")
    wf.source("data", hx.table(people))
    data = wf.scanner("narrow", hx.Fields(age, sex, work, "rich"), on="data")
    features = [
        wf.extractor("age_of", hx.Fields(age), on=data), wf.extractor("both", hx.Fields(age, "rich"), on=data),
        wf.extractor("sex_is", hx.OneHot(sex), on=data), wf.extractor("work_is", hx.OneHot(work), on=data),
        wf.extractor("bucket", hx.Bucketizer(age, bins=3), on=data),
        wf.extractor("decade", hx.Bucketizer(age, splits=[30, 40], one_hot=True), on=data),
        wf.extractor("product", hx.Interaction(age, "rich"), on=data),
    ]
    wf.synthesizer(
        "examples", data, features=features, label="rich", split=hx.HashSplit(test=0.3, key=[age, sex]),
        keep=[age, sex, work],
    )

    @wf.reducer(output=True)
    def told(examples: pd.DataFrame) -> list[list[object]]:
        vectors = [tuple(float(number) for number in vector) for vector in examples.features]
        columns = (vectors, examples.label, examples.split, examples[age], examples[sex], examples[work])
        return sorted([list(row) for row in zip(*columns, strict=True)], key=str)

    return wf


def test_a_column_may_have_a_dot_in_its_name(tmp_path: Path, spark: SparkSession) -> None:
    odd = answer(tmp_path / "odd", spark, features_of_columns(ODD, "Age.Years", "Sex.Is", "a `work`"))
    assert odd == answer(tmp_path / "plain", spark, features_of_columns(PEOPLE, "age", "sex", "work"))
    assert len(odd["told"]) == len(PEOPLE)


def test_predictions_keep_what_the_evaluators_of_spark_ml_look_at(tmp_path: Path, spark: SparkSession) -> None:
    wf = hx.Workflow("evaluated")
    data = wf.source("data", hx.table(PEOPLE))
    age = wf.extractor("age_of", hx.Fields("age"), on=data)
    examples = wf.synthesizer("examples", data, features=[age], label="rich")
    wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=examples, maxIter=2)
    wf.learner("clusters", "pyspark.ml.clustering.KMeans", on=examples, k=2, seed=1)
    wf.predict("scored", "model", examples, keep_columns=["rawPrediction"], output=True)
    wf.predict("assigned", "clusters", examples, keep_columns=["features"])

    @wf.reducer(output=True)
    def auc(scored: DataFrame) -> float:
        return BinaryClassificationEvaluator().evaluate(scored)

    @wf.reducer(output=True)
    def silhouette(assigned: DataFrame) -> float:
        return ClusteringEvaluator().evaluate(assigned)

    with hx.Helix(tmp_path, policy=loading("always"), spark=spark) as helix:
        first = helix.run(wf)
        assert 0 <= first["auc"] <= 1
        assert first["silhouette"] > 0.5
        assert set(first.table("scored").columns) == {"label", "prediction", "probability", "rawPrediction"}
        assert set(first.table("assigned").columns) == {"features", "label", "prediction"}
        first.wait()
        assert computed(helix.run(wf)) == set()


def test_the_groups_of_a_table_that_pandas_made_are_a_column_of_it(tmp_path: Path, spark: SparkSession) -> None:
    wf = hx.Workflow("grouped")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner
    def mean_age(data: pd.DataFrame) -> pd.DataFrame:
        return data.groupby(["sex", "work"])[["age"]].mean()

    @wf.reducer(output=True)
    def groups(mean_age: DataFrame) -> int:
        return mean_age.select("sex", "work").distinct().count()

    assert answer(tmp_path, spark, wf) == {"groups": len(PEOPLE.groupby(["sex", "work"]))}
