"""Faults that take Spark: damaged results, killed processes, tasks that fail, run again, or differ each time."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.engine.server.session import Sessions
from helix_spark.errors import HelixError, NodeError
from helix_spark.planner.problem import State
from tests.faults import spark_job
from tests.faults.job import PEOPLE, Heard
from tests.faults.processes import ended, jvms_below, printed_until, start_python
from tests.faults.row import Tally, fault
from tests.faults.stored_tables import flip
from tests.faults.usable import damaged


def _flips_of(folder: Path, count: int, tally: Tally, node: str, *, side_files: bool) -> None:
    catalog, chosen, noticed = folder / "catalog", random.Random(7), 0
    with Sessions(settings=spark_job.SETTINGS) as sessions:
        spark = sessions.get()
        spark_job.run(catalog, spark_job.workflow(1), spark=spark)
        for index in tally.rounds(count):
            opened = Catalog.open(catalog, create=False)
            record = next(each for each in opened.live() if each.node == node)
            path = opened.path_of(record)
            assert isinstance(path, Path)
            if not side_files:
                for beside in path.rglob(".*.crc"):
                    beside.unlink()
            files = [each for each in sorted(path.rglob("*")) if each.is_file() and each.stat().st_size
                     and not each.name.startswith(".")]
            file = chosen.choice(files)
            where, heard = flip(file, file.read_bytes(), chosen), Heard()
            outputs = spark_job.run(catalog, spark_job.workflow(1, index + 2), heard, spark=spark)
            noticed += bool(heard.warnings)
            right = outputs == spark_job.answers(1, index + 2)
            tally.expect(right, f"{where} of {file.relative_to(path)}: {outputs}")
            if not heard.warnings:  # without effect: put back, so that flips do not add up
                opened.quarantine(record.signature, "flipped without effect")
                spark_job.run(catalog, spark_job.workflow(1, -index), spark=spark)
    tally.note = f"{noticed} noticed"


@fault("a bit flipped in a table that Spark wrote, without checksum files", "told, computed again; answer right",
       short=0, full=25, spark=True)
def flipped_table(folder: Path, count: int, tally: Tally) -> None:
    _flips_of(folder, count, tally, "rows", side_files=False)


@fault("a bit flipped in a model, without checksum files", "told, computed again; answer right",
       short=0, full=25, spark=True)
def flipped_model(folder: Path, count: int, tally: Tally) -> None:
    _flips_of(folder, count, tally, "model", side_files=False)


@fault("SIGKILL of the driver with Spark, of its Python alone, or of its JVM", "no half result; next answer right",
       short=0, full=9, spark=True)
def killed_with_spark(folder: Path, count: int, tally: Tally) -> None:
    catalog, chosen = folder / "catalog", random.Random(11)
    phases: list[str] = []
    for key in tally.rounds(count):
        process = start_python("-m", "tests.faults.spark_job", catalog, key)
        until = ("rows begins", "answered", "storing")[key // 3 % 3]
        printed = printed_until(process, re.compile(until).match)
        time.sleep(chosen.uniform(0, 1.0))
        whom = ("driver", "Python", "JVM")[key % 3]
        jvm = next(iter(jvms_below(process.pid)), None)
        if whom == "driver":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(jvm if whom == "JVM" and jvm else process.pid, signal.SIGKILL)
        ended(process, printed)
        until_gone = time.monotonic() + 30
        while jvm and Path(f"/proc/{jvm}").exists() and time.monotonic() < until_gone:
            time.sleep(0.1)
        phases.append(f"{whom} {'gone' if not jvm or not Path(f'/proc/{jvm}').exists() else 'still there'}")
        tally.expect(not (what := damage(catalog)), f"round {key}, {whom}: {what}")
    with Sessions(settings=spark_job.SETTINGS) as sessions:
        for key in range(1, tally.injected + 1):
            outputs = spark_job.run(catalog, spark_job.workflow(key), spark=sessions.get())
            if outputs != spark_job.answers(key):
                tally.wrong.append(f"round {key}: {outputs}")
                tally.right -= 1
    left = len(Catalog.open(catalog, create=False).gc(dry_run=True))
    tally.note = f"{', '.join(sorted(set(phases)))}; {left} leftovers after the next runs"


def damage(catalog: Path) -> str:
    running = [each.number for each in Catalog.open(catalog, create=True).iterations() if each.status == "running"]
    return damaged(catalog) or (f"said to be running: {running}" if running else "")


CLUSTER = {"spark.master": "local-cluster[2,1,1024]", "spark.sql.shuffle.partitions": "2", "spark.driver.memory": "1g"}


def executors(driver: int) -> list[int]:
    """Return the JVMs of executors below a driver, the newest last."""
    return jvms_below(driver, b"CoarseGrainedExecutorBackend")


@fault("SIGKILL of an executor while its job runs", "the run succeeds, same answer", short=0, full=4, spark=True)
def executor_killed(folder: Path, count: int, tally: Tally) -> None:
    killed = 0
    with Sessions(settings=CLUSTER) as sessions:
        spark = sessions.get()
        spark_job.run(folder / "catalog", spark_job.workflow(0, learn=False), spark=spark)
        for key in tally.rounds(count):
            before = executors(os.getpid())
            stop = threading.Timer(1.0, os.kill, (before[-1], signal.SIGKILL))
            stop.start()
            outputs = spark_job.run(folder / "catalog", spark_job.slow_workflow(key), spark=spark)
            stop.join()
            killed += not Path(f"/proc/{before[-1]}").exists()
            tally.expect(outputs == spark_job.answers(key, learn=False), f"round {key}: {outputs}")
    if what := damage(folder / "catalog"):
        tally.expect(False, what)
    tally.note = f"{killed} executors killed"


def _workflow(scanner: Callable[[DataFrame], DataFrame], name: str) -> hx.Workflow:
    """data -> kept -> rows, by the scanner -> total, count."""
    wf = hx.Workflow(name)
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner
    def kept(data: DataFrame) -> DataFrame:
        return data.selectExpr("a", "s")

    def rows(kept: DataFrame) -> DataFrame:
        return scanner(kept)

    wf.scanner(rows)

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        return int(rows.a.sum())

    @wf.reducer(output=True)
    def count(rows: pd.DataFrame) -> int:
        return int(rows.a.nunique())

    return wf


_RIGHT = {"total": int(PEOPLE.a.sum()), "count": len(PEOPLE)}


def _failing(key: int, always: bool) -> Callable[[DataFrame], DataFrame]:
    def scanner(kept: DataFrame) -> DataFrame:
        def fails(value: int) -> int:
            from pyspark import TaskContext

            context = TaskContext.get()
            if context is not None and context.partitionId() == key % 4 and (always or context.attemptNumber() == 0):
                raise ValueError(f"no such person in round {key}")
            return value

        return kept.repartition(4, "a").withColumn("a", F.udf(fails, "long")("a"))

    return scanner


@fault("a task of Spark's that fails once, or always", "tried again, answer right; or the author's line is named",
       short=0, full=8, spark=True)
def task_fails(folder: Path, count: int, tally: Tally) -> None:
    settings = {**spark_job.SETTINGS, "spark.master": "local[2,3]"}
    with Sessions(settings=settings) as sessions:
        for key in tally.rounds(count):
            catalog, always = folder / str(key), key % 2 == 0
            try:
                outputs = spark_job.run(catalog, _workflow(_failing(key, always), "failing"), spark=sessions.get())
                what = f"answered {outputs}" if always or outputs != _RIGHT else ""
            except NodeError as error:
                named = "spark_faults.py:" in str(error) and "no such person" in str(error)
                what = "" if always and named else str(error)
            kept = {record.node for record in Catalog.open(catalog, create=False).live()}
            what = what or ("" if always or "rows" in kept else f"kept {kept}")
            tally.expect(not what, f"round {key}: {what}")


def _drawn(key: int) -> Callable[[DataFrame], DataFrame]:
    """Rows divided by chance, then eight tasks of a second each."""
    def scanner(kept: DataFrame) -> DataFrame:
        def slow(value: int) -> int:
            time.sleep(0.0016)
            return value

        drawn = kept.withColumn("draw", F.rand()).repartition(8, "draw")
        return drawn.withColumn("a", F.udf(slow, "long")("a")).drop("draw").filter(F.lit(key) > 0)

    return scanner


@fault("SIGKILL of an executor above rows that are divided by chance", "every row once, or a failure that says so; "
       "of what is stored, too", short=0, full=4, spark=True)
def drawn_again(folder: Path, count: int, tally: Tally) -> None:
    from deltalake import DeltaTable

    answered = 0
    with Sessions(settings=CLUSTER) as sessions:
        spark, catalog = sessions.get(), folder / "catalog"
        spark_job.run(catalog, spark_job.workflow(0, learn=False), spark=spark)
        for key in tally.rounds(count):
            stop = threading.Timer(2.5, os.kill, (executors(os.getpid())[-1], signal.SIGKILL))
            stop.start()
            try:
                outputs = spark_job.run(catalog, _workflow(_drawn(key), "drawn"), spark=spark)
                answered += 1
                what = "" if outputs == _RIGHT else f"answered {outputs}"
            except HelixError as error:
                what = "" if "rows" in str(error) or "total" in str(error) else str(error)
            stop.join()
            stored = Catalog.open(catalog, create=False)
            tables = [stored.path_of(one) for one in stored.live() if (one.workflow, one.node) == ("drawn", "rows")]
            people = [sorted(DeltaTable(str(one)).to_pyarrow_table()["a"].to_pylist()) for one in tables]
            what = what or ("" if all(one == sorted(PEOPLE.a) for one in people) else "stored other rows")
            again = spark_job.run(catalog, _workflow(_drawn(key), "drawn"), spark=spark)
            what = what or ("" if again == _RIGHT else f"answered {again} the next time")
            tally.expect(not what, f"round {key}: {what}")
            until = time.monotonic() + 30
            while len(executors(os.getpid())) < 2 and time.monotonic() < until:
                time.sleep(0.2)
    tally.note = f"{answered} answered, {tally.injected - answered} said that it failed"


BY_CHANCE: tuple[Callable[[DataFrame], DataFrame], ...] = (
    lambda kept: kept.withColumn("r", F.expr("uuid()")),
    lambda kept: kept.withColumn("r", F.current_timestamp()),
    lambda kept: kept.withColumn("r", F.expr("now()")),
    lambda kept: kept.withColumn("r", F.current_date()),
    lambda kept: kept.withColumn("r", F.expr("localtimestamp()")),
    lambda kept: kept.withColumn("r", F.unix_timestamp()),
    lambda kept: kept.withColumn("r", F.expr("random()")),
    lambda kept: kept.withColumn("r", F.expr("reflect('java.util.UUID', 'randomUUID')")),
)
"""Scanners whose rows differ each time."""

INSTANCES: tuple[Callable[[DataFrame], DataFrame], ...] = (
    lambda kept: kept.withColumn("r", F.rand()),
    lambda kept: kept.withColumn("r", F.randn()),
    lambda kept: kept.withColumn("r", F.monotonically_increasing_id()),
    lambda kept: kept.withColumn("r", F.spark_partition_id()),
    lambda kept: kept.withColumn("r", F.shuffle(F.array(F.lit(1), F.lit(2), F.lit(3)))),
    lambda kept: kept.sample(0.5),
    lambda kept: kept.limit(100),
    lambda kept: kept.groupBy("s").agg(F.first("a").alias("a")),
    lambda kept: kept.groupBy("s").agg(F.collect_list("a")[0].alias("a")),
    lambda kept: kept.groupBy("s").agg(F.last("a").alias("a")),
    lambda kept: kept.dropDuplicates(["s"]),
    lambda kept: kept.groupBy("s").agg(F.expr("any_value(a)").alias("a")),
)
"""Scanners of which several results are right: by order, partition, or a seed that pyspark has drawn."""


@fault("a scanner whose rows differ each time, or of which several results are right", "found; never stored, computed "
       "anew in the next run; or the same once more", short=0, full=len(BY_CHANCE + INSTANCES), spark=True)
def by_chance(folder: Path, count: int, tally: Tally) -> None:
    with Sessions(settings=spark_job.SETTINGS) as sessions:
        for index, way in enumerate((BY_CHANCE + INSTANCES)[:count]):
            catalog, heard = folder / str(index), Heard()
            states, answers = [], []
            for _ in range(2):
                with hx.Helix(catalog, policy="always", spark=sessions.get(), observer=heard) as helix:
                    iteration = helix.run(_workflow(way, "chance"))
                    iteration.wait()
                    states.append(iteration.plan["rows"].state)
                    answers.append([iteration[name] for name in ("total", "count")])
            anew = states == [State.COMPUTE] * 2 and "rows" not in heard.names
            same = states[1] is not State.COMPUTE and answers[0] == answers[1]
            right = anew if way in BY_CHANCE else same
            tally.expect(right, f"way {index}: {states}, {answers}, stored {heard.names}")
