"""Faults that take Spark: what Spark reads of damaged results, and processes of Spark that are killed."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.verification import verify
from helix_spark.engine.server.session import Sessions
from tests.faults import spark_job
from tests.faults.job import Heard
from tests.faults.processes import ended, jvms_below, printed_until, start_python
from tests.faults.row import Tally, fault
from tests.faults.stored_tables import flip


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
    opened = Catalog.open(catalog, create=True)
    bad: list[Any] = [finding for finding in verify(opened, deep=True).findings if finding.bad]
    running = [each.number for each in opened.iterations() if each.status == "running"]
    return f"damaged: {bad[0]}" if bad else f"said to be running: {running}" if running else ""


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
    what = damage(folder / "catalog")
    if what:
        tally.expect(False, what)
    tally.note = f"{killed} executors killed"
