"""Seconds from starting a process to its first answer from Spark, by three ways of starting the session.

    python benchmarks/startup.py [--runs 5] [--answer sum|census] [--json]

The ways take turns, so that whatever else the machine does falls on all of them; the median counts.

- documented: `configure_spark_with_delta_pip`, as Delta's quick start says;
- jars: Helix's session, jars by path, no class-data archive (HELIX_CDS=off);
- archive: Helix's session as it is from the second run on.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

DOCUMENTED = "from plain_census import answer, documented_session; spark = documented_session()"
OURS = """
from helix_spark.engine.session import SessionProvider
sessions = SessionProvider()
sessions.warm()
from plain_census import answer
spark = sessions.get()
"""
WAYS = {"documented": (DOCUMENTED, {}), "jars": (OURS, {"HELIX_CDS": "off"}), "archive": (OURS, {"HELIX_CDS": "on"})}
ANSWERS = {
    "sum": "spark.range(1000).selectExpr('sum(id)').collect(); print('answered', flush=True)",
    "census": "from jobs.datasets import adult; answer(spark, adult(), 0.1, 10); print('answered', flush=True)",
}


def seconds_to_answer(way: str, answer: str) -> float:
    """Runs one process; raises RuntimeError if it gives no answer."""
    code, surroundings = WAYS[way]
    environ = {**os.environ, **surroundings, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])}
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}\n{ANSWERS[answer]}"], env=environ, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    ) as process:
        assert process.stdout is not None
        answered = any(line == "answered\n" for line in process.stdout)
        seconds = time.perf_counter() - begun
    if not answered:
        raise RuntimeError(f"the way {way!r} gave no answer")
    return seconds


def main() -> None:
    arguments = argparse.ArgumentParser(description="time to the first answer of a fresh process")
    arguments.add_argument("--runs", type=int, default=5, help="of each way")
    arguments.add_argument("--answer", choices=ANSWERS, default="sum", help="what is asked: a sum, or the census job")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    given = arguments.parse_args()

    from helix_spark.engine.archive import build

    build()  # also resolves the jars, so that no way pays for what is done once
    measured: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(given.runs):
        for way, seconds in measured.items():
            seconds.append(seconds_to_answer(way, given.answer))
    if given.json:
        print(json.dumps({"answer": given.answer, "seconds": measured}))
        return
    for way, seconds in measured.items():
        print(f"{way:11} median {statistics.median(seconds):5.1f} s of {', '.join(f'{one:.1f}' for one in seconds)}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
