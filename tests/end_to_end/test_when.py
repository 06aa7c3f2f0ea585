"""When things happen in a plain program: tables, views, functions, files and settings mean what they mean in a classic
session, errors rise at the same line, and an unchanged run prints the same without Spark."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HELIX = str(Path(sys.executable).with_name("helix"))

PROGRAM = r'''
import os
import shutil
import sys

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.master("local[1]").config("spark.sql.shuffle.partitions", "1").getOrCreate()
K = 1


def case(function):
    try:
        found = function()
    except AnalysisException as error:
        found = type(error).__name__, error.getCondition()
    print(function.__name__, found, flush=True)


def refused(build):
    try:
        build()
    except Exception as error:
        return f"{type(error).__name__} {getattr(error, 'getCondition', str)()}"
    return "accepted"


@case
def a_view_replaced():
    spark.range(5).createOrReplaceTempView("v")
    table, query = spark.table("v"), spark.sql("SELECT * FROM v")
    spark.range(8).toDF("other").createOrReplaceTempView("v")
    joined = table.join(spark.table("v"), F.col("id") == F.col("other"))
    counts = [one.count() for one in (table, query, spark.table("v"), joined, query.filter("id > 1"))]
    return table.columns, counts


@case
def a_view_dropped():
    table = spark.table("v")
    gone = spark.catalog.dropTempView("v")
    return gone, table.count()


@case
def views_of_views():
    spark.range(5).createOrReplaceTempView("a")
    spark.table("a").createOrReplaceTempView("b")
    spark.sql("CREATE OR REPLACE TEMP VIEW c AS SELECT * FROM a")
    tables = spark.table("b"), spark.table("c")
    spark.range(9).createOrReplaceTempView("a")
    return [one.count() for one in (*tables, spark.table("b"), spark.table("c"))]


@case
def a_function_registered_anew():
    first = spark.udf.register("g", lambda number: 1, "int")
    one = spark.range(1)
    tables = [one.selectExpr("g(id)"), one.select(F.call_udf("g", "id")), spark.sql("SELECT g(1) AS x")]
    spark.udf.register("g", lambda number: 2, "int")
    tables += [spark.sql("SELECT g(1) AS x"), one.select(first("id").alias("y"))]
    return [one.collect() for one in tables]


@case
def a_global_changed():
    global K
    plus = F.udf(lambda number: number + K, "long")

    def mapped(batches):
        for batch in batches:
            yield batch.assign(id=batch["id"] + K)

    K = 1
    tables = [spark.range(1).select(plus("id").alias("x")), spark.range(1).mapInPandas(mapped, "id long")]
    K = 10
    tables += [spark.range(1).select(plus("id").alias("x")), spark.range(1).mapInPandas(mapped, "id long")]
    return [one.collect() for one in tables]


@case
def settings_changed():
    spark.conf.set("spark.sql.ansi.enabled", "false")
    cast = spark.range(1).select(F.lit("x").cast("int").alias("n"))
    spark.conf.set("spark.sql.ansi.enabled", "true")
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    times = spark.sql("SELECT CAST(timestamp_seconds(0) AS string) AS s, timestamp_seconds(0) AS t")
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    times.show()
    upper = spark.range(1).toDF("Ab")
    insensitive = upper.select("aB")
    spark.conf.set("spark.sql.caseSensitive", "true")
    strict = refused(lambda: upper.select("aB"))
    found = cast.collect(), insensitive.collect(), strict
    for name in ("ansi.enabled", "session.timeZone", "caseSensitive"):
        spark.conf.unset(f"spark.sql.{name}")
    return found


@case
def statements_that_set():
    texts = spark.createDataFrame([("2024-03-10 12:30:00",)], "s string")
    times = texts.withColumn("t", F.to_timestamp("s"))
    found = []
    for statement in ("SET TIME ZONE 'America/New_York'", "-- zone\nSET spark.sql.session.timeZone=Asia/Tokyo",
                      "RESET spark.sql.session.timeZone"):
        spark.sql(statement)
        shown = times.select(F.date_format("t", "HH:mm").alias("f")).collect()
        found.append((spark.conf.get("spark.sql.session.timeZone"), shown, times.toPandas().t.astype(str).tolist()))
    spark.conf.unset("spark.sql.shuffle.partitions")
    return found, spark.conf.get("spark.sql.shuffle.partitions")


@case
def files_added():
    shutil.rmtree("files", ignore_errors=True)
    os.mkdir("files")
    with open("files/a.csv", "w") as file:
        file.write("1\n2\n")
    table, query = spark.read.csv("files"), spark.sql("SELECT * FROM csv.`./files`")
    with open("files/b.csv", "w") as file:
        file.write("3\n")
    return table.count(), query.count(), spark.read.csv("files").count()


@case
def refusals():
    rows = spark.range(1)
    return [refused(one) for one in (
        lambda: rows.select("nope"), lambda: spark.read.parquet("missing"),
        lambda: spark.sql("SELECT nope"), lambda: rows.filter("nope > 1"), lambda: rows["nope"], lambda: rows.nope,
        lambda: rows.withColumn("x", F.col("id").cast("array<int>")), lambda: rows.join(rows, "nope"),
        lambda: rows.union(rows.withColumn("b", F.lit(1))), lambda: rows.groupBy("nope").count(),
        lambda: rows.orderBy("nope"),
        lambda: rows.selectExpr("id +"), lambda: rows.filter("id"), lambda: rows.select(F.sum("id"), "id"),
        lambda: rows.select(F.call_udf("nope", "id")), lambda: rows.toDF("a", "b"), lambda: rows.drop("nope"),
        lambda: rows.withColumnRenamed("nope", "x"), lambda: rows.agg(F.sum("nope")), lambda: rows.sort("id").limit(-1),
    )]


@case
def rows_that_are_not_needed():
    rows = spark.createDataFrame([(number,) for number in range(8)], "id int")
    return rows.select(F.when(rows.id == 7, F.raise_error(F.lit("seven"))).otherwise("fine").alias("said")).head()


@case
def a_loop():
    rows = spark.range(3)
    for number in range(30):
        rows = rows.withColumn(f"c{number}", F.col("id") * number)
    return rows.agg(F.sum("c29")).collect()


spark.stop()
'''


def printed(folder: Path, *command: str) -> tuple[str, str]:
    done = subprocess.run(
        [*command, "when.py"], cwd=folder, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYSPARK_PYTHON": sys.executable},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, done.stderr


@pytest.mark.long
def test_a_program_means_what_it_means_in_a_classic_session(tmp_path: Path) -> None:
    (tmp_path / "when.py").write_text(PROGRAM)
    classic, _ = printed(tmp_path, sys.executable)
    for _ in range(2):
        assert printed(tmp_path, HELIX, "run")[0] == classic


@pytest.mark.long
def test_a_program_that_spark_refuses_nothing_runs_again_without_it(tmp_path: Path) -> None:
    program = PROGRAM.replace("        build()\n", "        pass\n")
    # In each run, Spark is sent such a statement, and lists the files of a folder before the program adds one.
    program = program.replace("        spark.sql(statement)\n", "").replace("files/b.csv", "b.csv")
    (tmp_path / "when.py").write_text(program)
    first, _ = printed(tmp_path, HELIX, "run")
    again, said = printed(tmp_path, HELIX, "run")
    assert again == first
    told = re.search(r"(\d+) of (\d+) answers from", said)
    assert told, said
    assert told[1] == told[2]
    assert "Spark's start" not in said
