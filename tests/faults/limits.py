"""Uses that a Helix is not made for: each ends in an error that says so, nothing hangs, and the catalog goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.faults import limits_spark_job  # noqa: F401  # it adds its cases
from tests.faults.limits_job import CASES
from tests.faults.row import Tally, fault

SAID = "a HelixError says so; nothing hangs; the catalog and the parent go on"
_ROOT = Path(__file__).resolve().parents[2]
_LONGEST = 90.0
"""Seconds after which a case counts as hanging."""

CHILDREN = [name for name in CASES if name.startswith("child")]
WITH_SPARK = [name for name in CASES if name.startswith("Spark")]
OTHERS = [name for name in CASES if not name.startswith(("child", "Spark"))]


def _all(folder: Path, names: Sequence[str], tally: Tally, module: str = "limits_job") -> None:
    for index, name in enumerate(names):
        command = [sys.executable, "-m", f"tests.faults.{module}", str(folder / str(index)), name]
        try:
            done = subprocess.run(
                command, cwd=_ROOT, text=True, capture_output=True, timeout=_LONGEST, start_new_session=True
            )
            said = (done.stdout.strip().splitlines() or [done.stderr.strip()[-300:]])[-1]
            what = "" if said == "ok" and done.returncode == 0 else f"{said} ({done.returncode})"
        except subprocess.TimeoutExpired:
            what = "it hangs"
        tally.expect(not what, f"{name}: {what}")


def _some(names: Sequence[str], count: int) -> list[str]:
    """So many of them, evenly."""
    return [names[index * len(names) // count] for index in range(min(count, len(names)))]


@fault("a child process that uses its parent's Helix", SAID, short=3, full=len(CHILDREN))
def children(folder: Path, count: int, tally: Tally) -> None:
    _all(folder, _some(CHILDREN, count), tally)


@fault("a run within a run, or an end while one goes on", SAID, short=3, full=len(OTHERS))
def within(folder: Path, count: int, tally: Tally) -> None:
    _all(folder, _some(OTHERS, count), tally)


@fault("a child process beside a session, or a session that ends during a run", SAID, short=0, full=len(WITH_SPARK),
       spark=True)
def with_spark(folder: Path, count: int, tally: Tally) -> None:
    _all(folder, _some(WITH_SPARK, count), tally, "limits_spark_job")
