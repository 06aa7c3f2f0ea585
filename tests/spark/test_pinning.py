"""Pinned tables: what stands over their rows, what Spark knows of them, and what is left when they are let go."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from helix_spark.engine.results.node_results import TableResult, nullable

pytestmark = pytest.mark.spark


@pytest.fixture
def pinned(spark: SparkSession) -> TableResult:
    wide = spark.range(100, numPartitions=2).withColumns({f"c{n}": F.col("id") * n for n in range(3)})
    joined = wide.join(wide.groupBy((F.col("id") % 10).alias("tens")).count(), F.col("id") % 10 == F.col("tens"))
    result = TableResult(lambda: joined.select("*", F.lit("x").alias("name", metadata={"ml_attr": {"a": 1}})))
    result.pin()
    return result


def operators(frame: Any) -> set[str]:
    """Words of an analysed plan, names of operators among them."""
    told: str = frame._explain_string(extended=True)
    analysed = told.partition("== Analyzed Logical Plan ==")[2].partition("== Optimized")[0]
    return set(re.findall(r"\w+", analysed))


def kept(jvm_session: SparkSession) -> set[int]:
    context: Any = jvm_session.sparkContext
    return set(context._jsc.getPersistentRDDs())


def test_what_is_made_of_a_pinned_table_has_a_plan_of_its_own_alone(pinned: TableResult) -> None:
    assert "Join" in operators(pinned.persisted())
    more = pinned.frame().withColumn("more", F.col("c1") + 1)
    assert {"Join", "Aggregate"}.isdisjoint(operators(more))
    assert more.where("more = 6").collect()[0]["id"] == 5


def test_a_pinned_table_keeps_its_schema_and_the_metadata_of_its_columns(pinned: TableResult) -> None:
    assert pinned.frame().schema.json() == pinned.persisted().schema.json()
    assert pinned.frame().schema["name"].metadata == {"ml_attr": {"a": 1}}


def test_a_pinned_table_can_be_joined_with_itself(pinned: TableResult) -> None:
    one, other = pinned.frame().alias("one"), pinned.frame().alias("other")
    assert one.join(other, F.col("one.id") == F.col("other.c1")).count() == 100


def test_a_sorted_table_that_is_pinned_can_be_joined_with_itself(spark: SparkSession) -> None:
    table = TableResult(lambda: spark.range(40).sort(F.desc("id")))
    table.pin()
    one, other = table.frame().alias("one"), table.frame().alias("other")
    assert one.join(other, F.col("one.id") < F.col("other.id")).count() == 40 * 39 // 2
    assert [row.id for row in table.frame().take(2)] == [39, 38]


def test_its_rows_are_computed_once_and_let_go_once(
    jvm_session: SparkSession, pinned: TableResult, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"

    @F.udf(returnType="long")
    def counted(n):  # type: ignore[no-untyped-def]  # Spark would infer from hints what kind of UDF it is
        with calls.open("a") as file:
            file.write(".")
        return n

    before = kept(jvm_session)  # nothing of the fixture's yet: it was not computed
    table = TableResult(lambda: pinned.frame().select(counted("id").alias("n")))
    table.pin()
    assert [table.frame().count(), table.frame().agg(F.sum("n")).first()[0]] == [100, 4950]  # type: ignore[index]  # an aggregate has a row
    assert calls.stat().st_size == 100
    table.unpin()
    assert table.frame().agg(F.sum("n")).first()[0] == 4950  # type: ignore[index]  # an aggregate has a row
    assert calls.stat().st_size == 200
    pinned.unpin()
    assert kept(jvm_session) <= before


def test_what_a_stage_made_is_read_from_memory(spark: SparkSession) -> None:
    made = VectorAssembler(inputCols=["id"], outputCol="features").transform(spark.range(10))
    table = TableResult(lambda: nullable(made))
    table.pin()
    assert table.frame().count() == 10
    assert {"InMemoryRelation", "Range"} <= set(re.findall(r"\w+", table.frame()._explain_string(extended=True)))
    assert "InMemoryRelation" in operators(table.frame())


def test_an_estimator_that_persists_its_input_finds_that_it_is_persisted(pinned: TableResult) -> None:
    assert pinned.persisted().storageLevel.useMemory
    unpinned = TableResult(lambda: pinned.frame().select("id"))
    assert unpinned.persisted() is unpinned.frame()
