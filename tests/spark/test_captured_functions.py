"""Functions of tables are known by what they build, and what they built is what runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.errors import NodeError
from helix_spark.run.iteration import Iteration
from tests.fakes.policy import loading
from tests.spark.workflows import PEOPLE, computed

pytestmark = pytest.mark.spark


def older(data: DataFrame) -> DataFrame:
    return data.select((data.age + 1).alias("age"))


def older_in_other_words(data: DataFrame) -> DataFrame:
    aged = data.age
    return data.select((aged + 1).alias("age"))


def workflow(people: Path, scanner: Callable[[DataFrame], DataFrame], more: int) -> hx.Workflow:
    wf = hx.Workflow("ages")
    wf.source("data", hx.csv(str(people), schema="age double"))
    wf.scanner(name="older")(scanner)

    @wf.scanner
    def oldest(older: DataFrame) -> DataFrame:
        return older.select((older.age + more).alias("age"))

    @wf.reducer(output=True)
    def total(oldest: pd.DataFrame) -> float:
        return float(oldest.age.sum())

    return wf


def test_other_words_for_the_same_plan_are_the_same_function(spark: SparkSession, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("".join(f"{age}\n" for age in PEOPLE.age))

    def run(scanner: Callable[[DataFrame], DataFrame], more: int) -> Iteration:
        with hx.Helix(tmp_path / "catalog", policy="never", spark=spark) as helix:
            iteration = helix.run(workflow(people, scanner, more))
            iteration.wait()
            return iteration

    first = run(older, 1)
    second = run(older, 2)
    assert "older" in computed(second), "with nothing stored it runs again"
    assert second["total"] == first["total"] + len(PEOPLE)
    third = run(older_in_other_words, 2)
    assert third.plan["older"].signature == first.plan["older"].signature
    assert third["total"] == second["total"]


def priced(people: Path, scanner: Callable[[DataFrame], DataFrame], **wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("ages")
    wf.source("data", hx.csv(str(people), schema="age double"))
    wf.scanner(name="priced", **wishes)(scanner)

    @wf.reducer(output=True)
    def total(priced: pd.DataFrame) -> float:
        return float(priced.price.sum())

    return wf


def by_table(price: float) -> Callable[[DataFrame], DataFrame]:
    def scanner(data: DataFrame) -> DataFrame:
        return data.crossJoin(data.sparkSession.createDataFrame(pd.DataFrame({"price": [price]})))

    return scanner


def by_values(price: float) -> Callable[[DataFrame], DataFrame]:
    def scanner(data: DataFrame) -> DataFrame:
        return data.crossJoin(data.sparkSession.sql(f"SELECT * FROM VALUES ({price}D), ({price}D) AS t(price)"))

    return scanner


def by_subquery(price: float) -> Callable[[DataFrame], DataFrame]:
    def scanner(data: DataFrame) -> DataFrame:
        return data.selectExpr("age", f"(SELECT max(p) FROM VALUES ({price}D) AS t(p)) AS price")

    return scanner


@pytest.mark.parametrize(
    "made", [by_table, *(pytest.param(one, marks=pytest.mark.long) for one in (by_values, by_subquery))]
)
def test_rows_that_a_function_makes_of_its_own_are_no_secret_of_its_code(
    spark: SparkSession, tmp_path: Path, made: Callable[[float], Callable[[DataFrame], DataFrame]]
) -> None:
    """A plan says that there are such rows, not which."""
    people = tmp_path / "people.csv"
    people.write_text("20\n30\n")
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        cheap = helix.run(priced(people, made(1.0)))
        cheap.wait()
        dear = helix.run(priced(people, made(5.0)))
        assert "priced" in computed(dear)
        assert dear["total"] == 5 * cheap["total"]


def test_what_the_author_says_counts_besides_is_not_overruled(spark: SparkSession, tmp_path: Path) -> None:
    people, prices = tmp_path / "people.csv", tmp_path / "prices.csv"
    people.write_text("20\n30\n")

    def scanner(data: DataFrame) -> DataFrame:
        return data.crossJoin(data.sparkSession.read.csv(str(prices), schema="price double"))

    totals = []
    for price in (1.0, 5.0):
        prices.write_text(f"{price}\n")
        with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
            iteration = helix.run(priced(people, scanner, depends_on=[prices]))
            iteration.wait()
            assert "priced" in computed(iteration)
            totals.append(iteration["total"])
    assert totals[1] == 5 * totals[0]


@pytest.mark.parametrize("day", ["2026-11-25", "2026-11-26"])
def test_nor_is_a_mere_word_of_his(spark: SparkSession, tmp_path: Path, day: str) -> None:
    people = tmp_path / "people.csv"
    people.write_text("20\n30\n")

    def scanner(data: DataFrame) -> DataFrame:
        return data.selectExpr("age", "age AS price")

    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        helix.run(priced(people, scanner, depends_on=["2026-11-25"])).wait()
        again = helix.run(priced(people, scanner, depends_on=[day]))
        assert ("priced" in computed(again)) == (day == "2026-11-26")


TwoTables = Callable[[DataFrame, DataFrame], DataFrame]


def compared(scanner: TwoTables) -> hx.Workflow:
    """Two tables of one schema, and how many rows a function of both has."""
    wf = hx.Workflow("ids")
    wf.source("old", hx.table(pd.DataFrame({"id": [1, 2, 3]})))
    wf.source("new", hx.table(pd.DataFrame({"id": [3, 4]})))
    wf.scanner(name="both")(scanner)

    @wf.reducer(output=True)
    def rows(both: pd.DataFrame) -> int:
        return len(both)

    return wf


def added(new: DataFrame, old: DataFrame) -> DataFrame:
    return new.join(old, "id", "left_anti")


def removed(new: DataFrame, old: DataFrame) -> DataFrame:
    return old.join(new, "id", "left_anti")


def test_which_of_two_inputs_a_function_reads_is_no_mere_wording(spark: SparkSession, tmp_path: Path) -> None:
    """They have one schema, and nothing else in a plan tells them apart."""
    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        first = helix.run(compared(added))
        first.wait()
        second = helix.run(compared(removed))
        assert "both" in computed(second)
        assert (first["rows"], second["rows"]) == (1, 2)


def added_in_other_words(new: DataFrame, old: DataFrame) -> DataFrame:
    known = old
    return new.join(known, on="id", how="left_anti")


def test_a_function_of_two_inputs_that_is_reworded_is_recognised(spark: SparkSession, tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        helix.run(compared(added)).wait()
        again = helix.run(compared(added_in_other_words))
        assert computed(again) == set()


def test_a_setting_that_is_read_only_when_rows_are_made_is_not_overruled(spark: SparkSession, tmp_path: Path) -> None:
    """Of two entries of one key the last counts, or none; the plan is the same. Of inputs the settings would tell."""
    wf = hx.Workflow("maps")

    @wf.scanner
    def maps() -> DataFrame:
        return SparkSession.active().range(3).selectExpr("map_values(map(id, 1, id, 2))[0] AS entry")

    @wf.reducer(output=True)
    def total(maps: pd.DataFrame) -> int:
        return int(maps.entry.sum())

    name = "spark.sql.mapKeyDedupPolicy"
    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        spark.conf.set(name, "LAST_WIN")
        try:
            first = helix.run(wf)
            first.wait()
        finally:
            spark.conf.unset(name)
        assert first["total"] == 6
        with pytest.raises(NodeError, match="DUPLICATED_MAP_KEY"):
            helix.run(wf)


def older_than_30(data: DataFrame) -> DataFrame:
    try:
        share = data.where("age > 30").count() / data.count()
    except Exception:  # noqa: BLE001 - what people write where a table may be empty
        share = 0.0
    return data.select("age", F.lit(share).alias("price"))


def older_than_60(data: DataFrame) -> DataFrame:
    try:
        share = data.where("age > 60").count() / data.count()
    except Exception:  # noqa: BLE001 - as above
        share = 0.0
    return data.select("age", F.lit(share).alias("price"))


def by_rows(least: int) -> Callable[[DataFrame], DataFrame]:
    """Of columns that are known to be null the optimiser would know that there are no such rows, and run no job."""
    def scanner(data: DataFrame) -> DataFrame:
        found = data.where(f"age > {least}").collect()
        return data.select("age", F.lit(float(len(found))).alias("price"))

    return scanner


@pytest.mark.parametrize(
    ("before", "after", "totals"),
    [
        pytest.param(older_than_30, older_than_60, (3.0, 2.0), marks=pytest.mark.long),
        (by_rows(30), by_rows(60), (12.0, 8.0)),
    ],
    ids=["failure swallowed", "no failure"],
)
def test_what_looks_at_its_data_is_computed_again_whether_it_fails_on_a_stub_or_not(
    spark: SparkSession, tmp_path: Path, before: Callable[[DataFrame], DataFrame],
    after: Callable[[DataFrame], DataFrame], totals: tuple[float, float],
) -> None:
    people = tmp_path / "people.csv"
    people.write_text("20\n40\n70\n80\n")
    found = []
    for scanner in (before, after):
        with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
            iteration = helix.run(priced(people, scanner))
            iteration.wait()
            assert "priced" in computed(iteration)
            found.append(iteration["total"])
    assert tuple(found) == totals


def by_view(data: DataFrame) -> DataFrame:
    data.createOrReplaceTempView("people_now")
    return data.sparkSession.sql("SELECT age, age AS price FROM people_now")


def by_view_in_other_words(data: DataFrame) -> DataFrame:
    people = data
    people.createOrReplaceTempView("people_now")
    return people.sparkSession.sql("SELECT age, age AS price FROM people_now")


def test_a_view_is_left_in_the_session_where_its_function_is_computed(spark: SparkSession, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("20\n30\n")
    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        iteration = helix.run(priced(people, by_view))
        iteration.wait()
        assert "priced" in computed(iteration)
        assert sorted(row.age for row in spark.table("people_now").collect()) == [20.0, 30.0]
        assert "priced" not in computed(helix.run(priced(people, by_view_in_other_words)))
        spark.range(1).toDF("mine").createOrReplaceTempView("people_now")
        again = helix.run(priced(people, by_view))
        again.wait()
        assert "priced" not in computed(again)
        assert spark.table("people_now").columns == ["mine"]
    spark.catalog.dropTempView("people_now")


def by_function(times: int) -> Callable[[DataFrame], DataFrame]:
    def priced(data: DataFrame) -> DataFrame:
        data.sparkSession.udf.register("price_of", lambda age: age * times, "double")
        return data.selectExpr("age", "price_of(age) AS price")

    return priced


def test_functions_of_one_name_are_each_their_own_and_the_last_is_left_in_the_session(
    spark: SparkSession, tmp_path: Path
) -> None:
    people = tmp_path / "people.csv"
    people.write_text("20\n30\n")
    totals = []
    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        for times in (1, 3, 1):
            iteration = helix.run(priced(people, by_function(times)))
            iteration.wait()
            totals.append((iteration["total"], "priced" in computed(iteration)))
            if times == 3:
                assert spark.sql("SELECT price_of(2.0D) AS x").first() == (6.0,)
    assert totals == [(50.0, True), (150.0, True), (50.0, False)]
    assert not [one for one in spark.catalog.listFunctions() if "helix_function" in one.name]
    spark.sql("DROP TEMPORARY FUNCTION price_of")


def test_what_builds_another_plan_than_when_it_was_planned_is_never_reused(
    spark: SparkSession, tmp_path: Path
) -> None:
    people = tmp_path / "people.csv"
    people.write_text("20\n30\n")
    calls = count()

    def alternating(data: DataFrame) -> DataFrame:
        return data.select("age", F.lit(float(next(calls) % 2)).alias("price"))

    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        for _ in range(2):
            iteration = helix.run(priced(people, alternating))
            iteration.wait()
            assert iteration["total"] == 2.0, "as it is called where it is computed"
            assert "priced" in computed(iteration)
    assert "`priced` built another plan than when it was planned" in iteration.plan["priced"].reason


def by_zone(*, back: bool) -> Callable[[DataFrame], DataFrame]:
    def priced(data: DataFrame) -> DataFrame:
        conf = data.sparkSession.conf
        before = conf.get("spark.sql.session.timeZone")
        SparkSession.builder.config("spark.sql.session.timeZone", "Asia/Tokyo").getOrCreate()
        made = data.selectExpr("age", "hour(timestamp'2020-01-01 00:00:00 UTC') + 0.0D AS price")
        if back:
            conf.set("spark.sql.session.timeZone", str(before))
        return made

    return priced


@pytest.mark.parametrize("back", [True, False])
def test_of_what_is_computed_while_a_function_changes_a_setting_nothing_is_kept(
    spark: SparkSession, tmp_path: Path, *, back: bool
) -> None:
    people, before = tmp_path / "people.csv", str(spark.conf.get("spark.sql.session.timeZone"))
    people.write_text("20\n30\n")
    ran = []
    for _ in range(2):
        with warnings.catch_warnings(), hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
            warnings.simplefilter("ignore")
            iteration = helix.run(priced(people, by_zone(back=back)))
            iteration.wait()
            ran.append("priced" in computed(iteration))
        spark.conf.set("spark.sql.session.timeZone", before)
    assert ran == [True, not back]
