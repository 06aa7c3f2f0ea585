"""A learner's pipeline gives, of the table's own rows, what the workflow predicts; saved and loaded, without Helix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import Binarizer, StandardScaler
from pyspark.sql import DataFrame, SparkSession

import helix_spark as hx
from helix_spark.planner.problem import State
from helix_spark.run.iteration import Iteration

pytestmark = pytest.mark.spark

PEOPLE = pd.DataFrame({
    "id": range(240), "age": [None if i % 19 == 0 else float(20 + i % 40) for i in range(240)],
    "hours": [float(10 + (i * 7) % 50) for i in range(240)], "gain": [float((i * 31) % 97) for i in range(240)],
    "sex": ["F" if i % 3 else "M" for i in range(240)],
    "place.of work": [None if i % 23 == 0 else ["office", "field", "home"][i % 3 if i % 7 else 0] for i in range(240)],
    "rich": [1 if (i * 7919) % 13 + i % 3 > 6 else 0 for i in range(240)],
})


def deployed() -> hx.Workflow:
    """Every sort of ready-made extractor, columns of columns among them."""
    wf = hx.Workflow("deployed")
    wf.source("people", hx.table(PEOPLE))

    @wf.scanner
    def rows(people: DataFrame) -> DataFrame:
        return people.where(people.id > 3)

    hours = wf.extractor("hours", hx.Fields("hours"), on=rows)
    both = wf.extractor("both numbers", hx.Fields("hours", "gain"), on=rows)
    sex = wf.extractor("sex_is", hx.OneHot("sex", drop_last=False), on=rows)
    work = wf.extractor("work_is", hx.OneHot("place.of work"), on=rows)
    age = wf.extractor("age_bucket", hx.Bucketizer("age", bins=4, one_hot=True), on=rows)
    gain = wf.extractor("gain_bucket", hx.Bucketizer("gain", splits=[20.0, 60.0]), on=rows)
    early = wf.extractor("hours_bucket", hx.Bucketizer(hours, bins=3), on=rows)
    crossed = wf.extractor("crossed", hx.Interaction(sex, hours), on=rows)
    scaled = wf.extractor("scaled", StandardScaler, on=rows, inputCol=both)
    long = wf.extractor("long", Binarizer, on=rows, inputCol=hours, threshold=40.0)
    examples = wf.synthesizer(
        "examples", rows, features=[hours, sex, work, age, gain, early, crossed, scaled, long], label="rich = 1",
        split=hx.HashSplit(test=0.4), keep=["id"],
    )
    model = wf.learner("model", LogisticRegression, on=examples, maxIter=5)
    wf.output(wf.predict("predictions", model, examples))
    return wf


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployed")


@pytest.fixture(scope="module")
def made(spark: SparkSession, catalog: Path) -> Iterator[Iteration]:
    with hx.Helix(catalog, policy="always", spark=spark) as helix:
        yield helix.run(deployed())


def scored(frame: DataFrame) -> dict[int, tuple[float, list[float]]]:
    """Prediction and probability by id."""
    return {
        row.id: (row.prediction, [float(one) for one in row.probability])
        for row in frame.select("id", "prediction", "probability").collect()
    }


def test_it_predicts_what_the_workflow_does(made: Iteration) -> None:
    expected = scored(made.table("predictions"))
    found = scored(made.pipeline("model").transform(made.table("rows")))
    assert len(found) == 236
    assert 60 < len(expected) < 130
    for each, (prediction, probability) in expected.items():
        assert found[each][0] == prediction
        assert found[each][1] == pytest.approx(probability, rel=1e-12)


def test_it_makes_the_same_features(made: Iteration) -> None:
    frame = made.pipeline("model").transform(made.table("rows"))
    found = {row.id: row.features.toArray().tolist() for row in frame.select("id", "features").collect()}
    expected = {
        row.id: row.features.toArray().tolist() for row in made.table("examples").select("id", "features").collect()
    }
    assert found == expected


@pytest.mark.long
def test_what_was_saved_scores_rows_that_are_new(made: Iteration, spark: SparkSession, tmp_path: Path) -> None:
    pipeline = made.pipeline("model")
    pipeline.write().save(str(tmp_path / "pipeline"))
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    fields = "id int, age int, hours double, gain double, sex string, `place.of work` string"
    new = spark.createDataFrame([(1, None, 5.0, 1.0, "X", "sea"), (2, 33, 99.0, 500.0, "F", None)], fields)
    assert scored(loaded.transform(new)) == scored(pipeline.transform(new))
    assert scored(loaded.transform(made.table("rows"))) == scored(pipeline.transform(made.table("rows")))


def test_what_the_run_did_not_need_comes_from_the_catalog(spark: SparkSession, catalog: Path, made: Iteration) -> None:
    made.wait()
    expected = scored(made.table("predictions"))
    with hx.Helix(catalog, policy="always", spark=spark) as helix:
        again = helix.run(deployed())
        assert "model" in again.plan.in_state(State.PRUNE)
        found = scored(again.pipeline("model").transform(again.table("rows")))
    assert {each: found[each][0] for each in expected} == {each: one for each, (one, _) in expected.items()}
