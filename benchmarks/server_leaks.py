"""What a server that stays holds after many runs, and what it gives back when it is idle: heap in use, open files,
threads, processes, resident memory. `python -m benchmarks.server_leaks --runs 500 --save FILE`. Takes
Linux and jcmd."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path

from helix_spark.engine.server.kept_servers import family, resident_bytes
from tests.faults.kept_servers import Runs, jvm_of, runs_in
from tests.faults.row import Tally

_EVERY = 50
"""Runs between two looks."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=500)
    arguments.add_argument("--idle", type=float, default=90.0, help="seconds to wait at the end before memory is read")
    arguments.add_argument("--save", type=Path)
    given = arguments.parse_args()
    found, seconds, tally = [], list[float](), Tally()
    with tempfile.TemporaryDirectory(prefix="helix-kept-") as folder, runs_in(Path(folder)) as runs:
        for number in range(1, given.runs + 1):
            began = time.perf_counter()
            runs.check(tally)
            seconds.append(time.perf_counter() - began)
            if number in (10, given.runs) or number % _EVERY == 0:
                found.append({"runs": number, "seconds": sorted(seconds)[len(seconds) // 2], **_held(runs)})
                seconds.clear()
                print(json.dumps(found[-1]), flush=True)
        time.sleep(given.idle)
        idle = {"idle_seconds": given.idle, **_held(runs, collect=False)}
        print(json.dumps(idle), flush=True)
    print(f"{tally.injected} runs, {tally.right} right")
    for text in tally.wrong[:3]:
        print(text)
    if given.save is not None:
        given.save.write_text(json.dumps({"runs": found, "idle": idle, "right": tally.right}, indent=1) + "\n")


def _held(runs: Runs, *, collect: bool = True) -> dict[str, float]:
    """What the server holds; MiB of memory, of the heap after a collection."""
    jvm, keeper = jvm_of(runs.point), runs.point.keeper()
    if collect:
        subprocess.run(["jcmd", str(jvm), "GC.run"], capture_output=True, check=True)
    heap = subprocess.run(["jcmd", str(jvm), "GC.heap_info"], capture_output=True, text=True, check=True).stdout
    used = sum(int(one) for one in re.findall(r"garbage-first heap\s+total \d+K, used (\d+)K", heap))
    members = family(keeper)
    return {
        "heap": round(used / 1024), "JVM resident": round(resident_bytes(jvm) / 2**20),
        "resident in all": round(sum(map(resident_bytes, members)) / 2**20),
        "open files": len(list(Path(f"/proc/{jvm}/fd").iterdir())),
        "keeper's open files": len(list(Path(f"/proc/{keeper}/fd").iterdir())),
        "threads": len(list(Path(f"/proc/{jvm}/task").iterdir())), "processes": len(members),
    }


if __name__ == "__main__":
    main()
