"""`jobs/census.py` in plain PySpark; what its numbers are is written down in `benchmarks/plain_census.py`."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression, NaiveBayes  # noqa: F401 - an edit takes the other one
from pyspark.ml.feature import OneHotEncoder, QuantileDiscretizer, StringIndexer, VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.census import SCHEMA
from jobs.datasets import adult

REG = 0.1
BINS = 10
TIMES = 1
NUMBERS = ("age", "hours_per_week")
CATEGORIES = ("education", "occupation", "marital_status", "workclass", "relationship", "race", "sex", "native_country")


def census_rows(spark: SparkSession) -> DataFrame:
    raw = spark.read.csv(
        adult(), schema=SCHEMA, comment="|", nullValue="?", ignoreLeadingWhiteSpace=True, ignoreTrailingWhiteSpace=True
    )
    trimmed = raw.withColumn("income", F.expr("trim(TRAILING '.' FROM income)"))
    return trimmed if TIMES == 1 else trimmed.withColumn("copy", F.explode(F.sequence(F.lit(1), F.lit(TIMES))))


def examples(rows: DataFrame) -> DataFrame:
    rows = rows.withColumns({
        "capital": F.log1p("capital_gain") - F.log1p("capital_loss"),
        "label": (F.col("income") == ">50K").cast("double"),
        "test": F.pmod(F.xxhash64(*rows.columns, F.lit(1)), F.lit(1_000_000)) < 200_000,
    })
    indices, vectors = [f"{name}_index" for name in CATEGORIES], [f"{name}_vector" for name in CATEGORIES]
    pipeline = Pipeline(stages=[
        QuantileDiscretizer(numBuckets=BINS, inputCol="age", outputCol="age_bucket", relativeError=0.001),
        StringIndexer(inputCols=list(CATEGORIES), outputCols=indices, handleInvalid="keep"),
        OneHotEncoder(inputCols=indices, outputCols=vectors),
        VectorAssembler(inputCols=[*NUMBERS, "capital", "age_bucket", *vectors], outputCol="features"),
    ])
    return pipeline.fit(rows).transform(rows).select("features", "label", "test")


def predictions(assembled: DataFrame) -> DataFrame:
    model = LogisticRegression(regParam=REG, maxIter=50).fit(assembled.where(~F.col("test")))
    return model.transform(assembled.where("test")).select("label", "prediction", "probability")


def answer(spark: SparkSession, keep: Callable[[str, Callable[[], DataFrame]], DataFrame]) -> dict[str, object]:
    made = keep("predictions", lambda: predictions(keep("examples", lambda: examples(census_rows(spark)))))
    scored = made.toPandas()
    scored["probability"] = [vector.toArray() for vector in scored.probability]
    score = scored.probability.str[1]
    rank, positive = score.rank(), scored.label == 1
    n, m = positive.sum(), (~positive).sum()
    found: dict[str, object] = {
        "accuracy": float((scored.prediction == scored.label).mean()),
        "auc": float((rank[positive].sum() - n * (n + 1) / 2) / (n * m)),
    }
    return found
