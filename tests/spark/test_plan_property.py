"""Programs that hypothesis draws: of two with one identity Spark says the same, and captured they are as called.

    HELIX_PROGRAMS=5000 python -m pytest tests/spark/test_plan_property.py
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings

from helix_spark.answers.function_calls import begin, capture
from helix_spark.engine.lowering.node_functions import serving
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.plans.captured_function import CallInputs, CapturedFunction
from helix_spark.plans.current_program import classic
from helix_spark.plans.plan_columns import UnknownColumnsError, columns_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


from tests.unit.captured_programs.drawn import COLUMNS, PROGRAMS, Program, said_otherwise

pytestmark = pytest.mark.spark
EXAMPLES = int(os.environ.get("HELIX_PROGRAMS", "12"))
DRAWN = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 100,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def tables(spark: SparkSession) -> tuple[DataFrame, DataFrame]:
    rows = [(1, 2, 3), (2, 1, None), (3, 3, 5), (3, 0, 1), (5, 2, 2)]
    other = [(1, 1, 9), (2, 5, 4), (2, 3, 3), (4, None, 0)]
    return spark.createDataFrame(rows, COLUMNS), spark.createDataFrame(other, COLUMNS)


@dataclass(frozen=True)
class Captured:
    """A program, with what it builds of stand-ins."""

    program: Program
    identity: str
    plan: Any


def captured(program: Program) -> Captured:
    found = capture(program, CallInputs({"rows": "table", "other": "table"}, {}))
    assume(isinstance(found, CapturedFunction))
    assert isinstance(found, CapturedFunction)
    return Captured(program, found.identity, found.plan)


def run_here(built: Captured, frames: Mapping[int, DataFrame], spark: SparkSession) -> DataFrame:
    """What a captured program builds, of these tables in the places of its inputs."""
    server = serving(spark, frames)
    call = begin(CallInputs({"rows": "table", "other": "table"}, {}, is_known=True), server=server)
    server.values = call.values
    found = call.look_at(call.call(built.program, {}))
    assert isinstance(found, CapturedFunction)
    assert found.identity == built.identity
    return server.table(call, found.plan)


def answer(frame: Any) -> Sequence[str] | str:
    """What a table has, or why there is none."""
    from pyspark.errors import PySparkException

    try:
        made = frame()
        return [str(made.schema.simpleString()), *sorted(map(repr, made.collect()))]
    except PySparkException as error:
        return str(error.getCondition())


@DRAWN
@given(said_otherwise())
def test_one_identity_is_one_answer(
    spark: SparkSession, tables: tuple[DataFrame, DataFrame], pair: tuple[Program, Program]
) -> None:
    one, other = map(captured, pair)
    assume(one.identity == other.identity and str(pair[0]) != str(pair[1]))
    frames = dict(enumerate(tables))
    found = answer(lambda: run_here(one, frames, spark))
    event("refused" if isinstance(found, str) else "answered")
    again = answer(lambda: run_here(other, frames, spark))
    assert found == again or (isinstance(found, str) and isinstance(again, str))


@DRAWN
@given(PROGRAMS)
def test_captured_is_as_called(spark: SparkSession, tables: tuple[DataFrame, DataFrame], program: Program) -> None:
    built = captured(program)
    client = driver_client(spark)
    assert client is not None
    with classic():
        called = answer(lambda: program(*(client.as_classic(one) for one in tables)))
    assume(not isinstance(called, str))
    run = run_here(built, dict(enumerate(tables)), spark)
    assert answer(lambda: run) == called
    with suppress(UnknownColumnsError):
        assert list(columns_of(built.plan, dict(enumerate(tuple(one.columns) for one in tables)))) == run.columns
