"""Python functions that are registered by a name, and called by it."""

from __future__ import annotations

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, LongType


def marked(text: str | None) -> str:
    return f"{text}!"


@F.udf(LongType())
def one_more(number: int) -> int:
    return number + 1


@F.pandas_udf(DoubleType())
def mean(values: pd.Series) -> float:
    return float(values.mean())


def in_a_statement(rows: DataFrame) -> DataFrame:
    rows.sparkSession.udf.register("Clean", marked)
    rows.createOrReplaceTempView("p")
    kept = rows.sparkSession.sql("SELECT CLEAN(k), id FROM p WHERE clean(k) > 'a' -- clean(id)")
    return kept.where("`Clean(k)` != 'x'")


def in_expressions(rows: DataFrame) -> DataFrame:
    SparkSession.active().udf.register("more", one_more)
    texts = rows.selectExpr("id", "more(id) + 1", "more ( `id` ) AS more").where("more(id) > 1")
    return texts.select("id", F.expr("more(id)"), F.col("more"), F.expr("concat(more(id), 'more(id)')"))


def by_its_name_in_python(rows: DataFrame) -> DataFrame:
    returned = rows.sparkSession.udf.register("more", one_more)
    return rows.select(F.call_udf("more", "id"), F.call_function("MORE", rows.id).alias("again"), returned("id"))


def over_groups(rows: DataFrame) -> DataFrame:
    rows.sparkSession.udf.register("average", mean)
    rows.createOrReplaceTempView("p")
    return rows.sparkSession.sql("SELECT flag, average(v2) FROM p WHERE v2 IS NOT NULL GROUP BY flag")


def two_in_views(rows: DataFrame) -> DataFrame:
    spark = rows.sparkSession
    spark.udf.register("mark", marked)
    rows.createOrReplaceTempView("p")
    spark.sql("SELECT mark(k) AS k, id FROM p").createOrReplaceTempView("q")
    spark.udf.register("twice", lambda text: text * 2)
    return spark.sql("SELECT twice(mark(k)) FROM q")


def beside_a_table_of_its_name(rows: DataFrame) -> DataFrame:
    rows.sparkSession.udf.register("t", marked)
    return rows.select("id").crossJoin(rows.sparkSession.sql("SELECT t.x FROM VALUES (1) AS t(x)"))
