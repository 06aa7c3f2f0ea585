"""What a captured function may answer otherwise each time is told with a reason, and what it reads by itself has it run
as it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pyspark.ml.feature import Binarizer, SQLTransformer
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from helix_spark.plans.captured_function import CapturedFunction, NotCaptured
from helix_spark.plans.nondeterminism import BY_ORDER, CHANCE, CHOICES
from helix_spark.plans.sql_texts import spark_functions
from tests.unit.captured_programs.identities import captured

Program = Callable[[DataFrame], Any]

CHANCES: Mapping[str, Program] = {
    "asks the clock": lambda rows: rows.filter(rows.day < F.current_date()),
    "unix_timestamp": lambda rows: rows.select(F.unix_timestamp()),
    "who runs it": lambda rows: rows.select(F.current_user()),
    "JVM": lambda rows: rows.select(F.reflect(F.lit("java.util.UUID"), F.lit("randomUUID"))),
    "a vector to begin with": lambda rows: rows.select(F.aes_encrypt("k", F.lit("0000111122223333"))),
    "_metadata": lambda rows: rows.select("_metadata.file_path"),
    "(_metadata)": lambda rows: rows.select(rows.metadataColumn("_metadata")),
    "uses rand in SQL, which draws, and has no seed": lambda rows: rows.filter("rand() > 0.5"),
    "uses current_date in SQL": lambda rows: rows.selectExpr("datediff(CURRENT_DATE, day)"),
    "uses now in SQL": lambda rows: rows.withColumn("t", F.expr("now ( )")),
    "unix_timestamp in SQL": lambda rows: rows.select(F.expr("unix_timestamp( )")),
    "uses user in SQL": lambda rows: rows.select(F.expr("concat(k, user)")),
    "'today', which as a date": lambda rows: rows.filter(rows.day < "today"),
    "'tomorrow UTC', which as a date": lambda rows: rows.filter(rows.day < F.to_date(F.lit("tomorrow UTC"))),
    "'now', which as a date": lambda rows: rows.filter("at < timestamp 'now'"),
    "' today ', which as a date": lambda rows: rows.filter("day < ' today '"),
    "SQL, which asks the clock": lambda rows: SQLTransformer(statement="SELECT *, now() FROM __THIS__").transform(rows),
    "declared to be nondeterministic": lambda rows: rows.select(F.udf(str, "string").asNondeterministic()("id")),
}

CHOSEN: Mapping[str, Program] = {
    "partitioned even with a seed": lambda rows: rows.select(F.rand(3)),
    "how rows are partitioned": lambda rows: rows.select(F.monotonically_increasing_id()),
    "distributed_sequence_id": lambda rows: rows.zipWithIndex(),
    "where files lie": lambda rows: rows.select(F.input_file_name()),
    "which values it keeps": lambda rows: rows.agg(F.kll_sketch_agg_bigint("id")),
    "takes a sample": lambda rows: rows.sample(fraction=0.5, seed=1),
    "takes a sample, which": lambda rows: rows.sampleBy("k", {"a": 0.5}, seed=1),
    "give it outputCol": lambda rows: Binarizer(inputCol="v").transform(rows),
    "uses rand in SQL": lambda rows: rows.filter("rand(1) > 0.5"),
    "uses rand": lambda rows: rows.select(F.rand()),
    "uses row_number": lambda rows: rows.select(F.row_number().over(Window.partitionBy("k").orderBy("v"))),
    "uses collect_list": lambda rows: rows.groupBy("k").agg(F.collect_list("v")),
    "uses first in SQL": lambda rows: rows.selectExpr("first(v)"),
    "limit without an order": lambda rows: rows.limit(3),
    "dropDuplicates of some columns": lambda rows: rows.dropDuplicates(["k"]),
}

CERTAIN: Mapping[str, Program] = {
    "a time that is given": lambda rows: rows.select(F.unix_timestamp("at"), F.expr("unix_timestamp(at)")),
    "texts with words": lambda rows: rows.filter(
        "k = 'rand()' OR k = 'user' OR k = \"now it is\"").filter("k <> 'nowhere'"),
    "names in quotes": lambda rows: rows.selectExpr("id AS `rand(`", "k AS `user`"),
    "comments": lambda rows: rows.selectExpr("id -- rand()", "k /* now() */"),
    "fields": lambda rows: rows.selectExpr("s.f AS x", "named_struct('user', 1).user"),
    "brackets behind words": lambda rows: rows.filter("id IN (1) AND (k = 'a' OR NOT (v > 1))").selectExpr(
        "CAST(id AS DECIMAL(10, 2))", "CASE WHEN (id > 1) THEN (1) ELSE (2) END", "sum(v) OVER (PARTITION BY (k))"),
    "year of a day": lambda rows: rows.selectExpr("EXTRACT(YEAR FROM day)", "trim(BOTH 'x' FROM k)"),
    "function by its name": lambda rows: rows.select(F.call_function("upper", "k")),
    "statement of its own table": lambda rows: SQLTransformer(
        statement="SELECT a.id, b.k FROM __THIS__ AS a JOIN __THIS__ b ON a.id = b.id WHERE (a.id) IN (1)"
    ).transform(rows),
}

ELSEWHERE: Mapping[str, Program] = {
    "the table names": lambda rows: rows.join(rows.sparkSession.table("names"), "id"),
    "names.csv": lambda rows: rows.join(rows.sparkSession.read.csv("names.csv"), "id"),
    "tables that its SQL names": lambda rows: rows.filter("id IN (SELECT id FROM names)"),
    "its SQL names": lambda rows: rows.select(F.expr("exists(FROM names)")),
    "that its SQL names": lambda rows: rows.filter("id IN (TABLE names)"),
    "the function lit of": lambda rows: rows.selectExpr("lit(k)"),
    "the function mapping of": lambda rows: rows.selectExpr("mapping(k)"),
    "the function shout of its session": lambda rows: rows.selectExpr("shout(k)"),
    "function shout of its session": lambda rows: rows.select(F.call_udf("shout", "k")),
    "shout of its session": lambda rows: rows.select(F.call_function("shout", "k")),
    "the function shout of": lambda rows: rows.groupBy("k").agg({"v": "shout"}),
    "the function default.shout": lambda rows: rows.select(F.call_function("default.shout", "k")),
    "function shout": lambda rows: rows.selectExpr("`shout`(k)"),
    "the table prices": lambda rows: SQLTransformer(
        statement="SELECT * FROM __THIS__ JOIN prices USING (id)").transform(rows),
    "prices": lambda rows: SQLTransformer(statement="SELECT * FROM __THIS__ a, prices").transform(rows),
    "reads the function shout": lambda rows: SQLTransformer(statement="SELECT shout(k) FROM __THIS__").transform(rows),
    "the function identifier": lambda rows: rows.selectExpr("IDENTIFIER('up' || 'per')(k)"),
}


@pytest.mark.parametrize("words", CHANCES)
def test_chance_is_told(words: str) -> None:
    found = captured(CHANCES[words])
    assert isinstance(found, CapturedFunction), found.why
    assert words in " / ".join(found.chance)


@pytest.mark.parametrize("words", CHOSEN)
def test_what_has_several_right_results_is_told_and_is_no_chance(words: str) -> None:
    found = captured(CHOSEN[words])
    assert isinstance(found, CapturedFunction), found.why
    assert words in " / ".join(found.choices)
    assert found.chance == ()


@pytest.mark.parametrize("name", CERTAIN)
def test_what_is_certain_is_no_chance(name: str) -> None:
    found = captured(CERTAIN[name])
    assert isinstance(found, CapturedFunction), found.why
    assert found.chance == found.choices == ()


@pytest.mark.parametrize("words", ELSEWHERE)
def test_what_is_read_elsewhere_is_not_captured(words: str) -> None:
    found = captured(ELSEWHERE[words])
    assert isinstance(found, NotCaptured)
    assert words in found.why


def test_all_that_is_chance_is_a_function_of_spark() -> None:
    assert {*CHANCE, *CHOICES} <= spark_functions()


def test_a_function_depends_on_the_order_of_rows_or_on_chance() -> None:
    assert BY_ORDER.isdisjoint(CHANCE | CHOICES)
    assert CHANCE.keys().isdisjoint(CHOICES)
    assert spark_functions() >= BY_ORDER
