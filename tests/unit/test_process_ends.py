"""How processes end: children that a program forks, interrupted runs, servers that are gone."""

from __future__ import annotations

from pathlib import Path

from faked_command import start

from helix_spark.catalog.catalog import Catalog

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
    printed, _ = (process := start(tmp_path, "run", "forks.py")).communicate(timeout=60)
    assert process.returncode == 0, printed
    assert [line for line in printed.splitlines() if line.startswith(("counted", "a child", "atexit"))] == [
        "counted 1", *(word for code in (0, 3, 1, 1, 1) for word in ("atexit of child", f"a child ended with {code}")),
        "counted 2", "atexit of parent",
    ]
    assert "ZeroDivisionError" in printed
    assert printed.count("this program's Spark session is of process") == 2
    assert printed.count("helix: forks, iteration 1") == 1, printed
    (iteration,) = Catalog.open(tmp_path / "catalog", create=False).iterations()
    assert (iteration.number, iteration.status) == (1, "done")
