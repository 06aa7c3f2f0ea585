"""Who waits for whom in a run, how its threads end, and which pins outlive it: told without Spark."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag, Node
from helix_spark.engine.execution import executor
from helix_spark.engine.execution.executor import Dispatch
from helix_spark.engine.execution.observer import Silent
from helix_spark.engine.lowering.lowering import worthwhile
from helix_spark.engine.results.node_results import TableResult
from helix_spark.identity.objects.references import Findings
from helix_spark.planner.problem import State
from helix_spark.run.executing import registering_nodes
from helix_spark.workflow.operators import Form, Function, Kind, Operator, Read, Result
from helix_spark.workflow.sources import ReaderSource
from tests.fakes.node_work import Frame, node_work, table
from tests.fakes.plan import FakePlan
from tests.fakes.run import make_run

# How threads end


def test_what_goes_on_to_its_next_job_is_cancelled_again() -> None:
    begun, ends, cancelled = threading.Event(), threading.Event(), list[int]()

    def cancel() -> None:
        cancelled.append(1)
        if len(cancelled) == 3:
            ends.set()

    def fit() -> None:
        begun.set()
        assert ends.wait(30)

    with ThreadPoolExecutor(1) as pool:
        made = Dispatch(node_work(cancel=cancel), pool, Future())
        made.running[pool.submit(fit)] = ("model",)
        assert begun.wait(30)
        assert made.drain(None)
    assert len(cancelled) >= 3


def test_an_interrupt_waits_for_no_function_longer_than_its_grace() -> None:
    begun, ends = threading.Event(), threading.Event()

    def sleeps() -> None:
        begun.set()
        ends.wait(120)

    with ThreadPoolExecutor(1) as pool:
        made = Dispatch(node_work(), pool, Future())
        sleeping = pool.submit(sleeps)
        made.running[sleeping] = ("node",)
        assert begun.wait(30)
        start = time.monotonic()
        assert not made.drain(0.3)
        assert time.monotonic() - start >= 0.3
        assert not sleeping.done()
        ends.set()


@pytest.mark.long
def test_functions_that_interrupts_left_behind_take_no_thread_from_later_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, ends = threading.Semaphore(0), threading.Event()

    def hangs() -> None:
        hanging.release()
        ends.wait(60)

    def counting() -> hx.Workflow:
        wf = hx.Workflow("hanging")
        wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

        @wf.reducer(output=True)
        def count(data: pd.DataFrame) -> int:
            return len(data)

        return wf

    def interrupted(self: Dispatch) -> None:
        self.running[self.pool.submit(hangs)] = ("count",)
        assert hanging.acquire(timeout=30)
        raise KeyboardInterrupt

    monkeypatch.setattr(executor, "_GRACE", 0.1)
    take = Dispatch._take_finished
    with hx.Helix(tmp_path / "catalog", policy="never", observer=Silent()) as helix:
        try:
            monkeypatch.setattr(Dispatch, "_take_finished", interrupted)
            for _ in range(executor._THREADS + 1):
                with pytest.raises(KeyboardInterrupt):
                    helix.run(counting())
            monkeypatch.setattr(Dispatch, "_take_finished", take)
            assert helix.run(counting())["count"] == 3
        finally:
            ends.set()


# Pins


class Persisted(Frame):
    """A frame that is let go of."""

    def unpersist(self) -> Persisted:
        return self


def pinned_table() -> TableResult:
    frame: Any = Persisted()
    made = table(frame)
    made._persisted = frame
    return made


def test_of_the_pinned_tables_those_stay_that_were_filled() -> None:
    made, filled, empty = node_work(["filled", "empty", "never"]), pinned_table(), pinned_table()
    made.outcome.results.update(filled=filled, empty=empty)
    made.outcome.filled.add("filled")
    made.release_empty_pins()
    assert made.outcome.pinned == {"filled"}
    assert (filled.in_memory, empty.in_memory) == (True, False)


def loaded_below() -> hx.Workflow:
    """data -> base -> wide -> more -> count; `count` looks at the rows of `wide`, too."""
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("a.csv"))

    @wf.scanner
    def base(data: DataFrame) -> DataFrame:
        return data

    @wf.scanner
    def wide(base: DataFrame) -> DataFrame:
        return base

    @wf.scanner
    def more(wide: DataFrame) -> DataFrame:
        return wide

    @wf.reducer(output=True)
    def count(more: DataFrame, wide: pd.DataFrame) -> int:
        return len(wide)

    return wf


def test_what_a_loaded_table_was_made_of_is_not_filled_for_its_readers() -> None:
    dag = compile_workflow(loaded_below())
    plan = FakePlan(dag, {"wide": State.LOAD})
    made = node_work(["base", "wide"], dag, plan, lazy=["data", "base", "more"])
    made.outcome.results.update(wide=table(Frame()), more=table(Frame()))
    made.fill(("more",))
    assert [step.names for step in made.outcome.steps] == [("wide",)]


def test_a_pin_that_a_job_reads_is_filled_though_its_rows_were_fetched_without_spark() -> None:
    dag = compile_workflow(loaded_below())
    made = node_work(["wide"], dag, FakePlan(dag, {"wide": State.LOAD}), lazy=["data", "base", "more"])
    frame: Any = Frame()
    arrow: Any = object
    wide = TableResult(lambda: frame, arrow)
    made.outcome.results.update(wide=wide, more=table(Frame()))
    made.fill(("count",))
    assert [step.names for step in made.outcome.steps] == [("wide",), ("wide",)]
    assert wide.collected
    assert made.outcome.filled == {"wide"}


def test_a_size_that_nobody_knows_makes_no_more_partitions_than_spark_can_count() -> None:
    assert worthwhile(2**63 - 1) == 10_000


# Turns


def node_of(operator: Operator, result: Result = Result.VALUE) -> Node:
    return Node("node", Kind.REDUCER, operator, (), result)


@pytest.mark.parametrize(
    ("operator", "said", "registers"),
    [
        (Function(len, (), (), Form.VALUE), Findings(in_turns=True), True),
        (Read(ReaderSource(len, "1")), Findings(), False),
        (Read(ReaderSource(len, "1")), Findings(in_turns=True), True),
    ],
    ids=["function", "reader", "reader that registers"],
)
def test_who_registers_something_with_the_session_is_known(operator: Operator, said: Findings, registers: bool) -> None:
    described: Any = {"node": said}
    run = make_run(dag=Dag("w", (node_of(operator),), ("node",)), described=described)
    assert registering_nodes(run) == ({"node"} if registers else set())


class Spans(Silent):
    """Remembers which steps began and ended, in this order; writes a file once `plain` and `too` have both begun."""

    def __init__(self, both_began: Path) -> None:
        self.events: list[tuple[str, str]] = []
        self._both_began = both_began

    def node_started(self, name: str) -> None:
        self.events.append(("started", name))
        if {("started", "plain"), ("started", "too")} <= {*self.events}:
            self._both_began.touch()

    def node_finished(self, name: str, seconds: float) -> None:
        self.events.append(("ended", name))

    def overlap(self, one: str, other: str) -> bool:
        starts, ends = ([self.events.index((what, name)) for name in (one, other)] for what in ("started", "ended"))
        return max(starts) < min(ends)


def registered(frame: Any) -> int:
    """It registers a view, as its text says: nothing here calls it."""
    frame.createOrReplaceTempView("p")
    return 0


def wait_for(file: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and not file.exists():
        time.sleep(0.01)


def test_steps_that_register_one_view_wait_for_each_other_and_for_nobody_else(tmp_path: Path) -> None:
    wf, both_began = hx.Workflow("turns"), Path(tmp_path) / "both"
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.reducer(output=True)
    def one(data: pd.DataFrame) -> int:
        time.sleep(0.3)
        return len(data) or registered(data)

    @wf.reducer(output=True)
    def other(data: pd.DataFrame) -> int:
        time.sleep(0.3)
        return len(data) + 1 or registered(data)

    @wf.reducer(output=True)
    def plain(data: pd.DataFrame) -> int:
        wait_for(both_began)
        return len(data) + 2

    @wf.reducer(output=True)
    def too(data: pd.DataFrame) -> int:
        wait_for(both_began)
        return len(data) + 3

    spans = Spans(both_began)
    with hx.Helix(tmp_path / "catalog", policy="never", observer=spans) as helix:
        assert dict(helix.run(wf).outputs) == {"one": 3, "other": 4, "plain": 5, "too": 6}
    assert not spans.overlap("one", "other")
    assert spans.overlap("plain", "too")
