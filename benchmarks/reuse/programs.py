"""Edits of a plain PySpark program, one after the other: its output under Helix beside its output by itself.

Each edit is of the original program, of a module next to it or of its data. All runs under Helix share a catalog and a
warm server; the program by itself runs in one process, with a warm session. A difference is a false reuse, since
nothing in the program is random.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

from benchmarks.harness import COMMAND, FIXED, Row, Worker, run, serve_program
from benchmarks.reuse.cases import Case, change, read_project, sections

VARIABLES = {**FIXED, "PYTHONDONTWRITEBYTECODE": "1"}
"""The folder's own modules are edited, each time within the second in which they were compiled."""


def judge_programs(cases: Sequence[Case], folder: Path) -> Iterator[Row]:
    """Make all edits, each undone before the next. The working folder becomes that of the program under Helix."""
    from helix_spark.engine.server.starting import HeldServer

    plain, helix = folder / "plain", folder / "helix"
    for place in (plain, helix):
        place.mkdir()
    with patch.dict(os.environ, VARIABLES):
        by_itself = Worker(serve_program, plain, "train.py")
    os.chdir(helix)  # relative paths begin where the server was started, as for `helix watch`
    server = HeldServer({})
    try:
        for case in (Case("as it was first"), *cases):
            for place in (plain, helix):
                _write(place, case)
            _, printed = by_itself.run(None)
            done = run([COMMAND, "run", "train.py", "--catalog", "catalog"], helix, VARIABLES)
            is_right = done.printed == printed and done.code == 0
            why = "" if is_right else f"{printed} --- under Helix: {done.printed}{done.errors[-3000:]}"
            yield Row(case.name, {"verdict": "right" if is_right else "false reuse", "why": why,
                                  "requests": done.requests, "reused": done.reused})
    finally:
        server.close()
        by_itself.close()


def _write(folder: Path, case: Case) -> None:
    days = (f"2026-0{1 + n % 3}-1{n % 9} {n % 24:02}:15:00" for n in range(400))
    rows = "".join(
        f"{n},{20.0 + n * 7 % 50},{'north' if n % 3 else 'south'},{day},{n % 29}.0\n" for n, day in enumerate(days)
    ).replace("1,27.0,north", "1,27.0,south", 1)
    for name, text in {**read_project("programs/program"), "rows.csv": f"id,age,town,day,paid\n{rows}"}.items():
        (folder / name).write_text(text)
    for name, body in sections(case.after):
        change(folder, name, body)
