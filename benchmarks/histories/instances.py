"""Several right answers: drawn histories in which a run must never mix two of them.

A history has edits, lost results, new sessions, policies and budgets. The rows of a file, whose version its author
declares to be the same, come in another order in each run, so that each draw is a different one. Two branches read one
draw, and each reports the rows that it has seen: they must agree in each run, as in a run from scratch.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.planner.problem import State

ROWS = pd.DataFrame({"a": range(600), "g": [n % 60 for n in range(600)], "v": [n % 3 for n in range(600)]})
"""`a` tells rows apart, `g` groups them, and `v` has ties."""

Kind = Callable[[DataFrame], DataFrame]


def of_group(aggregate: Callable[[], Column]) -> Kind:
    """Return a kind that has a row a group."""
    return lambda rows: rows.groupBy("g").agg(aggregate().alias("a"))


def at_ties(function: Callable[[], Column], condition: str) -> Kind:
    """Return a kind that has the rows for which a function over windows with ties fulfils a condition."""
    return lambda rows: rows.withColumn("b", function().over(Window.partitionBy("g").orderBy("v"))).where(condition)


KINDS: Mapping[str, Kind] = {
    "a sample": lambda rows: rows.sample(0.5, seed=3),
    "a stratified sample": lambda rows: rows.sampleBy("v", {0: 0.5, 1: 0.2}, seed=3),
    "a split": lambda rows: rows.randomSplit([0.7, 0.3], seed=3)[0],
    "a split of distinct rows": lambda rows: rows.dropDuplicates(["g"]).randomSplit([0.7, 0.3], seed=3)[0],
    "dropDuplicates of some columns": lambda rows: rows.dropDuplicates(["g"]),
    "limit": lambda rows: rows.limit(200),
    "offset": lambda rows: rows.offset(200),
    "row_number at ties": at_ties(F.row_number, "b = 1"),
    "lag at ties": at_ties(lambda: F.lag("a"), "a > b"),
    "lead at ties": at_ties(lambda: F.lead("a"), "a > b"),
    "ntile at ties": at_ties(lambda: F.ntile(2), "b = 1"),
    "first": of_group(lambda: F.first("a")),
    "last": of_group(lambda: F.last("a")),
    "any_value": of_group(lambda: F.any_value("a")),
    "max_by at ties": of_group(lambda: F.max_by("a", "v")),
    "collect_list": of_group(lambda: F.element_at(F.collect_list("a"), 1)),
    "collect_set": of_group(lambda: F.element_at(F.collect_set("a"), 1)),
    "a list as text": of_group(lambda: F.split(F.string_agg(F.col("a").cast("string"), ","), ",")[0].cast("int")),
    "a random column": lambda rows: rows.where(F.rand(3) < 0.5),
    "a random column without a seed": lambda rows: rows.where(F.rand() < 0.5),
    "a random column in SQL": lambda rows: rows.where("rand(3) < 0.5"),
    "ids by partition": lambda rows: rows.where(F.monotonically_increasing_id() % 7 < 3),
    "numbered rows": lambda rows: rows.withColumn("n", F.spark_partition_id()).where("n % 2 = 0"),
}


@dataclass(frozen=True, slots=True)
class Edition:
    """A version of the workflow; each number is a constant in the text of a node."""

    kind: str
    left: int = 1
    right: int = 1
    total: int = 1
    draw: int = 0

    def workflow(self, file: Path) -> hx.Workflow:
        """Declare the version over a file of rows."""
        wf = hx.Workflow("instances")
        wf.source("data", hx.csv(str(file), schema="a int, g int, v int", header=True, version="the same rows"))
        draw, least, factor, addend, times = KINDS[self.kind], -self.draw, self.left, self.right, self.total

        @wf.scanner
        def drawn(data: DataFrame) -> DataFrame:
            return draw(data.where(F.col("a") > least))

        @wf.scanner
        def left(drawn: DataFrame) -> DataFrame:
            return drawn.select("a", (F.col("a") * factor).alias("b"))

        @wf.scanner
        def right(drawn: DataFrame) -> DataFrame:
            return drawn.select((F.col("a") + addend).alias("b"), "a")

        @wf.reducer
        def of_left(left: pd.DataFrame) -> list[int]:
            return sorted(map(int, left.a))

        @wf.reducer
        def of_right(right: pd.DataFrame) -> list[int]:
            return sorted(map(int, right.a))

        @wf.reducer(output=True)
        def both(of_left: list[int], of_right: list[int]) -> dict[str, Any]:
            return {"same": of_left == of_right, "rows": len(of_left) * times}

        return wf


def write_rows(file: Path, order: int) -> None:
    """Write the rows in an order that depends on a number."""
    file.parent.mkdir(parents=True, exist_ok=True)
    ROWS.sample(frac=1.0, random_state=order).to_csv(file, index=False)


def run_history(seed: int, spark: SparkSession, runs: int, folder: Path) -> Counter[str]:
    """Run a drawn history. Return how often draws were computed, loaded, and mixed."""
    chance = random.Random(seed)
    edition = Edition(chance.choice(sorted(KINDS)))
    options: dict[str, Any] = {
        "policy": chance.choice(["joint", "joint", "always", "never"]),
        "budget": chance.choice([None, None, 60_000, 20_000]),
    }
    counts, file = Counter[str](), folder.with_name("rows.csv")
    with ExitStack() as ends:
        helix: hx.Helix | None = None
        for _ in range(runs):
            write_rows(file, chance.randint(0, 1_000_000))
            if helix is None or chance.random() < 0.5:
                ends.close()
                helix = ends.enter_context(hx.Helix(folder, spark=spark, observer=hx.Silent(), **options))
            if edit := chance.choice(["left", "right", "total", "draw", "", ""]):
                constant: dict[str, Any] = {edit: chance.randint(0, 2)}
                edition = replace(edition, **constant)
            last = helix.run(edition.workflow(file))
            last.wait()
            counts["computed" if last.plan["drawn"].state is State.COMPUTE else "reused"] += 1
            counts["mixed"] += not last["both"]["same"]
            live = sorted(artifact.signature for artifact in helix.catalog.live())
            lost = [signature for signature in live if chance.random() < 0.3]
            helix.catalog.evict_all(dict.fromkeys(lost, "lost by the history"))
    return counts
