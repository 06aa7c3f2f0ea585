"""Python functions that Spark calls."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, IntegerType, StringType, StructField, StructType

RATE = 1.5
NAMES = {"a": "first", "b": "second"}


def rated(value: float | None) -> float | None:
    return None if value is None else value * RATE


@F.udf(DoubleType())
def declared_above(value: float | None) -> float | None:
    return rated(value)


@F.pandas_udf(DoubleType())
def doubled(values: pd.Series) -> pd.Series:
    return values * 2


@F.udtf(returnType="word string, n int")
class Letters:
    def eval(self, text: str | None) -> Iterator[tuple[str, int]]:
        for place, letter in enumerate(text or ""):
            yield letter, place


def udf_with_text(rows: DataFrame) -> DataFrame:
    return rows.withColumn("x", F.udf(rated, "double")("v"))


def udf_with_type(rows: DataFrame) -> DataFrame:
    return rows.select(F.udf(lambda k: NAMES.get(k), StringType())(rows.k).alias("x"),
        F.udf(lambda n: n)("id").alias("y"))


def udf_of_structs(rows: DataFrame) -> DataFrame:
    made = StructType([StructField("a", IntegerType()), StructField("b", StringType(), False)])
    return rows.select("id", F.udf(lambda s: s and (s.f, s.g or ""), made)("s").alias("x")).select("id", "x.*")


def udf_of_module(rows: DataFrame) -> DataFrame:
    return rows.withColumn("x", declared_above("v")).filter(declared_above(F.col("v2")) > 0)


def udf_that_hashes(rows: DataFrame) -> DataFrame:
    return rows.select("id", F.udf(hash, "long")("k").alias("x"))


def udf_with_keyword(rows: DataFrame) -> DataFrame:
    return rows.select(F.udf(lambda a, b: f"{a}{b}")(b="k", a=rows.id).alias("x"))


def udf_without_arrow(rows: DataFrame) -> DataFrame:
    return rows.select(F.udf(lambda n: n + 1, "long", useArrow=False)("id").alias("x"))


def udf_that_draws(rows: DataFrame) -> DataFrame:
    return rows.select(F.udf(lambda n: n + 1, "long").asNondeterministic()("id").alias("x"))


def pandas_udf(rows: DataFrame) -> DataFrame:
    @F.pandas_udf("long")
    def later(values: pd.Series) -> pd.Series:
        return values + 1

    return rows.select(later("id").alias("x"), doubled(rows.v).alias("y"))


def pandas_udf_of_iterators(rows: DataFrame) -> DataFrame:
    @F.pandas_udf("long")
    def later(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for values in batches:
            yield values + 1

    return rows.select(later("id").alias("x"))


def pandas_udf_that_aggregates(rows: DataFrame) -> DataFrame:
    @F.pandas_udf("double")
    def spread(values: pd.Series) -> float:
        return float(values.max() - values.min())

    return rows.groupBy("k").agg(spread("v").alias("x"))


def arrow_udf(rows: DataFrame) -> DataFrame:
    @F.arrow_udf("long")
    def same(values: pa.Array) -> pa.Array:
        return values

    return rows.select(same("id").alias("x"))


def mapped_in_pandas(rows: DataFrame) -> DataFrame:
    def later(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield batch[["id"]] + 1

    return rows.select("id", "v").mapInPandas(later, "id long")


def mapped_in_arrow(rows: DataFrame) -> DataFrame:
    return rows.select("id").mapInArrow(lambda batches: batches, "id long")


def applied_in_pandas(rows: DataFrame) -> DataFrame:
    def centred(group: pd.DataFrame) -> pd.DataFrame:
        return group.assign(v=group.v - group.v.mean())

    rows = rows.select("id", "k", "v")
    return rows.groupBy(rows.k).applyInPandas(centred, "id long, k string, v double")


def applied_to_two(rows: DataFrame, other: DataFrame) -> DataFrame:
    def both(left: pd.DataFrame, right: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"l": [len(left)], "r": [len(right)]})

    left, right = rows.select("id", "k").groupBy("id"), other.select("id", "w").groupby("id")
    return left.cogroup(right).applyInPandas(both, "l long, r long")


def table_function(rows: DataFrame) -> DataFrame:
    return rows.lateralJoin(Letters(F.col("k").outer())).select("id", "word", "n")
