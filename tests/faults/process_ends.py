"""Processes that end in the middle of a plain program's run: children that it forks, its JVM, the command itself."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.engine.server.kept_servers import family
from tests.faults.processes import jvms_below, start_python
from tests.faults.row import Tally, fault

_LONGEST, _SOON = 600.0, 10.0
"""Seconds in which a command has come to its end; and in which it ends once it is told to."""

_PROGRAM = """
import os, subprocess, sys
from pyspark.ml.feature import StringIndexer
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
table = spark.createDataFrame([("a",), ("b",), ("b",)], ["x"])
table.createOrReplaceTempView("v")
model = StringIndexer(inputCol="x", outputCol="y").fit(table)

def kill_jvm():
    subprocess.run(["pkill", "-KILL", "--parent", str(os.getpid()), "java"], check=True)

FAULT
print("rows", sorted(row.y for row in model.transform(spark.table("v")).collect()), flush=True)
LAST
"""
_RIGHT = "rows [0.0, 0.0, 1.0]"
_SLOW = "spark.range(1).selectExpr('java_method(\"java.lang.Thread\", \"sleep\", 60000L)').collect()"


@contextlib.contextmanager
def _command(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a folder, heard by SIGINT; nothing is left of it afterwards."""
    process = start_python(
        "-m", "helix_spark", *words, cwd=folder, start_new_session=False,
        env={**os.environ, "HELIX_CATALOG": "catalog", "PYTHONHASHSEED": "0"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        for pid in reversed(family(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _left(pids: Sequence[int]) -> list[int]:
    """Which of some processes are still there after a while."""
    until = time.monotonic() + _SOON
    while (left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def _await(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + _LONGEST
    while not happened():
        if process.poll() is not None or time.monotonic() > until:
            raise OSError(f"it did not come so far: {process.communicate()[0] if process.poll() is not None else ''}")
        time.sleep(0.05)


def _write(folder: Path, fault_in_it: str = "", last: str = "") -> None:
    (folder / "train.py").write_text(_PROGRAM.replace("FAULT", fault_in_it).replace("LAST", last))


def _run(folder: Path, fault_in_it: str = "", last: str = "") -> tuple[int, str]:
    """Run the program to its end; return its exit code and what it printed."""
    _write(folder, fault_in_it, last)
    with _command(folder, "run", "train.py") as process:
        printed, _ = process.communicate(timeout=_LONGEST)
        return process.returncode, printed


def _iterations(folder: Path) -> list[tuple[str, str]]:
    catalog = Catalog.open(folder / "catalog", create=False)
    held = [name for name in catalog.leases.names() if len(name) == 32]
    return [(one.status, f"{one.error}{' with leases' if held else ''}") for one in catalog.iterations()]


@fault("a program forks children that end normally", "the parent goes on; one iteration is recorded", short=0, full=4,
       spark=True)
def forked_children(folder: LocalPath, count: int, tally: Tally) -> None:
    ways = (
        "os.fork() or sys.exit(0)\nos.wait()", "os.fork() or sys.exit('no')\nos.wait()",
        "import multiprocessing as mp\nmp.get_context('fork').Pool(2).map(abs, [1, -2])",
        "import subprocess\nsubprocess.run(['true'], preexec_fn=os.getpid)",
    )
    for index, work in tally.folders(folder, count):
        code, printed = _run(work, ways[index % len(ways)])
        ended = _iterations(work)
        right = code == 0 and _RIGHT in printed and ended == [("done", "")]
        tally.expect(right, f"{ways[index % len(ways)]}: {ended} {printed}")


@fault("the JVM is killed between two answers, or behind the last",
       "all is answered by another one, or said at once", short=0, full=6, spark=True)
def killed_jvms(folder: LocalPath, count: int, tally: Tally) -> None:
    for index, work in tally.folders(folder, count):
        behind = index % 2 == 0
        began = time.monotonic()
        code, printed = _run(work, "" if behind else "kill_jvm()", "kill_jvm()" if behind else "")
        told = "was killed by signal 9" in printed and "Traceback" not in printed
        right = code == 0 and _RIGHT in printed and _iterations(work) == [("done", "")]
        again, answered = _run(work)
        tally.expect(
            right and told and again == 0 and _RIGHT in answered,
            f"{'behind' if behind else 'between'}: exit {code} after {time.monotonic() - began:.0f} s: {printed}",
        )


@fault("Ctrl-C or SIGTERM while the JVM starts", "no process is left, exit code 130 or 143", short=0, full=20,
       spark=True)
def interrupted_starts(folder: LocalPath, count: int, tally: Tally) -> None:
    chosen = random.Random(31)
    _write(folder)
    for index in tally.rounds(count):
        sent = (signal.SIGINT, signal.SIGTERM)[index % 2]
        with _command(folder, "run", "train.py") as process:
            while not (begun := family(process.pid)[1:]):
                time.sleep(0.01)
            time.sleep(chosen.uniform(0.0, 8.0))
            begun = [*begun, *family(process.pid)[1:]]
            process.send_signal(sent)
            printed, _ = process.communicate(timeout=_LONGEST)
            left = _left([process.pid, *begun])
            tally.expect(
                not left and process.returncode == 128 + sent and "Traceback" not in printed,
                f"{sent.name}: exit {process.returncode}, left {left}: {printed}",
            )


@fault("SIGTERM to a watch while its run goes on", "the run is recorded as interrupted; nothing is left",
       short=0, full=4, spark=True)
def terminated_watches(folder: LocalPath, count: int, tally: Tally) -> None:
    for _, work in tally.folders(folder, count):
        _write(work, f"open('asked', 'w').close()\n{_SLOW}")
        with _command(work, "watch", "train.py") as watch:
            _await((work / "asked").exists, watch)
            begun = family(watch.pid)[1:]
            began = time.monotonic()
            watch.terminate()
            printed, _ = watch.communicate(timeout=_LONGEST)
            left, took = _left(begun), time.monotonic() - began
        ended = _iterations(work)
        right = [status for status, _ in ended] == ["interrupted"]
        tally.expect(
            right and watch.returncode == 143 and not left and took < 2 * _SOON,
            f"exit {watch.returncode} after {took:.1f} s, left {left}: {json.dumps(ended)} {printed}",
        )


@fault("the JVM of an idle watch is killed", "the next save is answered by another one", short=0, full=3, spark=True)
def killed_watch_jvms(folder: LocalPath, count: int, tally: Tally) -> None:
    for _, work in tally.folders(folder, count):
        last = "open('ended', 'w').close()"
        _write(work, last=last)
        with _command(work, "watch", "train.py") as watch:
            _await((work / "ended").exists, watch)
            time.sleep(8)
            jvms = jvms_below(watch.pid)
            for pid in jvms:
                os.kill(pid, signal.SIGKILL)
            (work / "ended").unlink()
            _write(work, "spark.range(7).count()", last)
            _await((work / "ended").exists, watch)
            watch.terminate()
            printed, _ = watch.communicate(timeout=_LONGEST)
        ended = _iterations(work)
        tally.expect(
            bool(jvms) and printed.count(_RIGHT) == 2 and ("done", "") in ended, f"{len(jvms)} JVMs: {ended} {printed}",
        )
