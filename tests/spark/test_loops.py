"""A loop declares several nodes of one function; each is computed, stored and reused by what it reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from pyspark.ml.feature import StringIndexer, StringIndexerModel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from tests.fakes.policy import loading
from tests.spark.workflows import PEOPLE, computed

pytestmark = pytest.mark.spark

PLACES = ("office", "field", "home")


def known(rows: DataFrame) -> StringIndexerModel:
    return StringIndexer(inputCol="work", outputCol="place").fit(rows)


def told(model: StringIndexerModel, rows: pd.DataFrame) -> list[object]:
    return [*model.labels, len(rows)]


def folds(least: float = 0.0) -> hx.Workflow:
    """A fold of each place, three learners and three reducers; `least` is an edit of the second fold alone."""
    wf = hx.Workflow("folds")
    wf.source("data", hx.table(PEOPLE))
    for place in PLACES:
        youngest = least if place == "field" else 0.0

        def fold(everybody: DataFrame, place: str = place, youngest: float = youngest) -> DataFrame:
            return everybody.where((F.col("work") == place) & (F.col("age") > youngest))

        rows = wf.scanner(fold, name=f"rows_{place}", reads={"everybody": "data"})
        model = wf.learner(known, name=f"model_{place}", reads={"rows": rows})
        wf.reducer(told, name=f"told_{place}", reads={"model": model, "rows": f"rows_{place}"}, output=True)
    return wf


def answers(least: float = 0.0) -> dict[str, list[object]]:
    old = PEOPLE[(PEOPLE.work != "field") | (PEOPLE.age > least)]
    return {f"told_{place}": [place, int((old.work == place).sum())] for place in PLACES}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Path:
    """A catalog in which the folds were run and stored; tests take copies of it."""
    folder = tmp_path_factory.mktemp("folds") / "catalog"
    with hx.Helix(folder, policy=loading("always"), spark=spark) as helix:
        first = helix.run(folds())
        assert dict(first.outputs) == answers()
        assert [first.model(f"model_{place}").labels for place in PLACES] == [[place] for place in PLACES]
        first.wait()
    return folder


@pytest.fixture
def catalog(kept: Path, tmp_path: Path) -> Path:
    return shutil.copytree(kept, tmp_path / "catalog")


@pytest.mark.long
def test_three_learners_and_three_reducers_of_one_function_each_are_loaded(catalog: Path, spark: SparkSession) -> None:
    with hx.Helix(catalog, policy=loading("always"), spark=spark) as helix:
        again = helix.run(folds())
        assert computed(again) == set()
        assert [again.model(f"model_{place}").labels for place in PLACES] == [[place] for place in PLACES]
        assert dict(again.outputs) == answers()


def test_functions_that_differ_by_a_default_are_told_apart(catalog: Path, spark: SparkSession) -> None:
    with hx.Helix(catalog, policy=loading("always"), spark=spark) as helix:
        edited = helix.run(folds(40.0))
        assert dict(edited.outputs) == answers(40.0)
        assert computed(edited) - {"data"} == {"rows_field", "model_field", "told_field"}
        edited.wait()
        assert dict(helix.run(folds()).outputs) == answers()


def test_a_column_may_be_made_of_a_table_by_another_name(tmp_path: Path, spark: SparkSession) -> None:
    def plus(table: DataFrame, other: Column) -> Column:
        return table.age + other

    def number(table: DataFrame) -> Column:
        return table.rich * 100.0

    wf = hx.Workflow("columns")
    data = wf.source("data", hx.table(PEOPLE))
    hundred = wf.extractor(number, name="hundred", reads={"table": data})
    features = [
        wf.extractor(plus, name=f"sum_{k}", reads={"table": data, "other": other})
        for k, other in enumerate((hundred, wf.extractor("rich_of", hx.Fields("rich"), on=data)))
    ]
    wf.synthesizer("examples", data, features=features, keep=["age", "rich"], output=True)
    with hx.Helix(tmp_path, policy="never", spark=spark) as helix:
        examples = helix.run(wf).pandas("examples")
    found = [[float(number) for number in features] for features in examples.features]
    assert found == [[age + 100.0 * rich, age + rich] for age, rich in zip(examples.age, examples.rich, strict=True)]
