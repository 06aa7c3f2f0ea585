"""A process that ends waits for what it has begun."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, time
from concurrent.futures import ThreadPoolExecutor
from helix_spark.waits import awaited_at_exit

def store():
    time.sleep(0.3)
    print("stored", ThreadPoolExecutor(1).submit(lambda: "all").result(), flush=True)

awaited_at_exit(ThreadPoolExecutor(1).submit(store))
"""


def ended(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    ).stdout


def test_pools_take_work_until_what_was_begun_is_done() -> None:
    assert ended(PROGRAM) == "stored all\n"


def test_it_is_done_also_where_the_program_fails() -> None:
    assert ended(f"{PROGRAM}raise ValueError") == "stored all\n"


def test_a_forked_child_waits_for_nothing_of_its_parents() -> None:
    wait = "child = os.fork()\nif child:\n    print(os.waitpid(child, 0)[1], flush=True)\n"
    assert ended(PROGRAM + wait) == "0\nstored all\n"
