"""Whatever order the rows of a table of Spark are brought into, what is made of them is what they make now."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.planner.problem import State

pytestmark = [pytest.mark.spark]


def add_size(wf: hx.Workflow) -> None:
    """How many rows `small` has, which does not depend on their order."""
    @wf.scanner
    def counted(small: DataFrame) -> DataFrame:
        return small.agg(F.count("*").alias("n"))

    @wf.reducer(output=True)
    def size(counted: pd.DataFrame) -> int:
        return int(counted.n[0])


def by_kind(cleaned: Callable[[DataFrame], DataFrame]) -> hx.Workflow:
    wf = hx.Workflow("kinds")
    kinds = pd.DataFrame({"kind": ["a", "b", "c", "b", "c", "c"], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    wf.source("data", hx.table(kinds))
    clean = wf.scanner(name="clean")(cleaned)
    kind = wf.extractor("kind", hx.OneHot("kind"), on=clean)

    @wf.scanner
    def small(clean: DataFrame) -> DataFrame:
        return clean.filter("x < 6").select("kind")

    add_size(wf)

    @wf.reducer(output=True)
    def first(small: DataFrame) -> str:
        time.sleep(0.5)
        return str(small.first().kind)

    wf.synthesizer("examples", clean, features=[kind], output=True)
    return wf


@pytest.mark.long
def test_rows_in_another_order_are_read_again(spark: SparkSession, tmp_path: Path) -> None:
    def kept(data: DataFrame) -> DataFrame:
        return data.where("x > 1").coalesce(1)

    def last_first(data: DataFrame) -> DataFrame:
        return data.where("x > 1").coalesce(1).sortWithinPartitions("x", ascending=False)

    def fewer(data: DataFrame) -> DataFrame:
        return data.where("x > 2").coalesce(1)

    def doubled(data: DataFrame) -> DataFrame:
        return data.where("x = 2").union(data.where("x = 2")).union(data.where("x = 3")).union(data.where("x = 3"))

    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark, cut_off=0.0) as helix:
        def ran(cleaned: Callable[[DataFrame], DataFrame]) -> tuple[hx.Iteration, set[str]]:
            done = helix.run(by_kind(cleaned))
            done.wait()
            return done, set(done.plan.in_state(State.COMPUTE)) - {"data"}

        once, everything = ran(kept)
        assert everything == {"clean", "kind", "kind.fit", "small", "counted", "size", "first", "examples"}
        turned, computed = ran(last_first)
        assert (turned["size"], turned["first"]) == (once["size"], "c") == (4, "c")
        assert computed == everything
        assert turned.table("examples").collect() == once.table("examples").collect()[::-1]
        again, computed = ran(last_first)
        assert not computed
        back, computed = ran(kept)
        assert (back["first"], computed) == ("b", set())
        less, computed = ran(fewer)
        assert (less["size"], computed) == (3, everything)
        assert (again["first"], ran(doubled)[0]["size"]) == ("c", 4)


Rows = list[tuple[str, float]]

KINDS: Rows = [("a", 1.0), ("b", 2.0), ("c", 3.0), ("b", 4.0), ("c", 5.0), ("c", 6.0)]

ORDERS: dict[str, tuple[Callable[[DataFrame], DataFrame], Callable[[Rows], Rows]]] = {
    "as it is": (lambda data: data.coalesce(1), lambda rows: rows),
    "said otherwise": (lambda data: data.where("x > 0").coalesce(1), lambda rows: rows),
    "from the end": (
        lambda data: data.coalesce(1).sortWithinPartitions("x", ascending=False), lambda rows: rows[::-1]
    ),
    "by kind": (
        lambda data: data.coalesce(1).sortWithinPartitions("kind", "x"), sorted
    ),
    "without one": (lambda data: data.where("x <> 2").coalesce(1), lambda rows: [one for one in rows if one[1] != 2]),
    "one twice": (
        lambda data: data.where("x <> 2").union(data.where("x = 4")).coalesce(1),
        lambda rows: [*(one for one in rows if one[1] != 2), ("b", 4.0)],
    ),
}


def read_in_several_ways(order: str, least: float, more: bool) -> hx.Workflow:
    wf = hx.Workflow("ways")
    wf.source("data", hx.table(pd.DataFrame(KINDS, columns=["kind", "x"])))
    clean = wf.scanner(name="clean")(ORDERS[order][0])
    kind = wf.extractor("kind", hx.OneHot("kind"), on=clean)

    @wf.scanner
    def small(clean: DataFrame) -> DataFrame:
        return clean.filter(F.col("x") > least)

    add_size(wf)

    @wf.reducer(output=True)
    def first(small: DataFrame) -> str:
        time.sleep(0.3)  # so that it is worth to compare what it is made of
        return str(small.first().kind)

    if more:
        @wf.reducer(output=True)
        def listed(clean: DataFrame) -> str:
            return "".join(row.kind for row in clean.collect())

        wf.synthesizer("examples", clean, features=[kind], keep=["x"], output=True)
    return wf


@pytest.mark.long
@pytest.mark.parametrize(("seed", "policy"), enumerate(("always", "joint", "never")))
def test_whatever_order_rows_are_brought_into_answers_are_those_from_scratch(
    spark: SparkSession, tmp_path: Path, seed: int, policy: str
) -> None:
    draw = random.Random(seed)
    order, least, more = "as it is", 1.0, True
    with hx.Helix(tmp_path / "catalog", policy=policy, spark=spark, cut_off=0.0) as helix:
        for _ in range(12):
            match draw.randrange(4):
                case 0:
                    least = draw.choice([0.0, 1.0, 3.0])
                case 1:
                    more = not more
                case _:
                    order = draw.choice(list(ORDERS))
            done = helix.run(read_in_several_ways(order, least, more))
            rows = ORDERS[order][1](KINDS)
            kept = [kind for kind, x in rows if x > least]
            assert (done["size"], done["first"]) == (len(kept), kept[0])
            if more:
                assert done["listed"] == "".join(kind for kind, _ in rows)
                assert [row.x for row in done.table("examples").collect()] == [x for _, x in rows]
            done.wait()
