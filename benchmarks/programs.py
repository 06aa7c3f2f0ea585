"""A plain PySpark program (`jobs/plain_income.py`) by itself and under Helix: first, unchanged, and after edits.

    python -m benchmarks.programs [--fresh] [--only WORDS] [--save FILE]

Each version of the program is run by itself in a fresh process, under `helix run` in a fresh process, by itself in a
process whose session is warm, and as `helix watch` runs it, beside a server that is warm. Each way has a catalog of its
own, and sees the versions in the same order. Answers have to be equal. Seconds are of the whole process; of a warm
session, from the start of the program's text to its end; with `--fresh` nothing is run warm.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "jobs" / "plain_income.py"
HELIX = str(Path(sys.executable).with_name("helix"))

EDITS: Mapping[str, tuple[str, str]] = {
    "first": ("", ""),
    "unchanged": ("", ""),
    "a value of the grid": ("[0.001, 0.01, 0.03, 0.1]", "[0.001, 0.01, 0.05, 0.1]"),
    "a feature's stage": ('strategy="median"', 'strategy="mean"'),
    "the evaluator": ("areaUnderROC", "areaUnderPR"),
}
"""What was written, and what is written instead; each edit is of the program as it was at first."""

WARM = """
import io, json, runpy, sys, time, contextlib
from pyspark.sql import SparkSession
SparkSession.stop = lambda self: None
for text in json.load(sys.stdin):
    sys.argv = [sys.argv[0]]
    open(sys.argv[0], "w").write(text)
    said, began = io.StringIO(), time.perf_counter()
    with contextlib.redirect_stdout(said):
        runpy.run_path(sys.argv[0], run_name="__main__")
        SparkSession.builder.getOrCreate().catalog.clearCache()
    print(json.dumps([time.perf_counter() - began, said.getvalue()]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Took:
    """One version of the program: seconds by each way, and what Helix fitted."""

    version: str
    plain: float
    helix: float
    plain_warm: float
    helix_warm: float
    fits: int
    equal: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="in fresh processes alone")
    parser.add_argument("--only", default="", help="versions whose names hold one of these words")
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    text = PROGRAM.read_text()
    words = asked.only.split()
    texts = {
        name: text.replace(*edit) if edit[0] else text for name, edit in EDITS.items()
        if not words or any(word in name for word in words)
    }
    with tempfile.TemporaryDirectory(prefix="helix-programs-") as folder:
        rows = measured(Path(folder), texts, warm=not asked.fresh)
    print(f"{'':24}{'plain':>8}{'helix':>8}{'ratio':>8}{'warm: plain':>14}{'helix':>8}{'ratio':>8}{'fits':>6}  equal")
    for row in rows:
        print(
            f"{row.version:24}{row.plain:8.1f}{row.helix:8.1f}{row.plain / row.helix:8.1f}{row.plain_warm:14.1f}"
            f"{row.helix_warm:8.1f}{row.plain_warm / row.helix_warm:8.1f}{row.fits:6}  {row.equal}", flush=True,
        )
    if asked.save:
        asked.save.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def measured(folder: Path, texts: Mapping[str, str], *, warm: bool) -> list[Took]:
    """All versions by all ways."""
    path = folder / "plain_income.py"
    warm_plain = _warm(folder, list(texts.values())) if warm else []
    plain, helix, fits = {}, {}, {}
    for name, text in texts.items():
        path.write_text(text)
        plain[name] = _timed([sys.executable, str(path)], folder)[:2]
        seconds, printed, said = _timed([HELIX, "run", str(path), "--catalog", str(folder / "fresh")], folder)
        found = re.search(r"; (\d+) fit", said)
        helix[name], fits[name] = (seconds, printed), int(found[1]) if found else 0
    warm_helix = _beside_a_server(path, texts) if warm else []
    nothing = [(math.nan, plain[name][1]) for name in texts]
    rows = zip(texts, warm_plain or nothing, warm_helix or nothing, strict=True)
    return [
        Took(
            name, plain[name][0], helix[name][0], by_itself[0], beside[0], fits[name],
            plain[name][1] == helix[name][1] == by_itself[1] == beside[1],
        ) for name, by_itself, beside in rows
    ]


def _beside_a_server(path: Path, texts: Mapping[str, str]) -> list[tuple[float, str]]:
    from helix_spark.engine.spark.connect_server import ConnectServer
    from helix_spark.program.plain_program import AS_SPARK_HAS_IT

    server, found = ConnectServer(AS_SPARK_HAS_IT), []
    try:
        for text in texts.values():
            path.write_text(text)
            command = [HELIX, "run", str(path), "--catalog", str(path.parent / "beside")]
            found.append(_timed(command, path.parent, server.environment())[:2])
    finally:
        server.stop()
    return found


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONHASHSEED": "0", "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": path}


def _timed(command: list[str], folder: Path, more: Mapping[str, str] | None = None) -> tuple[float, str, str]:
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, env={**_environment(), **(more or {})},
    )
    return time.perf_counter() - began, done.stdout, done.stderr


def _warm(folder: Path, texts: list[str]) -> list[tuple[float, str]]:
    path = folder / "warm" / "plain_income.py"
    path.parent.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WARM.replace("sys.argv = [sys.argv[0]]", f"sys.argv = [{str(path)!r}]")],
        input=json.dumps(texts), cwd=folder, capture_output=True, text=True, check=True, env=_environment(),
    )
    return [(seconds, printed) for seconds, printed in map(json.loads, done.stdout.splitlines())]


if __name__ == "__main__":
    main()
