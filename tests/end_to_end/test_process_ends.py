"""How processes end: children that a program forks, interrupted runs, servers that are gone."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from helix_spark.catalog.catalog import Catalog
from tests.fakes.command import start

FORKS = """
import atexit, os, sys
from pyspark.sql import SparkSession

def begin(child):
    if not os.fork():
        child()
        sys.exit()
    print("a child ended with", os.waitstatus_to_exitcode(os.wait()[1]), flush=True)

spark = SparkSession.builder.getOrCreate()
print("counted", spark.range(10).count(), flush=True)
parent = os.getpid()
atexit.register(lambda: print("atexit of", "parent" if os.getpid() == parent else "child", flush=True))
begin(lambda: None)
begin(lambda: sys.exit(3))
begin(lambda: 1 / 0)
begin(lambda: spark.range(10).count())
begin(SparkSession.builder.getOrCreate)
print("counted", spark.range(20).count(), flush=True)
"""


def test_a_forked_child_ends_and_records_nothing_of_its_parent(tmp_path: Path) -> None:
    (tmp_path / "forks.py").write_text(FORKS)
    printed, _ = (process := start(tmp_path, "run", "forks.py")).communicate(timeout=120)
    assert process.returncode == 0, printed
    assert [line for line in printed.splitlines() if line.startswith(("counted", "a child", "atexit"))] == [
        "counted 3", *(word for code in (0, 3, 1, 1, 1) for word in ("atexit of child", f"a child ended with {code}")),
        "counted 5", "atexit of parent",
    ]
    assert "ZeroDivisionError" in printed
    assert printed.count("this program's Spark session belongs to process") == 2
    assert printed.count("helix: forks, iteration 1") == 1, printed
    (iteration,) = Catalog.open(tmp_path / "catalog", create=False).iterations()
    assert (iteration.number, iteration.status) == (1, "done")


WAITS = """
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.range(10).count()
"""


def wait_until(happened: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while not happened.exists():
        assert process.poll() is None
        assert time.monotonic() < until, "it has not come so far"
        time.sleep(0.05)


def statuses(folder: Path) -> list[tuple[str, str]]:
    catalog = Catalog.open(folder / "catalog", create=False)
    assert list(catalog.leases.names()) == []
    return [(one.status, one.error) for one in catalog.iterations()]


@pytest.mark.parametrize(("sent", "code", "why"), [
    (signal.SIGTERM, 143, "by SIGTERM"), (signal.SIGINT, 130, "by Ctrl-C"),
])
def test_a_run_that_is_interrupted_says_so_and_is_recorded(
    sent: signal.Signals, code: int, why: str, tmp_path: Path
) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    process = start(tmp_path, "run", "waits.py", behaviour="slow")
    wait_until(tmp_path / "asked", process)
    process.send_signal(sent)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == code, printed
    assert "helix: interrupted at waits.py:5\n" in printed
    assert "helix: waits, iteration 1: interrupted after" in printed
    assert "Traceback" not in printed
    assert statuses(tmp_path) == [("interrupted", why)]


@pytest.mark.long
def test_a_run_whose_results_are_being_stored_is_on_record_when_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    process = start(tmp_path, "run", "waits.py", behaviour="keeping")
    wait_until(tmp_path / "keeping", process)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 143, printed
    assert "Traceback" not in printed
    assert statuses(tmp_path) == [("done", "")]


@pytest.mark.long
def test_a_watch_ends_with_its_run_by_sigterm(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    watch = start(tmp_path, "watch", "waits.py", behaviour="slow", background=True)
    wait_until(tmp_path / "asked", watch)
    watch.terminate()
    printed, _ = watch.communicate(timeout=120)
    assert watch.returncode == 143, printed
    assert (tmp_path / "stopped").exists()
    assert "Traceback" not in printed
    assert statuses(tmp_path) == [("interrupted", "by SIGTERM")]
