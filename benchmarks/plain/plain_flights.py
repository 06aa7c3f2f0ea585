"""`jobs/flights.py` in plain PySpark."""

from __future__ import annotations

from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import Bucketizer, OneHotEncoder, QuantileDiscretizer, StringIndexer, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.plain.keeping import Keep
from jobs.datasets import flights as data_folder
from jobs.flights import AIRPORTS, FLIGHTS, PLANES, WEATHER

TIMES = 1
LATE = 15
REG = 0.01
BINS = 12
NUMBERS = ("time_of_day", "rain", "wind", "damp", "haze", "low", "age", "distance")
CATEGORIES = {"carrier": "carrier", "origin": "origin", "dest": "dest", "month": "month_name"}


def table(spark: SparkSession, name: str, schema: str) -> DataFrame:
    return spark.read.csv(f"{data_folder()}/{name}.csv", schema=schema, header=True, nullValue="NA")


def situations(spark: SparkSession) -> DataFrame:
    known = table(spark, "flights", FLIGHTS).where("arr_delay IS NOT NULL").select(
        "month", "day", "hour", "minute", "carrier", "tailnum", "origin", "dest", "distance", "arr_delay",
    )
    departures = known.withColumn("copy", F.explode(F.sequence(F.lit(1), F.lit(TIMES))))
    weather = table(spark, "weather", WEATHER).groupBy("origin", "month", "day", "hour").agg(
        *(F.avg(name).alias(name) for name in ("temp", "humid", "wind_speed", "precip", "pressure", "visib"))
    )
    planes = table(spark, "planes", PLANES).select("tailnum", F.col("year").alias("built"), "seats")
    airports = table(spark, "airports", AIRPORTS).select(F.col("faa").alias("dest"), "lat", "lon", "alt")
    joined = departures.join(weather, ["origin", "month", "day", "hour"], "left")
    return joined.join(planes, "tailnum", "left").join(airports, "dest", "left")


def columns() -> dict[str, Column]:
    return {
        "time_of_day": F.col("hour") + F.col("minute") / 60,
        "rain": F.log1p(F.coalesce("precip", F.lit(0.0)) * 100),
        "wind": F.coalesce("wind_speed", F.lit(10.0)),
        "damp": F.coalesce("humid", F.lit(60.0)) / 100,
        "haze": 10 - F.coalesce("visib", F.lit(10.0)),
        "low": 1017 - F.coalesce("pressure", F.lit(1017.0)),
        "age": 2013 - F.coalesce("built", F.lit(2001)),
        "month_name": F.col("month").cast("string"),
    }


def examples(rows: DataFrame) -> DataFrame:
    rows = rows.withColumns({
        **columns(), "label": (F.col("arr_delay") > LATE).cast("double"),
        "test": F.pmod(F.xxhash64("month", "day", F.lit(1)), F.lit(1_000_000)) < 250_000,
    })
    discretizer = QuantileDiscretizer(numBuckets=BINS, inputCol="time_of_day", outputCol="bucket", relativeError=0.001)
    splits = discretizer.fit(rows).getSplits()
    indices, vectors = [f"{name}_index" for name in CATEGORIES], [f"{name}_is" for name in CATEGORIES]
    pipeline = Pipeline(stages=[
        Bucketizer(splits=splits, inputCol="time_of_day", outputCol="bucket"),
        OneHotEncoder(inputCol="bucket", outputCol="hour_bucket", handleInvalid="keep", dropLast=True),
        StringIndexer(inputCols=list(CATEGORIES.values()), outputCols=indices, handleInvalid="keep"),
        OneHotEncoder(inputCols=indices, outputCols=vectors),
        VectorAssembler(inputCols=[*NUMBERS, "hour_bucket", *vectors], outputCol="features"),
    ])
    return pipeline.fit(rows).transform(rows).select("features", "label", "test", "carrier")


def predictions(assembled: DataFrame) -> DataFrame:
    model = LogisticRegression(regParam=REG, maxIter=30).fit(assembled.where("NOT test"))
    scored: DataFrame = model.transform(assembled.where("test"))
    return scored.select("label", "prediction", vector_to_array(F.col("probability")).alias("probability"), "carrier")


def answer(spark: SparkSession, keep: Keep) -> dict[str, object]:
    def assembled() -> DataFrame:
        return examples(keep("situations", lambda: situations(spark)))

    scored = keep("predictions", lambda: predictions(keep("examples", assembled)), once=True).toPandas()
    rank, positive = scored.probability.str[1].rank(), scored.label == 1
    n, m = int(positive.sum()), int((~positive).sum())
    shares = scored.groupby("carrier").label.agg(["mean", "size"])
    outputs: dict[str, object] = {
        "auc": float((rank[positive].sum() - n * (n + 1) / 2) / (n * m)),
        "worst_carrier": str(shares[shares["size"] >= 100 * TIMES]["mean"].idxmax()),
    }
    return outputs
