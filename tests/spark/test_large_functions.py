"""Python functions that hold much data go to Spark's workers by a file, and not in each task."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.serializers import CPickleSerializer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType
from pyspark.worker_util import read_command

import helix_spark as hx
from helix_spark.hermetic.task import Purpose, written_for
from helix_spark.plans.replaced_in_pyspark import pickled
from tests.fakes.observer import Warned

WEIGHTS = np.arange(100_000, dtype=float)



def received(written: bytes) -> Any:
    """What a worker makes of it."""
    return read_command(CPickleSerializer(), io.BytesIO(struct.pack("!i", len(written)) + written))


def test_function_with_much_data_is_read_from_a_file_here() -> None:
    held = WEIGHTS.copy()

    def taken(at: int) -> float:
        return float(held[at])

    with written_for(Purpose("node", home=str(Path.cwd()))):
        written = pickled((taken, DoubleType()))
    assert len(written) < 1_000
    function, kind = received(written)
    assert function(7) == 7.0
    assert kind == DoubleType()


def test_function_for_other_machines_and_a_small_one_stay_as_they_are() -> None:
    held = WEIGHTS.copy()

    def taken(at: int) -> float:
        return float(held[at])

    with written_for(Purpose("node")):
        assert len(pickled((taken, DoubleType()))) > held.nbytes
    with written_for(Purpose("node", home=str(Path.cwd()))):
        function, _ = pickle.loads(pickled((len, DoubleType())))
    assert function is len


@pytest.mark.spark
def test_each_sort_of_function_may_hold_much_data(tmp_path: Path, spark: SparkSession) -> None:
    wf = hx.Workflow("large")
    held = WEIGHTS.copy()
    wf.source("data", hx.table(pd.DataFrame({"at": [1.0, 2.0, 3.0, 4.0], "part": ["a", "a", "b", "b"]})))

    @wf.scanner(output=True)
    def by_row(data: DataFrame) -> DataFrame:
        return data.select(F.udf(lambda at: float(held[int(at)]), "double")("at").alias("found"))

    @wf.scanner(output=True)
    def by_batch(data: DataFrame) -> DataFrame:
        def found(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            for batch in batches:
                yield pd.DataFrame({"found": held[batch["at"].astype(int)]})

        return data.mapInPandas(found, "found double")

    @wf.scanner(output=True)
    def by_group(data: DataFrame) -> DataFrame:
        def summed(group: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({"found": [held[group["at"].astype(int)].sum()]})

        return data.groupBy("part").applyInPandas(summed, "found double")

    with hx.Helix(tmp_path / "catalog", spark=spark, observer=Warned()) as helix:
        run = helix.run(wf)
        found = {name: sorted(run.table(name).toPandas()["found"]) for name in ("by_row", "by_batch", "by_group")}
    assert found == {"by_row": [1, 2, 3, 4], "by_batch": [1, 2, 3, 4], "by_group": [3, 7]}
