"""What several units read is computed once, in a step of its own."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from helix_spark.engine.execution.filling import Filling
from helix_spark.engine.execution.observer import Silent
from helix_spark.engine.execution.workbench import StepClock
from helix_spark.engine.results.node_results import TableResult
from helix_spark.engine.spark.session import Sessions

CLOCK = StepClock(Sessions(), Silent())


class Frame:
    """Counts how often it is computed, and takes a moment for it."""

    def __init__(self) -> None:
        self.computed = 0

    def count(self) -> int:
        threading.Event().wait(0.02)
        self.computed += 1
        return 1


def table(frame: Any) -> TableResult:
    return TableResult(lambda: frame)


def test_a_pin_is_filled_by_the_first_who_asks_and_the_others_wait() -> None:
    frame, filling = Frame(), Filling({"examples"}, CLOCK)
    result, steps = table(frame), []
    threads = [threading.Thread(target=lambda: steps.append(filling.fill("examples", result))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert frame.computed == 1
    [step] = [step for step in steps if step is not None]
    assert step.names == ("examples",)
    assert step.end > step.start


def test_what_is_not_pinned_is_not_computed_apart() -> None:
    frame = Frame()
    assert Filling((), CLOCK).fill("examples", table(frame)) is None
    assert frame.computed == 0


class Fetched(Frame):
    """Can be fetched as well, which computes it."""

    schema = SimpleNamespace(fields=[])

    def toArrow(self) -> object:  # noqa: N802 - as pyspark calls it
        self.count()
        return object()


def test_what_is_collected_is_fetched_once_and_its_pin_is_full_then() -> None:
    frame, filling = Fetched(), Filling({"predictions"}, CLOCK)
    result = table(frame)
    first, second = filling.collect("predictions", result), filling.collect("predictions", result)
    assert first is not None
    assert (first.names, second) == (("predictions",), None)
    assert filling.full == {"predictions"}
    assert filling.fill("predictions", result) is None
    assert frame.computed == 1


def test_what_is_collected_without_spark_leaves_its_pin_empty() -> None:
    frame, filling = Fetched(), Filling({"loaded"}, CLOCK)
    arrow: Any = object
    loaded = TableResult(table(frame).frame, arrow)
    assert filling.collect("loaded", loaded) is not None
    assert (filling.full, frame.computed) == (frozenset(), 0)
    assert filling.fill("loaded", loaded) is not None
    assert (filling.full, frame.computed) == ({"loaded"}, 1)


def test_the_rows_that_filling_counted_are_known() -> None:
    filling = Filling({"examples", "others"}, CLOCK)
    filling.fill("examples", table(Frame()))
    assert (filling.rows, filling.full) == ({"examples": 1}, {"examples"})


def test_a_pin_that_failed_to_fill_is_tried_again_by_the_next() -> None:
    class Failing(Frame):
        def count(self) -> int:
            super().count()
            if self.computed == 1:
                raise RuntimeError("the disk is full")
            return 1

    frame, filling = Failing(), Filling({"examples"}, CLOCK)
    result = table(frame)
    with pytest.raises(RuntimeError):
        filling.fill("examples", result)
    assert filling.fill("examples", result) is not None
