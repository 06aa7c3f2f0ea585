"""Small workflows that the tests of the engine run, edit and run again, and what they look at afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.sql import Column, DataFrame, SparkSession

import helix_spark as hx
from helix_spark.answers.answering import Answerer
from helix_spark.answers.questions import AnsweredQuestion
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.planner.problem import State
from helix_spark.plans.current_program import classic
from helix_spark.run.iteration import Iteration

PEOPLE = pd.DataFrame({
    "age": [float(20 + i % 40) for i in range(200)], "sex": ["F" if i % 3 else "M" for i in range(200)],
    "work": [["office", "field", "home"][i % 3 if i % 7 else 0] for i in range(200)],
    "rich": [1 if (i * 7919) % 13 > 6 else 0 for i in range(200)],
})


@dataclass(frozen=True)
class Census:
    """One version of a census workflow; each field is something that an author edits."""

    source: Any = field(default_factory=lambda: hx.table(PEOPLE))
    offset: float = 0.0
    bins: int = 4
    drop_last: bool = True
    reg: float = 0.1
    digits: int = 6

    def workflow(self) -> hx.Workflow:
        wf = hx.Workflow("census")
        offset, digits = self.offset, self.digits
        wf.source("data", self.source)

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.where(data.age > 20)

        @wf.extractor
        def older(rows: DataFrame) -> Column:
            return rows.age + offset

        bucket = wf.extractor("bucket", hx.Bucketizer("age", bins=self.bins, one_hot=True), on=rows)
        sex = wf.extractor("sex_is", hx.OneHot("sex", drop_last=self.drop_last), on=rows)
        work = wf.extractor("work_is", hx.OneHot("work"), on=rows)
        wf.extractor("unused", hx.OneHot("work"), on=rows)
        examples = wf.synthesizer(
            "examples", rows, features=[older, bucket, sex, work], label="rich = 1", split=hx.HashSplit(test=0.3)
        )
        model = wf.learner("model", LogisticRegression, on=examples, regParam=self.reg, maxIter=5)
        wf.predict("predictions", model, examples)

        @wf.reducer(output=True)
        def accuracy(predictions: pd.DataFrame) -> float:
            return round(float((predictions.prediction == predictions.label).mean()), digits)

        @wf.reducer(output=True)
        def weights(model: Any) -> list[float]:
            return [float(weight) for weight in model.coefficients]

        return wf


def computed(iteration: Iteration) -> set[str]:
    """Names of the nodes that were computed."""
    return set(iteration.plan.in_state(State.COMPUTE))


def physical_bytes(catalog: Path) -> int:
    """Bytes of everything under ``tables/`` and ``models/``."""
    files = (file for folder in ("tables", "models") for file in (catalog / folder).rglob("*"))
    return sum(file.stat().st_size for file in files if file.is_file())


def partitions_of(frame: DataFrame) -> int:
    """In how many partitions Spark has a table's rows."""
    client = driver_client(frame.sparkSession)
    assert client is not None
    with classic():
        return client.as_classic(frame).rdd.getNumPartitions()


@contextmanager
def jobs_of_their_own(spark: SparkSession) -> Iterator[None]:
    """With a tag for the jobs of this thread; it is to be as it was afterwards."""
    tags = {*spark.getTags(), "theirs"}
    spark.addTag("theirs")
    try:
        yield
        assert {*spark.getTags()} == tags
    finally:
        spark.removeTag("theirs")


def sent_questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the sorts of the questions of functions that Spark has answered so far, kept up to date."""
    sorts: list[str] = []

    class Answered(list[AnsweredQuestion]):
        def append(self, question: AnsweredQuestion) -> None:
            if question.fresh:
                sorts.append(question.question.kind)
            super().append(question)

    begin = Answerer.__post_init__

    def begin_noted(self: Answerer) -> None:
        begin(self)
        if self.mode == "run":
            self.answers = Answered()

    monkeypatch.setattr(Answerer, "__post_init__", begin_noted)
    return sorts
