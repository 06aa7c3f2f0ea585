"""A plain PySpark program (`jobs/plain_income.py`) by itself and under Helix: first, unchanged, and after edits.

    python -m benchmarks.programs [--fresh] [--only WORDS] [--save FILE]
    python -m benchmarks.programs --notebook

Each version of the program is run by itself in a fresh process, under `helix run` in a fresh process, by itself in a
process whose session is warm, and as `helix watch` runs it, beside a server that is warm. Each way has a catalog of its
own, and sees the versions in the same order. Answers have to be equal. Seconds are of the whole process, with what is
stored behind the last answer. Of a warm session they are until the last line is printed, from the start of the text
or of Helix's process; until all is stored stands beside that. With `--fresh` nothing is run warm. With `--notebook` the
program is run as a notebook's cells, in a new kernel each time: by itself, after `%load_ext helix_spark`, and again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.program_runs import HELIX, ROOT, Run, fixed, run, sound

PROGRAM = ROOT / "jobs" / "plain_income.py"

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
    """One version of the program: seconds by each way, those until all was stored, and what Helix fitted."""

    version: str
    plain: float
    helix: float
    plain_warm: float
    helix_warm: float
    helix_stored: float
    fits: int
    equal: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="in fresh processes alone")
    parser.add_argument("--only", default="", help="versions whose names hold one of these words")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--notebook", action="store_true", help="as a notebook's cells, in new kernels")
    asked = parser.parse_args()
    if asked.notebook:
        from benchmarks.notebook_runs import measure_notebook

        with tempfile.TemporaryDirectory(prefix="helix-notebook-") as folder:
            sys.exit(0 if measure_notebook(PROGRAM, Path(folder)) else 1)
    text = PROGRAM.read_text()
    words = asked.only.split()
    texts = {
        name: text.replace(*edit) if edit[0] else text for name, edit in EDITS.items()
        if not words or any(word in name for word in words)
    }
    with tempfile.TemporaryDirectory(prefix="helix-programs-") as folder:
        rows = measured(Path(folder), texts, warm=not asked.fresh)
    heads = ("plain", "helix", "ratio", "warm: plain", "helix", "stored", "ratio", "fits")
    print(f"{'':24}{''.join(f'{one:>12}' for one in heads)}  equal")
    for row in rows:
        told = (
            row.plain, row.helix, row.plain / row.helix, row.plain_warm, row.helix_warm, row.helix_stored,
            row.plain_warm / row.helix_warm,
        )
        print(f"{row.version:24}{''.join(f'{one:12.1f}' for one in told)}{row.fits:12}  {row.equal}", flush=True)
    if asked.save:
        asked.save.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def measured(folder: Path, texts: Mapping[str, str], *, warm: bool) -> list[Took]:
    """All versions by all ways."""
    path = folder / "plain_income.py"
    warm_plain = _warm(folder, list(texts.values())) if warm else []
    plain, helix = {}, {}
    for name, text in texts.items():
        path.write_text(text)
        plain[name] = sound(run([sys.executable, str(path)], folder, fixed()))
        helix[name] = sound(run([HELIX, "run", str(path), "--catalog", str(folder / "fresh")], folder, fixed()))
        print(f"{name}: {plain[name].seconds:.1f} s by itself, {helix[name].seconds:.1f} s under Helix", flush=True)
    warm_helix = _beside_a_server(path, texts) if warm else []
    nothing = [(math.nan, plain[name].printed) for name in texts]
    unmeasured = [replace(plain[name], seconds=math.nan, answered=math.nan) for name in texts]
    rows = zip(texts, warm_plain or nothing, warm_helix or unmeasured, strict=True)
    return [
        Took(
            name, plain[name].seconds, helix[name].seconds, by_itself[0], beside.answered, beside.seconds,
            helix[name].fits, plain[name].printed == helix[name].printed == by_itself[1] == beside.printed,
        ) for name, by_itself, beside in rows
    ]


def _beside_a_server(path: Path, texts: Mapping[str, str]) -> list[Run]:
    from helix_spark.engine.server.starting import HeldServer

    server, found = HeldServer({}, folder=path.parent.resolve()), []
    try:
        for text in texts.values():
            path.write_text(text)
            command = [HELIX, "run", str(path), "--catalog", str(path.parent / "beside")]
            found.append(sound(run(command, path.parent, fixed())))
    finally:
        server.close()
    return found


def _warm(folder: Path, texts: list[str]) -> list[tuple[float, str]]:
    path = folder / "warm" / "plain_income.py"
    path.parent.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WARM.replace("sys.argv = [sys.argv[0]]", f"sys.argv = [{str(path)!r}]")],
        input=json.dumps(texts), cwd=folder, capture_output=True, text=True, check=True, env={**os.environ, **fixed()},
    )
    return [(seconds, printed) for seconds, printed in map(json.loads, done.stdout.splitlines())]


if __name__ == "__main__":
    main()
