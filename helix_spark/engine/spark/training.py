"""What the class-data archive is trained on: a small run that uses what workflows use, so that its classes are in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.answers.function_calls import capture
from helix_spark.engine.spark.driver_client import DriverClient
from helix_spark.engine.spark.function_inputs import given_inputs
from helix_spark.engine.spark.own import start
from helix_spark.engine.spark.table_files import AS_FILES
from helix_spark.plans.captured_function import CallInputs, CapturedFunction
from helix_spark.plans.recorded_call import work_in
from helix_spark.versions import may_observe

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

_ROWS = 500
_LONGEST_SECONDS = 1800
"""For writing the archive: 15 s on an idle machine, much more at the lowest priority on a busy one."""
_CATEGORIES = ("alpha", "beta", "gamma", "?")


def train(archive: Path, scratch: Path) -> None:
    """Run the training in a JVM that writes its loaded classes to `archive` when it ends, and wait for that.

    Args:
        archive: the file to write.
        scratch: a folder for what the training reads and writes; whoever made it removes it.
    """
    own = start({"spark.master": "local[2]"}, record_classes=archive)
    gateway: Any = own.spark.sparkContext._gateway
    process = gateway.proc
    try:
        client = DriverClient(own.spark)
        work_in(lambda: client.spark)
        exercise(client.spark, scratch)
        client.close()
        own.stop()
        # The JVM writes the archive only when it ends of itself, which it does when its standard input closes.
        gateway.shutdown()
        process.stdin.close()
        process.wait(timeout=_LONGEST_SECONDS)
    finally:
        process.kill()  # a training that failed leaves no JVM that goes on writing


def exercise(spark: SparkSession, scratch: Path) -> None:
    """Read CSV, make features, fit, evaluate, store and load, in SQL, Spark ML, Arrow and Python."""
    rows = _read(spark, scratch / "rows.csv")
    examples = _examples(_captured(spark, rows)).cache()
    _fit(examples)
    _store(examples.drop("features"), str(scratch / "table"))
    _python(spark, rows)


def _read(spark: SparkSession, path: Path) -> DataFrame:
    lines = (f"{n % 70}, {_CATEGORIES[n % 4]}, {_CATEGORIES[n % 3]}, {n * 7 % 100}, {n % 2}" for n in range(_ROWS))
    path.write_text("|comment\n" + "\n".join(lines) + "\n")
    schema = "age double, first string, second string, amount double, label double"
    rows = spark.read.csv(str(path), schema=schema, comment="|", nullValue="?", ignoreLeadingWhiteSpace=True)
    return rows.na.fill("none").where("amount >= 0")


def _captured(spark: SparkSession, rows: DataFrame) -> DataFrame:
    """Return the rows, by way of the plan of a function that was called on a placeholder."""
    found = capture(_of_a_function, CallInputs({"rows": "table"}, {}))
    assert isinstance(found, CapturedFunction)
    with given_inputs(spark, {0: rows}) as serves:
        server = serves(found.call.values)
        return server.table(found.call, found.plan)


def _of_a_function(rows: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    text = F.when(F.col("first") == "?", F.lit("none")).otherwise(F.lower(F.col("first")))
    return rows.withColumn("first", text).where((rows.amount >= 0) & F.expr("age IS NOT NULL"))


def _examples(rows: DataFrame) -> DataFrame:
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import OneHotEncoder, QuantileDiscretizer, StringIndexer, VectorAssembler
    from pyspark.sql import functions as F

    pipeline = Pipeline(stages=[
        StringIndexer(inputCols=["first", "second"], outputCols=["first_index", "second_index"], handleInvalid="keep"),
        OneHotEncoder(inputCols=["first_index", "second_index"], outputCols=["first_vector", "second_vector"]),
        QuantileDiscretizer(numBuckets=4, inputCol="age", outputCol="age_bucket"),
        VectorAssembler(inputCols=["age_bucket", "capital", "first_vector", "second_vector"], outputCol="features"),
    ])
    rows = rows.withColumns({
        "capital": F.log1p("amount"), "test": F.pmod(F.xxhash64(*rows.columns), F.lit(5)) == 0,
    })
    grouped = rows.groupBy("first").agg(F.avg("amount").alias("mean"), F.count("*").alias("rows"))
    return pipeline.fit(rows).transform(rows).join(F.broadcast(grouped), "first", "left")


def _fit(examples: DataFrame) -> None:
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.evaluation import BinaryClassificationEvaluator, MulticlassClassificationEvaluator

    model = LogisticRegression(regParam=0.1, maxIter=5).fit(examples.where("not test"))
    predictions = model.transform(examples.where("test"))
    BinaryClassificationEvaluator().evaluate(predictions)
    MulticlassClassificationEvaluator(metricName="accuracy").evaluate(predictions)
    predictions.groupBy("label", "prediction").count().orderBy("label").collect()


def _store(table: DataFrame, path: str) -> None:
    import pyspark
    from pyspark.sql import Observation, Window
    from pyspark.sql import functions as F

    plain = watched = table.select("age", "first", "label", "test")
    if may_observe(pyspark.__version__):
        watched = plain.observe(Observation("written"), F.count("*"), F.bit_xor(F.xxhash64(*plain.columns)))
    watched.write.format("parquet").options(**AS_FILES).save(f"{path}_of_files")
    plain.write.format("delta").save(path)
    loaded = table.sparkSession.read.format("delta").load(path)
    loaded.withColumn("place", F.row_number().over(Window.partitionBy("first").orderBy("age"))).toArrow()
    loaded.select("first").distinct().join(plain, "first").count()


def _python(spark: SparkSession, rows: DataFrame) -> None:
    import pyarrow as pa
    from pyspark.sql import functions as F

    def unchanged(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        yield from frames

    doubled = F.udf(lambda value: value * 2, "double")
    rows.select(doubled("amount").alias("amount")).mapInPandas(unchanged, "amount double").toPandas()
    spark.createDataFrame(pa.table({"x": [1, 2], "y": ["a", "b"]})).where("x > 1").toArrow()
    spark.createDataFrame([(1, "a")], "x int, y string").collect()
