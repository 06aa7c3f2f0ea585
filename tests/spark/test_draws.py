"""Draws that only a plan tells to be such: which of equal rows stay depends on the order in which rows come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from workflows import PEOPLE, Heard, computed, loading

import helix_spark as hx
from helix_spark.planner.problem import State

pytestmark = pytest.mark.spark


def choosing(weight: int, **wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("choosing")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner(**wishes)
    def chosen(data: DataFrame) -> DataFrame:
        return data.dropDuplicates(["sex"])

    @wf.reducer(output=True)
    def oldest(chosen: pd.DataFrame) -> float:
        return float(chosen.age.max()) * weight

    return wf


def run(folder: Path, spark: SparkSession, workflow: hx.Workflow) -> Any:
    """As a process of its own."""
    with hx.Helix(folder, policy=loading("never"), spark=spark, observer=Heard()) as helix:
        iteration = helix.run(workflow)
        iteration.wait()
        return iteration


def test_a_draw_stands_while_it_is_fixed_and_no_longer(tmp_path: Path, spark: SparkSession) -> None:
    first = run(tmp_path, spark, choosing(1, fixed=True))
    again = run(tmp_path, spark, choosing(2, fixed=True))
    assert again.plan["chosen"].state is State.LOAD
    assert again["oldest"] == 2 * first["oldest"]
    free = run(tmp_path, spark, choosing(2))
    assert "chosen" in computed(free)
    assert "dropDuplicates" in free.plan["chosen"].reason


def test_a_draw_that_was_lost_is_another_result_when_it_is_drawn_again(tmp_path: Path, spark: SparkSession) -> None:
    first = run(tmp_path, spark, choosing(1, fixed=True))
    with hx.Helix(tmp_path, spark=spark, observer=Heard()) as helix:
        helix.catalog.evict_all({first.plan["chosen"].signature: "its room is needed"})
    again = run(tmp_path, spark, choosing(1, fixed=True))
    assert again.plan["chosen"].signature != first.plan["chosen"].signature
    assert {"chosen", "oldest"} <= computed(again)
