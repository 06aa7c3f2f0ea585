"""What nodes are said to take whose functions run in Spark's Python workers, beside what they do take.

    python -m benchmarks.worker_seconds [--rounds 3] [--json]

Each case fuses nodes into one step of Spark's, whose seconds are divided among them. The functions sleep, so that what
they take is known: rows times milliseconds a row, divided by the tasks that run at the same time (two). Nothing in the
nodes' text tells that they sleep. Told are the medians of the seconds that the iteration gives to each node, and what
it would be given where nobody timed workers: its share by what is predicted of it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from unittest.mock import patch

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import DoubleType

import helix_spark as hx
from helix_spark.engine.execution import timing
from helix_spark.engine.spark.session import SessionProvider

ROWS, TASKS = 3_000, 2
SLOW, QUICK = 0.001, 0.00025
"""Seconds for each row."""


@F.udf(DoubleType())
def at_leisure(age: float) -> float:
    time.sleep(SLOW)
    return age


def by_batches(ages: pd.Series) -> pd.Series:
    time.sleep(QUICK * len(ages))
    return ages


of_batches: Callable[[Column], Column] = pandas_udf(by_batches, DoubleType())  # type: ignore[call-overload]  # as documented


def whole_batches(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        time.sleep(SLOW * len(batch))
        yield batch


def people(name: str) -> hx.Workflow:
    """Rows in as many partitions as there are tasks."""
    wf = hx.Workflow(name)
    wf.source("data", hx.table(pd.DataFrame({"age": [float(n % 90) for n in range(ROWS)]})))

    @wf.scanner
    def spread(data: DataFrame) -> DataFrame:
        return data.repartition(TASKS)

    return wf


def columns() -> hx.Workflow:
    """Columns of three nodes: of a function of rows, of a function of batches, and of Spark's own."""
    wf = people("columns")

    @wf.extractor
    def slow(spread: DataFrame) -> Column:
        return at_leisure(spread.age)

    @wf.extractor
    def quick(spread: DataFrame) -> Column:
        return of_batches(spread.age)

    @wf.extractor
    def plain(spread: DataFrame) -> Column:
        return spread.age * 2

    wf.synthesizer("examples", "spread", features=[slow, quick, plain], label="age")

    @wf.reducer(output=True)
    def rows(examples: pd.DataFrame) -> int:
        return len(examples)

    return wf


def in_turn() -> hx.Workflow:
    """Tables one after the other: a function of batches, work of Spark's own, and a function of rows behind it."""
    wf = people("in turn")

    @wf.scanner
    def slow(spread: DataFrame) -> DataFrame:
        return spread.mapInPandas(whole_batches, spread.schema)

    @wf.scanner
    def plain(slow: DataFrame) -> DataFrame:
        return slow.withColumn("hashed", F.sha2(F.repeat(F.col("age").cast("string"), 2_000), 512))

    @wf.scanner
    def quick(plain: DataFrame) -> DataFrame:
        return plain.withColumn("again", of_batches(plain.age))

    @wf.reducer(output=True)
    def rows(quick: pd.DataFrame) -> int:
        return len(quick)

    return wf


CASES: Mapping[str, Callable[[], hx.Workflow]] = {"columns": columns, "in turn": in_turn}
TAKES = {"slow": ROWS * SLOW / TASKS, "quick": ROWS * QUICK / TASKS}
"""Seconds of each node whose function sleeps."""


def seconds(build: Callable[[], hx.Workflow], spark: SparkSession) -> Mapping[str, float]:
    """What an iteration that computes everything says of each node."""
    with (
        tempfile.TemporaryDirectory(prefix="helix-workers-") as folder,
        hx.Helix(f"{folder}/catalog", policy="never", spark=spark) as helix,
    ):
        iteration = helix.run(build())
        iteration.wait()
        return iteration.node_seconds


def by_prediction(build: Callable[[], hx.Workflow], spark: SparkSession) -> Mapping[str, float]:
    """The same where nothing is known of workers."""
    with patch.object(timing, "measured_shares", lambda *_: {}):
        return seconds(build, spark)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    with SessionProvider(settings={"spark.master": f"local[{TASKS}]"}) as provider:
        spark = provider.get()
        for name, build in CASES.items():
            seconds(build, spark)  # finds a young JVM, and starts its workers
            measured = [seconds(build, spark) for _ in range(asked.rounds)]
            predicted = [by_prediction(build, spark) for _ in range(asked.rounds)]
            found[name] = {
                node: {"takes": takes, "given": median(one[node] for one in measured),
                       "by prediction": median(one[node] for one in predicted)}
                for node, takes in TAKES.items()
            }
    if asked.json:
        print(json.dumps(found, indent=1))
        return
    for name, nodes in found.items():
        for node, told in nodes.items():
            print(f"{name}, {node}: takes {told['takes']:.2f} s, is given {told['given']:.2f} s"
                  f" ({told['by prediction']:.2f} s by prediction alone)")


if __name__ == "__main__":
    main()
