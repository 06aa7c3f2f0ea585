"""Pairs of programs that Spark answers differently, if only for some tables; each pair by what makes the difference."""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from pyspark.ml.feature import Binarizer, Bucketizer, ElementwiseProduct, SQLTransformer, VectorAssembler
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

Program = Callable[..., Any]
Pair = tuple[Program, Program]


def _wrapped(*given: Any, **named: Any) -> Program:
    return lambda rows: rows.select(F.lit(*given, **named).alias("x"))


def _literals(one: Any, other: Any) -> Pair:
    return _wrapped(one), _wrapped(other)


def _columns(one: Program, other: Program) -> Pair:
    """Two expressions of a table."""
    return (lambda rows: rows.select(one(rows).alias("x"))), (lambda rows: rows.select(other(rows).alias("x")))


NAMES: Mapping[str, Pair] = {
    "another column": _columns(lambda r: r.v, lambda r: r.v2),
    "another column by its name": _columns(lambda r: F.col("v"), lambda r: F.col("v2")),
    "case of what is named": (lambda rows: rows.select("k"), lambda rows: rows.select("K")),
    "backticks around a dot": _columns(lambda r: F.col("s.f"), lambda r: F.col("`s.f`")),
    "field of a struct": _columns(lambda r: r.s.f, lambda r: r.s.g),
    "alias": (lambda rows: rows.select(rows.v.alias("a")), lambda rows: rows.select(rows.v.alias("b"))),
    "metadata of an alias": (
        lambda rows: rows.select(rows.v.alias("a", metadata={"unit": "m"})),
        lambda rows: rows.select(rows.v.alias("a", metadata={"unit": "km"})),
    ),
    "no metadata of an alias": (
        lambda rows: rows.select(rows.v.alias("a", metadata={"unit": "m"})),
        lambda rows: rows.select(rows.v.alias("a")),
    ),
    "order of columns": (lambda rows: rows.select("id", "k"), lambda rows: rows.select("k", "id")),
    "a column twice": (lambda rows: rows.select("id", "id"), lambda rows: rows.select("id")),
    "star before, star behind": (
        lambda rows: rows.select("*", F.lit(1).alias("x")), lambda rows: rows.select(F.lit(1).alias("x"), "*"),
    ),
    "star of a struct": (lambda rows: rows.select("s.*"), lambda rows: rows.select("*")),
    "star of one of two tables": (
        lambda rows, other: rows.crossJoin(other).select(rows["*"]),
        lambda rows, other: rows.crossJoin(other).select(other["*"]),
    ),
    "star of a table that has grown": (
        lambda rows: rows.withColumn("x", F.lit(1)).select(rows["*"]),
        lambda rows: rows.withColumn("x", F.lit(1)).select("*"),
    ),
    "rows counted, rows without nulls counted": (
        lambda rows: rows.agg(F.count("*").alias("n")), lambda rows: rows.agg(F.count(rows["*"]).alias("n")),
    ),
    "regular expression of columns": (
        lambda rows: rows.select(rows.colRegex("`v.*`")), lambda rows: rows.select(rows.colRegex("`v`")),
    ),
    "column renamed to another": (
        lambda rows: rows.withColumnRenamed("v", "a"), lambda rows: rows.withColumnRenamed("v", "b"),
    ),
    "another column renamed": (
        lambda rows: rows.withColumnRenamed("v", "a"), lambda rows: rows.withColumnRenamed("v2", "a"),
    ),
    "order of renaming": (
        lambda rows: rows.withColumnsRenamed({"v": "v2", "v2": "x"}),
        lambda rows: rows.withColumnsRenamed({"v2": "x", "v": "v2"}),
    ),
    "new names in another order": (
        lambda rows: rows.select("v", "v2").toDF("a", "b"), lambda rows: rows.select("v", "v2").toDF("b", "a"),
    ),
    "dropped column": (lambda rows: rows.drop("v"), lambda rows: rows.drop("v2")),
    "dropped by name, dropped by table": (
        lambda rows, other: rows.join(other, rows.id == other.id).drop("id"),
        lambda rows, other: rows.join(other, rows.id == other.id).drop(other.id),
    ),
    "dropped from the left, from the right": (
        lambda rows, other: rows.join(other, rows.id == other.id).drop(rows.id),
        lambda rows, other: rows.join(other, rows.id == other.id).drop(other.id),
    ),
}


def _before(rows: DataFrame) -> DataFrame:
    return rows.withColumn("v", rows.v + 1)


SHADOWS: Mapping[str, Pair] = {
    "column before it was replaced": (
        lambda rows: _before(rows).filter(rows.v > 1), lambda rows: _before(rows).filter(F.col("v") > 1),
    ),
    "column before it was replaced, in the select behind": (
        lambda rows: _before(rows).select(rows.v), lambda rows: _before(rows).select("v"),
    ),
    "column before it was replaced in other letters": (
        lambda rows: rows.withColumn("V", rows.v + 1).sort(rows.v),
        lambda rows: rows.withColumn("V", rows.v + 1).sort(F.col("v")),
    ),
    "column whose struct was replaced": (
        lambda rows: rows.withColumn("s", F.struct(F.lit(1).alias("f"))).filter(rows["s.f"] > 1),
        lambda rows: rows.withColumn("s", F.struct(F.lit(1).alias("f"))).filter(F.col("s.f") > 1),
    ),
    "column that was selected anew": (
        lambda rows: rows.select((-rows.v).alias("v")).sort(rows.v),
        lambda rows: rows.select((-rows.v).alias("v")).sort("v"),
    ),
    "column that was left behind and made again": (
        lambda rows: rows.select("id", rows.v2.alias("v")).filter(rows.v > 0),
        lambda rows: rows.select("id", rows.v2.alias("v")).filter(F.col("v") > 0),
    ),
    "column that was aggregated under its name": (
        lambda rows: rows.groupBy("k").agg(F.sum("id").alias("id")).filter(F.col("id") > 1),
        lambda rows: rows.groupBy("k").agg(F.sum("id").alias("id")).filter(rows.id > 1),
    ),
    "column that another one was renamed to": (
        lambda rows: rows.withColumnsRenamed({"v": "x", "v2": "v"}).filter(rows.v > 0),
        lambda rows: rows.withColumnsRenamed({"v": "x", "v2": "v"}).filter(F.col("v") > 0),
    ),
    "column whose nulls were filled": (
        lambda rows: rows.fillna(0, ["v"]).select(rows.v), lambda rows: rows.fillna(0, ["v"]).select("v"),
    ),
    "column that was made earlier in the select": (
        lambda rows: rows.select(F.lit(1.0).alias("x"), rows.x),
        lambda rows: rows.select(F.lit(1.0).alias("x"), F.col("x")),
    ),
    "column that is left behind": (
        lambda rows: rows.select("id").filter(F.col("v") > 0),
        lambda rows: (lambda some: some.filter(some.v > 0))(rows.select("id")),
    ),
    "column of what is grouped": (
        lambda rows: rows.groupBy("k").count().sort(F.col("v")),
        lambda rows: (lambda some: some.sort(some.v))(rows.groupBy("k").count()),
    ),
    "column that was dropped": (
        lambda rows: rows.drop("v").filter(F.col("v") > 0),
        lambda rows: (lambda some: some.filter(some.v > 0))(rows.drop("v")),
    ),
    "column in a window behind its successor": (
        lambda rows: _before(rows).select(F.rank().over(Window.orderBy(rows.v)).alias("x")),
        lambda rows: _before(rows).select(F.rank().over(Window.orderBy("v")).alias("x")),
    ),
    "column in a chain, first or last": (
        lambda rows: _before(_before(rows)).withColumn("x", rows.v),
        lambda rows: _before(_before(rows)).withColumn("x", F.col("v")),
    ),
    "order of a chain": (
        lambda rows: rows.withColumn("v", F.col("v") + 1).withColumn("v", F.col("v") * 2),
        lambda rows: rows.withColumn("v", F.col("v") * 2).withColumn("v", F.col("v") + 1),
    ),
    "all at once, one after the other": (
        lambda rows: rows.withColumns({"v": F.col("v") + 1, "x": F.col("v")}),
        lambda rows: rows.withColumn("v", F.col("v") + 1).withColumn("x", F.col("v")),
    ),
    "long s for s": (
        lambda rows: rows.withColumn("\u017f", F.lit(None)).filter(rows.s.isNull()),
        lambda rows: rows.withColumn("\u017f", F.lit(None)).filter(F.col("s").isNull()),
    ),
}


def _self_join(which: int, *, twice: bool = False) -> Program:
    def joined(rows: DataFrame) -> DataFrame:
        left = rows.filter("id > 1")
        right = rows.filter("id > 1") if twice else left.filter("v > 0")
        one = (left, right, rows)[which]
        return left.join(right, left.k == right.k).select(one.id)

    return joined


JOINS: Mapping[str, Pair] = {
    "whose column": (
        lambda rows, other: rows.join(other, rows.id == other.id).select(rows.k),
        lambda rows, other: rows.join(other, rows.id == other.id).select(other.k),
    ),
    "whose column, in the condition": (
        lambda rows, other: rows.join(other, rows.id == other.id), lambda rows,
        other: rows.join(other, rows.id == rows.id),
    ),
    "whose column, left or right of itself": (_self_join(0), _self_join(1)),
    "whose column, left or below both": (_self_join(0), _self_join(2)),
    "whose column, of two that are built alike": (_self_join(0, twice=True), _self_join(1, twice=True)),
    "one table on both sides, or two that are built alike": (
        lambda rows: (lambda a: a.crossJoin(a).select(a.id))(rows.filter("id > 1")),
        lambda rows: (lambda a, b: a.crossJoin(b).select(a.id))(rows.filter("id > 1"), rows.filter("id > 1")),
    ),
    "sides": (lambda rows, other: rows.join(other, "id"), lambda rows, other: other.join(rows, "id")),
    "left for inner": (lambda rows, other: rows.join(other, "id"), lambda rows, other: rows.join(other, "id", "left")),
    "right for left": (
        lambda rows, other: rows.join(other, "id", "right"), lambda rows, other: rows.join(other, "id", "left"),
    ),
    "semi for anti": (
        lambda rows, other: rows.join(other, "id", "semi"), lambda rows, other: rows.join(other, "id", "anti"),
    ),
    "full for cross": (
        lambda rows, other: rows.join(other, how="cross"), lambda rows, other: rows.join(other, "id", "full"),
    ),
    "name for condition": (
        lambda rows, other: rows.join(other, "id"), lambda rows, other: rows.join(other, rows.id == other.id),
    ),
    "further name": (lambda rows, other: rows.join(other, "id"), lambda rows, other: rows.join(other, ["id", "k"])),
    "null-safe": (
        lambda rows, other: rows.join(other, rows.id == other.id),
        lambda rows, other: rows.join(other, rows.id.eqNullSafe(other.id)),
    ),
    "order of joins": (
        lambda rows, other: rows.join(other, "id").join(rows.select("id", "v2"), "id"),
        lambda rows, other: rows.join(rows.select("id", "v2"), "id").join(other, "id"),
    ),
    "aliases of both sides": (
        lambda rows: rows.alias("a").join(rows.alias("b"), F.expr("a.id = b.id")).select("a.v"),
        lambda rows: rows.alias("b").join(rows.alias("a"), F.expr("a.id = b.id")).select("b.v2"),
    ),
    "order of a union": (lambda rows, other: rows.union(other), lambda rows, other: other.union(rows)),
    "by name for by place": (
        lambda rows, other: rows.union(other), lambda rows, other: rows.unionByName(other),
    ),
    "missing columns allowed": (
        lambda rows, other: rows.unionByName(other), lambda rows,
        other: rows.unionByName(other, allowMissingColumns=True),
    ),
    "union of one table, twice or thrice": (
        lambda rows: rows.union(rows), lambda rows: rows.union(rows).union(rows),
    ),
    "all for distinct": (lambda rows, other: rows.intersect(other), lambda rows, other: rows.intersectAll(other)),
    "except for intersect": (lambda rows, other: rows.subtract(other), lambda rows, other: rows.intersect(other)),
    "which input": (lambda rows, other: rows.select("id"), lambda rows, other: other.select("id")),
    "which input is filtered": (
        lambda rows, other: rows.where("id > 2").select("id"), lambda rows, other: other.where("id > 2").select("id"),
    ),
    "which input is subtracted": (
        lambda rows, other: rows.select("id").subtract(other.select("id")),
        lambda rows, other: other.select("id").subtract(rows.select("id")),
    ),
    "query about which input": (
        lambda rows, other: rows.filter(rows.filter("id = 1").exists()),
        lambda rows, other: rows.filter(other.filter("id = 1").exists()),
    ),
    "which of two queries": (
        lambda rows, other: rows.select((rows.agg(F.max("id")).scalar() - other.agg(F.max("id")).scalar()).alias("x")),
        lambda rows, other: rows.select((other.agg(F.max("id")).scalar() - rows.agg(F.max("id")).scalar()).alias("x")),
    ),
    "column of the query, or around it": (
        lambda rows, other: rows.filter(other.filter(other.id == 1).exists()),
        lambda rows, other: rows.filter(other.filter(rows.id == 1).exists()),
    ),
    "there is one, there is none": (
        lambda rows, other: rows.filter(other.exists()), lambda rows, other: rows.filter(~other.exists()),
    ),
}

_BERLIN = dt.timezone(dt.timedelta(hours=1))
_UTC = dt.timezone.utc

LITERALS: Mapping[str, Pair] = {
    "one for two": _literals(1, 2),
    "integer for long": _literals(1, 2**31 + 1),
    "integer for numpy's long": _literals(1, np.int64(1)),
    "numpy's short for byte": _literals(np.int16(1), np.int8(1)),
    "integer for double": _literals(1, 1.0),
    "integer for text": _literals(1, "1"),
    "integer for boolean": _literals(1, True),
    "double for boolean": _literals(0.0, False),
    "double for float": _literals(0.1, np.float32(0.1)),
    "double for decimal": _literals(1.5, Decimal("1.5")),
    "scale of a decimal": _literals(Decimal("1.5"), Decimal("1.50")),
    "minus zero": _literals(0.0, -0.0),
    "nan for none": _literals(math.nan, None),
    "nan for infinity": _literals(math.nan, math.inf),
    "infinities": _literals(math.inf, -math.inf),
    "last digit": _literals(0.1, math.nextafter(0.1, 1)),
    "empty text for none": _literals("", None),
    "text for its bytes": _literals("a", b"a"),
    "composed letters": _literals("\u00e9", "e\u0301"),
    "blank behind": _literals("a", "a "),
    "day for midnight": _literals(dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=_UTC)),
    "day for its text": _literals(dt.date(2020, 1, 1), "2020-01-01"),
    "time zone": _literals(dt.datetime(2020, 1, 1, tzinfo=_UTC), dt.datetime(2020, 1, 1, tzinfo=_BERLIN)),
    "microsecond": _literals(dt.datetime(2020, 1, 1, 0, 0, 0, 1, _UTC), dt.datetime(2020, 1, 1, tzinfo=_UTC)),
    "duration": _literals(dt.timedelta(days=1), dt.timedelta(hours=23)),
    "list for tuple of another order": _literals([1, 2], [2, 1]),
    "list of longs": _literals([1, 2], [1, 2**40]),
    "none in a list": _literals(["a", None], ["a", "None"]),
    "nested list": _literals([[1], [2]], [[1, 2]]),
    "comparison with another type": _columns(lambda r: r.id == 1, lambda r: r.id == "1"),
    "in another order of types": _columns(lambda r: r.id.isin(1, 2), lambda r: r.id.isin(1, "2")),
    "null-safe comparison": _columns(lambda r: r.id == F.lit(None), lambda r: r.id.eqNullSafe(None)),
}

EXPRESSIONS: Mapping[str, Pair] = {
    "operator": _columns(lambda r: r.v + 1, lambda r: r.v - 1),
    "sides of an operator": _columns(lambda r: r.v - r.v2, lambda r: r.v2 - r.v),
    "brackets": _columns(lambda r: (r.v + r.v2) * 2, lambda r: r.v + r.v2 * 2),
    "and for or": _columns(lambda r: r.flag & (r.id > 1), lambda r: r.flag | (r.id > 1)),
    "not": _columns(lambda r: r.flag, lambda r: ~r.flag),
    "greater for greater or equal": _columns(lambda r: r.v > 1, lambda r: r.v >= 1),
    "order of cases": _columns(
        lambda r: F.when(r.id > 1, 1).when(r.id > 2, 2), lambda r: F.when(r.id > 2, 2).when(r.id > 1, 1)),
    "otherwise": _columns(lambda r: F.when(r.flag, 1), lambda r: F.when(r.flag, 1).otherwise(0)),
    "null for no otherwise, of another type": _columns(
        lambda r: F.when(r.flag, 1).otherwise(F.lit(None)),
        lambda r: F.when(r.flag, 1).otherwise(F.lit(None).cast("long"))),
    "cast": _columns(lambda r: r.v.cast("int"), lambda r: r.v.cast("long")),
    "cast that fails": _columns(lambda r: r.k.cast("int"), lambda r: r.k.try_cast("int")),
    "precision": _columns(lambda r: r.v.cast(DecimalType(10, 2)), lambda r: r.v.cast(DecimalType(10, 3))),
    "distinct": _columns(lambda r: F.count("id"), lambda r: F.count_distinct("id")),
    "count of all": _columns(lambda r: F.count("*"), lambda r: F.count("v")),
    "nulls ignored": _columns(lambda r: F.first("v"), lambda r: F.first("v", ignorenulls=True)),
    "kind of average": _columns(lambda r: F.stddev_pop("v"), lambda r: F.stddev_samp("v")),
    "percentage": _columns(lambda r: F.percentile_approx("v", 0.5), lambda r: F.percentile_approx("v", 0.9)),
    "accuracy": _columns(lambda r: F.percentile_approx("v", 0.5, 10), lambda r: F.percentile_approx("v", 0.5, 10000)),
    "pattern": _columns(lambda r: F.regexp_extract("k", "(a)(b)", 1), lambda r: F.regexp_extract("k", "(a)(b)", 2)),
    "replacement": _columns(
        lambda r: F.regexp_replace("k", "a", "b"), lambda r: F.regexp_replace("k", "a", "c")),
    "format of a date": _columns(
        lambda r: F.to_date(F.lit("01.02.2020"), "dd.MM.yyyy"), lambda r: F.to_date(F.lit("01.02.2020"), "MM.dd.yyyy")),
    "months for minutes": _columns(lambda r: F.date_format("at", "MM"), lambda r: F.date_format("at", "mm")),
    "zone of a function": _columns(
        lambda r: F.from_utc_timestamp("at", "UTC"), lambda r: F.from_utc_timestamp("at", "Asia/Tokyo")),
    "schema text": _columns(lambda r: F.from_json("j", "a INT"), lambda r: F.from_json("j", "a LONG")),
    "name in schema text": _columns(lambda r: F.from_json("j", "a INT"), lambda r: F.from_json("j", "b INT")),
    "option": _columns(
        lambda r: F.from_json("j", "a INT", {"mode": "PERMISSIVE"}),
        lambda r: F.from_json("j", "a INT", {"mode": "FAILFAST"})),
    "named option": _columns(
        lambda r: F.from_csv("k", "a INT", {"sep": ";"}), lambda r: F.from_csv("k", "a INT", {"quote": ";"})),
    "sql text": _columns(lambda r: F.expr("v + 1"), lambda r: F.expr("v + 2")),
    "sql text in another case": _columns(lambda r: F.expr("'a'"), lambda r: F.expr("'A'")),
    "text for column": _columns(lambda r: F.lit("k"), lambda r: F.col("k")),
    "sql text for literal": _columns(lambda r: F.lit("k"), lambda r: F.expr("k")),
    "item": _columns(lambda r: r.arr[0], lambda r: r.arr[1]),
    "counting from": _columns(lambda r: F.element_at("arr", 1), lambda r: F.get("arr", 1)),
    "key": _columns(lambda r: r.m["x"], lambda r: r.m["y"]),
    "key for its column": _columns(lambda r: r.m["k"], lambda r: r.m[r.k]),
    "fields of a struct": _columns(lambda r: F.struct("id", "k"), lambda r: F.struct("k", "id")),
    "replaced field": _columns(lambda r: r.s.withField("f", F.lit(1)), lambda r: r.s.withField("g", F.lit(1))),
    "no field": _columns(lambda r: r.s.dropFields("f"), lambda r: r.s.dropFields("g")),
    "exploded, outer": _columns(lambda r: F.explode("arr"), lambda r: F.explode_outer("arr")),
    "ascending": _columns(lambda r: F.sort_array("arr"), lambda r: F.sort_array("arr", asc=False)),
    "seed": _columns(lambda r: F.rand(1), lambda r: F.rand(2)),
    "normal for uniform": _columns(lambda r: F.rand(1), lambda r: F.randn(1)),
}

LAMBDAS: Mapping[str, Pair] = {
    "variables swapped": _columns(
        lambda r: F.transform("arr", lambda x, i: x - i), lambda r: F.transform("arr", lambda x, i: i - x)),
    "variables swapped in a fold": _columns(
        lambda r: F.aggregate("arr", F.lit(0), lambda acc, x: acc * 2 + x),
        lambda r: F.aggregate("arr", F.lit(0), lambda acc, x: x * 2 + acc)),
    "variables swapped in an order": _columns(
        lambda r: F.array_sort("arr", lambda x, y: x - y), lambda r: F.array_sort("arr", lambda x, y: y - x)),
    "inner for outer variable": _columns(
        lambda r: F.transform("arr", lambda x: F.transform(F.array(x), lambda y: y)),
        lambda r: F.transform("arr", lambda x: F.transform(F.array(x), lambda y: x))),
    "nested, swapped": _columns(
        lambda r: F.transform("arr", lambda x: F.transform("arr", lambda y: x - y)),
        lambda r: F.transform("arr", lambda x: F.transform("arr", lambda y: y - x))),
    "nested three times": _columns(
        lambda r: F.transform("arr", lambda x: F.transform("arr", lambda y: F.transform("arr", lambda z: x + y * z))),
        lambda r: F.transform("arr", lambda x: F.transform("arr", lambda y: F.transform("arr", lambda z: z + y * x)))),
    "variable for column": _columns(
        lambda r: F.transform("arr", lambda x: x), lambda r: F.transform("arr", lambda x: F.col("id"))),
    "second argument not used": _columns(
        lambda r: F.transform("arr", lambda x: x + 1), lambda r: F.transform("arr", lambda x, i: x + 1)),
    "first of two, second of two": _columns(
        lambda r: F.zip_with("arr", "arr", lambda x, y: x), lambda r: F.zip_with("arr", "arr", lambda x, y: y)),
    "finish": _columns(
        lambda r: F.aggregate("arr", F.lit(0), lambda a, x: a + x),
        lambda r: F.aggregate("arr", F.lit(0), lambda a, x: a + x, lambda a: a * 2)),
    "constant": _columns(lambda r: F.filter("arr", lambda x: x > 1), lambda r: F.filter("arr", lambda x: x > 2)),
}


def _over(spec: Callable[[Any], Any], function: Callable[[], Any] = lambda: F.sum("v")) -> Program:
    """A window function; `spec` is given the keys and the order that most have."""
    return lambda rows: rows.select(function().over(spec(Window.partitionBy("k").orderBy("id"))).alias("x"))


WINDOWS: Mapping[str, Pair] = {
    "keys": (_over(lambda w: w), _over(lambda w: Window.partitionBy("id").orderBy("id"))),
    "no keys": (_over(lambda w: w), _over(lambda w: Window.orderBy("id"))),
    "order": (_over(lambda w: w), _over(lambda w: Window.partitionBy("k").orderBy("v"))),
    "no order": (_over(lambda w: w), _over(lambda w: Window.partitionBy("k"))),
    "direction": (_over(lambda w: w), _over(lambda w: Window.partitionBy("k").orderBy(F.desc("id")))),
    "place of nulls": (_over(lambda w: w), _over(lambda w: Window.partitionBy("k").orderBy(F.asc_nulls_last("id")))),
    "frame": (_over(lambda w: w.rowsBetween(-1, 0)), _over(lambda w: w.rowsBetween(-2, 0))),
    "end of a frame": (_over(lambda w: w.rowsBetween(-1, 0)), _over(lambda w: w.rowsBetween(-1, 1))),
    "rows for a range": (_over(lambda w: w.rowsBetween(-1, 0)), _over(lambda w: w.rangeBetween(-1, 0))),
    "no frame for a frame": (
        _over(lambda w: w), _over(lambda w: w.rowsBetween(Window.unboundedPreceding, Window.currentRow))),
    "unbounded": (
        _over(lambda w: w.rowsBetween(Window.unboundedPreceding, 0)),
        _over(lambda w: w.rowsBetween(0, Window.unboundedFollowing))),
    "function": (_over(lambda w: w, F.rank), _over(lambda w: w, F.dense_rank)),
    "lag for lead": (_over(lambda w: w, lambda: F.lag("v")), _over(lambda w: w, lambda: F.lead("v"))),
    "how far": (_over(lambda w: w, lambda: F.lag("v", 1)), _over(lambda w: w, lambda: F.lag("v", 2))),
    "what there is before": (_over(lambda w: w, lambda: F.lag("v")), _over(lambda w: w, lambda: F.lag("v", 1, 0.0))),
    "whole table for a window": (
        lambda rows: rows.select(F.sum("v").alias("x")),
        lambda rows: rows.select(F.sum("v").over(Window.partitionBy()).alias("x"))),
}


TABLES: Mapping[str, Pair] = {
    "condition": (lambda rows: rows.filter("id > 1"), lambda rows: rows.filter("id > 2")),
    "filter before, filter behind": (
        lambda rows: rows.filter("v > 1").limit(2), lambda rows: rows.limit(2).filter("v > 1")),
    "limit": (lambda rows: rows.limit(1), lambda rows: rows.limit(2)),
    "offset": (lambda rows: rows.offset(1), lambda rows: rows.offset(2)),
    "direction": (lambda rows: rows.sort("v"), lambda rows: rows.sort(F.desc("v"))),
    "place of nulls": (lambda rows: rows.sort(F.asc("v")), lambda rows: rows.sort(F.asc_nulls_last("v"))),
    "keys of an order": (lambda rows: rows.sort("k", "v"), lambda rows: rows.sort("v", "k")),
    "order within partitions": (lambda rows: rows.sort("v"), lambda rows: rows.sortWithinPartitions("v")),
    "keys of duplicates": (lambda rows: rows.dropDuplicates(["k"]), lambda rows: rows.dropDuplicates(["id"])),
    "keys of a group": (lambda rows: rows.groupBy("k").count(), lambda rows: rows.groupBy("id").count()),
    "order of keys of a group": (
        lambda rows: rows.groupBy("k", "id").count(), lambda rows: rows.groupBy("id", "k").count()),
    "rollup for cube": (lambda rows: rows.rollup("k").count(), lambda rows: rows.cube("k").count()),
    "rollup for group": (lambda rows: rows.rollup("k").count(), lambda rows: rows.groupBy("k").count()),
    "sets of keys": (
        lambda rows: rows.groupingSets([["k"], []], "k", "id").count(),
        lambda rows: rows.groupingSets([["k"], ["id"]], "k", "id").count()),
    "pivoted values": (
        lambda rows: rows.groupBy("id").pivot("k", ["a", "b"]).agg(F.sum("v")),
        lambda rows: rows.groupBy("id").pivot("k", ["b", "a"]).agg(F.sum("v"))),
    "pivoted column": (
        lambda rows: rows.groupBy("id").pivot("k", ["a"]).agg(F.sum("v")),
        lambda rows: rows.groupBy("id").pivot("j", ["a"]).agg(F.sum("v"))),
    "unpivoted names": (
        lambda rows: rows.unpivot("id", ["v", "v2"], "a", "b"), lambda rows: rows.unpivot("id", ["v", "v2"], "b", "a")),
    "unpivoted columns": (
        lambda rows: rows.unpivot("id", ["v", "v2"], "a", "b"), lambda rows: rows.unpivot("id", ["v2", "v"], "a", "b")),
    "fraction": (lambda rows: rows.sample(fraction=0.1, seed=1), lambda rows: rows.sample(fraction=0.2, seed=1)),
    "seed of a sample": (lambda rows: rows.sample(fraction=0.1, seed=1),
        lambda rows: rows.sample(fraction=0.1, seed=2)),
    "replacement in a sample": (lambda rows: rows.sample(False, 0.5, 1), lambda rows: rows.sample(True, 0.5, 1)),
    "sample for split": (
        lambda rows: rows.sample(fraction=0.5, seed=1), lambda rows: rows.randomSplit([0.5, 0.5], seed=1)[0]),
    "part of a split": (
        lambda rows: rows.randomSplit([0.5, 0.5], 1)[0], lambda rows: rows.randomSplit([0.5, 0.5], 1)[1]),
    "weights of a split": (
        lambda rows: rows.randomSplit([0.5, 0.5], 1)[0], lambda rows: rows.randomSplit([0.6, 0.4], 1)[0]),
    "strata": (lambda rows: rows.sampleBy("k", {"a": 0.5}, 1), lambda rows: rows.sampleBy("k", {"b": 0.5}, 1)),
    "filled value": (lambda rows: rows.fillna(0), lambda rows: rows.fillna(1)),
    "type of the filled value": (lambda rows: rows.fillna(0), lambda rows: rows.fillna("0")),
    "truth of the filled value": (lambda rows: rows.fillna(1), lambda rows: rows.fillna(True)),
    "filled columns": (lambda rows: rows.fillna(0, ["v"]), lambda rows: rows.fillna(0, ["v2"])),
    "nulls, all of them": (lambda rows: rows.dropna(), lambda rows: rows.dropna("all")),
    "nulls in which columns": (lambda rows: rows.dropna(subset=["v"]), lambda rows: rows.dropna(subset=["k"])),
    "how many nulls": (lambda rows: rows.dropna(thresh=1), lambda rows: rows.dropna(thresh=2)),
    "what is replaced": (lambda rows: rows.replace(1, 2), lambda rows: rows.replace(2, 1)),
    "replaced by null": (lambda rows: rows.replace("a", None), lambda rows: rows.replace("a", "None")),
    "statistics": (lambda rows: rows.summary("min"), lambda rows: rows.summary("max")),
    "cross table": (lambda rows: rows.crosstab("k", "id"), lambda rows: rows.crosstab("id", "k")),
    "partitions": (lambda rows: rows.repartition(2), lambda rows: rows.repartition(3)),
    "partitions moved": (lambda rows: rows.repartition(2), lambda rows: rows.coalesce(2)),
    "keys of partitions": (lambda rows: rows.repartition("k"), lambda rows: rows.repartition("id")),
    "ranges for hashes": (lambda rows: rows.repartition(2, "k"), lambda rows: rows.repartitionByRange(2, "k")),
    "schema": (
        lambda rows: rows.to(StructType([StructField("id", LongType())])),
        lambda rows: rows.to(StructType([StructField("id", IntegerType())]))),
    "nullable schema": (
        lambda rows: rows.to(StructType([StructField("id", LongType())])),
        lambda rows: rows.to(StructType([StructField("id", LongType(), False)]))),
    "what is observed": (
        lambda rows: rows.observe("n", F.count(F.lit(1)).alias("n")),
        lambda rows: rows.observe("n", F.max("v").alias("n"))),
    "range": (lambda rows: rows.sparkSession.range(3), lambda rows: rows.sparkSession.range(4)),
    "partitions of a range": (
        lambda rows: rows.sparkSession.range(0, 9, 1, 2), lambda rows: rows.sparkSession.range(0, 9, 1, 3)),
}


def _made(*given: Any, **named: Any) -> Program:
    return lambda rows: rows.sparkSession.createDataFrame(*given, **named)


ROWS: Mapping[str, Pair] = {
    "value": (_made([(1,)], "a int"), _made([(2,)], "a int")),
    "order": (_made([(1,), (2,)], "a int"), _made([(2,), (1,)], "a int")),
    "type": (_made([(1,)], "a int"), _made([(1,)], "a long")),
    "inferred type": (_made([(1,)], ["a"]), _made([(1.0,)], ["a"])),
    "name": (_made([(1,)], ["a"]), _made([(1,)], ["b"])),
    "null": (_made([(None,)], "a string"), _made([("",)], "a string")),
    "nullable": (
        _made([(1,)], StructType([StructField("a", IntegerType())])),
        _made([(1,)], StructType([StructField("a", IntegerType(), False)]))),
    "metadata": (
        _made([(1,)], StructType([StructField("a", IntegerType())])),
        _made([(1,)], StructType([StructField("a", IntegerType(), True, {"unit": "m"})]))),
    "no rows": (_made([], "a int"), _made([], "a long")),
    "pandas": (_made(pd.DataFrame({"a": [1, 2]})), _made(pd.DataFrame({"a": [1, 3]}))),
    "pandas' type": (
        _made(pd.DataFrame({"a": np.array([1], "int64")})), _made(pd.DataFrame({"a": np.array([1], "int32")}))),
    "pandas' nan": (_made(pd.DataFrame({"a": [1.0, math.nan]})), _made(pd.DataFrame({"a": [1.0, 0.0]}))),
    "time zone": (
        _made([(dt.datetime(2020, 1, 1, tzinfo=_UTC),)], "a timestamp"),
        _made([(dt.datetime(2020, 1, 1, tzinfo=_BERLIN),)], "a timestamp")),
    "dict": (_made([{"a": 1, "b": 2}]), _made([{"a": 2, "b": 1}])),
}


def _of_python(make: Callable[..., Any], **given: Any) -> Program:
    return lambda rows: rows.select(make(**given)("id").alias("x"))


def _closed_over(rate: float) -> Program:
    def rated(value: float) -> float:
        return value * rate

    return lambda rows: rows.select(F.udf(rated, "double")("v").alias("x"))


def _with_default(rate: float) -> Program:
    def rated(value: float, by: float = rate) -> float:
        return value * by

    return lambda rows: rows.select(F.udf(rated, "double")("v").alias("x"))


class Scaler:
    """A function with a state."""

    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, value: float) -> float:
        return value * self.by


def _times(value: float, by: float) -> float:
    return value * by


def _mapped(function: Any, schema: str = "id long") -> Program:
    return lambda rows: rows.mapInPandas(function, schema)


def _grown(batches: Any) -> Any:
    for batch in batches:
        yield batch + 1


def _shrunk(batches: Any) -> Any:
    for batch in batches:
        yield batch - 1


def _same(group: pd.DataFrame) -> pd.DataFrame:
    return group


PYTHON: Mapping[str, Pair] = {
    "body": (
        lambda rows: rows.select(F.udf(lambda n: n + 1, "int")("id").alias("x")),
        lambda rows: rows.select(F.udf(lambda n: n + 2, "int")("id").alias("x"))),
    "closure": (_closed_over(1.5), _closed_over(2.5)),
    "default": (_with_default(1.5), _with_default(2.5)),
    "state of an object": (
        lambda rows: rows.select(F.udf(Scaler(1.5), "double")("v").alias("x")),
        lambda rows: rows.select(F.udf(Scaler(2.5), "double")("v").alias("x"))),
    "part of a function": (
        lambda rows: rows.select(F.udf(functools.partial(_times, by=1.5), "double")("v").alias("x")),
        lambda rows: rows.select(F.udf(functools.partial(_times, by=2.5), "double")("v").alias("x"))),
    "type that it returns": (
        lambda rows: rows.select(F.udf(_times, "double")("v", "v").alias("x")),
        lambda rows: rows.select(F.udf(_times, "float")("v", "v").alias("x"))),
    "type object that it returns": (
        lambda rows: rows.select(F.udf(_times, DoubleType())("v", "v").alias("x")),
        lambda rows: rows.select(F.udf(_times, FloatType())("v", "v").alias("x"))),
    "text for time": (
        lambda rows: rows.select(F.udf(str, StringType())("v").alias("x")),
        lambda rows: rows.select(F.udf(str, TimestampType())("v").alias("x"))),
    "by rows, by batches of pandas": (
        lambda rows: rows.select(F.udf(_times, "double")("v", "v").alias("x")),
        lambda rows: rows.select(F.pandas_udf(_times, "double", 200)("v", "v").alias("x"))),
    "without arrow": (
        lambda rows: rows.select(F.udf(_times, "double", useArrow=False)("v", "v").alias("x")),
        lambda rows: rows.select(F.udf(_times, "double", useArrow=True)("v", "v").alias("x"))),
    "another column": (
        lambda rows: rows.select(F.udf(_times, "double")("v", "v2").alias("x")),
        lambda rows: rows.select(F.udf(_times, "double")("v2", "v").alias("x"))),
    "another keyword": (
        lambda rows: rows.select(F.udf(_times, "double")("v", by="v2").alias("x")),
        lambda rows: rows.select(F.udf(_times, "double")("v2", by="v").alias("x"))),
    "twice": (
        lambda rows: rows.select(F.udf(Scaler(2.0), "double")("v").alias("x")),
        lambda rows: rows.select(F.udf(Scaler(2.0), "double")(F.udf(Scaler(2.0), "double")("v")).alias("x"))),
    "which of two functions": (
        lambda rows: rows.select(F.udf(Scaler(2.0), "double")("v").alias("x"),
            F.udf(Scaler(3.0), "double")("v").alias("y")),
        lambda rows: rows.select(F.udf(Scaler(3.0), "double")("v").alias("x"),
            F.udf(Scaler(2.0), "double")("v").alias("y"))),
    "mapped by another": (_mapped(_grown), _mapped(_shrunk)),
    "mapped to another schema": (_mapped(_grown), _mapped(_grown, "id int")),
    "mapped in pandas, in arrow": (
        lambda rows: rows.mapInPandas(_grown, "id long"), lambda rows: rows.mapInArrow(_grown, "id long")),
    "groups of another key": (
        lambda rows: rows.groupBy("k").applyInPandas(_same, "id long"),
        lambda rows: rows.groupBy("id").applyInPandas(_same, "id long")),
    "sides of groups": (
        lambda rows, other: rows.groupBy("id").cogroup(other.groupBy("id")).applyInPandas(_times, "id long"),
        lambda rows, other: other.groupBy("id").cogroup(rows.groupBy("id")).applyInPandas(_times, "id long")),
    "key of one side": (
        lambda rows, other: rows.groupBy("id").cogroup(other.groupBy("id")).applyInPandas(_times, "id long"),
        lambda rows, other: rows.groupBy("id").cogroup(other.groupBy("w")).applyInPandas(_times, "id long")),
}


def _assembled(**given: Any) -> Program:
    return lambda rows: VectorAssembler(**{"inputCols": ["v", "v2"], "outputCol": "f", **given}).transform(rows)


def _bucketed(**given: Any) -> Program:
    return lambda rows: Bucketizer(**{"splits": [0.0, 1.0, 2.0], "inputCol": "v", "outputCol": "b",
        **given}).transform(rows)


def _scaled(vector: Any) -> Program:
    return lambda rows: ElementwiseProduct(scalingVec=vector, inputCol="v", outputCol="w").transform(rows)


def _binarized(threshold: float, rows: DataFrame) -> DataFrame:
    stage = Binarizer(threshold=0.1, inputCol="v", outputCol="b")
    return stage.transform(rows, {stage.threshold: threshold})


STAGES: Mapping[str, Pair] = {
    "input": (_assembled(), _assembled(inputCols=["v2", "v"])),
    "output": (_assembled(), _assembled(outputCol="g")),
    "parameter": (_assembled(), _assembled(handleInvalid="keep")),
    "parameter that is the default": (_bucketed(handleInvalid="error"), _bucketed(handleInvalid="skip")),
    "splits": (_bucketed(), _bucketed(splits=[0.0, 1.5, 2.0])),
    "infinite splits": (_bucketed(splits=[-math.inf, 1.0, 2.0]), _bucketed(splits=[0.0, 1.0, math.inf])),
    "another stage": (
        lambda rows: Binarizer(inputCol="v", outputCol="b").transform(rows),
        lambda rows: Bucketizer(inputCol="v", outputCol="b", splits=[0.0, 1.0, 2.0]).transform(rows)),
    "threshold": (
        lambda rows: Binarizer(threshold=0.5, inputCol="v", outputCol="b").transform(rows),
        lambda rows: Binarizer(threshold=0.6, inputCol="v", outputCol="b").transform(rows)),
    "statement": (
        lambda rows: SQLTransformer(statement="SELECT id FROM __THIS__").transform(rows),
        lambda rows: SQLTransformer(statement="SELECT k FROM __THIS__").transform(rows)),
    "parameters of one call": (
        lambda rows: _binarized(0.5, rows), lambda rows: _binarized(0.9, rows)),
    "vector": (_scaled([1.0, 2.0]), _scaled([2.0, 1.0])),
    "vector that is sparse": (_scaled(Vectors.dense([1.0, 0.0])), _scaled(Vectors.sparse(2, [0], [1.0]))),
}


OPERANDS: Mapping[str, Pair] = {
    "less": (lambda rows: rows.where(rows.id < 3), lambda rows: rows.where(F.lit(3) < rows.id)),
    "minus": (
        lambda rows: rows.withColumn("a", rows.id - rows.v), lambda rows: rows.withColumn("a", rows.v - rows.id)),
    "which of two": (
        lambda rows: rows.where((rows.id > 1) & (rows.v > 2)), lambda rows: rows.where((rows.v > 1) & (rows.id > 2))),
    "arguments": (
        lambda rows: rows.withColumn("a", F.pow("id", "v")), lambda rows: rows.withColumn("a", F.pow("v", "id"))),
}


STATEMENTS: Mapping[str, Pair] = {
    "literal": (
        lambda rows: rows.sparkSession.sql("SELECT id FROM {t} WHERE id > 1", t=rows),
        lambda rows: rows.sparkSession.sql("SELECT id FROM {t} WHERE id > 2", t=rows)),
    "argument": (
        lambda rows: rows.sparkSession.sql("SELECT id FROM {t} WHERE id > :n", {"n": 1}, t=rows),
        lambda rows: rows.sparkSession.sql("SELECT id FROM {t} WHERE id > :n", {"n": 2}, t=rows)),
    "what a view holds": (
        lambda rows: (rows.createOrReplaceTempView("p"), rows.sparkSession.sql("SELECT id FROM p"))[1],
        lambda rows: (rows.where("id > 1").createOrReplaceTempView("p"), rows.sparkSession.sql("SELECT id FROM p"))[1]),
    "which of two views": (
        lambda rows, other: (
            rows.createOrReplaceTempView("p"), other.createOrReplaceTempView("q"),
            rows.sparkSession.sql("SELECT k FROM p"))[2],
        lambda rows, other: (
            rows.createOrReplaceTempView("p"), other.createOrReplaceTempView("q"),
            rows.sparkSession.sql("SELECT k FROM q"))[2]),
    "which of two tables": (
        lambda rows, other: rows.sparkSession.sql("SELECT {a}.k FROM {a} JOIN {b}", a=rows, b=other),
        lambda rows, other: rows.sparkSession.sql("SELECT {b}.k FROM {a} JOIN {b}", a=rows, b=other)),
    "which comes first": (
        lambda rows, other: rows.sparkSession.sql("SELECT * FROM {a} CROSS JOIN {b}", a=rows, b=other),
        lambda rows, other: rows.sparkSession.sql("SELECT * FROM {b} CROSS JOIN {a}", a=rows, b=other)),
    "code in a view": (
        lambda rows: (
            rows.withColumn("x", F.udf(lambda v: v + 1, "long")("id")).createOrReplaceTempView("p"),
            rows.sparkSession.sql("SELECT x FROM p"))[1],
        lambda rows: (
            rows.withColumn("x", F.udf(lambda v: v + 2, "long")("id")).createOrReplaceTempView("p"),
            rows.sparkSession.sql("SELECT x FROM p"))[1]),
    "view that is made again": (
        lambda rows: (rows.createOrReplaceTempView("p"), rows.sparkSession.sql("SELECT id FROM p"))[1],
        lambda rows: (
            rows.createOrReplaceTempView("p"), rows.limit(2).createOrReplaceTempView("p"),
            rows.sparkSession.sql("SELECT id FROM p"))[2]),
}



def _registered(function: Any, text: str = "f(id)", *given: Any, name: str = "f") -> Program:
    def program(rows: DataFrame) -> DataFrame:
        rows.sparkSession.udf.register(name, function, *given)
        return rows.selectExpr(text)

    return program


REGISTERED: Mapping[str, Pair] = {
    "code": (_registered(lambda v: v + 1), _registered(lambda v: v + 2)),
    "type": (_registered(lambda v: v, "f(id)", "int"), _registered(lambda v: v, "f(id)", "long")),
    "name of the column": (_registered(lambda v: v), _registered(lambda v: v, "g(id)", name="g")),
    "code that only others may call": (_registered(lambda v: v + 1, "id"), _registered(lambda v: v + 2, "id")),
    "whether it is one": (_registered(lambda v: v, "id"), lambda rows: rows.selectExpr("id")),
    "kind": (
        _registered(F.pandas_udf(lambda v: v, LongType())), _registered(F.udf(lambda v: v, LongType()))),
    "which of two": (
        lambda rows: (_registered(lambda v: v)(rows), _registered(lambda v: -v, "f(id) + g(id)", name="g")(rows))[1],
        lambda rows: (_registered(lambda v: -v)(rows), _registered(lambda v: v, "f(id) + g(id)", name="g")(rows))[1]),
}

ALL: Mapping[str, Pair] = {
    f"{title}: {name}": pair for title, pairs in {
        "names": NAMES, "shadows": SHADOWS, "joins": JOINS, "literals": LITERALS, "expressions": EXPRESSIONS,
        "lambdas": LAMBDAS, "windows": WINDOWS, "tables": TABLES, "rows": ROWS, "operands": OPERANDS,
        "python": PYTHON, "stages": STAGES, "statements": STATEMENTS, "registered": REGISTERED,
    }.items() for name, pair in pairs.items()
}
