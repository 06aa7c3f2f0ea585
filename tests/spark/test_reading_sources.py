"""Sources as Spark reads them: from where they were signed, whatever they are called."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

import helix_spark as hx
from helix_spark.engine.lowering.lowering import read_source
from helix_spark.workflow.sources import Source

pytestmark = pytest.mark.spark


def numbers(spark: SparkSession, source: Source) -> list[int]:
    return sorted(row.n for row in read_source(source, spark).collect())


@pytest.mark.parametrize("name", ["a b.csv", "100%20 #1.csv", "part [1]{2}.csv", "any*.csv"])
def test_a_file_is_read_whatever_it_is_called(spark: SparkSession, tmp_path: Path, name: str) -> None:
    for other in ("a%20b.csv", "100  #1.csv", "part 12.csv", "anything.csv"):  # what one might take the names for
        (tmp_path / other).write_text("2\n")
    (tmp_path / name).write_text("1\n")
    assert numbers(spark, hx.csv(tmp_path / name, "n long")) == [1]


def test_a_pattern_finds_what_it_matches(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "in [2] parts"
    folder.mkdir()
    for number in (1, 2, 3):
        (folder / f"{number} %.csv").write_text(f"{number}\n")
    assert numbers(spark, hx.csv(tmp_path / "in*" / "{1,3}*.csv", "n long")) == [1, 3]
    assert numbers(spark, hx.csv(folder, "n long")) == [1, 2, 3]


def test_what_was_signed_on_this_disk_is_read_from_it(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "n.csv"
    file.write_text("1\n")
    spark.conf.set("fs.defaultFS", "nowhere://store")
    try:
        assert numbers(spark, hx.csv(file, "n long")) == [1]
        with pytest.raises(Exception, match="nowhere"):
            numbers(spark, hx.csv(file, "n long", version="1"))
    finally:
        spark.conf.unset("fs.defaultFS")


def test_what_is_read_is_on_record_by_its_path(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("1.csv", "2.csv", "other.csv"):
        Path(name).write_text(f"{len(name)}\n")
    wf = hx.Workflow("reads")
    wf.source("data", hx.csv("[12].csv", "n long"))

    @wf.scanner
    def both(data: DataFrame) -> DataFrame:
        return data.union(SparkSession.active().read.csv(str(tmp_path / "other.csv"), "n long"))

    @wf.reducer(output=True)
    def total(both: pd.DataFrame) -> int:
        return int(both.n.sum())

    with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
        assert helix.run(wf)["total"] == 19
        helix.wait()
        reads = {node.name: node.reads for node in helix.iteration(1).nodes}
    by_itself = (str(tmp_path / "other.csv"), "")  # what else it asks for in Spark is not known
    assert reads == {"data": (str(tmp_path / "[12].csv"),), "both": by_itself, "total": ()}


def test_columns_of_folders_are_found_below_a_base_path(spark: SparkSession, tmp_path: Path) -> None:
    below = tmp_path / "year=2024"
    below.mkdir()
    (below / "n.csv").write_text("1\n")
    read = read_source(hx.csv(below, "n long, year int", basePath=tmp_path), spark)
    assert [(row.n, row.year) for row in read.collect()] == [(1, 2024)]
