"""Splits that a table brings along, that a column names, and by time: learners fit on training rows, predictions score
test rows, extractors learn from training rows."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from pyspark.ml.classification import DecisionTreeClassifier
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.cli.main import helix
from helix_spark.errors import HelixError, OperatorError
from tests.fakes.policy import loading
from tests.spark.workflows import computed

pytestmark = pytest.mark.spark

ROWS = 60
# The label follows `x` in training rows and its opposite in test rows: a model scored on the rows that it was fitted on
# looks good, on test rows it is wrong.
TABLE = pd.DataFrame({
    "x": [float(n % 2) for n in range(ROWS)],
    "label": [float((n % 2 == 1) != (n % 3 == 0)) for n in range(ROWS)],
    "split": ["test" if n % 3 == 0 else "train" for n in range(ROWS)],
    "day": [date(2020, 1, 1) + timedelta(days=n) for n in range(ROWS)],
    "tag": [f"t{n:02d}" for n in range(ROWS)],
})
HELD_OUT = [n for n in range(ROWS) if n % 3 == 0]


def scored(wf: hx.Workflow, examples: hx.NodeRef, **rows: Any) -> hx.Workflow:
    """A learner on examples, its predictions and their accuracy."""
    model = wf.learner("model", DecisionTreeClassifier, on=examples, maxDepth=1, **rows)
    wf.predict("predictions", model, examples, **rows)

    @wf.reducer(output=True)
    def accuracy(predictions: pd.DataFrame) -> dict[str, float]:
        return {"share": float((predictions.prediction == predictions.label).mean()), "n": len(predictions)}

    return wf


def by_spark(table: pd.DataFrame = TABLE, **rows: Any) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(table))

    @wf.synthesizer
    def examples(data: DataFrame) -> DataFrame:
        return data.withColumn("features", array_to_vector(F.array("x")))

    return scored(wf, examples, **rows)


def by_pandas(**rows: Any) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(TABLE))

    @wf.scanner
    def read(data: pd.DataFrame) -> pd.DataFrame:
        return data.drop(columns="day")

    @wf.synthesizer
    def examples(read: DataFrame) -> DataFrame:
        return read.withColumn("features", array_to_vector(F.array("x")))

    return scored(wf, examples, **rows)


def assembled(split: Any = None, table: pd.DataFrame = TABLE, **rows: Any) -> hx.Workflow:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(table))
    features = [wf.extractor("x_of", hx.Fields("x"), on=data)]
    return scored(wf, wf.synthesizer("examples", data, features=features, label="label", split=split), **rows)


def run(spark: SparkSession, folder: Path, workflow: hx.Workflow) -> Any:
    with hx.Helix(folder / "catalog", policy=loading("always"), spark=spark) as session:
        made = session.run(workflow)
        made.wait()
        return made


@pytest.mark.parametrize("build", [
    by_spark, *(pytest.param(one, marks=pytest.mark.long) for one in (by_pandas, assembled)),
])
def test_a_column_split_is_the_split(spark: SparkSession, tmp_path: Path, build: Any) -> None:
    assert run(spark, tmp_path, build())["accuracy"] == {"share": 0.0, "n": len(HELD_OUT)}
    assert computed(run(spark, tmp_path, build())) == set()
    everything = run(spark, tmp_path, build(rows="all"))
    assert {"model", "predictions", "accuracy"} <= computed(everything)
    assert everything["accuracy"]["n"] == ROWS
    assert everything["accuracy"]["share"] > 0.5


DIVIDED = {
    "words": "words", "letters": "letters", "flags": "flags", "digits": "digits", "numbers": "numbers",
    "day": hx.TimeSplit("day", before="2020-02-10"), "texts": hx.TimeSplit("texts", before=date(2020, 2, 10)),
    "noon": hx.TimeSplit("day", before=datetime(2020, 2, 9, 12)), "year": hx.TimeSplit("year", before=2040),
}


QUICK = ("words", "flags", "day")


@pytest.mark.parametrize("names", [
    QUICK, pytest.param(tuple(sorted(DIVIDED.keys() - {*QUICK})), marks=pytest.mark.long),
], ids=["few", "others"])
def test_columns_that_are_named_and_times_divide_rows(
    spark: SparkSession, tmp_path: Path, names: tuple[str, ...]
) -> None:
    late = [n >= 40 for n in range(ROWS)]
    table = TABLE.drop(columns="split").assign(
        words=["test" if one else "train" for one in late], letters=["TEST" if one else "Train " for one in late],
        flags=late, digits=[int(one) for one in late], numbers=[float(one) for one in late],
        texts=TABLE.day.astype(str), year=[2000 + n for n in range(ROWS)],
    )
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(table))
    features = [wf.extractor("x_of", hx.Fields("x"), on=data)]
    wf.output(*(wf.synthesizer(name, data, features=features, split=DIVIDED[name]) for name in names))
    made = run(spark, tmp_path, wf)
    for name in names:
        assert made.pandas(name).split.tolist() == ["test" if one else "train" for one in late], name


def part(*values: Any) -> pd.DataFrame:
    """The table, with a column that has the first value in training rows and the second one in test rows."""
    return TABLE.assign(part=[values[n % 3 == 0] for n in range(ROWS)]).drop(columns="split")


@pytest.mark.parametrize(("split", "table", "words"), [
    ("part", part("train", "dev"), ("'dev'", "20 of them say neither train nor test", "filter or map")),
    ("part", part("train", None), ("such as null", '"test", true or 1')),
    ("part", part("train", "train"), ("none of them is a test row",)),
    ("prat", part(0, 1), ("reads column 'prat'", "did you mean 'part'?")),
    (hx.TimeSplit("day", before="2021-01-01"), TABLE, ("none of them is a test row", "from 2020-01-01 to 2020-02-29")),
    (hx.TimeSplit("day", before="2020-02-01"), TABLE.assign(day="soon"), ("'soon'", "before 2020-02-01")),
    (None, TABLE.assign(split=TABLE.tag), ("column 'split' of 'examples'", "rename it", 'rows="all"')),
])
def test_what_is_no_split_is_told_where_it_is_declared(
    spark: SparkSession, tmp_path: Path, split: Any, table: pd.DataFrame, words: tuple[str, ...]
) -> None:
    with pytest.raises(HelixError) as caught:
        run(spark, tmp_path, assembled(split, table))
    for one in (*words, f"{__file__}:"):
        assert one in str(caught.value)


def test_a_column_of_other_words_that_a_function_returns_is_refused_unless_all_rows_are_meant(
    spark: SparkSession, tmp_path: Path
) -> None:
    with pytest.raises(OperatorError, match="learner 'model': column 'split' of 'examples'"):
        run(spark, tmp_path, by_spark(TABLE.assign(split=TABLE.tag)))
    assert run(spark, tmp_path, by_spark(TABLE.assign(split=TABLE.tag), rows="all"))["accuracy"]["n"] == ROWS


@pytest.mark.parametrize("split", ["split", hx.TimeSplit("day", before="2020-02-10")])
def test_extractors_learn_from_training_rows(spark: SparkSession, tmp_path: Path, split: Any) -> None:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(TABLE))
    tags = wf.extractor("tag_is", hx.OneHot("tag"), on=data, split=split)
    examples = wf.synthesizer("examples", data, features=[tags], label="label", split=split, keep=["tag"])

    @wf.reducer(reads={"labels": "tag_is.fit"}, output=True)
    def learned(labels: list[str]) -> list[str]:
        return sorted(labels)

    wf.output(examples)
    made = run(spark, tmp_path, wf)
    rows = made.pandas("examples")
    assert made["learned"] == sorted(rows.tag[rows.split == "train"])


@pytest.mark.long
def test_numbers_of_training_rows_and_of_other_test_rows_are_told(spark: SparkSession, tmp_path: Path) -> None:
    table = TABLE.drop(columns="split")
    whole = run(spark, tmp_path, assembled(None, table))
    assert any("`predictions` scores rows that `model` is fitted on" in one for one in whole.plan.warnings)
    assert whole.metrics.doubt("accuracy.share") == "on rows that `model` was fitted on"
    first = run(spark, tmp_path, assembled(hx.HashSplit(test=0.3), table))
    assert first.metrics.doubts == {}
    again = run(spark, tmp_path, assembled(hx.HashSplit(test=0.3, seed=2), table))
    assert again.metrics.change_text("accuracy.share", again.before) == "on other test rows"
    passed = run(spark, tmp_path, by_pandas())  # that it is divided shows when it runs
    assert any("unless `examples` has a column `split`" in one for one in passed.plan.warnings)
    assert passed.metrics.doubts == {}
    log = CliRunner().invoke(helix, ["log", "-v", "--catalog", str(tmp_path / "catalog")]).stdout
    assert "(on rows that `model` was fitted on)" in " ".join(log.split())
