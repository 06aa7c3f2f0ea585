"""Disks that lack something on which a catalog rests: done without where that can be, else refused in words."""

from __future__ import annotations

import subprocess
from pathlib import Path

from helix_spark.catalog.catalog import Catalog
from tests.faults.denied import can_deny
from tests.faults.job import Heard, answers, run, workflow
from tests.faults.processes import ended, run_python, start_python
from tests.faults.row import Tally, fault
from tests.faults.usable import damaged


def _denied(lacks: str, root: Path, key: int) -> subprocess.Popen[str]:
    return start_python("-m", "tests.faults.denied", lacks, root, key)


def _wrong(root: Path, runs: int) -> str:
    """What is wrong with a catalog after so many runs; empty if nothing is."""
    catalog = Catalog.open(root, create=False)
    numbers = sorted(one.number for one in catalog.iterations("job") if one.status == "done")
    if numbers != list(range(1, runs + 1)):
        return f"iterations {numbers}"
    if what := damaged(root):
        return what
    if damage := catalog.repair(dry_run=True).damage:
        return f"damaged: {damage[0]}"
    again = Heard()
    return "" if run(root, workflow(1), again) == answers(1) and "rows" not in again.names else "rows are not reused"


@fault("a disk without syncs, without times that can be set: one driver, then two at once",
       "answers right, nothing lost", short=0, full=6)
def without(folder: Path, count: int, tally: Tally) -> None:
    ways = ("fsync", "utime")
    if not can_deny():
        tally.note = "calls cannot be refused on this machine"
    for index in tally.rounds(count if can_deny() else 0):
        lacks = ways[(index - 1) % len(ways)]
        root = folder / str(index)
        first = ended(_denied(lacks, root, 1))
        both = [_denied(lacks, root, key) for key in (2, 3)]
        printed = [ended(process) for process in both]
        done = all("done True" in lines for lines in (first, *printed))
        wrong = "" if done else f"printed {first[-3:]} {printed[0][-3:]}"
        tally.expect(not wrong and not (wrong := _wrong(root, 3)), f"without {lacks}: {wrong}")


@fault("a disk without hard links", "refused in words before anything runs; `doctor` says so, too", short=1, full=3)
def without_links(folder: Path, count: int, tally: Tally) -> None:
    for index in range(count if can_deny() else 0):
        root = folder / str(index)
        printed = ended(_denied("link", root, 1))
        refused = any("cannot hold a catalog" in line and "no hard links" in line for line in printed)
        looked = run_python("-m", "tests.faults.denied", "link", "doctor", "--catalog", root)
        said = looked.returncode == 3 and "no hard links" in looked.stdout
        tally.expect(refused and said and not root.exists(), f"{printed[-3:]} {looked.stdout[-300:]}")
