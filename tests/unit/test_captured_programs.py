"""What small programs build of stand-ins: another pyspark that builds something else is told at once. Programs that
say the same in other words have one identity, others have another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from helix_spark.answers.function_calls import capture
from helix_spark.plans.captured_function import CallInputs, CapturedFunction, NotCaptured
from tests.unit.captured_programs import different, equal, plans, programs
from tests.unit.captured_programs.drawn import PROGRAMS, Program
from tests.unit.captured_programs.identities import captured, few, identity

PLANS = plans.on_record()
NOT_CAPTURED = {
    "tables.grouped_by_expression": "pyspark asks which columns are numbers",
    "ml_stages.tokenized": "a stage that asks Spark for its words",
}


@pytest.mark.parametrize("name", [name for name in programs() if name not in NOT_CAPTURED])
def test_pyspark_builds_what_it_built(name: str) -> None:
    assert plans.text(programs()[name]) == PLANS[name]


def test_no_program_is_missing() -> None:
    assert set(PLANS) == set(programs()) - set(NOT_CAPTURED)


@pytest.mark.parametrize("pair", [pytest.param(pair, id=name) for name, pair in equal.ALL.items()])
def test_other_words_have_one_identity(pair: equal.Pair) -> None:
    one, other = pair
    assert identity(one) == identity(other)


@pytest.mark.parametrize("pair", [pytest.param(pair, id=name) for name, pair in different.ALL.items()])
def test_another_meaning_is_another_identity(pair: different.Pair) -> None:
    one, other = pair
    assert identity(one) != identity(other)


def told_elsewhere(which: str, seed: str) -> dict[str, str]:
    """The identities that a process with this seed of hashes tells, by the program's name."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.unit.captured_programs.identities", which], capture_output=True,
        text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=Path(__file__).parents[2],
    )
    return dict(line.split("\t") for line in done.stdout.splitlines())


def test_identities_are_those_of_another_process() -> None:
    """Hashes of texts differ in each, and pyspark counts plans and variables from where it is."""
    here = {name: program for name, program in few(programs()).items() if name in PLANS}
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    assert told_elsewhere("few", seed) == {name: identity(program) for name, program in here.items()}


@pytest.mark.long
def test_so_are_those_of_all_pairs_of_programs() -> None:
    first, second = told_elsewhere("all", "1"), told_elsewhere("all", "2")
    assert len(first) > 600
    assert first == second


@settings(max_examples=settings.default.max_examples // 4)
@given(PROGRAMS)
def test_a_program_called_again_has_its_identity(program: Program) -> None:
    built = captured(program)
    assume(isinstance(built, CapturedFunction))
    assert isinstance(built, CapturedFunction)
    assert built.identity == identity(program)


def _halved_if_there(rows: DataFrame, column: str) -> DataFrame:
    return rows.withColumn("half", getattr(rows, column) / 2) if hasattr(rows, column) else rows.limit(1)


@pytest.mark.parametrize(("name", "found"), [("v", "with_columns"), ("nowhere", "limit"), ("V", "limit")])
def test_a_table_has_the_attributes_that_it_has_when_called(name: str, found: str) -> None:
    built = captured(lambda rows: _halved_if_there(rows, name))
    assert isinstance(built, CapturedFunction)
    assert built.plan.WhichOneof("rel_type") == found


@pytest.mark.parametrize(("setting", "is_captured"), [("spark.app.name", True), ("spark.sql.ansi.enabled", False)])
def test_a_session_that_is_asked_for_with_settings_would_be_set(setting: str, *, is_captured: bool) -> None:
    def program(rows: DataFrame) -> DataFrame:
        SparkSession.builder.config(setting, "false").getOrCreate()
        return rows

    assert isinstance(captured(program), CapturedFunction) == is_captured


def test_whether_an_unknown_table_has_an_attribute_is_a_question() -> None:
    built = capture(lambda rows: _halved_if_there(rows, "v"), CallInputs({"rows": "table"}, {}))
    assert isinstance(built, NotCaptured)
    assert "columns" in built.why


def test_steps_say_where_they_are_written() -> None:
    def program(rows: DataFrame) -> DataFrame:
        rows = rows.filter(rows.id > 1)
        rows = rows.withColumn("more", rows.v + 2)
        return rows.filter(F.col("more") < 9)

    built = captured(program)
    assert isinstance(built, CapturedFunction)
    first = program.__code__.co_firstlineno
    file = Path(__file__).name
    assert [line.rpartition(" (")[2] for line in built.lines] == [f"{file}:{first + place})" for place in (1, 2, 3)]


@pytest.mark.long
def test_a_plan_may_be_thousands_of_steps_deep() -> None:
    def program(rows: DataFrame) -> DataFrame:
        for number in range(2000):
            rows = rows.withColumn("v", rows.v + number)
        return rows

    assert identity(program) == identity(program)


def test_a_table_that_is_read_often_is_written_once() -> None:
    calls = []

    def program(rows: DataFrame) -> DataFrame:
        made = rows.select(F.udf(calls.append, "string")("k").alias("x"))
        for _ in range(10):
            made = made.union(made)
        return made

    built = captured(program)
    assert isinstance(built, CapturedFunction)
    assert len(built.code) == 1


EITHER_SIDE: Mapping[str, Callable[..., Any]] = {
    "one of each, as classic sessions take it": lambda rows: rows.join(rows.filter("id > 1"), rows.id == rows.id),
    "as deep on both sides": lambda rows: rows.filter("id > 1").join(rows.filter("v > 1"), rows.id == F.col("x")),
}


@pytest.mark.parametrize("name", EITHER_SIDE)
def test_a_column_that_may_be_of_either_side_of_a_join_needs_a_classic_session(name: str) -> None:
    built = captured(EITHER_SIDE[name])
    assert isinstance(built, NotCaptured)
    assert built.why.startswith("uses a join")
    assert "may be of either side" in built.why


def test_a_column_that_one_side_alone_has_is_of_that_side() -> None:
    def program(rows: DataFrame) -> DataFrame:
        some, counts = rows.filter("id > 1"), rows.groupBy("k").agg(F.count("v").alias("n"))
        return some.join(counts, rows.id == counts.n)

    assert isinstance(captured(program), CapturedFunction)
