"""Random readers of one wide table, edited at random: always the answers from scratch, however little of it is stored.

`HELIX_EXAMPLES=50 pytest tests/spark/test_narrow_property.py` looks longer.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from workflows import Heard, loading

import helix_spark as hx

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]
EXAMPLES = int(os.environ.get("HELIX_EXAMPLES", "10"))
NAMES = ("a", "b", "c", "d", "e")
TABLE = pd.DataFrame({
    name: [(row * (7 + 2 * place)) % 11 if row % 5 else None for row in range(60)] for place, name in enumerate(NAMES)
} | {name: [f"{name}{row % 4}" for row in range(60)] for name in ("word", "story", "notes")})
SORTS = (
    "where", "group", "nulls", "first", "joined", "united", "window", "distinct", "looks", "all", "renamed", "never",
)


def read(rows: DataFrame, sort: str, one: str, two: str) -> DataFrame:
    """One of many ways to read some of a table's columns; its rows as texts."""
    match sort:
        case "where":
            found = rows.where(f"{one} > 3").select(two)
        case "group":
            found = rows.groupBy(one).agg(F.sum(two))
        case "nulls":
            found = rows.where(F.col(one).isNull()).select(F.coalesce(F.col(two), F.lit(-1)))
        case "first":
            found = rows.sort(one, two).limit(5).select(one)
        case "joined":
            found = rows.join(rows.groupBy(one).agg(F.max(two).alias("top")), one).select("top")
        case "united":
            found = rows.select(one).union(rows.select(two))
        case "window":
            found = rows.select(F.sum(one).over(Window.partitionBy("word").orderBy(one)))
        case "distinct":
            found = rows.drop(one, "story", "notes").distinct().select("word")
        case "looks":
            found = rows.select(F.lit(",".join(rows.columns)).alias("x")).limit(1)
        case "all":
            found = rows.select(F.hash("*"))
        case "renamed":
            found = rows.withColumnRenamed(one, "z").select("z")
        case _:
            found = rows.select(F.when(F.lit(False), F.col(one)).otherwise(F.col(two)))
    return found.toDF(*(f"x{place}" for place in range(len(found.columns)))).select(
        F.to_json(F.struct("*")).alias("row")
    )


def told(table: pd.DataFrame, digits: int) -> list[str]:
    """All the rows of a table, in one order."""
    return [*sorted(map(str, table.astype(str).to_dict("records"))), str(digits)]


Way = tuple[str, str, str]


@dataclass(frozen=True)
class Version:
    """Two ways to read, the column that examples are labelled and divided by, and whether the table itself is wanted.

    Attributes:
        digits: what an edit changes that no table depends on.
    """

    one: Way
    two: Way
    label: str
    in_pandas: bool
    digits: int

    def workflow(self) -> hx.Workflow:
        wf = hx.Workflow("random")
        (sort, a, b), (other, c, d), label, digits = self.one, self.two, self.label, self.digits
        wf.source("data", hx.table(TABLE))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.where("a is null or a >= 0")

        @wf.scanner
        def first(rows: DataFrame) -> DataFrame:
            return read(rows, sort, a, b)

        @wf.scanner
        def second(rows: DataFrame) -> DataFrame:
            return read(rows, other, c, d)

        @wf.extractor
        def more(rows: DataFrame) -> Column:
            return F.coalesce(rows[a], F.lit(0)) + 1

        split = hx.HashSplit(key=[label])
        wf.synthesizer("examples", rows, features=[more], label=f"coalesce({label} > 4, false)", split=split)

        @wf.reducer(output=True)
        def tell(first: pd.DataFrame, second: pd.DataFrame, examples: pd.DataFrame) -> list[list[str]]:
            return [told(table, digits) for table in (first, second, examples)]

        if self.in_pandas:
            @wf.reducer(output=True)
            def tell_rows(rows: pd.DataFrame) -> list[str]:
                return told(rows, digits)

        return wf


ways = st.tuples(st.sampled_from(SORTS), st.sampled_from(NAMES), st.sampled_from(NAMES))
seldom = st.sampled_from([False] * 4 + [True])
versions = st.builds(Version, ways, ways, st.sampled_from(NAMES), seldom, st.integers(0, 9))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=st.lists(versions, min_size=2, max_size=4), one_session=seldom)
def test_whatever_is_read_the_answers_are_those_from_scratch(
    spark: SparkSession, history: list[Version], one_session: bool
) -> None:
    heard = Heard()
    with tempfile.TemporaryDirectory() as folder:
        def opened(name: str, policy: str) -> hx.Helix:
            return hx.Helix(Path(folder) / name, policy=loading(policy), spark=spark, observer=heard)

        helix = opened("catalog", "always")
        for number, version in enumerate(history):
            if not one_session:
                helix.close()
                helix = opened("catalog", "always")
            iteration = helix.run(version.workflow())
            iteration.wait()
            event(f"table without {len(iteration.plan['rows'].left_out)} columns: {iteration.plan['rows'].state}")
            with opened(f"scratch{number}", "never") as scratch:
                assert dict(iteration.outputs) == dict(scratch.run(version.workflow()).outputs)
        helix.close()
    assert heard.warnings == []
