"""A small workflow that takes Spark: a table that Spark writes, two fitted stages, values.

    python -m tests.faults.spark_job CATALOG KEY
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.ml.classification import LogisticRegression
from pyspark.sql import DataFrame

import helix_spark as hx
from tests.faults import job
from tests.faults.job import PEOPLE, Heard

SETTINGS = {"spark.master": "local[2]", "spark.sql.shuffle.partitions": "2", "spark.driver.memory": "1g"}


def workflow(key: int, weight: int = 1, *, learn: bool = True) -> hx.Workflow:
    """Build data -> rows -> total; with `learn`, rows -> examples -> model -> width, too."""
    wf = hx.Workflow("spark job")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.selectExpr(f"a * {key} as a", "s", "cast(a % 2 as double) as odd")

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        return int(rows.a.sum()) * weight

    if not learn:
        return wf
    person = wf.extractor("person", hx.OneHot("s"), on=rows)
    examples = wf.synthesizer("examples", rows, features=[person], label="odd = 1")
    wf.learner("model", LogisticRegression, on=examples, maxIter=2)

    @wf.reducer(output=True)
    def width(model: Any) -> int:
        return len(model.coefficients) * weight

    return wf


def slow_workflow(key: int) -> hx.Workflow:
    """Build data -> rows -> total, where each of eight tasks takes a second."""
    wf = hx.Workflow("slow spark job")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        from pyspark.sql import functions as F

        def slow(value: int) -> int:
            time.sleep(0.0016)
            return value * key

        return data.repartition(8, "a").withColumn("a", F.udf(slow, "long")(data.a))

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        return int(rows.a.sum())

    return wf


def answers(key: int, weight: int = 1, *, learn: bool = True) -> dict[str, int]:
    """Return the right answer of the workflow."""
    # 97 names and a category for those never seen, of which the last is dropped.
    learned = {"width": 97 * weight} if learn else {}
    return {"total": int(PEOPLE.a.sum()) * key * weight, **learned}


def run(catalog: Path, wf: hx.Workflow, heard: Heard | None = None, **options: Any) -> dict[str, Any]:
    """Run a workflow, wait until everything is stored, and return the outputs."""
    return job.run(catalog, wf, heard, **{"settings": SETTINGS, **options})


if __name__ == "__main__":
    outputs = run(Path(sys.argv[1]), workflow(int(sys.argv[2])), Heard(loud=True))
    print(f"done {outputs == answers(int(sys.argv[2]))}", flush=True)
