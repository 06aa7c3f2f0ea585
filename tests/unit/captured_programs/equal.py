"""Programs in other words that build the same plan: pairs by what was done to the first."""

from __future__ import annotations

import functools
import json
import operator
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyspark.ml.feature import Binarizer
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from tests.unit.captured_programs import settings_of_a_job
from tests.unit.captured_programs.settings_of_a_job import ADULT, is_adult

Program = Callable[..., Any]
Pair = tuple[Program, Program]


def plain(rows: DataFrame) -> DataFrame:
    return rows.filter(F.col("id") > 17).withColumn("half", F.col("v") / 2)


def _of_age(rows: DataFrame, age: str) -> DataFrame:
    return rows.filter(F.col(age) > 17)


def with_helper(rows: DataFrame) -> DataFrame:
    """Adults."""
    return _of_age(rows, "id").withColumn("half", F.col("v") / 2)


def with_locals(rows: DataFrame) -> DataFrame:
    old_enough: Column = F.col("id") > 17
    adults = rows.filter(old_enough)
    half = F.col("v") / 2
    return adults.withColumn("half", half)


def nested(rows: DataFrame) -> DataFrame:
    return DataFrame.withColumn(DataFrame.filter(rows, F.col("id") > 17), "half", operator.truediv(F.col("v"), 2))


def with_constant_elsewhere(rows: DataFrame) -> DataFrame:
    return rows.filter(is_adult(F.col("id"))).withColumn("half", F.col("v") / (ADULT - 15))


def with_configuration(rows: DataFrame) -> DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.json"
        file.write_text('{"adult": 17, "column": "half"}')
        config = json.loads(file.read_text())
    return rows.filter(F.col("id") > config["adult"]).withColumn(config["column"], F.col("v") / 2)


class Job:
    """A job as a class."""

    adult = 17

    def __init__(self, by: int) -> None:
        self.by = by

    def run(self, rows: DataFrame) -> DataFrame:
        return rows.filter(F.col("id") > self.adult).withColumn("half", self._half())

    def _half(self) -> Column:
        return F.col("v") / self.by


def of_parameters(rows: DataFrame, adult: int, name: str) -> DataFrame:
    return rows.filter(F.col("id") > adult).withColumn(name, F.col("v") / 2)


def repeated(rows: DataFrame) -> DataFrame:
    return rows.withColumn("c1", F.col("v") * 1).withColumn("c2", F.col("v") * 2).withColumn("c3", F.col("v") * 3)


def in_a_loop(rows: DataFrame) -> DataFrame:
    for number in range(1, 4):
        rows = rows.withColumn(f"c{number}", F.col("v") * number)
    return rows


def by_reducing(rows: DataFrame) -> DataFrame:
    return functools.reduce(lambda table, n: table.withColumn(f"c{n}", F.col("v") * n), range(1, 4), rows)


THE_TWELVE_KINDS: Mapping[str, Pair] = {
    "helper": (plain, with_helper),
    "f-string for literal": (
        lambda rows: rows.filter("id > 17").selectExpr("v AS half"),
        lambda rows: rows.filter(f"id > {ADULT}").selectExpr(f"v AS {'half'}")),
    "loop for repetition": (repeated, in_a_loop),
    "renamed local": (plain, with_locals),
    "item for attribute": (lambda rows: rows.filter(rows.id > 17), lambda rows: rows.filter(rows["id"] > 17)),
    "chained for nested": (plain, nested),
    "constant moved to another module": (plain, with_constant_elsewhere),
    "config file in place of constant": (plain, with_configuration),
    "class method": (plain, lambda rows: Job(2).run(rows)),
    "partial": (plain, lambda rows: functools.partial(of_parameters, adult=17, name="half")(rows)),
    "comprehension": (
        lambda rows: rows.select(F.col("v").alias("a0"), F.col("v").alias("a1")),
        lambda rows: rows.select([F.col("v").alias(f"a{n}") for n in range(2)])),
    "another file": (plain, settings_of_a_job.adults),
}


def _grouped(named: Callable[[DataFrame, str], Column]) -> Program:
    def program(rows: DataFrame) -> DataFrame:
        sums = rows.groupBy("k").agg(F.sum("v").alias("total"))
        big = sums.filter(named(sums, "total") > 1)
        return big.select(named(big, "k"), named(sums, "total").alias("t")).sort(named(big, "k"))

    return program


def _twice(rows: DataFrame, *, once: bool) -> DataFrame:
    def made() -> DataFrame:
        return rows.filter("v > 1").select("id", F.transform("arr", lambda x: x + 1).alias("more"))

    one = made()
    return one.join(one if once else made(), "id")


def _with_lambda(rows: DataFrame, *, once: bool) -> DataFrame:
    def more() -> Column:
        return F.transform("arr", lambda x: x + 1)

    one = more()
    return rows.select(one.alias("a"), (one if once else more()).alias("b"))


def _attribute(table: DataFrame, name: str) -> Column:
    return getattr(table, name)


def _item(table: DataFrame, name: str) -> Column:
    return table[name]


FURTHER: Mapping[str, Pair] = {
    "reduced loop": (repeated, by_reducing),
    "where for filter": (plain, lambda rows: rows.where(F.col("id") > 17).withColumn("half", F.col("v") / 2)),
    "own columns as attributes": (_grouped(_attribute), _grouped(_item)),
    "a table made twice": (
        lambda rows: _twice(rows, once=True), lambda rows: _twice(rows, once=False)),
    "a lambda made twice": (
        lambda rows: _with_lambda(rows, once=True), lambda rows: _with_lambda(rows, once=False)),
    "other names of variables": (
        lambda rows: rows.select(F.transform("arr", lambda x, i: x + i).alias("a")),
        lambda rows: rows.select(F.transform("arr", lambda item, place: item + place).alias("a"))),
    "stage made by setters": (
        lambda rows: Binarizer(threshold=0.5, inputCol="v", outputCol="b").transform(rows),
        lambda rows: Binarizer().setOutputCol("b").setInputCol("v").setThreshold(0.5).transform(rows)),
    "sides joined by their columns": (
        lambda rows, other: rows.join(other, rows.id == other.id).select(rows.k),
        lambda rows, other: (lambda a, b: a.join(b, a["id"] == b["id"]).select(a["k"]))(rows, other)),
    "tables that nobody uses": (
        plain, lambda rows: (rows.limit(3), rows.select("k").distinct(), plain(rows))[2]),
    "literal": (lambda rows: rows.filter(rows.id > F.lit(17)), lambda rows: rows.filter(rows.id > 17)),
    "name of a view": (
        lambda rows: (rows.createOrReplaceTempView("p"), rows.sparkSession.sql("SELECT p.id FROM p"))[1],
        lambda rows: (rows.createOrReplaceTempView("P"), rows.sparkSession.sql("SELECT p.id FROM p"))[1]),
    "text of a statement, put together": (
        lambda rows: rows.sparkSession.sql("SELECT id FROM {t} WHERE id > 1", t=rows),
        lambda rows: (lambda least: rows.sparkSession.sql(f"SELECT id FROM {{t}} WHERE id > {least}", t=rows))(1)),
    "name that a table is given in a statement": (
        lambda rows: rows.sparkSession.sql("SELECT id FROM {t}", t=rows),
        lambda rows: rows.sparkSession.sql("SELECT id FROM {rows}", rows=rows)),
    "views that no statement names": (
        lambda rows: rows.sparkSession.sql("SELECT id FROM {t}", t=rows),
        lambda rows: (rows.createOrReplaceTempView("p"), rows.sparkSession.sql("SELECT id FROM {t}", t=rows))[1]),
    "comments and layout of a statement": (
        lambda rows: rows.sparkSession.sql("SELECT id FROM {t} WHERE id > 1", t=rows),
        lambda rows: rows.sparkSession.sql("SELECT id -- of all\n  FROM {t}\n  WHERE id > 1", t=rows)),
    "condition as a text": (
        lambda rows: rows.filter("id > 17 and (k = 'a' or v * 2 <= id)"),
        lambda rows: rows.where((F.col("id") > 17) & ((F.col("k") == "a") | (F.col("v") * 2 <= F.col("id"))))),
    "condition of many alternatives": (
        lambda rows: rows.filter(" or ".join(f"id = {number}" for number in range(3_000))),
        lambda rows: rows.where("  or ".join(f"id = {number}" for number in range(3_000)))),
    "literal from a file": (
        lambda rows: rows.fillna(0.5, ["v"]), lambda rows: rows.fillna(json.loads("0.5"), json.loads('["v"]'))),
}


ALL: Mapping[str, Pair] = {**THE_TWELVE_KINDS, **FURTHER}
