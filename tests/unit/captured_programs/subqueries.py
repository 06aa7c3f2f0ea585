"""Queries inside queries."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def scalar(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.select("id").withColumn("most", other.agg(F.max("w")).scalar())


def scalar_in_filter(rows: DataFrame) -> DataFrame:
    return rows.filter(rows.v >= rows.agg(F.avg("v")).scalar()).select("id")


def correlated(rows: DataFrame, other: DataFrame) -> DataFrame:
    of_this = other.where(F.col("id") == F.col("x.id").outer()).select(F.sum("w"))
    return rows.alias("x").select("id", of_this.scalar().alias("total"))


def exists(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.alias("x").filter(other.where(F.col("id") == F.col("x.id").outer()).exists()).select("id")


def is_in(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.filter(F.col("id").isin(other.select("id"))).select("id")


def two_of_one(rows: DataFrame) -> DataFrame:
    most = rows.agg(F.max("v"))
    return rows.select("id", most.scalar().alias("a"), (most.scalar() - rows.v).alias("b"))
