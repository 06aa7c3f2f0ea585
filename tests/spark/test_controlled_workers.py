"""What Python functions draw in Spark's workers follows from their node and partition."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType

import helix_spark as hx
from tests.fakes.observer import Warned

pytestmark = pytest.mark.spark

PEOPLE = pd.DataFrame({"age": [float(age) for age in range(20)], "sex": ["a", "b"] * 10})


@F.udf(DoubleType())
def noise(age: float) -> float:
    return random.random()


def noisy(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        yield batch.assign(noise=np.random.default_rng().random(len(batch)))


def summed(group: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"noise": [float(np.random.rand())]})


def drawing() -> hx.Workflow:
    wf = hx.Workflow("drawing")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner(output=True)
    def by_row(data: DataFrame) -> DataFrame:
        return data.withColumn("noise", noise("age"))

    @wf.scanner(output=True)
    def by_row_again(by_row: DataFrame) -> DataFrame:
        return by_row.withColumn("more", noise("age"))

    @wf.scanner(output=True)
    def by_batch(data: DataFrame) -> DataFrame:
        return data.mapInPandas(noisy, "age double, sex string, noise double")

    @wf.scanner(output=True)
    def by_group(data: DataFrame) -> DataFrame:
        data.count()  # so it is called when it runs
        return data.groupBy("sex").applyInPandas(summed, "noise double")

    return wf


def run(folder: Path, spark: SparkSession) -> dict[str, Any]:
    with hx.Helix(folder, spark=spark, observer=Warned()) as helix:
        iteration = helix.run(drawing())
        return {name: iteration.table(name).toPandas() for name in ("by_row", "by_row_again", "by_batch", "by_group")}


def test_draws_in_workers_are_the_same_from_scratch(tmp_path: Path, spark: SparkSession) -> None:
    first, second = run(tmp_path / "a", spark), run(tmp_path / "b", spark)
    draws = first["by_row_again"]
    assert not (draws.noise == draws.more).any()  # though one task computes both
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name])
        assert table.noise.nunique() == len(table) > 1
