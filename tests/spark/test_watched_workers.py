"""What the author's Python does in Spark's workers is seen: files count by content from then on, the rest is chance."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.functions import udtf
from pyspark.sql.types import DoubleType

import helix_spark as hx
from helix_spark.engine.lowering import watcher
from helix_spark.engine.spark import worker_code
from helix_spark.planner.problem import State
from tests.fakes.observer import Warned
from tests.fakes.policy import loading

pytestmark = pytest.mark.spark

PEOPLE = pd.DataFrame({"age": [float(age) for age in range(20)], "sex": ["a", "b"] * 10})
FOLDER = Path("/tmp")


def content(name: str) -> float:
    return float((FOLDER / name).read_text())


@F.udf(DoubleType())
def by_row(age: float) -> float:
    return age + content("row.txt")


@F.pandas_udf(DoubleType())
def by_column(age: pd.Series) -> pd.Series:
    return age + content("column.txt")


def by_batch(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        yield batch.assign(n=batch.age + content("batch.txt"))[["n"]]


def by_arrow(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"n": [content("arrow.txt") + float(batch.num_rows)]})


def by_group(group: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"n": [float(group.age.sum()) + content("group.txt")]})


class Spread:
    def eval(self, age: float) -> Iterator[tuple[float]]:
        yield (age + content("spread.txt"),)


def by_machine(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        yield batch.assign(n=float(len(socket.gethostname())))[["n"]]


def innocent(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        os.environ.setdefault("HELIX_TEST_THREADS", "1")
        yield batch.assign(n=batch.age * 2)[["n"]]


FILES = {"row", "column", "batch", "arrow", "group", "spread", "limited"}


def reading() -> hx.Workflow:
    wf = hx.Workflow("reading")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner(output=True)
    def row(data: DataFrame) -> DataFrame:
        return data.withColumn("n", by_row("age"))

    @wf.scanner(output=True)
    def column(data: DataFrame) -> DataFrame:
        return data.withColumn("n", by_column("age"))

    @wf.scanner(output=True)
    def batch(data: DataFrame) -> DataFrame:
        return data.mapInPandas(by_batch, "n double")

    @wf.scanner(output=True)
    def arrow(data: DataFrame) -> DataFrame:
        return data.mapInArrow(by_arrow, "n double")

    @wf.scanner(output=True)
    def group(data: DataFrame) -> DataFrame:
        data.count()  # so it is called when it runs
        return data.groupBy("sex").applyInPandas(by_group, "n double")

    @wf.scanner(output=True)
    def spread(data: DataFrame) -> DataFrame:
        return udtf(Spread, returnType="n double").asDeterministic()(F.lit(1.0)).crossJoin(data.select("age"))

    @wf.reducer(output=True)
    def limited(data: DataFrame) -> float:
        return float(data.mapInPandas(by_batch, "n double").limit(1).collect()[0][0])

    @wf.scanner(output=True)
    def machine(data: DataFrame) -> DataFrame:
        return data.mapInPandas(by_machine, "n double")

    @wf.scanner(output=True)
    def harmless(data: DataFrame) -> DataFrame:
        return data.mapInPandas(innocent, "n double")

    return wf


def test_what_workers_read_counts(tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "FOLDER", Path(tmp_path))  # one of the author's own
    for name in FILES:
        (tmp_path / f"{name}.txt").write_text("1")

    def run() -> Any:
        with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark, observer=Warned()) as helix:
            iteration = helix.run(reading())
            iteration.wait()
            return iteration

    def computed(iteration: Any) -> set[str]:
        return {node.name for node in iteration.plan.nodes if node.state is State.COMPUTE} - {"data"}

    first, again = run(), run()
    assert computed(again) == {"machine"}, {node.name: node.reason for node in again.plan.nodes}
    assert "asks for the name of the machine (test_watched_workers.py:" in again.plan["machine"].reason
    for name in FILES:
        (tmp_path / f"{name}.txt").write_text("2")
    edited = run()
    assert computed(edited) == {*FILES, "machine"}
    assert edited["limited"] == first["limited"] + 1
    assert "file `" in edited.plan["row"].reason
    assert "row.txt" in edited.plan["row"].reason


def test_workers_are_in_the_folder_that_the_program_runs_in(
    tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("least.txt").write_text("17")

    def above(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield batch[batch.age > float(Path("least.txt").read_text())]

    wf = hx.Workflow("relative")
    wf.source("people", hx.table(PEOPLE))

    @wf.scanner
    def old(people: DataFrame) -> DataFrame:
        return people.mapInPandas(above, people.schema)

    @wf.reducer(output=True)
    def number(people: DataFrame, old: DataFrame) -> int:
        return old.count() + people.mapInPandas(above, people.schema).count()

    with hx.Helix(tmp_path / "catalog", spark=spark, observer=hx.Silent()) as helix:
        assert helix.run(wf)["number"] == 4


@pytest.mark.long
def test_workers_on_other_machines_tell_by_the_folder_of_the_catalog(
    tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "is_on_this_machine", lambda master: False)
    monkeypatch.setattr(worker_code, "is_on_this_machine", lambda master: False)
    monkeypatch.setitem(globals(), "FOLDER", Path(tmp_path))  # one of the author's own

    def small() -> hx.Workflow:
        wf = hx.Workflow("small")
        wf.source("data", hx.table(PEOPLE))

        @wf.scanner(output=True)
        def batch(data: DataFrame) -> DataFrame:
            return data.mapInPandas(by_batch, "n double")

        return wf

    states = []
    for text in ("1", "1", "2"):
        (tmp_path / "batch.txt").write_text(text)
        with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark, observer=Warned()) as helix:
            iteration = helix.run(small())
            iteration.wait()
            states.append(iteration.plan["batch"].state)
    assert states == [State.COMPUTE, State.LOAD, State.COMPUTE]
    assert not list((tmp_path / "catalog").glob(".helix-workers-*"))
