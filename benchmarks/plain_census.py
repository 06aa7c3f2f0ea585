"""The census job as an expert writes it in plain PySpark, without Helix: what a fresh process needs to its answer.

    python benchmarks/plain_census.py [--reg 0.1] [--bins 10] [--repeat 1] [--json]

Started as Delta's documentation says (`configure_spark_with_delta_pip`). `jobs/census.py` must give the same numbers;
this is the definition of them:

- rows: `adult.data` then `adult.test`, 48,842 in all, without the comment line, "?" as null, labels without their ".";
- label: 1.0 where income is ">50K";
- features, in this order: age, hours_per_week, capital = log1p(capital_gain) - log1p(capital_loss), the age bucket's
  index (`bins` quantile buckets, relative error 0.001), then the one-hot vectors of CATEGORIES in their order
  (categories by frequency, then alphabetically; null has a place of its own, the last, and the last place is dropped);
- indexers and quantiles are fitted on all rows, as a workflow's extractors are;
- test rows are those with pmod(xxhash64(all columns of a row in order, seed), 1000000) < 200000, seed 1;
- LogisticRegression(regParam=reg, maxIter=50), else Spark's defaults, fitted on the other rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

STARTED = time.perf_counter()

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = (
    "age double, workclass string, fnlwgt double, education string, education_num double, marital_status string, "
    "occupation string, relationship string, race string, sex string, capital_gain double, capital_loss double, "
    "hours_per_week double, native_country string, income string"
)
CATEGORIES = (
    "education", "occupation", "marital_status", "workclass", "relationship", "race", "sex", "native_country",
)
SPLIT_SEED, SPLIT_PARTS, TEST_PARTS = 1, 1_000_000, 200_000


def census_rows(spark: SparkSession, paths: list[str]) -> DataFrame:
    """The cleaned rows."""
    from pyspark.sql import functions as F

    raw = spark.read.csv(
        paths, schema=SCHEMA, comment="|", nullValue="?", ignoreLeadingWhiteSpace=True, ignoreTrailingWhiteSpace=True
    )
    return raw.withColumn("income", F.expr("trim(TRAILING '.' FROM income)"))


def examples(rows: DataFrame, bins: int) -> DataFrame:
    """Columns features, label and test."""
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import OneHotEncoder, QuantileDiscretizer, StringIndexer, VectorAssembler
    from pyspark.sql import functions as F

    rows = rows.withColumns({
        "capital": F.log1p("capital_gain") - F.log1p("capital_loss"),
        "label": (F.col("income") == ">50K").cast("double"),
        "test": F.pmod(F.xxhash64(*rows.columns, F.lit(SPLIT_SEED)), F.lit(SPLIT_PARTS)) < TEST_PARTS,
    })
    indices = [f"{name}_index" for name in CATEGORIES]
    vectors = [f"{name}_vector" for name in CATEGORIES]
    pipeline = Pipeline(stages=[
        QuantileDiscretizer(numBuckets=bins, inputCol="age", outputCol="age_bucket", relativeError=0.001),
        StringIndexer(inputCols=list(CATEGORIES), outputCols=indices, handleInvalid="keep"),
        OneHotEncoder(inputCols=indices, outputCols=vectors),
        VectorAssembler(
            inputCols=["age", "hours_per_week", "capital", "age_bucket", *vectors], outputCol="features"
        ),
    ])
    return pipeline.fit(rows).transform(rows).select("features", "label", "test")


def answer(spark: SparkSession, paths: list[str], reg: float, bins: int) -> dict[str, float]:
    """Fits and evaluates; the examples are cached because the fit scans them once an iteration."""
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.evaluation import BinaryClassificationEvaluator
    from pyspark.sql import functions as F

    assembled = examples(census_rows(spark, paths), bins).cache()
    try:
        model = LogisticRegression(regParam=reg, maxIter=50).fit(assembled.where(~F.col("test")))
        predictions = model.transform(assembled.where("test"))
        [row] = predictions.select(
            F.avg((F.col("prediction") == F.col("label")).cast("double")).alias("accuracy"),
            F.count("*").alias("test_rows"),
        ).collect()
        auc = BinaryClassificationEvaluator().evaluate(predictions)
        return {
            "accuracy": row["accuracy"], "auc": auc, "test_rows": row["test_rows"], "rows": assembled.count(),
            "features": model.numFeatures, "iterations": model.summary.totalIterations,
        }
    finally:
        assembled.unpersist()


def documented_session() -> SparkSession:
    """A session as Delta's quick start makes it."""
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    builder = (
        SparkSession.builder.appName("plain_census")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    )
    spark: SparkSession = configure_spark_with_delta_pip(builder).getOrCreate()
    return spark


def main() -> None:
    arguments = argparse.ArgumentParser(description="the census job in plain PySpark")
    arguments.add_argument("--reg", type=float, default=0.1, help="L2 regularization")
    arguments.add_argument("--bins", type=int, default=10, help="quantile buckets of age")
    arguments.add_argument("--repeat", type=int, default=1, help="run so often in the one session; later runs are warm")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    given = arguments.parse_args()

    from jobs.datasets import adult

    paths = adult()
    spark = documented_session()
    session_seconds = time.perf_counter() - STARTED
    seconds: list[float] = []
    before = STARTED
    for _ in range(given.repeat):
        numbers = answer(spark, paths, given.reg, given.bins)
        seconds.append(time.perf_counter() - before)
        before = time.perf_counter()
    spark.stop()
    result = {**numbers, "session_seconds": session_seconds, "seconds_to_answer": seconds}
    if given.json:
        print(json.dumps(result))
    else:
        print(f"accuracy {numbers['accuracy']:.6f}, AUC {numbers['auc']:.6f} on {numbers['test_rows']} test rows")
        print(f"first answer after {seconds[0]:.1f} s, session {session_seconds:.1f} s of it", end="")
        print("".join(f", then {later:.1f} s" for later in seconds[1:]))


if __name__ == "__main__":
    main()
