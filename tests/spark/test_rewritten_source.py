"""A source that is rewritten under its path, in a session that holds pins of what was there before."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import DataFrame, SparkSession

import helix_spark as hx
from helix_spark.engine.execution.observer import Silent
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


def test_rows_of_which_the_bytes_are_back_at_the_end_are_not_taken_for_the_files(
    spark: SparkSession, tmp_path: Path
) -> None:
    file = tmp_path / "n.csv"
    file.write_text("1\n2\n")

    class Editor(Silent):
        edits = True

        def node_started(self, name: str) -> None:
            if self.edits:
                file.write_text("5\n6\n")

        def answered(self, seconds: float) -> None:
            file.write_text("1\n2\n")
            self.edits = False

    with Helix(tmp_path / "catalog", spark=spark, policy="always", observer=Editor()) as helix:
        assert helix.run(total(file)).outputs == {"sum_of": 11, "largest": 6}
        assert helix.run(total(file)).outputs == {"sum_of": 3, "largest": 2}
        assert helix.iteration(1).record.error.startswith("source `data` changed while the iteration ran")


@pytest.mark.parametrize("in_place", [False, True], ids=["beside", "in its place"])
@pytest.mark.long
def test_a_copy_of_a_delta_table_that_went_its_own_way_is_another(
    spark: SparkSession, tmp_path: Path, in_place: bool
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_deltalake(str(one), pa.table({"n": [1, 2, 3]}))
    shutil.copytree(one, two)
    DeltaTable(str(one)).delete("n = 1")
    DeltaTable(str(two)).delete("n = 3")

    def sum_of(table: Path) -> hx.Workflow:
        wf = hx.Workflow("sum")
        wf.source("data", hx.delta(table))

        @wf.reducer(output=True)
        def total(data: DataFrame) -> int:
            return int(data.selectExpr("sum(n)").first()[0])

        return wf

    with Helix(tmp_path / "catalog", spark=spark, policy="always") as helix:
        assert helix.run(sum_of(one))["total"] == 5
        if in_place:
            helix.wait()
            log, other = (table / "_delta_log" / f"{1:020}.json" for table in (one, two))
            shutil.copystat(log, other)
            shutil.rmtree(one)
            two.rename(one)
        assert helix.run(sum_of(one if in_place else two))["total"] == 3


def test_what_was_made_while_its_source_changed_is_not_held_by_the_next_run(
    spark: SparkSession, tmp_path: Path
) -> None:
    file = tmp_path / "numbers.csv"

    def moving(edits: bool) -> hx.Workflow:
        wf = hx.Workflow("moving")
        wf.source("data", hx.csv(str(file), schema="a int"))

        @wf.scanner
        def rows(data: pd.DataFrame) -> pd.DataFrame:
            return data * 2

        @wf.reducer(output=True)
        def total(rows: pd.DataFrame) -> int:
            return int(rows.a.sum()) + (0 if edits else 100)

        return wf

    class Editor(Silent):
        """Has the file hold something else while a run reads it."""

        edits = True

        def node_started(self, name: str) -> None:
            if name == "rows" and self.edits:
                file.write_text("10\n20\n")

    file.write_text("1\n2\n")
    editor = Editor()
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark, observer=editor) as helix:
        helix.run(moving(edits=True)).wait()
        editor.edits = False
        file.write_text("1\n2\n")
        again = helix.run(moving(edits=False))
        assert again["total"] == 106
        assert not again.plan["rows"].held
