"""Drawn histories of edits and losses in which each computation draws otherwise: two draws are never mixed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from benchmarks.instances import KINDS, run_history
from helix_spark.run.run import Run

pytestmark = pytest.mark.spark

RUNS = 6
TELLING = (1, 3, 9)
"""Histories in which a draw that is made again under its old signature is mixed with what was made of the old one."""


@pytest.mark.parametrize("seed", [TELLING[0], *(pytest.param(seed, marks=pytest.mark.long) for seed in TELLING[1:])])
def test_two_draws_are_never_mixed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    assert run_history(seed, spark, RUNS, tmp_path / "right" / "catalog")["mixed"] == 0
    monkeypatch.setattr(Run, "computed", frozenset())
    assert run_history(seed, spark, RUNS, tmp_path / "wrong" / "catalog")["mixed"] > 0


def test_there_are_many_kinds() -> None:
    assert len(KINDS) >= 20
