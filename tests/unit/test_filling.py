"""What several units read is computed once, in a step of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag
from helix_spark.engine.execution.node_work import NodeWork
from helix_spark.engine.results.node_results import TableResult
from tests.fakes.node_work import Frame, node_work, table
from tests.fakes.plan import FakePlan


def read_by_both() -> Dag:
    """data -> examples; `fit` reads them with Spark, `look` here."""
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("a.csv"))

    @wf.scanner
    def examples(data: DataFrame) -> DataFrame:
        return data

    @wf.reducer(output=True)
    def fit(examples: DataFrame) -> int:
        return 1

    @wf.reducer(output=True)
    def look(examples: pd.DataFrame) -> int:
        return 1

    return compile_workflow(wf)


def examples(result: TableResult, pinned: Collection[str] = ("examples",)) -> NodeWork:
    """Work on readers of this table."""
    dag = read_by_both()
    made = node_work(pinned, dag, FakePlan(dag), lazy=["data", "examples"])
    made.outcome.results.update(data=table(Frame()), examples=result)
    return made


def test_a_pin_is_filled_by_the_first_who_asks_and_the_others_wait() -> None:
    frame = Frame()
    work = examples(table(frame))
    threads = [threading.Thread(target=work.fill, args=(["fit"],)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert frame.computed == 1
    [step] = work.outcome.steps
    assert step.names == ("examples",)
    assert step.end > step.start
    assert (work.outcome.rows, work.outcome.filled) == ({"examples": 1}, {"examples"})


def test_what_is_not_pinned_is_not_computed_apart() -> None:
    frame = Frame()
    work = examples(table(frame), pinned=())
    work.fill(["fit"])
    assert (work.outcome.steps, frame.computed) == ([], 0)


class Fetched(Frame):
    """Can be fetched as well, which computes it."""

    schema = StructType()

    def toArrow(self) -> object:  # noqa: N802 - as pyspark calls it
        self.count()
        return object()


def test_what_is_collected_is_fetched_once_and_its_pin_is_full_then() -> None:
    frame = Fetched()
    work = examples(table(frame))
    for reader in ("look", "look", "fit"):
        work.fill([reader])
    assert [step.names for step in work.outcome.steps] == [("examples",)]
    assert (work.outcome.filled, frame.computed) == ({"examples"}, 1)


def test_what_is_collected_without_spark_leaves_its_pin_empty() -> None:
    frame = Fetched()
    arrow: Any = object
    work = examples(TableResult(table(frame).frame, arrow))
    work.fill(["look"])
    assert (len(work.outcome.steps), work.outcome.filled, frame.computed) == (1, set(), 0)
    work.fill(["fit"])
    assert (work.outcome.filled, frame.computed) == ({"examples"}, 1)
    assert [step.names for step in work.outcome.steps] == [("examples",)] * 2


def test_a_pin_that_failed_to_fill_is_tried_again_by_the_next() -> None:
    class Failing(Frame):
        def count(self) -> int:
            super().count()
            if self.computed == 1:
                raise RuntimeError("the disk is full")
            return 1

    work = examples(table(Failing()))
    with pytest.raises(hx.HelixError, match="the disk is full"):
        work.fill(["fit"])
    work.fill(["fit"])
    assert len(work.outcome.steps) == 1
