"""From which size on a fit is sooner done in several partitions than in one.

    python benchmarks/partitions.py [--runs 5] [--json]

Fits a logistic regression to more and more random rows, persisted, in one partition and in one a core, in turn; prints
the median seconds of an iteration of the optimiser, and the bytes that the rows take in memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = (10_000, 40_000, 160_000, 640_000)
NUMBERS, LEVELS = 4, 8
"""Of a row: plain numbers, and one-hot columns of ten levels each, as in the census job."""


def examples(spark: SparkSession, rows: int, partitions: int) -> DataFrame:
    """Random rows with a sparse vector of NUMBERS + LEVELS entries that are not zero."""
    from pyspark.ml.feature import OneHotEncoder, VectorAssembler
    from pyspark.sql import functions as F

    frame = spark.range(rows, numPartitions=partitions).select(
        *(F.rand(i).alias(f"n{i}") for i in range(NUMBERS)),
        *(F.floor(F.rand(100 + i) * 10).cast("double").alias(f"l{i}") for i in range(LEVELS)),
    ).withColumn("label", (F.col("n0") + F.col("l0") / 10 + F.rand(7) > 1.5).cast("double"))
    hot = OneHotEncoder(inputCols=[f"l{i}" for i in range(LEVELS)], outputCols=[f"h{i}" for i in range(LEVELS)])
    wide = hot.fit(frame).transform(frame)
    names = [f"n{i}" for i in range(NUMBERS)] + [f"h{i}" for i in range(LEVELS)]
    return VectorAssembler(inputCols=names, outputCol="features").transform(wide).select("features", "label").cache()


def measure(spark: SparkSession, rows: int, runs: int) -> dict[str, Any]:
    """Seconds an iteration, for one partition and for one a core."""
    from helix_spark.engine.lowering.lowering import size_of

    cores = spark.sparkContext.defaultParallelism
    frame = examples(spark, rows, cores)
    frame.count()
    one: list[float] = []
    several: list[float] = []
    for run in range(runs + 1):
        for partitions, found in ((1, one), (cores, several)):
            seconds = iteration_seconds(frame.coalesce(partitions), 0.001 * (run + 1))
            if run:  # the first is for the compiler
                found.append(seconds)
    size = size_of(frame)
    frame.unpersist()
    return {"rows": rows, "bytes": size, "cores": cores, "one_partition": median(one), "one_a_core": median(several)}


def iteration_seconds(frame: DataFrame, reg: float) -> float:
    """Of one fit, divided by its iterations."""
    from pyspark.ml.classification import LogisticRegression

    start = time.perf_counter()
    model = LogisticRegression(regParam=reg, maxIter=30, tol=0.0).fit(frame)
    iterations: int = model.summary.totalIterations
    return (time.perf_counter() - start) / max(1, iterations)


def main() -> None:
    """Measures and prints."""
    from helix_spark.engine.server.session import Sessions

    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    with Sessions() as sessions:
        found = [measure(sessions.get(), rows, given.runs) for rows in ROWS]
    if given.json:
        print(json.dumps(found, indent=1))
        return
    for one in found:
        print(f"{one['rows']:>8} rows, {one['bytes'] / 2**20:7.1f} MiB: {1000 * one['one_partition']:6.1f} ms an "
              f"iteration in one partition, {1000 * one['one_a_core']:6.1f} ms in {one['cores']}")


if __name__ == "__main__":
    main()
