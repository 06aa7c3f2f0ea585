"""Rows that a JVM keeps in memory between runs, by signature, for sessions that share nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from helix_spark.engine.results.node_results import KeepRows, MemoryTier, TableResult
from helix_spark.engine.server.run_sessions import KeptRows
from helix_spark.engine.spark.driver_client import USER, service_sessions
from helix_spark.plans.connect_session import cached_frame

pytestmark = pytest.mark.spark


@pytest.fixture
def rows(jvm_session: SparkSession) -> Iterator[KeptRows]:
    made = KeptRows(jvm_session._jvm)
    yield made
    made.trim(0.0)


@pytest.fixture
def holder(jvm_session: SparkSession, spark: SparkSession) -> Any:
    jvm: Any = jvm_session._jvm
    key = jvm.org.apache.spark.sql.connect.service.SessionKey(USER, spark.session_id)  # type: ignore[attr-defined]  # a client's
    return service_sessions(jvm).get(key)


@pytest.fixture
def keep(rows: KeptRows, holder: Any) -> KeepRows:
    def leave(key: str, frame: Any) -> bool:
        return rows.leave(holder, key, frame._plan.plan(frame.sparkSession.client).SerializeToString())

    return leave


@pytest.fixture
def table(spark: SparkSession) -> Callable[[int], TableResult]:
    def make(number: int) -> TableResult:
        made = TableResult(lambda: spark.range(1000).select((F.col("id") * number).alias("n")))
        made.pin()
        assert made.frame().count() == 1000
        return made

    return make


def total(spark: SparkSession, name: str) -> int:
    frame: Any = cached_frame(spark, name, None)
    assert frame.storageLevel.useMemory  # so that an estimator does not persist them once more
    return int(frame.agg(F.sum("n")).first()[0])


def test_rows_outlive_the_memory_of_the_run_that_made_them(
    spark: SparkSession, rows: KeptRows, holder: Any, keep: KeepRows, table: Callable[[int], TableResult]
) -> None:
    memory = MemoryTier()
    memory.put(table(2), "a" * 64)
    memory.put(table(3))  # no later run may reuse it
    memory.hand_over(keep)
    memory.clear()
    assert list(rows.sizes()) == ["a" * 64]
    assert rows.take(holder, "a" * 64, "left_rows")
    assert total(spark, "left_rows") == 2 * 999 * 500
    assert not rows.take(holder, "b" * 64, "no_rows")


def test_what_was_not_used_for_the_longest_time_goes_first(
    rows: KeptRows, holder: Any, keep: KeepRows, table: Callable[[int], TableResult], jvm_session: SparkSession
) -> None:
    for place, name in enumerate("abc"):
        table(place + 1).hand_over(name * 64, keep)
    assert rows.take(holder, "a" * 64, "used_rows")
    assert [name[0] for name in rows.sizes()] == ["b", "c", "a"]
    heap = jvm_session._jvm.java.lang.Runtime.getRuntime().maxMemory()  # type: ignore[union-attr, misc, operator]  # py4j's
    rows.trim(rows.sizes()["a" * 64] * 1.5 / heap)
    assert [name[0] for name in rows.sizes()] == ["a"]


def test_a_table_that_was_never_computed_is_not_kept(spark: SparkSession, rows: KeptRows, keep: KeepRows) -> None:
    lazy = TableResult(lambda: spark.range(10).select(F.col("id").alias("n")))
    lazy.pin()
    lazy.hand_over("c" * 64, keep)
    assert rows.sizes() == {}
    assert lazy.pinned
    lazy.unpin()


def test_what_sessions_of_a_run_hold_is_released_but_for_what_is_kept(
    jvm_session: SparkSession, rows: KeptRows, keep: KeepRows, table: Callable[[int], TableResult]
) -> None:
    context: Any = jvm_session.sparkContext

    def persisted() -> int:
        return len(context._jsc.getPersistentRDDs())

    before = persisted()
    kept, other = table(5), table(7)
    kept.hand_over("d" * 64, keep)
    assert persisted() == before + 2
    state: Any = jvm_session._jsparkSession
    rows.release_others(state.sharedState())
    assert persisted() <= before + 1
    assert list(rows.sizes()) == ["d" * 64]
    del other
