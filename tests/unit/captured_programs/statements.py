"""SQL statements, and views that they name."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F


def of_a_table(rows: DataFrame) -> DataFrame:
    return rows.sparkSession.sql("SELECT k, max(v) AS most FROM {rows} GROUP BY k ORDER BY k", rows=rows)


def of_two_tables(rows: DataFrame, other: DataFrame) -> DataFrame:
    joined = "SELECT r.id, o.w FROM {rows} r JOIN {other} o ON r.id = o.id WHERE r.v > {least}"
    return rows.sparkSession.sql(joined, rows=rows, other=other, least=0.5)


def of_one_table_twice(rows: DataFrame) -> DataFrame:
    return rows.sparkSession.sql("SELECT a.id, b.k FROM {t} a JOIN {t} b ON a.id = b.id", t=rows)


def of_a_view(rows: DataFrame) -> DataFrame:
    rows.createOrReplaceTempView("People")
    return rows.sparkSession.sql("SELECT people.id, k FROM people WHERE people.v > 0")


def of_a_view_of_a_part(rows: DataFrame) -> DataFrame:
    rows.where(rows.id > 1).createOrReplaceTempView("some")
    return SparkSession.active().sql("SELECT count(*) AS n FROM some").withColumn("twice", F.col("n") * 2)


def of_a_statements_result(rows: DataFrame) -> DataFrame:
    spark = rows.sparkSession
    rows.createOrReplaceTempView("first_step")
    spark.sql("SELECT id, v * 2 AS v FROM first_step").createOrReplaceTempView("second_step")
    return spark.sql("SELECT sum(v) AS total FROM second_step")


def of_a_view_made_again(rows: DataFrame) -> DataFrame:
    rows.createOrReplaceTempView("step")
    rows.sparkSession.table("step").where("v > 0").createOrReplaceTempView("step")
    return rows.sparkSession.sql("SELECT id FROM step")


def read_by_name(rows: DataFrame) -> DataFrame:
    rows.select("id", "k").createOrReplaceTempView("named")
    return rows.sparkSession.read.table("named").where("named.id > 1")


def with_tables_of_its_own(rows: DataFrame) -> DataFrame:
    rows.createOrReplaceTempView("p")
    return rows.sparkSession.sql("with q as (select id from p), r as (select max(id) as id from q) select * from r, q")


def with_a_table_of_its_views_name(rows: DataFrame) -> DataFrame:
    rows.createOrReplaceTempView("p")
    return rows.sparkSession.sql("WITH p AS (SELECT id FROM p) SELECT id FROM p WHERE id > 1")


def with_a_query_inside(rows: DataFrame) -> DataFrame:
    rows.createOrReplaceTempView("p")
    return rows.sparkSession.sql("SELECT id FROM p WHERE v >= (SELECT avg(v) FROM p)")


def begun_by_its_table(rows: DataFrame) -> DataFrame:
    rows.createOrReplaceTempView("p")
    return rows.sparkSession.sql("FROM p SELECT id")


def with_arguments(rows: DataFrame) -> DataFrame:
    return rows.sparkSession.sql("SELECT id FROM {t} WHERE k = :k AND id > :least", {"k": "a", "least": 0}, t=rows)


def with_arguments_by_place(rows: DataFrame) -> DataFrame:
    rows.createOrReplaceTempView("p")
    return rows.sparkSession.sql("SELECT id FROM p WHERE id > ?", [1])


def with_arguments_alone(rows: DataFrame) -> DataFrame:
    return rows.select("id").crossJoin(rows.sparkSession.sql("SELECT :one AS one", {"one": 1}))


def of_values(rows: DataFrame) -> DataFrame:
    prices = rows.sparkSession.sql("SELECT * FROM VALUES (1L, 2.5D), (2L, 3.5D) AS t(id, price)")
    return rows.select("id").join(prices, "id")


def of_a_function_of_python(rows: DataFrame) -> DataFrame:
    rows.withColumn("more", F.udf(lambda v: v + 1, "long")("id")).createOrReplaceTempView("p")
    return rows.sparkSession.sql("SELECT more FROM p").withColumn("most", F.udf(lambda v: v * 2, "long")("more"))
