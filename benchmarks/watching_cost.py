"""Cost of control and watching: the same jobs with them and without, in turn.

    python -m benchmarks.watching_cost [--rounds 5] [--only rows,batches,driver,census,extraction] [--share 25]

Each run computes everything, into a catalog of its own, in one warm session of two cores. The table has the medians of
the seconds to the answer and of their ratio within a round. The census and extraction jobs need their data (see
`jobs`).

- rows: a Python function for each of a million rows, in Spark's workers;
- batches: a pandas function for each batch of three million rows, in Spark's workers;
- driver: forty pandas functions on the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from statistics import median
from typing import Any
from unittest.mock import patch

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType

import helix_spark as hx
from benchmarks.harness import Row, chosen, collect, command_line, finish, in_turn, medians, new_folder
from helix_spark.engine.server.session import Sessions
from jobs.census import census
from jobs.extraction import extraction

ROWS, ROWS_OF_BATCHES, FUNCTIONS = 1_000_000, 3_000_000, 40


@F.udf(DoubleType())
def weight(number: int) -> float:
    return (number % 97) / 97 + (number % 89) / 89


def _summed(name: str, count: int, weighed: Callable[[DataFrame], DataFrame]) -> hx.Workflow:
    """Sum a function over so many numbers."""
    wf = hx.Workflow(name)
    wf.source("one", hx.table(pd.DataFrame({"a": [1]})))

    @wf.reducer(output=True)
    def total(one: DataFrame) -> float:
        numbers = one.sparkSession.range(0, count, numPartitions=2)
        return float(weighed(numbers).agg(F.sum("weight")).collect()[0][0])

    return wf


def rows() -> hx.Workflow:
    """Call a function for each row."""
    return _summed("rows", ROWS, lambda numbers: numbers.select(weight("id").alias("weight")))


def weighted(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        yield pd.DataFrame({"weight": batch.id % 97 / 97 + batch.id % 89 / 89})


def batches() -> hx.Workflow:
    """Call a function for each batch."""
    return _summed("batches", ROWS_OF_BATCHES, lambda numbers: numbers.mapInPandas(weighted, "weight double"))


def driver() -> hx.Workflow:
    """Call many functions on the driver, each of a tenth of a second or so."""
    wf = hx.Workflow("driver")
    wf.source("data", hx.table(pd.DataFrame({"a": range(200_000), "b": [f"w{n % 997}" for n in range(200_000)]})))
    for number in range(FUNCTIONS):

        def summed(data: pd.DataFrame, number: int = number) -> float:
            return float(data.groupby("b").a.sum().add(number).mean())

        wf.reducer(name=f"summed_{number}", output=True)(summed)
    return wf


@contextmanager
def without() -> Iterator[None]:
    """Run the author's code unchanged."""
    def as_it_is(function: Any, **options: Any) -> Any:
        return function

    with (
        patch("helix_spark.engine.lowering.watcher.in_action", lambda action: nullcontext()),
        patch("helix_spark.engine.execution.executor.actions_to_come", nullcontext),
        patch("helix_spark.engine.lowering.watcher.files_named", lambda function: ()),
        patch("helix_spark.answers.function_calls.in_action", lambda action: nullcontext()),
        patch("helix_spark.engine.spark.worker_code.guarded", as_it_is),
        patch("helix_spark.plans.replaced_in_pyspark.guarded", as_it_is),
    ):
        yield


def seconds(make: Callable[[], hx.Workflow], spark: SparkSession, *, watched: bool) -> float:
    """Return the seconds to the answer of a run that computes everything."""
    with (
        nullcontext() if watched else without(), new_folder() as folder,
        hx.Helix(folder, policy="never", spark=spark, observer=hx.Silent()) as helix,
    ):
        return helix.run(make()).seconds


def main() -> None:
    """Measure, and print a row for each job."""
    parser = command_line(__doc__)
    parser.add_argument("--share", type=int, default=25, help="per cent of the passages of extraction (%(default)s)")
    options = parser.parse_args()
    jobs: Mapping[str, Callable[[], hx.Workflow]] = {
        "rows": rows, "batches": batches, "driver": driver, "census": census,
        "extraction": lambda: extraction(share=options.share),
    }
    with Sessions(settings={"spark.master": "local[2]", "spark.sql.shuffle.partitions": "2"}) as sessions:

        def measure(name: str) -> Row:
            figures = in_turn({
                "with": partial(seconds, jobs[name], sessions.get(), watched=True),
                "without": partial(seconds, jobs[name], sessions.get(), watched=False),
            }, options.rounds, uncounted=1)
            ratios = [on / off for on, off in zip(figures["with"], figures["without"], strict=True)]
            return Row(name, {**medians(figures), "ratio": median(ratios)})

        finish(options, "watching_cost", collect(map(measure, chosen(jobs, options.only))))


if __name__ == "__main__":
    main()
