"""Columns that nothing reads are not stored; what reads them later computes them again, and is told why."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.ml.feature import CountVectorizer, FeatureHasher
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from workflows import Heard, computed, loading

import helix_spark as hx
from helix_spark.capture import captured_function
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.dag.columns_read import Reads
from helix_spark.iteration.iteration import Iteration
from helix_spark.planner.problem import State

pytestmark = pytest.mark.spark

ROWS = 400
DATA = pd.DataFrame({
    "key": range(ROWS), "age": [float(20 + i % 40) for i in range(ROWS)],
    "sex": ["F" if i % 3 else "M" for i in range(ROWS)],
    "story": [f"{i * 7919 % 104729:08d} told at length {i}" * 5 for i in range(ROWS)],
    "notes": [f"{i * 104729 % 7919:08d} and noted {i}" * 5 for i in range(ROWS)],
})
Read = Callable[[DataFrame], DataFrame]


def old(rows: DataFrame) -> DataFrame:
    return rows.where("age > 30").groupBy("sex").agg(F.sum("age").alias("x"))


def older(rows: DataFrame) -> DataFrame:
    return rows.where("age > 40").groupBy("sex").agg(F.sum("age").alias("x"))


def letters(rows: DataFrame) -> DataFrame:
    return rows.groupBy("sex").agg(F.sum(F.length("story")).alias("x"))


def everything(rows: DataFrame) -> DataFrame:
    return rows.select("*").groupBy("sex").agg(F.sum(F.hash(*rows.columns).cast("long")).alias("x"))


def counted(rows: DataFrame) -> DataFrame:
    return rows.select(F.lit("n").alias("sex"), F.lit(len(rows.columns)).alias("x")).limit(1)


def workflow(
    read: Read, *, in_pandas: bool = False, output: bool = False, again: int = 0, **wishes: Any
) -> hx.Workflow:
    """data -> rows -> read -> answer; `read` is what an author edits."""
    wf = hx.Workflow("narrow")
    wf.source("data", hx.table(DATA))

    @wf.scanner(output=output, **wishes)
    def rows(data: DataFrame) -> DataFrame:
        return data.where("key >= 0").withColumn("age", F.col("age") + 1)

    wf.scanner(name="found")(read)

    @wf.reducer(output=True)
    def answer(found: pd.DataFrame) -> dict[str, float]:
        return {str(row.sex): float(row.x) + again for row in found.itertuples()}

    if in_pandas:
        @wf.reducer(output=True)
        def told(rows: pd.DataFrame) -> int:
            return int(rows.story.str.len().sum())

    return wf


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture(scope="module")
def after_old(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Path:
    """A catalog in which `workflow(old)` was run."""
    folder, heard = tmp_path_factory.mktemp("old") / "catalog", Heard()
    with hx.Helix(folder, policy=loading("always"), spark=spark, observer=heard) as helix:
        helix.run(workflow(old)).wait()
    assert heard.warnings == []
    return folder


@pytest.fixture
def old_was_run(after_old: Path, catalog: Path) -> None:
    shutil.copytree(after_old, catalog)


@pytest.fixture
def run(catalog: Path, spark: SparkSession, heard: Heard) -> Callable[..., Iteration]:
    def once(wf: hx.Workflow, folder: Path = catalog) -> Iteration:
        with hx.Helix(folder, policy=loading("always"), spark=spark, observer=heard) as helix:
            iteration = helix.run(wf)
            iteration.wait()
            return iteration

    return once


def stored(catalog: Path, node: str = "rows") -> ArtifactRecord:
    (record,) = [one for one in Catalog.open(catalog, create=False).live() if one.node == node]
    return record


def in_files(catalog: Path, node: str = "rows") -> list[str]:
    """Names of the columns that the Delta table of a node has."""
    opened = Catalog.open(catalog, create=False)
    return [field.name for field in DeltaTable(str(opened.path_of(stored(catalog, node)))).schema().fields]


def from_scratch(run: Callable[..., Iteration], wf: hx.Workflow, tmp_path: Path) -> Any:
    return run(wf, tmp_path / "scratch").outputs


@pytest.mark.usefixtures("old_was_run")
def test_columns_that_nothing_reads_are_not_stored(
    run: Callable[..., Iteration], catalog: Path, tmp_path: Path
) -> None:
    assert in_files(catalog) == ["age", "sex"]
    record = stored(catalog)
    assert record.left_out == ("key", "story", "notes")
    assert [field["name"] for field in json.loads(record.schema or "")["fields"]] == list(DATA.columns)
    run(workflow(old, keep="always"), tmp_path / "whole")
    whole = stored(tmp_path / "whole")
    assert whole.left_out == ()
    assert record.bytes < whole.bytes / 2


@pytest.mark.usefixtures("old_was_run")
def test_an_audit_compares_the_columns_that_are_stored(
    run: Callable[..., Iteration], catalog: Path, spark: SparkSession
) -> None:
    assert stored(catalog).left_out
    with hx.Helix(catalog, spark=spark) as helix:
        found = {one.node: one.verdict for one in helix.audit(workflow(old)).results}
    assert found["rows"] == "verified"


@pytest.mark.usefixtures("old_was_run")
def test_what_reads_held_columns_loads_and_gives_the_same(
    run: Callable[..., Iteration], catalog: Path, heard: Heard, tmp_path: Path
) -> None:
    again = run(workflow(older))
    assert again.plan["rows"].state is State.LOAD
    assert again.outputs == from_scratch(run, workflow(older), tmp_path)
    assert again.table("rows").schema.names == list(DATA.columns)
    assert "without `key`, `story`, `notes`, which nothing reads" in again.plan["rows"].storage_reason
    assert run(workflow(older, again=1)).plan["found"].state is State.LOAD
    assert heard.warnings == []


@pytest.mark.parametrize("read", [letters, pytest.param(everything, marks=pytest.mark.long)])
@pytest.mark.usefixtures("old_was_run")
def test_what_reads_a_column_that_was_left_out_computes_says_why_and_stores_more(
    run: Callable[..., Iteration], catalog: Path, heard: Heard, tmp_path: Path, read: Read
) -> None:
    before = stored(catalog)
    again = run(workflow(read))
    assert "rows" in computed(again)
    assert again.outputs == from_scratch(run, workflow(read), tmp_path)
    assert again.plan["rows"].reason.startswith("stored without ")
    assert again.plan["rows"].reason.endswith(", which `found` reads")
    after = stored(catalog)
    assert {"age", "sex", "story"} <= set(in_files(catalog))
    assert set(after.left_out) < set(before.left_out)
    assert not Catalog.open(catalog, create=False).path_of(before).exists()
    back = run(workflow(old, again=3))
    assert run(workflow(older)).plan["rows"].state is State.LOAD
    assert back.outputs == from_scratch(run, workflow(old, again=3), tmp_path)
    assert heard.warnings == []


@pytest.mark.usefixtures("old_was_run")
def test_a_function_that_looks_at_names_sees_all_of_them(run: Callable[..., Iteration], catalog: Path) -> None:
    again = run(workflow(counted))
    assert again.plan["rows"].state is State.LOAD
    assert again["answer"] == {"n": 5.0}


@pytest.mark.parametrize("wf", [
    workflow(old, output=True), workflow(old, in_pandas=True),
    *(pytest.param(one, marks=pytest.mark.long) for one in (workflow(older, keep="always"), workflow(everything))),
])
@pytest.mark.usefixtures("old_was_run")
def test_what_is_wanted_whole_is_stored_whole_and_replaces_what_is_not(
    run: Callable[..., Iteration], catalog: Path, tmp_path: Path, wf: hx.Workflow
) -> None:
    assert stored(catalog).left_out
    again = run(wf)
    assert "rows" in computed(again)
    assert again.outputs == from_scratch(run, wf, tmp_path)
    assert stored(catalog).left_out == ()
    assert run(wf).plan["rows"].state is not State.COMPUTE


def test_a_table_that_is_read_twice_is_not_persisted_with_what_it_lacks(
    run: Callable[..., Iteration], tmp_path: Path
) -> None:
    def build(least: int) -> hx.Workflow:
        wf = workflow(old)

        @wf.scanner
        def few(rows: DataFrame) -> DataFrame:
            return rows.where(f"age < {least}").groupBy("sex").agg(F.count("age").alias("x"))

        @wf.scanner
        def many(rows: DataFrame) -> DataFrame:
            return rows.where(f"age > {least}").groupBy("sex").agg(F.count("age").alias("x"))

        @wf.reducer(output=True)
        def total(few: pd.DataFrame, many: pd.DataFrame) -> int:
            return int(few.x.sum()) * 1000 + int(many.x.sum())

        return wf

    run(build(30))
    again = run(build(40))
    assert again.plan["rows"].state is State.LOAD
    assert again.outputs == from_scratch(run, build(40), tmp_path)


@pytest.mark.usefixtures("old_was_run")
def test_a_column_that_is_read_against_all_expectation_is_computed_never_null(
    run: Callable[..., Iteration], catalog: Path, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captured_function, "columns_named", lambda plan, place: Reads(frozenset({"age", "sex"})))
    wrong = run(workflow(letters))
    assert "rows" in computed(wrong)
    assert wrong.outputs == from_scratch(run, workflow(letters), tmp_path)
    assert "the stored result of 'rows' cannot be read: a column that was not stored is read" in heard.warnings[0]
    assert "it is computed again" in heard.warnings[0]
    assert stored(catalog).left_out == ()  # what went wrong once is not tried again


@pytest.mark.usefixtures("old_was_run")
def test_who_asks_for_such_a_table_itself_is_told(run: Callable[..., Iteration], catalog: Path) -> None:
    again = run(workflow(older))
    assert again.table("rows").select("age").count() == ROWS
    with pytest.raises(Exception, match="`story` of `rows` was not stored"):
        again.table("rows").select("story").collect()
    with pytest.raises(hx.HelixError, match="is stored without key, story, notes") as caught:
        again.pandas("rows")
    assert "output=True" in (caught.value.remedy or "")


def test_extractors_and_examples_say_what_they_read(
    run: Callable[..., Iteration], catalog: Path, tmp_path: Path
) -> None:
    def build(label: str, test: float = 0.3) -> hx.Workflow:
        wf = hx.Workflow("examples")
        wf.source("data", hx.table(DATA))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.where("key >= 0")

        @wf.extractor
        def decade(rows: DataFrame) -> Column:
            return F.floor(rows.age / 10)

        sex = wf.extractor("sex_is", hx.OneHot("sex"), on=rows)
        examples = wf.synthesizer(
            "examples", rows, features=[decade, sex], label=label, split=hx.HashSplit(test=test, key=["key"])
        )
        wf.output(examples)
        return wf

    run(build("age > 30"))
    assert in_files(catalog) == ["key", "age", "sex"]
    again = run(build("age > 40", 0.2))
    assert again.plan["rows"].state is State.LOAD
    whole = run(build("age > 40", 0.2), tmp_path / "scratch")
    assert sorted(map(str, again.table("examples").collect())) == sorted(map(str, whole.table("examples").collect()))
    other = run(build("length(story) > 140"))
    assert other.plan["rows"].reason == "stored without `story`, which `examples` reads"


def test_fits_of_training_rows_say_what_these_are_told_by(
    run: Callable[..., Iteration], catalog: Path, heard: Heard, tmp_path: Path
) -> None:
    def build(bins: int) -> hx.Workflow:
        wf = hx.Workflow("divided")
        wf.source("data", hx.table(DATA))
        split = hx.HashSplit(test=0.3, key=("key",))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.where("key >= 0")

        sex = wf.extractor("sex_is", hx.OneHot("sex"), on=rows, split=split)
        decade = wf.extractor("decade", hx.Bucketizer("age", bins=bins), on=rows, split=split)
        wf.synthesizer("examples", rows, features=[sex, decade], label="age > 30", output=True)
        return wf

    run(build(2))
    assert in_files(catalog) == ["key", "age", "sex"]
    again = run(build(3))
    assert again.plan["rows"].state is State.LOAD
    assert {"decade.fit", "examples"} <= computed(again)
    whole = run(build(3), tmp_path / "scratch")
    assert sorted(map(str, again.table("examples").collect())) == sorted(map(str, whole.table("examples").collect()))
    assert heard.warnings == []


def test_feature_stages_fit_and_transform_a_table_that_lacks_the_rest(
    run: Callable[..., Iteration], catalog: Path, heard: Heard, tmp_path: Path
) -> None:
    def build(least: float) -> hx.Workflow:
        wf = hx.Workflow("stages")
        wf.source("data", hx.table(DATA))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.where("key >= 0")

        @wf.extractor
        def words(rows: DataFrame) -> Column:
            return F.split("notes", " ")

        counts = wf.extractor("counts", CountVectorizer, on=rows, inputCol=words, minDF=least)
        ages = wf.extractor("ages", "pyspark.ml.feature.Imputer", on=rows, inputCol="age", strategy="median")
        hashed = wf.extractor("hashed", FeatureHasher, on=rows, inputCols=["sex", "age"], numFeatures=16)
        label = f"age > {30 + least}"
        examples = wf.synthesizer(
            "examples", rows, features=[counts, ages, hashed], label=label, split=hx.HashSplit(key=["key"])
        )
        wf.output(examples)
        return wf

    run(build(2.0))
    assert in_files(catalog) == ["key", "age", "sex", "notes"]
    again = run(build(3.0))
    assert again.plan["rows"].state is State.LOAD
    assert {"counts", "examples"} <= computed(again)
    whole = run(build(3.0), tmp_path / "scratch")
    assert sorted(map(str, again.table("examples").collect())) == sorted(map(str, whole.table("examples").collect()))
    assert heard.warnings == []


def test_a_record_without_the_field_is_of_a_whole_table(catalog: Path, run: Callable[..., Iteration]) -> None:
    run(workflow(old, keep="always"))
    fields = {field.name: field.default for field in dataclasses.fields(ArtifactRecord)}
    assert fields["left_out"] == ()
    assert stored(catalog).left_out == ()
