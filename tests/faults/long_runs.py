"""Long runs: many iterations in one session, and random histories compared with answers from scratch."""

from __future__ import annotations

import gc
import os
import re
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import helix_spark as hx
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.segments.segment import SegmentFolder, covering
from helix_spark.engine.server.session import Sessions
from helix_spark.engine.spark.driver_client import driver_client
from tests.faults import spark_job
from tests.faults.processes import run_python
from tests.faults.row import Tally, fault

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_HISTORIES_A_PROCESS = 25
_SETTLED = 25
"""Iterations after which a session holds what it will hold."""


@fault("200 iterations in one session", "nothing grows that is not the records; every answer right", short=0, full=200,
       spark=True)
def soak(folder: Path, count: int, tally: Tally) -> None:
    with Sessions(settings=spark_job.SETTINGS) as sessions:
        spark, catalog = sessions.get(), folder / "catalog"
        wrong, done, early = 0, 0, {}
        with hx.Helix(catalog, policy="always", budget="2 MiB", spark=spark) as helix:
            for done in tally.rounds(count):
                index = done - 1
                key, weight = 1 + index // 3, 1 + index % 3
                iteration = helix.run(spark_job.workflow(key, weight, learn=index % 10 == 0))
                iteration.wait()
                wrong += dict(iteration.outputs) != spark_job.answers(key, weight, learn=index % 10 == 0)
                if done == _SETTLED:
                    early = _measured(spark, catalog)
            late = _measured(spark, catalog)
    tally.expect(not wrong, f"{wrong} wrong answers")
    if not early:
        tally.note = f"{done} iterations, too few to compare"
        return
    for what, most in _MAY_GROW_BY.items():
        tally.expect(late[what] - early[what] <= most, f"{what} grew from {early[what]:,} to {late[what]:,}")
    changes = ", ".join(f"{what} {early[what]:,} -> {late[what]:,}" for what in _MAY_GROW_BY)
    tally.note = f"after {_SETTLED} and {done} iterations: {changes}"


_MAY_GROW_BY = {
    "persisted tables": 2, "Python threads": 4, "JVM threads": 8, "open files": 12, "JVM open files": 40,
    "temporary folders": 2, "JVM heap, MiB": 60, "Python memory, MiB": 60, "files of live records": 24,
}
"""What a session may hold more of after the rest of the run: what belongs to the last runs, not to all."""


_POOLS = re.compile(
    "(block-manager-(ask|storage-async)|map-output-dispatcher|QueryStageCreator|ResultQueryStageExecution"
    "|shuffle-exchange|broadcast-exchange|subquery)-"
)
"""Spark's own pools of at most 16 to 128 threads each, which fill up within some hundred queries and then stay."""


def _threads(jvm: Any) -> int:
    """Threads of the JVM that are in none of those pools."""
    names = (each.getName() for each in jvm.java.lang.Thread.getAllStackTraces().keySet().toArray())
    return sum(_POOLS.match(name) is None for name in names)


def _measured(spark: SparkSession, catalog: Path) -> dict[str, int]:
    gc.collect()
    client = driver_client(spark)
    assert client is not None
    context = client.classic.sparkContext
    jvm = context._jvm
    for _ in range(2):
        jvm.java.lang.System.gc()
    runtime = jvm.java.lang.Runtime.getRuntime()
    pid = int(jvm.java.lang.ProcessHandle.current().pid())
    status = Path("/proc/self/status").read_text()
    return {
        "persisted tables": int(context._jsc.sc().getPersistentRDDs().size()),
        "Python threads": threading.active_count(), "JVM threads": _threads(jvm),
        "open files": len(list(Path("/proc/self/fd").iterdir())),
        "JVM open files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "temporary folders": len([each for each in Path(tempfile.gettempdir()).glob("helix-*") if each.is_dir()]),
        "JVM heap, MiB": int(runtime.totalMemory() - runtime.freeMemory()) >> 20,
        "Python memory, MiB": int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) >> 10,
        "files of live records": len(covering(SegmentFolder(LocalPath(catalog / "records")).files(), 0)),
    }


@fault("random workflows, edits, policies and budgets", "the answers from scratch, within the budget", short=0,
       full=100, spark=True)
def histories(folder: Path, count: int, tally: Tally) -> None:
    _look(folder, count, tally, "any_history_gives")


@fault("the same without Spark", "the answers from scratch, within the budget", short=0, full=500)
def histories_without_spark(folder: Path, count: int, tally: Tally) -> None:
    _look(folder, count, tally, "takes_no_spark")


def _look(folder: Path, count: int, tally: Tally, test: str) -> None:
    """Counts histories that a property test looks at, so many of each seed."""
    for seed in tally.rounds(-(-count // _HISTORIES_A_PROCESS)):
        words = ("-m", "pytest", "-q", "tests/spark/test_property.py", "-k", test, f"--hypothesis-seed={seed}")
        environ = {**os.environ, "HELIX_EXAMPLES": str(_HISTORIES_A_PROCESS), "TMPDIR": str(folder)}
        done = run_python(*words, env=environ, timeout=None)
        passed = done.returncode == 0
        tally.injected += _HISTORIES_A_PROCESS
        tally.right += _HISTORIES_A_PROCESS * passed
        if not passed:
            tally.wrong.append(f"seed {seed}: {done.stdout[-600:]}")
    tally.note = f"{tally.injected} histories of 2 to 4 versions"
