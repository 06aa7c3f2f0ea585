"""Functions that use what only a classic session has: they are called whole in that session, on the same tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml import Model
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from tests.fakes.observer import Warned
from tests.fakes.policy import loading
from tests.spark.workflows import computed

pytestmark = pytest.mark.spark
PEOPLE = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "rich": [0, 1, 0, 1]})


def workflow(made: Any, **wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("classic")
    wf.source("people", hx.table(PEOPLE))
    wf.scanner(name="made", **wishes)(made)

    @wf.reducer(output=True)
    def total(made: DataFrame) -> float:
        return float(made.agg(F.sum("n")).head()[0])  # type: ignore[index]  # it has a row

    return wf


def by_rdd(people: DataFrame) -> DataFrame:
    return people.rdd.map(lambda row: (row.age * 2,)).toDF(["n"])


def by_broadcast(people: DataFrame) -> DataFrame:
    known = people.rdd.context.broadcast({0: 1.0, 1: 10.0})
    return people.select(F.udf(lambda rich: known.value[rich], "double")("rich").alias("n"))


def by_chance(people: DataFrame) -> DataFrame:
    drawn: DataFrame = people.rdd.toDF().withColumn("n", F.rand())
    return drawn


def by_a_drawn_text(people: DataFrame) -> DataFrame:
    drawn = people.rdd.toDF().selectExpr("uuid() AS drawn").head()
    assert drawn is not None
    return people.rdd.map(lambda row: (float(len(drawn[0])),)).toDF(["n"])


def by_a_drawn_column(people: DataFrame) -> DataFrame:
    drawn = people.rdd.toDF().select(F.current_timestamp()).head()
    assert drawn is not None
    return people.rdd.map(lambda row: (row.age,)).toDF(["n"])


def by_a_registered_function(people: DataFrame) -> DataFrame:
    return people.rdd.toDF().select(F.call_udf("tripled", "age").alias("n"))


@pytest.mark.parametrize(("made", "total"), [(by_rdd, 280.0), (by_broadcast, 22.0)])
def test_its_result_is_right_and_loaded_the_next_time_if_its_author_says_what_it_reads(
    spark: SparkSession, tmp_path: Path, made: Any, total: float
) -> None:
    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        first = helix.run(workflow(made, depends_on=[]))
        first.wait()
        again = helix.run(workflow(made, depends_on=[]))
    assert first["total"] == again["total"] == total
    assert "made" in computed(first)
    assert not computed(again) & {"made", "total"}


def test_what_nobody_says_the_reads_of_is_never_reused(spark: SparkSession, tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        helix.run(workflow(by_rdd)).wait()
        again = helix.run(workflow(by_rdd))
    assert {"made", "total"} <= computed(again)
    assert "`made` uses .rdd, so that Helix cannot see what it reads (name that in depends_on=" in (
        again.plan["made"].reason
    )


def leaving_a_zone(people: DataFrame) -> DataFrame:
    people.rdd.context.setJobDescription("zone")
    people.sparkSession.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    return people.rdd.toDF().withColumnRenamed("age", "n")


def test_settings_that_one_leaves_are_told_and_nothing_is_kept(spark: SparkSession, tmp_path: Path) -> None:
    heard = Warned()
    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark, observer=heard) as helix:
        try:
            helix.run(workflow(leaving_a_zone, depends_on=[])).wait()
        finally:
            spark.conf.set("spark.sql.session.timeZone", "UTC")  # other tests have the same session
    assert any(
        "`made` leaves the setting spark.sql.session.timeZone as 'Asia/Tokyo', which was 'UTC'" in one
        for one in heard.warnings
    )


@pytest.mark.parametrize("made", [by_chance, by_a_drawn_text, by_a_drawn_column])
def test_what_it_draws_is_never_reused(spark: SparkSession, tmp_path: Path, made: Any) -> None:
    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        helix.run(workflow(made, depends_on=[])).wait()
        again = helix.run(workflow(made, depends_on=[]))
    assert "made" in computed(again)


def test_nor_is_what_a_function_says_that_the_session_knows(spark: SparkSession, tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        for times in (3, 4):
            spark.udf.register("tripled", lambda age, times=times: float(age) * times, "double")
            made = helix.run(workflow(by_a_registered_function, depends_on=[]))
            assert made["total"] == times * 140
            made.wait()


@pytest.mark.long
def test_a_model_that_one_fits_is_any_model(spark: SparkSession, tmp_path: Path) -> None:
    wf = hx.Workflow("fitted")
    wf.source("people", hx.table(PEOPLE))

    @wf.learner(depends_on=[])
    def model(people: DataFrame) -> Model:
        assert people.rdd.count() == len(PEOPLE)
        examples = VectorAssembler(inputCols=["age"], outputCol="features").transform(people)
        return LogisticRegression(maxIter=2, labelCol="rich").fit(examples)  # type: ignore[no-any-return]  # pyspark's

    @wf.reducer(output=True)
    def weights(model: Model) -> int:
        return len(model.coefficients)

    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        first = helix.run(wf)
        first.wait()
        assert first["weights"] == 1
        assert "model" not in computed(helix.run(wf))
