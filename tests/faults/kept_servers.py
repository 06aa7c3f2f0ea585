"""Servers that stay between runs: what happens to them before a run, or while one asks, costs a line and another
server; never an answer."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from helix_spark.engine.server.keeper import ForksApart
from helix_spark.engine.server.kept_servers import FOLDER_VARIABLE, MeetingPoint, family
from tests.faults.processes import ROOT, jvms_below, run_python, start_python
from tests.faults.row import Tally, fault

PROGRAM = """
import sys
from pyspark.ml.feature import MinMaxScaler, VectorAssembler
from pyspark.sql import SparkSession, functions as F
import beside

spark = SparkSession.builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
key = int(sys.argv[1])
print(sorted(one.name for one in spark.catalog.listTables()), spark.conf.get("spark.sql.session.timeZone"))
rows = spark.range(300).withColumn("weight", (F.col("id") * key) % 7)
rows.createOrReplaceTempView("weighed")
spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
print(spark.sql("SELECT sum(weight) AS total FROM weighed").first().total, flush=True)
vectors = VectorAssembler(inputCols=["weight"], outputCol="vector").transform(rows)
model = MinMaxScaler(inputCol="vector", outputCol="scaled").fit(vectors)
print(float(model.originalMax[0]), model.transform(vectors).where("weight > 2").count(), flush=True)
print(rows.select(F.udf(beside.shown)("id")).first()[0], flush=True)
"""
"""Asks some ten questions; what it prints depends on its argument and on a module beside it."""


WORKFLOW = """
import helix_spark as hx
from pyspark.sql import DataFrame, functions as F

def job(key: int = 1) -> hx.Workflow:
    wf = hx.Workflow("job")
    wf.source("data", hx.csv("rows.csv", schema="a double"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.withColumn("b", F.col("a") * 2).sort("a")

    @wf.reducer(output=True)
    def total(rows: DataFrame) -> float:
        return rows.agg(F.sum(F.col("b") * key)).first()[0]

    @wf.reducer(output=True)
    def most(rows: DataFrame) -> float:
        return rows.agg(F.max("b")).first()[0] + key

    return wf
"""
"""Its rows are read twice, so they are in memory, where the next run finds them."""

GREEDY = """
from pyspark.sql import SparkSession

SparkSession.builder.getOrCreate().sql(
    "SELECT size(array_sort(transform(sequence(1, 400000000), one -> one + 0.5D))) AS one"
).show()
"""
"""Takes more memory than there is."""


def printed(key: int, text: str) -> str:
    """What the program prints, for an argument and the module's text."""
    weights = [(one * key) % 7 for one in range(300)]
    numbers = f"{sum(weights)}\n{float(max(weights))} {sum(one > 2 for one in weights)}\n"
    return f"[] UTC\n{numbers}{text} 0\n"


class Runs:
    """Runs of the program in a folder, each a process of its own, next to a server that stays."""

    def __init__(self, folder: Path, met_in: str) -> None:
        self.folder, self._key = folder, 0
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.environment = {
            **os.environ, "HELIX_SERVER": "on", FOLDER_VARIABLE: met_in, "PYTHONPATH": path, "TZ": "UTC",
        }
        (folder / "program.py").write_text(PROGRAM)
        self.edit("first")

    @property
    def point(self) -> MeetingPoint:
        return MeetingPoint.for_folder(str(self.folder))

    def edit(self, text: str) -> None:
        """Write the module beside the program."""
        self.text = text
        (self.folder / "beside.py").write_text(f"def shown(number):\n    return f'{text} {{number}}'\n")

    def begin(self) -> tuple[subprocess.Popen[str], str]:
        """Begin a run that nothing is on record for; return what it is to print as well."""
        self._key += 1
        return self.start("program.py", self._key), printed(self._key, self.text)

    def start(self, *words: object, **options: Any) -> subprocess.Popen[str]:
        """Start a run."""
        options = {"cwd": self.folder, "env": self.environment, "stderr": subprocess.PIPE, **options}
        return start_python("-m", "helix_spark", "run", *words, start_new_session=False, **options)

    def run_workflow(self, key: int) -> tuple[int, dict[str, float], str]:
        """Run the workflow, which stores nothing; return its code, its outputs and what it says."""
        words = ("run", "job.py", "--json", "--policy", "never", "--set", f"key={key}")
        done = run_python("-m", "helix_spark", *words, cwd=self.folder, env=self.environment, timeout=240)
        return done.returncode, json.loads(done.stdout)["outputs"] if done.returncode == 0 else {}, done.stderr

    def check(self, tally: Tally, meanwhile: Callable[[], None] = lambda: None, said: str = "") -> None:
        """Count a run, right if it prints what it is to print, and says something.

        Args:
            meanwhile: is done while it runs.
        """
        process, expected = self.begin()
        beside = threading.Thread(target=meanwhile)
        beside.start()
        try:
            found, told = process.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            process.kill()
            found, told = process.communicate()
        beside.join()
        right = process.returncode == 0 and found == expected and said in told
        tally.expect(right, f"code {process.returncode}, printed {found!r}, not {expected!r}; said {told[-1500:]}")


@contextmanager
def runs_in(folder: Path) -> Iterator[Runs]:
    """Runs in a folder; its server ends with them."""
    before = os.environ.get(FOLDER_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="helix-met-", dir="/tmp") as met_in:  # a socket's path is short
        os.environ[FOLDER_VARIABLE] = met_in
        runs = Runs(folder.resolve(), met_in)
        try:
            yield runs
        finally:
            runs.point.stop()
            os.environ.pop(FOLDER_VARIABLE)
            if before is not None:
                os.environ[FOLDER_VARIABLE] = before


def jvm_of(point: MeetingPoint) -> int:
    """Return the process of a server's JVM; 0 where there is none."""
    return next(iter(jvms_below(point.keeper() or -1)), 0)


def _kill(pid: int, sign: signal.Signals = signal.SIGKILL) -> None:
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, sign)


@fault("runs that share a server, one after the other and two at once, with an edit of a module between them",
       "each is alone: views, settings, modules are its own", short=0, full=20, spark=True)
def shared(folder: Path, count: int, tally: Tally) -> None:
    with runs_in(folder) as runs:
        for index in tally.rounds((count + 1) // 2):
            runs.edit(f"text{index}")
            both = [runs.begin(), runs.begin()]
            for process, expected in both:
                found, told = process.communicate(timeout=240)
                tally.expect(found == expected, f"printed {found!r}, not {expected!r}; said {told[-1500:]}")


@fault("the JVM of a server that stays is killed while a run asks it", "a line, another server, the answer",
       short=0, full=20, spark=True)
def jvm_killed(folder: Path, count: int, tally: Tally) -> None:
    _struck(folder, count, tally, lambda runs: _kill(jvm_of(runs.point)))


@fault("the process that keeps a server is killed while a run asks it", "a line, another server, the answer",
       short=0, full=20, spark=True)
def keeper_killed(folder: Path, count: int, tally: Tally) -> None:
    _struck(folder, count, tally, lambda runs: _kill(runs.point.keeper()))


def _struck(folder: Path, count: int, tally: Tally, strike: Callable[[Runs], None]) -> None:
    chosen = random.Random(11)
    with runs_in(folder) as runs:
        for _ in tally.rounds(count):
            if not runs.point.keeper():
                runs.check(Tally())  # one is there before
            wait = chosen.uniform(0.5, 6.0)

            def later(wait: float = wait) -> None:
                time.sleep(wait)
                strike(runs)

            runs.check(tally, later)


@fault("the process that keeps a server, or its JVM, is frozen before a run", "a line, another server, the answer",
       short=0, full=20, spark=True)
def frozen(folder: Path, count: int, tally: Tally) -> None:
    with runs_in(folder) as runs:
        for index in tally.rounds(count):
            runs.check(Tally())
            pid = runs.point.keeper() if index % 2 else jvm_of(runs.point)
            _kill(pid, signal.SIGSTOP)
            runs.check(tally, said="another one is started")
            _kill(pid)


@fault("files of a server that stays are gone, or nobody may read them", "the answer, by it or by another one",
       short=0, full=20, spark=True)
def files_gone(folder: Path, count: int, tally: Tally) -> None:
    with runs_in(folder) as runs:
        for index in tally.rounds(count):
            runs.check(Tally())
            point, pids = runs.point, family(runs.point.keeper())
            which = (point.door, point.log, point.lock, point.log)[index % 4]
            if index % 4 == 3:
                which.chmod(0)
            else:
                which.unlink()
            runs.check(tally)
            if point.keeper() != pids[0]:
                for pid in reversed(pids):
                    _kill(pid)


@fault("a run that shares a server is interrupted, or killed", "the other goes on to its answer; nothing is left of it",
       short=0, full=20, spark=True)
def neighbour_ends(folder: Path, count: int, tally: Tally) -> None:
    chosen = random.Random(12)
    with runs_in(folder) as runs:
        for index in tally.rounds(count):
            neighbour, _ = runs.begin()

            def later(process: subprocess.Popen[str] = neighbour, wait: float = chosen.uniform(0.5, 5.0),
                      sign: signal.Signals = signal.SIGINT if index % 2 else signal.SIGKILL) -> None:
                time.sleep(wait)
                process.send_signal(sign)

            runs.check(tally, later)
            neighbour.communicate()
            found = runs.point.status()
            until = time.monotonic() + 10
            while (found is None or found["runs"]) and time.monotonic() < until:
                time.sleep(0.1)
                found = runs.point.status()
            if found is None or found["runs"]:
                tally.expect(False, f"left behind: {found}")


@fault("the process that commands are forked from is killed, or frozen, before one or while one goes on",
       "the answer, or a line that says that its end is not known", short=0, full=20, spark=True)
def forks_lost(folder: Path, count: int, tally: Tally) -> None:
    chosen = random.Random(14)
    with runs_in(folder) as runs:
        forks = ForksApart(runs.point, {})
        for index in tally.rounds(count):
            while not forks.pid():
                runs.check(Tally())
                time.sleep(3.0)
            pid, sign = forks.pid(), signal.SIGSTOP if index % 2 else signal.SIGKILL
            struck = threading.Timer(chosen.uniform(0.0, 3.0), _kill, (pid, sign))
            struck.start()
            process, expected = runs.begin()
            again = threading.Timer(10.0, _kill, (pid, signal.SIGCONT))
            again.start()
            found, told = process.communicate(timeout=240)
            struck.join()
            again.join()
            is_said = process.returncode == 0 or "its exit code is unknown" in told or "has just ended" in told
            right = is_said and (found == expected or "has just ended" in told)
            tally.expect(right, f"code {process.returncode}, printed {found!r}, not {expected!r}; said {told[-1500:]}")


@fault("the JVM of a server is killed while a workflow reads rows that it has in memory, or before it does",
       "the answer, or what to do, and then the answer", short=0, full=20, spark=True)
def rows_lost(folder: Path, count: int, tally: Tally) -> None:
    chosen = random.Random(13)
    with runs_in(folder) as runs:
        (runs.folder / "job.py").write_text(WORKFLOW)
        (runs.folder / "rows.csv").write_text("".join(f"{number}\n" for number in range(100)))
        for key in tally.rounds(count):
            if not runs.point.keeper():
                runs.run_workflow(-key - 1)
            struck = threading.Timer(chosen.uniform(0.2, 5.0), lambda: _kill(jvm_of(runs.point)))
            struck.start()
            code, outputs, said = runs.run_workflow(key + 1)
            struck.join()
            if code:  # it says what to do
                tally.expect("run it again" in said or "run again" in said, f"code {code}, said {said[-1500:]}")
                code, outputs, said = runs.run_workflow(key + 1)
            expected = {"total": 9900.0 * (key + 1), "most": 198.0 + key + 1}
            tally.expect(outputs == expected, f"gave {outputs}, not {expected}; said {said[-1500:]}")


@fault("a run takes all memory of the server's JVM while another one asks it", "a line, another server, the answer",
       short=0, full=5, spark=True)
def memory_taken(folder: Path, count: int, tally: Tally) -> None:
    with runs_in(folder) as runs:
        (runs.folder / "greedy.py").write_text(GREEDY)
        for _ in tally.rounds(count):
            greedy = runs.start("greedy.py", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            runs.check(tally)
            greedy.kill()
            greedy.wait()
            runs.check(tally)


@fault("the package is replaced while its server stays", "another server, the answer", short=0, full=20, spark=True)
def package_replaced(folder: Path, count: int, tally: Tally) -> None:
    with runs_in(folder) as runs:
        copied = folder / "copied"
        shutil.copytree(ROOT / "helix_spark", copied / "helix_spark", ignore=shutil.ignore_patterns("__pycache__"))
        runs.environment["PYTHONPATH"] = str(copied)
        for index in tally.rounds(count):
            runs.check(Tally())
            (copied / "helix_spark" / "sizes.py").open("a").write(f"# {index}\n")
            runs.check(tally, said="helix_spark is another")


@fault("the folder of Delta's jars is deleted while a server stays", "the answer", short=0, full=20, spark=True)
def jars_deleted(folder: Path, count: int, tally: Tally) -> None:
    with runs_in(folder) as runs:
        for _ in tally.rounds(count):
            with tempfile.TemporaryDirectory(prefix="helix-jars-") as jars:
                runs.environment["HELIX_CACHE"] = jars
                runs.check(Tally())
            runs.check(tally)
            runs.point.stop()
