"""Kinds of results of which several are right: by order of rows, ties, partitions, seeded draws.

A workflow draws by each kind, and a reader of the draw is edited: the draw must be reused. A plain script that requests
all kinds runs twice: the second run must send no request to Spark. `python -m benchmarks.histories instances` checks
that two draws are never mixed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pyspark.sql import SparkSession

import helix_spark as hx
from benchmarks.harness import HELIX, Row, run, sound
from benchmarks.histories.instances import KINDS, Edition, write_rows
from benchmarks.reuse.cases import Case
from helix_spark.engine.server.session import Sessions
from helix_spark.planner.problem import State

SCRIPT = "a script that requests all kinds"


def cases() -> list[Case]:
    """Return a case for each kind, and one for the script."""
    return [Case(name) for name in (*KINDS, SCRIPT)]


def judge_kinds(cases: Sequence[Case], folder: Path) -> Iterator[Row]:
    """Judge kinds, each in a catalog of its own."""
    with Sessions(settings={"spark.master": "local[2]"}) as sessions:
        for number, case in enumerate(cases):
            place = folder / str(number) / "catalog"
            why = _script(place) if case.name == SCRIPT else _workflow(case.name, sessions.get(), place)
            yield Row(case.name, {"verdict": "needless" if why else "right", "why": why})


def _workflow(kind: str, spark: SparkSession, catalog: Path) -> str:
    edition, file = Edition(kind), catalog.with_name("rows.csv")
    for order, version in enumerate((edition, replace(edition, left=2))):
        write_rows(file, order)
        with hx.Helix(catalog, spark=spark, observer=hx.Silent()) as helix:
            last = helix.run(version.workflow(file))
            last.wait()
    is_reused = last["both"]["same"] and last.plan["drawn"].state is not State.COMPUTE
    return "" if is_reused else last.plan["drawn"].reason


def _script(catalog: Path) -> str:
    file, script = catalog.with_name("rows.csv"), Path(__file__).with_name("kinds_script.py")
    write_rows(file, 0)
    command = [*HELIX, "run", str(script), str(file), "--catalog", str(catalog)]
    for _ in range(2):
        done = sound(run(command, catalog.parent, {"HELIX_SERVER": "off", "PYSPARK_PYTHON": sys.executable}))
    if done.requests < len(KINDS):
        raise RuntimeError(f"it sent {done.requests} requests: {done.printed}{done.errors}")
    return "" if done.requests == done.reused else f"{done.requests - done.reused} of {done.requests} are sent again"
