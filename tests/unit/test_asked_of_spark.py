"""What the author's code has Spark read by itself or draw is seen, whichever way it asks pyspark."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from delta.tables import DeltaTable
from pyspark import SparkContext
from pyspark.core.rdd import RDD
from pyspark.ml.util import JavaMLReader
from pyspark.sql import SparkSession
from pyspark.sql.classic.dataframe import DataFrame, DataFrameStatFunctions
from pyspark.sql.connect.readwriter import DataFrameReader as ConnectReader
from pyspark.sql.readwriter import DataFrameReader

from helix_spark.engine.spark.asked_of_spark import watch_pyspark
from helix_spark.hermetic.action import Action, in_action
from helix_spark.hermetic.seen import Seen


def bare(kind: type) -> Any:
    """An object of a class of pyspark's that nobody made. What it is asked it fails to do."""
    return object.__new__(kind)


SESSION, READER, CONTEXT, RDD_, ROWS = map(bare, (SparkSession, DataFrameReader, SparkContext, RDD, DataFrame))




def seen(call: Callable[[], object], **how: bool) -> Seen:
    watch_pyspark()
    action = Action("a", **how)
    with in_action(action), contextlib.suppress(Exception):
        call()
    return action.seen()


def each(*calls: Callable[[], object]) -> Callable[[], object]:
    def call() -> None:
        for one in calls:
            with contextlib.suppress(Exception):
                one()

    return call






def sql(text: str, **tables: Any) -> Callable[[], object]:
    return lambda: SESSION.sql(text, **tables)


READ: dict[str, tuple[Callable[[], object], str]] = {
    "a file": (lambda: READER.csv("a.csv"), "reads a.csv by itself (test_asked_of_spark.py:"),
    "a file by a keyword": (lambda: READER.csv(path="a"), "reads a by itself"),
    "something without a path": (lambda: READER.load(format="mine"), "reads by itself (.load())"),
    "by getattr": (lambda: getattr(READER, "js" + "on")("a.json"), "reads a.json by itself"),
    "by Connect": (lambda: bare(ConnectReader).csv("a.csv"), "reads a.csv by itself"),
    "a table": (lambda: SESSION.table("prices"), "reads the table prices by itself"),
    "a table of a reader": (lambda: READER.table("prices"), "reads the table prices by itself"),
    "by its context": (lambda: CONTEXT.textFile("a"), "reads a by itself"),
    "a model": (lambda: bare(JavaMLReader).load("a"), "reads a by itself"),
    "a table of Delta": (lambda: DeltaTable.forPath(SESSION, "a"), "reads a by itself"),
    "in SQL": (sql("SELECT max(n)\nFROM\n prices"), "reads the table prices by itself"),
    "in SQL put together": (sql(f"SELECT max(n) FROM {'prices'}"), "reads the table prices by itself"),
    "in SQL beside what it is given": (sql("SELECT 1 FROM {x} r, prices", x=ROWS), "reads the table prices by itself"),
    "in SQL by a name that is an argument": (sql("SELECT 1 FROM IDENTIFIER(:t)"), "reads the table IDENTIFIER"),
    "in SQL that nobody can parse": (sql("WITH a AS (TABLE t) SELECT * FROM a"), "reads tables that its SQL names"),
    "beside a view of its own": (
        each(lambda: ROWS.createTempView("x"), sql("SELECT 1 FROM x JOIN prices")), "reads the table prices by itself",
    ),
    "a view of another name": (
        each(lambda: ROWS.createOrReplaceTempView("other"), sql("SELECT 1 FROM people")), "reads the table people",
    ),
}


@pytest.mark.parametrize(("call", "words"), READ.values(), ids=READ)
def test_what_is_read_is_seen_unless_its_author_says_by_a_version_what_that_is(
    call: Callable[[], object], words: str
) -> None:
    (found,) = seen(call).outside
    assert words in found
    assert "make it a source of the workflow, or name it in depends_on=" in found
    assert seen(call, reads_declared=True).outside == ()


OWN: dict[str, Callable[[], object]] = {
    "no table": sql("SELECT 1, 'mail from Bob', a IS NOT DISTINCT FROM b"),
    "what it is given": sql("SELECT max(n) FROM {x} -- from nowhere", x=ROWS),
    "what SQL defines": sql("WITH t(n) AS (SELECT max(n) FROM {x}) SELECT n FROM t, explode(n) e", x=ROWS),
    "a view of its own": each(lambda: ROWS.createOrReplaceTempView("people"), sql("SELECT 1 FROM People"),
                              lambda: SESSION.table("people")),
    "one of all sessions": each(lambda: ROWS.createGlobalTempView("p"), lambda: READER.table("global_temp.p")),
    "one that SQL makes": each(sql("CREATE OR REPLACE TEMP VIEW own AS SELECT * FROM {x}", x=ROWS),
                               sql("SELECT * FROM own")),
    "settings": sql("SET spark.least = 1"),
}


@pytest.mark.parametrize("call", OWN.values(), ids=OWN)
def test_what_it_is_given_and_what_it_registers_is_its_own(call: Callable[[], object]) -> None:
    assert seen(call).outside == ()


def test_a_view_that_another_function_registered_is_not() -> None:
    seen(lambda: ROWS.createOrReplaceTempView("people"))
    assert "the table people" in seen(lambda: SESSION.table("people")).outside[0]


DRAWS: dict[str, tuple[Callable[[], object], str]] = {
    "with a seed": (lambda: ROWS.sample(0.1, seed=1), "sample"),
    "a split": (lambda: ROWS.randomSplit([1.0, 2.0]), "randomSplit"),
    "through another part of pyspark": (
        lambda: DataFrameStatFunctions(ROWS).sampleBy("sex", {"F": 0.1}, seed=1), "sampleBy",
    ),
    "of an RDD": (lambda: RDD_.takeSample(False, 3), "takeSample"),
}


@pytest.mark.parametrize(("call", "name"), DRAWS.values(), ids=DRAWS)
def test_a_sample_depends_on_partitions_even_with_a_seed(call: Callable[[], object], name: str) -> None:
    (found,) = seen(call).chance
    assert f"calls .{name}(), which depends on how rows are partitioned even with a seed (test_asked_of" in found


def test_a_sample_of_pandas_is_none_of_sparks() -> None:
    assert seen(lambda: pd.DataFrame({"a": [1, 2]}).sample(1, random_state=1)).chance == ()
