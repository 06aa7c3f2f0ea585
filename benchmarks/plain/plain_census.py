"""`jobs/census.py` in plain PySpark. What the numbers of both are:

- rows: `adult.data` then `adult.test`, 48,842 in all, without the comment line, "?" as null, labels without their ".";
- label: 1.0 where income is ">50K";
- features, in this order: age, hours_per_week, capital = log1p(capital_gain) - log1p(capital_loss), the age bucket's
  index (`BINS` quantile buckets, relative error 0.001), then the one-hot vectors of CATEGORIES in their order
  (categories by frequency, then alphabetically; null has a place of its own, the last, and the last place is dropped);
- test rows are those of `adult.test`, whose labels end in ".";
- indexers and quantiles are fitted on the other rows;
- so is the logistic regression, with `REG` and 50 iterations, else Spark's defaults.
"""

from __future__ import annotations

from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression, NaiveBayes  # noqa: F401 - an edit takes the other one
from pyspark.ml.feature import OneHotEncoder, QuantileDiscretizer, StringIndexer, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.plain.keeping import Keep
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
    parted = raw.withColumn("test", F.coalesce(F.col("income").endswith("."), F.lit(False)))
    trimmed = parted.withColumn("income", F.expr("trim(TRAILING '.' FROM income)"))
    return trimmed if TIMES == 1 else trimmed.withColumn("copy", F.explode(F.sequence(F.lit(1), F.lit(TIMES))))


def examples(rows: DataFrame) -> DataFrame:
    rows = rows.withColumns({
        "capital": F.log1p("capital_gain") - F.log1p("capital_loss"),
        "label": (F.col("income") == ">50K").cast("double"),
    })
    indices, vectors = [f"{name}_index" for name in CATEGORIES], [f"{name}_vector" for name in CATEGORIES]
    pipeline = Pipeline(stages=[
        QuantileDiscretizer(numBuckets=BINS, inputCol="age", outputCol="age_bucket", relativeError=0.001),
        StringIndexer(inputCols=list(CATEGORIES), outputCols=indices, handleInvalid="keep"),
        OneHotEncoder(inputCols=indices, outputCols=vectors),
        VectorAssembler(inputCols=[*NUMBERS, "capital", "age_bucket", *vectors], outputCol="features"),
    ])
    return pipeline.fit(rows.where(~F.col("test"))).transform(rows).select("features", "label", "test")


def predictions(assembled: DataFrame) -> DataFrame:
    model = LogisticRegression(regParam=REG, maxIter=50).fit(assembled.where(~F.col("test")))
    scored: DataFrame = model.transform(assembled.where("test"))
    return scored.select("label", "prediction", vector_to_array(F.col("probability")).alias("probability"))


def answer(spark: SparkSession, keep: Keep) -> dict[str, object]:
    made = keep("predictions", lambda: predictions(keep("examples", lambda: examples(census_rows(spark)))), once=True)
    scored = made.toPandas()
    score = scored.probability.str[1]
    rank, positive = score.rank(), scored.label == 1
    n, m = positive.sum(), (~positive).sum()
    outputs: dict[str, object] = {
        "accuracy": float((scored.prediction == scored.label).mean()),
        "auc": float((rank[positive].sum() - n * (n + 1) / 2) / (n * m)),
    }
    return outputs
