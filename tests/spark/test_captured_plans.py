"""What a function builds of stand-ins, run in the driver's JVM, is what calling it with DataFrames gives."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helix_spark.capture.captured_function import CapturedFunction
from helix_spark.engine.spark.plan_reader import PlanReader

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from captured_programs import OTHER, ROWS, inputs_of, programs
from captured_programs.identities import captured

pytestmark = pytest.mark.spark
PROGRAMS = programs()


@pytest.fixture(scope="module")
def tables(spark: SparkSession) -> Mapping[str, DataFrame]:
    day, at = dt.date(2020, 1, 31), dt.datetime(2020, 1, 1, 10)
    rows = [
        (1, "a", 1.0, 0.5, True, day, at, [1, 2], (1, "x"), {"x": 1}, '{"a": 1, "b": {"c": 2}}'),
        (2, "b", -0.0, 1.5, False, None, at, [3], (2, None), {"y": 2, "x": 3}, "{}"),
        (2, "b", float("nan"), 1.5, None, day, None, [], None, {}, "no json"),
        (3, None, 7.25, None, True, day, at, None, (3, "z"), None, None),
        (4, "c,d", None, -2.0, False, dt.date(1999, 12, 31), at, [5, None], (4, ""), {"z": None}, '{"a": "x"}'),
        (5, "a", 1e9, 1e-3, True, day, at, [2, 2, 9], (5, "x"), {"q": 5}, '{"a": 5}'),
    ]
    other = [(1, "a", 10.0), (2, "q", 20.0), (2, "b", 4.0), (9, None, None)]
    return {
        "rows": spark.createDataFrame(rows, ROWS).repartition(1).localCheckpoint(),
        "other": spark.createDataFrame(other, OTHER).repartition(1).localCheckpoint(),
    }


def shown(frame: DataFrame) -> list[str]:
    """Rows as text, in an order that tables without one have, too."""
    return sorted(map(repr, frame.collect()))


def run_here(built: CapturedFunction, frames: Mapping[int, DataFrame], spark: SparkSession) -> DataFrame:
    """What a captured function built, of these tables in the places of its inputs."""
    reader = PlanReader(spark)
    with reader.known(frames) as names:
        return reader.frame(built.written(names, {}))


@pytest.mark.parametrize("name", PROGRAMS)
def test_captured_is_called(name: str, spark: SparkSession, tables: Mapping[str, DataFrame]) -> None:
    program: Callable[..., Any] = PROGRAMS[name]
    names = inputs_of(program)
    called = program(**{one: tables[one] for one in names})
    built = captured(program)
    if not isinstance(built, CapturedFunction):
        pytest.skip(built.why)
    run = run_here(built, {place: tables[one] for place, one in enumerate(names)}, spark)
    assert run.schema.jsonValue() == called.schema.jsonValue()
    assert shown(run) == shown(called)
