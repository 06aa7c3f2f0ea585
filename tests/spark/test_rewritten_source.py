"""A source that is rewritten under its path, in a session that holds pins of what was there before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

import helix_spark as hx
from helix_spark.helix import Helix

pytestmark = pytest.mark.spark


def total(path: Path) -> hx.Workflow:
    wf = hx.Workflow("total")
    wf.source("data", hx.csv(path, "n long"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.where("n > 0")

    @wf.reducer(output=True)
    def sum_of(rows: DataFrame) -> int:
        return int(rows.selectExpr("sum(n)").first()[0])

    @wf.reducer(output=True)
    def largest(rows: DataFrame) -> int:
        return int(rows.selectExpr("max(n)").first()[0])

    return wf


def test_pins_of_the_old_data_are_not_taken_for_the_new(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "n.csv"
    file.write_text("1\n2\n")
    before = file.stat()
    with Helix(tmp_path / "catalog", spark=spark, policy="never") as helix:
        assert helix.run(total(file)).outputs == {"sum_of": 3, "largest": 2}
        file.write_text("5\n6\n")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        again = helix.run(total(file))
        assert again.plan.in_state("compute") == ("data", "rows", "sum_of", "largest")
        assert again.outputs == {"sum_of": 11, "largest": 6}
