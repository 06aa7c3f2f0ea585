"""Drawn histories of edits and losses in which each computation draws otherwise: two draws are never mixed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from benchmarks.histories.instances import KINDS, run_history
from helix_spark.run.run import Run

pytestmark = pytest.mark.spark

RUNS = 6


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))])
def test_two_draws_are_never_mixed(spark: SparkSession, tmp_path: Path, seed: int) -> None:
    assert run_history(seed, spark, RUNS, tmp_path / "catalog")["mixed"] == 0


@pytest.mark.long
def test_a_draw_made_again_under_its_old_signature_is_noticed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "computed", frozenset())
    histories = (run_history(seed, spark, RUNS, tmp_path / str(seed) / "catalog") for seed in range(20))
    assert any(found["mixed"] for found in histories), "three of ten histories mix two draws then"


def test_there_are_many_kinds() -> None:
    assert len(KINDS) >= 20
