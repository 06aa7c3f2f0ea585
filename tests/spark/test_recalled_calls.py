"""What functions of tables returned is recorded; a record that no longer holds is found before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

import helix_spark as hx
from helix_spark.run import preparation
from helix_spark.run.iteration import Iteration

pytestmark = pytest.mark.spark


def workflow(people: Path, least: int, more: int) -> hx.Workflow:
    wf = hx.Workflow("people")
    wf.source("data", hx.csv(str(people), schema="age double"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.where(data.age > least)

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> float:
        return float(rows.age.sum()) + more

    return wf


def test_a_record_that_does_not_hold_is_found_out_before_anything_is_computed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = tmp_path / "people.csv"
    people.write_text("1\n2\n3\n4\n5\n")
    monkeypatch.setattr(preparation, "calls_key", lambda *_: "0" * 64)  # an edit that nobody sees

    def run(least: int, more: int) -> Iteration:
        with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
            iteration = helix.run(workflow(people, least, more))
            iteration.wait()
            return iteration

    assert run(3, 0)["total"] == 9
    assert run(1, 1)["total"] == 15
    assert run(1, 2)["total"] == 16
    with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
        assert [node.state for node in helix.plan(workflow(people, 1, 2)).nodes if node.output] == ["load"]
