"""A function of tables that is slow to call is called where it is computed, and what it builds then is what counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from workflows import computed

import helix_spark as hx

pytestmark = pytest.mark.spark


def workflow(rows: list[int]) -> hx.Workflow:
    wf = hx.Workflow("slow")
    wf.source("rows", hx.table(pd.DataFrame({"n": rows})))

    @wf.scanner
    def kept(rows: DataFrame) -> DataFrame:
        print("called")
        least = int(Path("least.txt").read_text()) + getattr(sys, "of_a_test", 0)
        return rows.where(F.col("n") >= least)

    @wf.reducer(output=True)
    def total(kept: pd.DataFrame) -> int:
        return int(kept.n.sum())

    return wf


def test_it_is_called_where_it_is_computed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("helix_spark.capture.captured_function.SLOW_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    Path("least.txt").write_text("2")

    def run(rows: list[int]) -> tuple[hx.Iteration, int]:
        capsys.readouterr()
        found = helix.run(workflow(rows))
        found.wait()
        return found, capsys.readouterr().out.count("called")

    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        first, _ = run([1, 2, 3])
        assert [run([1, 2, 3])[1] for _ in range(3)] == [1, 0, 0], "once more, to see what it reads"
        other, calls = run([1, 2, 3, 4])
        assert (other["total"], calls) == (9, 1)
        assert "kept" in computed(other)
        back, calls = run([1, 2, 3])
        assert (back.plan["kept"].signature, calls) == (first.plan["kept"].signature, 0)
        audited = helix.audit(workflow([1, 2, 3]), everything=True)
        assert {one.verdict for one in audited.results} == {"verified"}

        monkeypatch.setattr(sys, "of_a_test", 1, raising=False)  # which nobody sees it read
        unseen, _ = run([1, 2, 3, 5])
        assert unseen["total"] == 8
        assert unseen.plan["kept"].random == ()
        again, calls = run([1, 2, 3, 5])
        assert calls == 1, "it is not trusted any more"
        assert again.plan["kept"].signature == unseen.plan["kept"].signature
        assert "built another plan" in again.plan.warnings[0]
