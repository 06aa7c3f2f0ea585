"""A program that turns out to need a classic session as it runs starts over in one, and begins there from then on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.command import start
from tests.fakes.quick_java import SUBMIT_ARGUMENTS

HELIX = str(Path(sys.executable).with_name("helix"))
PROGRAM = """
import os, sys
import library
from pyspark.sql import SparkSession

if os.environ.get("HELIX") == "off" and os.environ["PYSPARK_PYTHON"] == sys.executable:
    print("classic", sys.argv[1:])
    sys.exit(3)
spark = SparkSession.builder.getOrCreate()
print("connect")
{before}
try:
    library.look(spark.range(3))
except Exception as error:
    print("caught", type(error).__name__)
    raise
"""
LIBRARY = """
def look(frame):
    return getattr(frame, "r" + "dd").getNumPartitions()
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYSPARK_SUBMIT_ARGS": SUBMIT_ARGUMENTS}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=environment
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "library.py").write_text(LIBRARY)
    return tmp_path


@pytest.mark.long
def test_a_program_starts_over_where_a_library_turns_out_to_need_rdds(folder: Path) -> None:
    (folder / "train.py").write_text(PROGRAM.format(before=""))
    first = run(folder, HELIX, "run", "train.py", "an argument")
    assert (first.returncode, first.stdout) == (3, "connect\nclassic ['an argument']\n"), first.stderr
    assert "library.py:3 uses .rdd, which only a classic session has, so it starts over" in first.stderr
    again = run(folder, HELIX, "run", "train.py", "an argument")
    assert (again.returncode, again.stdout) == (3, "classic ['an argument']\n"), again.stderr
    assert "library.py:3 uses .rdd" in again.stderr
    assert "reuses nothing" in run(folder, HELIX, "plan", "train.py", "--", "an argument").stderr
    (folder / "library.py").write_text(LIBRARY.replace("getattr(", "len([]) or getattr("))
    assert run(folder, HELIX, "run", "train.py", "an argument").stdout.startswith("connect")


def test_a_program_that_wrote_something_says_so_and_begins_in_a_classic_session_next_time(folder: Path) -> None:
    (folder / "train.py").write_text(PROGRAM.format(before="open('out.txt', 'w').close()"))
    process = start(folder, "run", "train.py", stderr=subprocess.PIPE)
    printed, complaints = process.communicate(timeout=120)
    assert (process.returncode, printed) == (1, "connect\ncaught HelixError\n"), complaints
    assert "cannot restart it: it wrote out.txt (train.py:11) before" in complaints
    assert "run it again" in complaints
    again, complaints = start(folder, "run", "train.py", stderr=subprocess.PIPE).communicate(timeout=120)
    assert again == "classic []\n", complaints


def test_a_program_that_changed_its_folder_starts_over_in_the_one_of_its_command(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "train.py").write_text(PROGRAM.format(before="os.chdir('elsewhere')"))
    process = start(folder, "run", "train.py", stderr=subprocess.PIPE)
    printed, complaints = process.communicate(timeout=120)
    assert (process.returncode, printed) == (3, "connect\nclassic []\n"), complaints


@pytest.mark.long
def test_a_program_that_runs_itself_starts_over_too(folder: Path) -> None:
    (folder / "train.py").write_text("import helix_spark.auto\n" + PROGRAM.format(before=""))
    first = run(folder, sys.executable, "train.py", "an argument")
    assert (first.returncode, first.stdout) == (3, "connect\nclassic ['an argument']\n"), first.stderr
