"""Extractors that are given the synthesizer's split learn of its training rows alone, and are made of all rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.ml.feature import StringIndexer, StringIndexerModel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.errors import ColumnNotFoundError
from helix_spark.workflow.operators import HashSplit
from tests.fakes.policy import loading
from tests.spark.workflows import PEOPLE, computed

pytestmark = pytest.mark.spark

# Of every row a category and a number of its own: what is learned tells which rows it was learned of.
TAGGED = PEOPLE.assign(tag=[f"t{i:03d}" for i in range(len(PEOPLE))], number=[i * 7919 % 1009 / 4 for i in range(200)])
SPLIT = hx.HashSplit(test=0.3, seed=1)


def build(split: HashSplit | None, of_examples: HashSplit = SPLIT) -> hx.Workflow:
    """Examples by fits of every kind, alone and in one pass with others, and what each of them learned."""
    wf = hx.Workflow("divided")
    wf.source("data", hx.table(TAGGED))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.where("age > 0")

    @wf.extractor
    def marked(rows: DataFrame) -> Column:
        return F.concat(rows.tag, F.lit("!"))

    features = [
        wf.extractor("tag_is", hx.OneHot("tag"), on=rows, split=split),
        wf.extractor("sex_is", hx.OneHot("sex"), on=rows, split=split),
        wf.extractor("marked_is", hx.OneHot(marked), on=rows, split=split),
        wf.extractor("half", hx.Bucketizer("number", bins=2), on=rows, split=split),
        wf.extractor("index", StringIndexer, on=rows, split=split, inputCol="tag", handleInvalid="keep"),
        wf.extractor("all_tags", hx.OneHot("tag"), on=rows),
    ]
    wf.synthesizer(
        "examples", rows, features=features, label="rich", split=of_examples, keep=["tag", "number"], output=True
    )

    def in_order(labels: list[str]) -> list[str]:
        return sorted(labels)

    for name in ("tag_is", "marked_is", "all_tags"):
        wf.reducer(in_order, name=f"{name}_learned", reads={"labels": f"{name}.fit"}, output=True)

    @wf.reducer(reads={"model": "index.fit"}, output=True)
    def index_learned(model: StringIndexerModel) -> list[str]:
        return sorted(model.labels)

    @wf.reducer(reads={"splits": "half.fit"}, output=True)
    def half_learned(splits: list[float]) -> list[float]:
        return splits

    return wf


@pytest.mark.parametrize("split", [
    SPLIT, pytest.param(hx.HashSplit(test=0.4, seed=2, key=("tag", "age")), marks=pytest.mark.long),
], ids=["rows", "key"])
def test_what_is_learned_is_learned_of_the_synthesizers_training_rows(
    tmp_path: Path, spark: SparkSession, split: HashSplit
) -> None:
    with hx.Helix(tmp_path, policy="never", spark=spark) as helix:
        made = helix.run(build(split, split))
        examples = made.pandas("examples")
    train = examples[examples.split == "train"]
    assert 0 < len(train) < len(examples) == len(TAGGED)
    tags = sorted(train.tag)
    assert made["tag_is_learned"] == made["index_learned"] == tags
    assert made["marked_is_learned"] == [f"{tag}!" for tag in tags]
    assert made["all_tags_learned"] == sorted(TAGGED.tag)
    halves = spark.createDataFrame(train[["number"]]).approxQuantile("number", [0.5], 0.001)
    assert made["half_learned"] == halves


def test_the_column_is_made_of_all_rows(tmp_path: Path, spark: SparkSession) -> None:
    with hx.Helix(tmp_path, policy="never", spark=spark) as helix:
        examples = helix.run(build(SPLIT)).pandas("examples")
    places = int((examples.split == "train").sum())  # of `tag_is`, the first feature
    for side, features in zip(examples.split, examples.features, strict=True):
        assert sum(features[:places]) == (1.0 if side == "train" else 0.0)


@pytest.mark.long
def test_a_split_is_an_edit_like_any_other(tmp_path: Path, spark: SparkSession) -> None:
    fits = {"tag_is.fit", "sex_is.fit", "marked_is.fit", "half.fit", "index.fit"}
    with hx.Helix(tmp_path, policy=loading("always"), spark=spark) as helix:
        first = helix.run(build(SPLIT))
        first.wait()
        assert computed(helix.run(build(SPLIT))) == set()
        other = helix.run(build(hx.HashSplit(test=0.3, seed=2)))
        assert fits | {"examples"} <= computed(other)
        assert "all_tags.fit" not in computed(other)
        assert other["tag_is_learned"] != first["tag_is_learned"]
        other.wait()
        whole = helix.run(build(None))
        assert whole["tag_is_learned"] == sorted(TAGGED.tag)
        whole.wait()
        again = helix.run(build(SPLIT))
        assert fits.isdisjoint(computed(again))
        assert again["tag_is_learned"] == first["tag_is_learned"]


@pytest.mark.parametrize("key", [("tag",), pytest.param((), marks=pytest.mark.long)], ids=["key", "rows"])
def test_on_tables_with_other_columns_the_rows_are_the_same_by_a_key(
    tmp_path: Path, spark: SparkSession, key: tuple[str, ...]
) -> None:
    split = hx.HashSplit(test=0.3, seed=1, key=key)
    wf = hx.Workflow("tables")
    data = wf.source("data", hx.table(TAGGED))
    narrow = wf.scanner("narrow", hx.Fields("tag", "rich"), on=data)
    rich = wf.extractor("rich_of", hx.Fields("rich"), on=narrow)
    wf.synthesizer("examples", narrow, features=[rich], split=split, keep=["tag"], output=True)
    wf.extractor("tag_is", hx.OneHot("tag"), on=data, split=split)

    @wf.reducer(reads={"labels": "tag_is.fit"}, output=True)
    def learned(labels: list[str]) -> list[str]:
        return sorted(labels)

    with hx.Helix(tmp_path, policy="never", spark=spark) as helix:
        made = helix.run(wf)
        examples = made.pandas("examples")
    train = examples[examples.split == "train"]
    assert (made["learned"] == sorted(train.tag)) is bool(key)


@pytest.mark.parametrize("stage", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_key_that_the_table_does_not_have(tmp_path: Path, spark: SparkSession, stage: bool) -> None:
    wf = hx.Workflow("keyless")
    data = wf.source("data", hx.table(TAGGED))
    split = hx.HashSplit(key=("tog",))
    learned = (
        wf.extractor("x", StringIndexer, on=data, split=split, inputCol="tag") if stage
        else wf.extractor("x", hx.OneHot("tag"), on=data, split=split)
    )
    wf.synthesizer("examples", data, features=[learned], output=True)
    with hx.Helix(tmp_path, policy="never", spark=spark) as helix, pytest.raises(ColumnNotFoundError) as caught:
        helix.run(wf)
    for words in ("'x.fit' reads column 'tog', which 'data' does not have", "did you mean 'tag'?"):
        assert words in str(caught.value)
