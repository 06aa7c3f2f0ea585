"""Columns that extractors add to a table: what their functions see, nulls in buckets, the labels of categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.dag.node import Node
from helix_spark.engine.lowering import node_functions
from helix_spark.engine.lowering.columns import own_stages, with_columns
from helix_spark.engine.lowering.watcher import Watcher
from helix_spark.engine.results.node_results import ColumnResult, NodeResult, TableResult
from helix_spark.errors import NodeError
from helix_spark.plans.connect_session import named_alone
from helix_spark.workflow.operators import Function
from tests.spark.workflows import PEOPLE, sent_questions

pytestmark = pytest.mark.spark


# What functions see


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, ...]]:
    """How often extractors' functions were called with rows, by the names of their parameters."""
    counted: Counter[tuple[str, ...]] = Counter()
    before = node_functions._call_for_column

    def noted(node: Node, operator: Function, results: Sequence[NodeResult], watcher: Watcher) -> ColumnResult:
        counted[tuple(operator.arguments)] += 1
        return before(node, operator, results, watcher)

    monkeypatch.setattr(node_functions, "_call_for_column", noted)
    return counted


def doubles(rows: DataFrame) -> Column:
    """The sum of a table's columns of this type, whichever they are."""
    return sum((F.col(name) for name, kind in rows.dtypes if kind == "double"), F.lit(0.0))


def read_twice(*, chance: bool = False) -> hx.Workflow:
    """Extractors that look at their table, read beside others and by themselves."""
    wf = hx.Workflow("twice")
    wf.source("people", hx.table(PEOPLE))

    @wf.scanner
    def rows(people: DataFrame) -> DataFrame:
        return people.where(people.age > 20)

    @wf.extractor
    def total(rows: DataFrame) -> Column:
        most = rows.agg(F.max("age")).first()  # a job of its own
        return doubles(rows) + (most[0] if most else 0.0) + (F.rand() if chance else 0)

    @wf.extractor
    def above(rows: DataFrame, total: Column) -> Column:
        mean = rows.agg(F.mean(total)).first()
        return total - (mean[0] if mean else 0.0) + rows.age * 0

    @wf.extractor
    def both(rows: DataFrame, above: Column) -> Column:
        return F.lit(0.0) + sum(rows[name] for name, kind in rows.dtypes if kind == "double")

    work = wf.extractor("work_is", hx.OneHot("work"), on=rows)
    age = wf.extractor("age_bucket", hx.Bucketizer("age", bins=4), on=rows)
    high = wf.extractor("high", hx.Bucketizer(total, bins=2), on=rows)
    made = [total, above, both]
    wf.synthesizer("many", rows, features=[work, age, high, *made], keep=["age", *made], output=True)
    wf.synthesizer("few", rows, features=made, keep=["age", *made], output=True)
    return wf


def run(spark: SparkSession, folder: Path, wf: hx.Workflow) -> tuple[pd.DataFrame, pd.DataFrame]:
    with hx.Helix(folder, policy="never", spark=spark) as helix:
        iteration = helix.run(wf)
        return iteration.pandas("many"), iteration.pandas("few")


def test_a_function_sees_its_table_and_what_it_takes_whoever_reads_it(
    spark: SparkSession, tmp_path: Path, called: Counter[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = sent_questions(monkeypatch)
    many, few = run(spark, tmp_path, read_twice())
    expected = few.age + few.age.max()
    assert list(few.total) == list(expected)
    assert few.above.tolist() == pytest.approx((expected - expected.mean()).tolist())
    assert few.both.tolist() == pytest.approx((few.age + few.above).tolist())
    for name in ("age", "total", "above", "both"):
        assert list(many[name]) == list(few[name])
    assert called["rows", "total"] == 1
    assert sorted(questions) == ["analysis", "rows"], "`total` is called once, on placeholders"


def test_all_who_read_a_column_see_the_same_draw(spark: SparkSession, tmp_path: Path) -> None:
    many, few = run(spark, tmp_path, read_twice(chance=True))
    assert few.total.nunique() > 20
    assert list(many.total) == list(few.total)
    assert list(many.above) == list(few.above)


class Rebuilding:
    """A stage that makes another table, with none of the attributes of the first one."""

    def transform(self, frame: DataFrame) -> DataFrame:
        rebuilt = frame.sparkSession.createDataFrame(frame.collect(), frame.schema)
        return rebuilt.withColumn("helix_one", F.lit(1.0))


def test_what_is_made_of_the_table_is_added_before_a_stage_rebuilds_it(spark: SparkSession) -> None:
    base = TableResult(lambda: spark.createDataFrame([(1.0,), (2.0,)], "x double"))
    doubled = base.frame()["x"] * 2
    stage = ColumnResult("helix_one", base, (), own_stages, Rebuilding)
    made = ColumnResult("helix_doubled", base, (), None, lambda frame: doubled)
    rows = with_columns(base.frame(), [stage, made]).collect()
    assert sorted((row.x, row.helix_one, row.helix_doubled) for row in rows) == [(1.0, 1.0, 2.0), (2.0, 1.0, 4.0)]


@pytest.mark.parametrize("pin", [False, True])
def test_a_column_holds_though_its_table_is_let_go(spark: SparkSession, pin: bool) -> None:
    base = TableResult(lambda: spark.range(3).withColumn("x", F.col("id") * 2))
    base.pin()
    made = named_alone(base.frame()["x"] + 1, spark)
    base.unpin()
    if pin:
        base.pin()
    column = ColumnResult("helix_made", base, (), None, lambda frame: made)
    assert sorted(row.helix_made for row in with_columns(base.frame(), [column]).collect()) == [1, 3, 5]
    base.unpin()


# Nulls in buckets


def vectors(spark: SparkSession, folder: Path, values: Sequence[float | None], what: Any = None) -> list[list[float]]:
    """The features that a Bucketizer makes of these numbers.

    Args:
        what: the Bucketizer; None for one of a column that a function makes.
    """
    wf = hx.Workflow("buckets")
    table = pa.table({"x": pa.array(values), "place": list(range(len(values))), "word": ["1"] * len(values)})
    data = wf.source("data", hx.table(table))

    @wf.extractor
    def half(data: DataFrame) -> Column:
        return data.x / 2

    bucket = wf.extractor("bucket", what or hx.Bucketizer(half, splits=[1.0]), on=data)
    wf.synthesizer("examples", data, features=[bucket], keep=["place"])

    @wf.reducer(output=True)
    def found(examples: pd.DataFrame) -> list[list[float]]:
        return [[float(number) for number in vector] for vector in examples.sort_values("place").features]

    with hx.Helix(folder, policy="never", spark=spark) as helix:
        made: list[list[float]] = helix.run(wf)["found"]
        return made


@pytest.mark.parametrize("values", [
    [1.0, None, 3.0], *(pytest.param(one, marks=pytest.mark.long) for one in ([1, None, 3], [1.0, float("nan"), 3.0])),
], ids=str)
def test_what_is_no_number_is_in_no_bucket(
    spark: SparkSession, tmp_path: Path, values: list[float | None]
) -> None:
    hot = hx.Bucketizer("x", splits=[2.0], one_hot=True)
    assert vectors(spark, tmp_path, values, hot) == [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    assert vectors(spark, tmp_path, values, hx.Bucketizer("x", splits=[2.0])) == [[0.0], [2.0], [1.0]]
    assert vectors(spark, tmp_path, values) == [[0.0], [2.0], [1.0]], "of a column that a function makes, too"


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("how", [
    {"bins": 4}, pytest.param({"splits": [20.0, 40.0, 60.0]}, marks=pytest.mark.long),
], ids=str)
def test_nulls_change_nothing_for_numbers(
    spark: SparkSession, tmp_path: Path, how: dict[str, Any], one_hot: bool
) -> None:
    numbers = [float((place * 37) % 80) for place in range(40)]
    what = hx.Bucketizer("x", one_hot=one_hot, **how)
    plain = vectors(spark, tmp_path, numbers, what)
    with_nulls = vectors(spark, tmp_path, [one for number in numbers for one in (number, None)], what)
    assert with_nulls[::2] == plain
    assert with_nulls[1::2] == [[0.0] * 4 if one_hot else [4.0]] * len(numbers)
    assert {tuple(vector) for vector in plain} == (
        {tuple(float(place == bucket) for place in range(4)) for bucket in range(4)} if one_hot
        else {(float(bucket),) for bucket in range(4)}
    )


def test_text_is_not_taken_for_numbers(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="numeric"):
        vectors(spark, tmp_path, [1.0], hx.Bucketizer("word", splits=[2.0]))


# Labels of categories


@pytest.mark.parametrize("labels", [
    [["a", "b"], ["c"]],
    [["", "a", "a b"], [""], [], ["x", ""]],
    [["line\nbreak", "\\", "\\n", "\r\n", "\u2028", "\x00", "|", ".*", "\\E", "é😀"]],
], ids=["plain", "empty", "odd"])
def test_labels_reach_the_indexer_as_they_are(spark: SparkSession, labels: list[list[str]]) -> None:
    from pyspark.ml.feature import StringIndexerModel

    assert spark.range(1).count() == 1  # the session that the indexer takes is up
    assert StringIndexerModel.from_arrays_of_labels(labels, []).labelsArray == labels
