"""How long it takes to capture functions of tables and to tell their identities: one operator, and loops of 400.

    python -m benchmarks.capturing [--repeat 200] [--steps 400] [--json]

Milliseconds in a process that has imported what it needs; no JVM. Wanted: at most 1 ms for an operator in the median,
at most 50 ms for 400 `withColumn` in a loop.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from functools import reduce
from statistics import median
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from helix_spark.answers.function_calls import capture
from helix_spark.plans.captured_function import CallInputs, CapturedFunction

Program = Callable[..., DataFrame]

OPERATORS: Mapping[str, Program] = {
    "filter": lambda rows: rows.filter(rows.age > 17),
    "column of cases": lambda rows: rows.withColumn("old", F.when(rows.age > 65, F.lit(1)).otherwise(0)),
    "groups": lambda rows: rows.groupBy("k").agg(F.sum("v").alias("s"), F.count("*").alias("n")),
    "four steps": lambda rows: rows.select("id", F.upper("k").alias("k"), (F.col("v") + 1).alias("v")).filter(
        "id > 1").dropDuplicates().sort("id"),
    "window": lambda rows: rows.withColumn("r", F.rank().over(Window.partitionBy("k").orderBy(F.desc("v")))),
    "join": lambda rows, other: rows.join(other, rows.id == other.id, "left").select(rows.id, other.w),
    "lambda": lambda rows: rows.select(F.transform("arr", lambda x: x + 1).alias("more")),
}


def loops(steps: int) -> Mapping[str, Program]:
    """Plans that are so many relations deep."""
    numbers = range(steps)
    return {
        "withColumn by name": lambda rows: reduce(lambda t, n: t.withColumn(f"c{n}", F.col("a") + n), numbers, rows),
        "withColumn of the first table": lambda rows: reduce(
            lambda t, n: t.withColumn(f"c{n}", rows.a + n), numbers, rows),
        "withColumn of the last table": lambda rows: reduce(lambda t, n: t.withColumn(f"c{n}", t.a + n), numbers, rows),
        "filter of the last table": lambda rows: reduce(lambda t, n: t.filter(t.a > n), numbers, rows),
        "filter of the first table": lambda rows: reduce(lambda t, n: t.filter(rows.a > n), numbers, rows),
    }


def captured(program: Program) -> float:
    """Milliseconds to capture a program, and to tell its identity."""
    code = program.__code__
    inputs: Any = dict.fromkeys(code.co_varnames[:code.co_argcount], "table")
    begun = time.perf_counter()
    built = capture(program, CallInputs(inputs, {}))
    called = time.perf_counter()
    assert isinstance(built, CapturedFunction), built.why
    return (called - begun) * 1e3


def _measured(program: Program, repeat: int) -> float:
    captured(program)
    return median(captured(program) for _ in range(repeat))


def main() -> None:
    """Prints medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=200, help="captures of each operator; of loops a tenth as many")
    parser.add_argument("--steps", type=int, default=400, help="how long loops are")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = {name: _measured(one, given.repeat) for name, one in OPERATORS.items()}
    found |= {name: _measured(one, max(given.repeat // 10, 3)) for name, one in loops(given.steps).items()}
    if given.json:
        print(json.dumps(found))
        return
    for name, milliseconds in found.items():
        print(f"{name:32}{milliseconds:10.2f} ms")


if __name__ == "__main__":
    main()
