"""Values of every type that people put into their columns."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


class Size(enum.Enum):
    SMALL = "small"
    LARGE = 3


def numbers(rows: DataFrame) -> DataFrame:
    given = [1, -1, 0, 2**31, 2**40, 1.5, -0.0, 0.0, 1e300, float("inf"), True, False]
    return rows.select(*[F.lit(value).alias(f"c{place}") for place, value in enumerate(given)])


def no_numbers(rows: DataFrame) -> DataFrame:
    return rows.select(F.lit(float("nan")).alias("nan"), F.lit(None).alias("none"), F.lit(None).cast("int").alias("n"))


def numpy_scalars(rows: DataFrame) -> DataFrame:
    given = [np.int8(1), np.int16(1), np.int32(1), np.int64(1), np.float32(0.1), np.float64(0.1), np.bool_(True),
             np.str_("a")]
    return rows.select(*[F.lit(value).alias(f"c{place}") for place, value in enumerate(given)])


def numpy_arrays(rows: DataFrame) -> DataFrame:
    return rows.select(F.lit(np.array([1, 2])).alias("a"), F.lit(np.array([1.5])).alias("b"))


def decimals(rows: DataFrame) -> DataFrame:
    return rows.select(F.lit(Decimal("1.25")).alias("a"), F.lit(Decimal("1")).alias("b"),
        F.lit(Decimal("-0.001")).alias("c"))


def texts(rows: DataFrame) -> DataFrame:
    return rows.select(F.lit("a").alias("a"), F.lit("").alias("b"), F.lit("ü\n'\"\\").alias("c"), F.lit("1").alias("d"))


def binary(rows: DataFrame) -> DataFrame:
    return rows.select(F.lit(b"\x00\xff").alias("a"), F.lit(bytearray(b"ab")).alias("b"))


def times(rows: DataFrame) -> DataFrame:
    berlin = dt.timezone(dt.timedelta(hours=2))
    return rows.select(
        F.lit(dt.date(2020, 2, 29)).alias("a"), F.lit(dt.datetime(2020, 1, 2, 3, 4, 5, 6, dt.timezone.utc)).alias("b"),
        F.lit(dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=berlin)).alias("c"),
        F.lit(dt.timedelta(days=1, seconds=2, microseconds=3)).alias("d"),
    )


def lists(rows: DataFrame) -> DataFrame:
    return rows.select(F.lit([1, 2]).alias("a"), F.lit(["x", None]).alias("b"), F.lit([[1.5], [2.5]]).alias("c"))


def enums(rows: DataFrame) -> DataFrame:
    return rows.select(F.lit(Size.SMALL).alias("a"), F.lit(Size.LARGE).alias("b"))


def in_comparisons(rows: DataFrame) -> DataFrame:
    return rows.filter((rows.v < 1e9) & (rows.day >= dt.date(2000, 1, 1)) & rows.k.isin(["a", "b"]))


def rows_of_tuples(rows: DataFrame) -> DataFrame:
    spark = rows.sparkSession
    made = spark.createDataFrame([(1, "x", None), (2, None, 2.5)], "id int, name string, v double")
    return rows.select("id").join(made, "id", "left")


def rows_of_dicts(rows: DataFrame) -> DataFrame:
    made = rows.sparkSession.createDataFrame([{"id": 1, "tags": ["a"], "at": {"x": 1}},
        {"id": 2, "tags": [], "at": None}])
    return rows.select("id").join(made, "id")


def rows_of_pandas(rows: DataFrame) -> DataFrame:
    import pandas as pd

    made = pd.DataFrame({"id": [1, 2], "name": ["x", None], "v": [0.5, float("nan")]})
    return rows.select("id").join(rows.sparkSession.createDataFrame(made), "id")


def no_rows(rows: DataFrame) -> DataFrame:
    return rows.select("id").union(rows.sparkSession.createDataFrame([], "id long"))
