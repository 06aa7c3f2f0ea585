"""`jobs/mnist.py` in plain PySpark."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.plain.keeping import Keep
from jobs.datasets import MNIST, mnist
from jobs.mnist import PIXELS, cosines, unpack

SIZE = 20_000
DIMENSIONS = 500
GAMMA = 0.005
SEED = 1
REG = 0.0005


def images(spark: SparkSession) -> DataFrame:
    files = spark.read.format("binaryFile").load([f"{mnist()}/{name}" for name in MNIST.digests])
    parts = files.select(F.element_at(F.split("path", "/"), -1).alias("file"), "content")
    pixels = parts.where("file LIKE '%images%'").withColumn("part", F.substring_index("file", "-", 1))
    labels = parts.where("file LIKE '%labels%'").withColumn("part", F.substring_index("file", "-", 1))
    both = pixels.join(labels.select("part", F.col("content").alias("labels")), "part")
    rows = both.select("part", "content", "labels").mapInPandas(
        unpack, "number int, part string, pixels binary, label double"
    )
    return rows.where(F.col("number") < SIZE).repartition(4, "number")


def waves(images: DataFrame) -> DataFrame:
    random = np.random.default_rng(SEED)
    directions = random.normal(scale=(2 * GAMMA) ** 0.5, size=(DIMENSIONS, PIXELS)).T
    begins = random.uniform(0, 2 * np.pi, DIMENSIONS)

    def to_waves(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield batch[["number", "part", "label"]].assign(wave=list(cosines(batch.pixels, directions, begins)))

    made = images.mapInPandas(to_waves, "number int, part string, label double, wave array<double>")
    vectors = made.withColumn("wave", array_to_vector(F.col("wave")))
    return VectorAssembler(inputCols=["wave"], outputCol="features").transform(vectors).drop("wave")


def predictions(digits: DataFrame) -> DataFrame:
    model = LogisticRegression(regParam=REG, maxIter=30).fit(digits.where("part = 'train'"))
    scored: DataFrame = model.transform(digits.where("part = 't10k'"))
    return scored.select("label", "prediction", vector_to_array(F.col("probability")).alias("probability"))


def answer(spark: SparkSession, keep: Keep) -> dict[str, object]:
    def digits() -> DataFrame:
        return waves(keep("images", lambda: images(spark)))

    scored = keep("predictions", lambda: predictions(keep("waves", digits)), once=True).toPandas()
    wrong = scored[scored.prediction != scored.label]
    pairs = wrong.groupby(["label", "prediction"]).size().reset_index(name="times")
    worst = pairs.sort_values(["times", "label", "prediction"], ascending=[False, True, True]).head(3)
    outputs: dict[str, object] = {
        "accuracy": float((scored.prediction == scored.label).mean()),
        "confused": [f"{row.label:.0f} for {row.prediction:.0f}" for row in worst.itertuples()],
    }
    return outputs
