"""Tables of Spark's that are computed anew and hold what earlier ones held."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml import Model
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StringType, StructField, StructType

import helix_spark as hx
from helix_spark.engine.results import model_contents
from helix_spark.engine.results.contents import count, observed
from helix_spark.planner.problem import State
from helix_spark.run import executing

pytestmark = [pytest.mark.spark]

VECTOR = StructType([StructField("v", VectorUDT())])

SHUFFLED = StructType([
    StructField("t", StringType()), StructField("x", DoubleType()), StructField("k", DoubleType()),
    StructField("v", VectorUDT()),
])

DIFFER: list[tuple[str | StructType, Any, Any]] = [
    ("a double", [(0.0,)], [(-0.0,)]),
    ("a double", [(float("nan"),)], [(None,)]),
    ("a int, b int", [(1, None)], [(None, 1)]),
    ("a string, b string", [("ab", "c")], [("a", "bc")]),
    ("a int", [(1,), (2,)], [(2,), (1,)]),
    ("a array<int>", [([1, None],)], [([None, 1],)]),
    ("a array<int>", [([],)], [(None,)]),
    ("a array<string>", [(["1, 2"],)], [(["1", "2"],)]),
    ("a array<double>", [([0.0],)], [([-0.0],)]),
    ("a array<double>", [([float("nan")],)], [([None],)]),
    ("a array<float>", [([0.0, None, 1.0],)], [([None, 0.0, 1.0],)]),
    ("a array<double>, b array<double>", [([1.0], [2.0])], [([1.0, 2.0], [])]),
    ("a array<array<int>>", [([[1], [2]],)], [([[1, 2], []],)]),
    ("a struct<x: int, y: int>", [((1, None),)], [((None, 1),)]),
    ("a struct<x: int>", [((None,),)], [(None,)]),
    ("a array<struct<x: int, y: int>>", [([(1, None)],)], [([(None, 1)],)]),
    ("a map<string, int>", [({"a": 1},)], [({"a": None},)]),
    (VECTOR, [(Vectors.dense([0.0, 1.0]),)], [(Vectors.dense([-0.0, 1.0]),)]),
    (VECTOR, [(Vectors.dense([0.0, 1.0]),)], [(Vectors.sparse(2, [1], [1.0]),)]),
    (VECTOR, [(Vectors.sparse(2, [1], [0.0]),)], [(Vectors.sparse(2, [1], [-0.0]),)]),
    (VECTOR, [(Vectors.sparse(2, [1], [1.0]),)], [(Vectors.sparse(3, [1], [1.0]),)]),
]


@pytest.mark.parametrize(("schema", "one", "other"), DIFFER)
def test_what_differs_has_another_digest(spark: SparkSession, schema: Any, one: Any, other: Any) -> None:
    first, second = (count(spark.createDataFrame(rows, schema)) for rows in (one, other))
    assert first[1] is not None
    assert first != second


def test_what_cannot_be_told_exactly_has_none(spark: SparkSession) -> None:
    assert count(spark.sql("SELECT array(timestamp '2020-01-01') AS a")) == (1, None)
    assert count(spark.sql("SELECT 1 AS a, 2 AS a")) == (1, None)


def test_the_digest_of_a_table_is_taken_while_its_rows_are_written(spark: SparkSession, tmp_path: Path) -> None:
    made = spark.range(0, 100, 1, 3).selectExpr("id", "CASE WHEN id % 3 = 0 THEN -0.0D ELSE id / 7 END AS x")
    seen = Observation()
    watched, told = observed(made.where("id % 2 = 1"), seen)
    watched.write.parquet(str(tmp_path / "rows"))
    assert (seen.get["rows"], told()) == count(made.where("id % 2 = 1"))
    odd, untold = observed(spark.sql("SELECT array(timestamp '2020-01-01') AS a"), seen := Observation())
    odd.write.parquet(str(tmp_path / "odd"))
    assert (seen.get["rows"], untold()) == (1, None)


def test_a_table_that_is_only_stored_has_its_content_on_record(spark: SparkSession, tmp_path: Path) -> None:
    wf = hx.Workflow("stored")
    wf.source("data", hx.table(pd.DataFrame({"x": [1.0, 2.0]})))

    @wf.scanner(keep="always")
    def doubled(data: DataFrame) -> DataFrame:
        return data.select((F.col("x") * 2).alias("x"))

    @wf.reducer(output=True)
    def total(doubled: DataFrame) -> float:
        return float(doubled.agg(F.sum("x")).first()[0])

    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        signature = helix.run(wf).plan["doubled"].signature
        helix.wait()
        assert helix.catalog.results((), [signature]).measured[signature].content is not None


def study(text: Path, rules: tuple[str, ...], least: int = 0) -> hx.Workflow:
    wf = hx.Workflow("texts")
    wf.source("lines", hx.text(str(text)))

    @wf.scanner
    def words(lines: DataFrame) -> DataFrame:
        @F.udf("string")
        def cleaned(line: str) -> str:
            for rule in rules:
                line = line.replace(rule, " ")
            return line.strip()

        made = lines.where(F.length("value") > least).select(cleaned("value").alias("text"))
        return made.where("text <> ''").select(F.length("text").alias("long"), F.col("text").contains("a").alias("has"))

    @wf.synthesizer
    def examples(words: DataFrame) -> DataFrame:
        from pyspark.ml.feature import VectorAssembler

        return VectorAssembler(inputCols=["long"], outputCol="features").transform(
            words.select("long", F.col("has").cast("double").alias("label"))
        )

    @wf.learner
    def model(examples: DataFrame) -> Model:
        return LogisticRegression(maxIter=3).fit(examples)

    @wf.reducer(output=True)
    def weight(model: Model) -> float:
        return float(model.coefficients[0])

    return wf


@pytest.mark.long
def test_a_rule_that_hits_nothing_and_a_newline_stop_at_the_parse(spark: SparkSession, tmp_path: Path) -> None:
    text = tmp_path / "lines.txt"
    text.write_text("a b\nc d e\nfa-a\nggg\n")
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark, cut_off=0) as helix:
        def ran(rules: tuple[str, ...], least: int = 0) -> tuple[hx.Iteration, set[str]]:
            done = helix.run(study(text, rules, least))
            done.wait()
            return done, set(done.plan.in_state(State.COMPUTE)) - {"lines"}

        first, everything = ran(("-",))
        assert everything == {"words", "examples", "model", "weight"}
        second, computed = ran(("-", "#"))
        assert computed == {"words"}
        assert "equal to iteration 1's result: `examples`, `model`, `weight` stand" in second.plan["words"].reason
        assert second["weight"] == first["weight"]
        text.write_text(text.read_text() + "\n")
        third, computed = ran(("-", "#"))
        assert computed == {"words"}
        assert third["weight"] == first["weight"]
        fourth, computed = ran(("-", "#"), least=3)
        assert computed == everything
        assert fourth["weight"] != first["weight"]


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


def fitted(rewritten: bool, iterations: int = 3) -> hx.Workflow:
    wf = hx.Workflow("fitted")
    wf.source("data", hx.table(pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [0.0, 0.0, 1.0, 1.0]})))

    @wf.synthesizer
    def examples(data: DataFrame) -> DataFrame:
        from pyspark.ml.feature import VectorAssembler

        made = data.withColumnRenamed("y", "label")
        return VectorAssembler(inputCols=["x"], outputCol="features").transform(made)

    @wf.learner(keep="always")
    def model(examples: DataFrame) -> Model:
        if rewritten:
            regression = LogisticRegression().setMaxIter(iterations)
            return regression.fit(examples)
        return LogisticRegression(maxIter=iterations).fit(examples)

    @wf.reducer
    def weight(model: Model) -> float:
        return float(model.coefficients[0])

    @wf.reducer(output=True)
    def answer(weight: float) -> float:
        return weight + 1

    return wf


@pytest.mark.long
@pytest.mark.parametrize("here", [True, False])
def test_a_model_is_known_again_by_its_files(
    spark: SparkSession, tmp_path: Path, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_contents, "is_written_here", lambda: here)  # as in a cluster
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark, cut_off=0) as helix:
        first = helix.run(fitted(rewritten=False))
        first.wait()
        second = helix.run(fitted(rewritten=True))
        assert "model" in second.plan.in_state(State.COMPUTE)
        assert "weight" not in second.plan.in_state(State.COMPUTE)
        assert "equal to iteration 1's result" in second.plan["model"].reason
        assert second["answer"] == first["answer"]
        second.wait()
        third = helix.run(fitted(rewritten=True, iterations=5))
        assert "weight" in third.plan.in_state(State.COMPUTE)
        helix.wait()
        assert not helix.catalog.gc(dry_run=True, grace_seconds=0)
        assert third["answer"] != first["answer"]
        third.wait()
        found = helix.audit(fitted(rewritten=True, iterations=5))
        assert found.sound
        assert {"model", "weight", "answer"} <= {one.node for one in found.results if one.verdict == "verified"}


@pytest.mark.long
def test_examples_of_other_extractors_are_not_compared(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    worth = executing.worth_comparing
    monkeypatch.setattr(executing, "worth_comparing", lambda run: asked.append(worth(run)) or asked[-1])

    def made(features: list[str], least: float) -> hx.Workflow:
        wf = hx.Workflow("ages")
        wf.source("rows", hx.table(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0], "y": [0.0, 1.0, 0.0]})))
        def column_of(name: str) -> Any:
            def at_least(rows: DataFrame) -> Column:
                return F.greatest(rows[name], F.lit(least))

            return wf.extractor(name=f"least_{name}")(at_least)

        examples = wf.synthesizer("examples", "rows", features=[column_of(name) for name in features], label="y")
        wf.learner("model", LogisticRegression(maxIter=1), on=examples)

        @wf.reducer(output=True)
        def weight(model: Model) -> float:
            time.sleep(0.7)  # else loading would take longer
            return float(model.coefficients[0])

        return wf

    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark, cut_off=0.0) as helix:
        for features, least in ((["a"], 0.0), (["a", "b"], 0.0), (["a", "b"], 2.0)):
            helix.run(made(features, least)).wait()
    assert ["examples" in one for one in asked] == [False, False, True]
