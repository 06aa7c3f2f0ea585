"""Edits of a plain PySpark program, one after the other: what it prints under Helix beside what it prints by itself.

Each edit is of the program as it was at first, of a module next to it or of its data. All runs under Helix share a
catalog and a server that is warm; the program by itself runs in one process, with a session that is warm. What differs
is a false reuse, for nothing in the program draws.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.harness import COMMAND, FIXED, Row, environment, run
from benchmarks.reuse.cases import Case, change, read_project, sections

VARIABLES = {**FIXED, "PYTHONDONTWRITEBYTECODE": "1"}
"""The folder's own modules are edited, each time within the second in which they were compiled."""

BY_ITSELF = """
import io, json, runpy, sys, contextlib
from pyspark.sql import SparkSession
SparkSession.stop = lambda self: None
sys.argv = ["train.py"]
sys.path.insert(0, ".")
for line in sys.stdin:
    sys.modules.pop("beside", None)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path("train.py", run_name="__main__")
        SparkSession.builder.getOrCreate().catalog.clearCache()
    print(json.dumps(printed.getvalue()), flush=True)
"""
"""Runs the program that is there once for each line of its input."""


def judge_programs(cases: Sequence[Case], folder: Path) -> Iterator[Row]:
    """Make all edits, each undone before the next. The working folder becomes that of the program under Helix."""
    from helix_spark.engine.server.starting import HeldServer

    plain, helix = folder / "plain", folder / "helix"
    for place in (plain, helix):
        place.mkdir()
    by_itself = subprocess.Popen(
        [sys.executable, "-u", "-c", BY_ITSELF], cwd=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment(**VARIABLES),
    )
    assert by_itself.stdin is not None
    assert by_itself.stdout is not None
    os.chdir(helix)  # relative paths begin where the server was started, as for `helix watch`
    server = HeldServer({})
    try:
        for case in (Case("as it was first"), *cases):
            for place in (plain, helix):
                _write(place, case)
            by_itself.stdin.write("\n")
            by_itself.stdin.flush()
            printed = json.loads(by_itself.stdout.readline())
            done = run([COMMAND, "run", "train.py", "--catalog", "catalog"], helix, VARIABLES)
            is_right = done.printed == printed and done.code == 0
            why = "" if is_right else f"{printed} --- under Helix: {done.printed}{done.said[-3000:]}"
            yield Row(case.name, {"verdict": "right" if is_right else "false reuse", "why": why, "asked": done.asked,
                                  "reused": done.reused})
    finally:
        server.close()
        by_itself.kill()
        by_itself.wait()


def _write(folder: Path, case: Case) -> None:
    days = (f"2026-0{1 + n % 3}-1{n % 9} {n % 24:02}:15:00" for n in range(400))
    rows = "".join(
        f"{n},{20.0 + n * 7 % 50},{'north' if n % 3 else 'south'},{day},{n % 29}.0\n" for n, day in enumerate(days)
    ).replace("1,27.0,north", "1,27.0,south", 1)
    for name, text in {**read_project("programs/program"), "rows.csv": f"id,age,town,day,paid\n{rows}"}.items():
        (folder / name).write_text(text)
    for name, body in sections(case.after):
        change(folder, name, body)
