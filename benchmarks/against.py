"""This checkout beside another one: what a person waits for on the census job, the two in turn.

    python -m benchmarks.against OTHER_CHECKOUT [--runs 5] [--save FILE]
    python -m benchmarks.against OTHER_CHECKOUT --jobs [NAME ...] --runs 1
    python -m benchmarks.against OTHER_CHECKOUT --programs [NAME ...] --runs 2

Each checkout runs by its own virtual environment (`.venv`, made by `make setup`). In each round both run once, the
other one first in every second round: a first iteration in a fresh process, with and without the archive of classes;
the same unchanged; and in one warm session an edit of the learner and an edit of a feature. Ratios are of medians.

With `--jobs`: all five jobs, or those named, each with the ten edits of script 0 in a session
(`benchmarks.iterations`), in turn;
seconds to all answers, and whether the answers of both are the same.

With `--programs`: `jobs/plain_income.py` and the five plain jobs, in the texts of this checkout, each run first and
unchanged by `helix run` in fresh processes, in turn, and `plain_income.py` after the edits of `benchmarks.programs`;
seconds of the whole process, and whether both print the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import isclose
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from benchmarks.iterating.experiment import Experiment
from benchmarks.iterating.systems import write_texts
from benchmarks.plain_jobs import MAIN
from benchmarks.program_runs import fixed, run, sound
from benchmarks.programs import EDITS, PROGRAM

ROOT = Path(__file__).resolve().parent.parent

SESSION = """
import json, sys, time
import helix_spark as hx
from jobs.census import census
took = {"learner edited, warm": [], "feature edited, warm": []}
with hx.Helix(sys.argv[1], one_run=False) as helix:
    for reg, bins in ((0.1, 10), (0.05, 10), (0.05, 11)):  # find a young JVM
        helix.run(census(reg=reg, bins=bins)).wait()
    for turn in range(3):
        learner, feature = dict(reg=0.01 + turn / 1000, bins=11), dict(reg=0.01, bins=12 + turn)
        for name, given in (("learner", learner), ("feature", feature)):
            begun = time.perf_counter()
            answered = helix.run(census(**given))
            took[f"{name} edited, warm"].append(time.perf_counter() - begun)
            answered.wait()
print(json.dumps(took))
"""
"""Run in a checkout: seconds to the answers of edits in one session, what is stored behind them waited for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--jobs", nargs="*", choices=JOBS, metavar="NAME",
                        help="script 0 of these jobs instead, of all five where none is named")
    parser.add_argument("--programs", nargs="*", choices=("plain_income", *JOBS), metavar="NAME",
                        help="first and unchanged runs of plain programs instead, of all where none is named")
    asked = parser.parse_args()
    both = {"this": ROOT, "other": asked.other.resolve()}
    if asked.jobs is not None:
        of_jobs(both, asked.jobs or JOBS, asked.runs)
        return
    if asked.programs is not None:
        of_programs(both, asked.programs or ("plain_income", *JOBS), asked.runs)
        return
    took: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in both}
    for turn in range(asked.runs):
        for name in sorted(both, reverse=turn % 2 == 1):
            for what, seconds in once(both[name]).items():
                took[name][what] += seconds
            print(f"round {turn + 1} of {asked.runs}, {name}", flush=True)
    found = {
        what: {
            "this": round(median(took["this"][what]), 3), "other": round(median(took["other"][what]), 3),
            "ratio": round(median(took["this"][what]) / median(took["other"][what]), 3),
        }
        for what in took["this"]
    }
    for what, one in found.items():
        print(f"{what:36} {one['this']:7.2f} s {one['other']:7.2f} s {one['ratio']:6.2f}")
    if asked.save:
        asked.save.write_text(json.dumps({"runs": asked.runs, "seconds": found}, indent=1) + "\n")


JOBS = ("census", "extraction", "flights", "genomics", "mnist")


def of_jobs(both: Mapping[str, Path], jobs: Sequence[str], runs: int) -> None:
    """Print for each job the seconds to the answers of script 0 in both checkouts, and what differs."""
    ratios = []
    for job in jobs:
        took: dict[str, list[float]] = {name: [] for name in both}
        answers: dict[str, list[Any]] = {}
        for turn in range(runs):
            for name in sorted(both, reverse=turn % 2 == 1):
                command = ["benchmarks/iterations.py", "--workload", job, "--system", "helix", "--json"]
                # An older version takes the bytecode of a text for that of one that is saved in the same second.
                said = ran(both[name], command, {"PYTHONDONTWRITEBYTECODE": "1"})
                found = json.loads(said)["systems"]["helix"]
                took[name].append(sum(found["answer_seconds"]))
                answers[name] = found["outputs"]
        this, other = median(took["this"]), median(took["other"])
        ratios.append(this / other)
        same = sum(map(is_same, answers["this"], answers["other"]))
        told = f"{same} of {len(answers['this'])} answers equal"
        print(f"{job:12} {this:7.1f} s {other:7.1f} s {this / other:6.2f}  {told}", flush=True)
    print(f"in the geometric mean {geometric_mean(ratios):.2f}")


def of_programs(both: Mapping[str, Path], programs: Sequence[str], runs: int) -> None:
    """Print for each plain program the seconds of a first and of an unchanged run in both checkouts, and of edits."""
    ratios: dict[str, list[float]] = defaultdict(list)
    for program in programs:
        took: dict[tuple[str, str], list[float]] = defaultdict(list)
        printed: dict[str, set[str]] = defaultdict(set)
        versions = EDITS if program == PROGRAM.stem else dict.fromkeys(("first", "unchanged"), ("", ""))
        for turn in range(runs):
            for name in sorted(both, reverse=turn % 2 == 1):
                with tempfile.TemporaryDirectory(prefix="helix-against-") as folder:
                    path = program_text(program, Path(folder))
                    text = path.read_text()
                    for what, (old, new) in versions.items():
                        path.write_text(text.replace(old, new) if old else text)
                        seconds, said = run_program(both[name], path)
                        took[name, what].append(seconds)
                        printed[what].add(said)
        for what in versions:
            same = "the same printed" if len(printed[what]) == 1 else f"{len(printed[what])} different texts printed"
            this, other = median(took["this", what]), median(took["other", what])
            ratios[what].append(this / other)
            print(f"{f'{program}, {what}':34} {this:7.2f} s {other:7.2f} s {this / other:6.2f}  {same}", flush=True)
    print("in the geometric mean " + ", ".join(f"{what} {geometric_mean(found):.3f}" for what, found in ratios.items()))


def program_text(program: str, folder: Path) -> Path:
    """Write the text of a plain program into a folder; return its file."""
    if program in JOBS:
        version = Experiment(program, 0, "process", ("helix", "plain"), 0, {}).versions()[0]
        path = write_texts(program, version, folder)[1]
        path.write_text(path.read_text() + MAIN)
        return path
    path = folder / PROGRAM.name
    path.write_text(PROGRAM.read_text())
    return path


def run_program(checkout: Path, path: Path) -> tuple[float, str]:
    """The seconds of a program under a checkout's `helix run`, and what it prints."""
    bin_folder = checkout / ".venv/bin"
    around = {**fixed(), "PYSPARK_PYTHON": str(bin_folder / "python"), "PYTHONPATH": str(checkout)}
    command = [str(bin_folder / "helix"), "run", str(path), "--catalog", str(path.parent / "catalog")]
    done = sound(run(command, path.parent, around))
    return done.seconds, done.printed


def is_same(one: Any, other: Any) -> bool:
    """Whether two answers are the same, numbers to 1e-6."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)
    return bool(one == other)


def once(checkout: Path) -> dict[str, list[float]]:
    """Seconds of everything, by what it is, in one checkout."""
    with tempfile.TemporaryDirectory(prefix="helix-against-") as folder:
        return {
            "first iteration, no archive": [fresh(checkout, Path(folder, "a"), HELIX_CDS="off")[0]],
            "first iteration, archive": [fresh(checkout, Path(folder, "b"))[0]],
            "unchanged, whole process": [fresh(checkout, Path(folder, "b"))[1] for _ in range(3)],
            **session(checkout, Path(folder, "c")),
        }


def fresh(checkout: Path, catalog: Path, **environment: str) -> tuple[float, float]:
    """Seconds to the answer of a run in a fresh process, and of the whole process, what is stored behind included."""
    begun = time.perf_counter()
    command = ["-m", "helix_spark", "run", "jobs/census.py", "--catalog", str(catalog), "--json"]
    answer = json.loads(ran(checkout, command, environment))
    return float(answer["seconds"]), time.perf_counter() - begun


def session(checkout: Path, catalog: Path) -> dict[str, list[float]]:
    """Seconds to the answers of edits in a warm session."""
    found: dict[str, list[float]] = json.loads(ran(checkout, ["-c", SESSION, str(catalog)], {}).splitlines()[-1])
    return found


def ran(checkout: Path, arguments: list[str], environment: dict[str, str]) -> str:
    """What a command of a checkout's Python says."""
    around: dict[str, Any] = {**os.environ, "PYTHONPATH": str(checkout)}
    around.pop("PYTHONDONTWRITEBYTECODE", None)  # modules that each process compiles anew are not what people wait for
    around |= environment
    done = subprocess.run(
        [str(checkout / ".venv/bin/python"), *arguments], cwd=checkout, env=around, capture_output=True, text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
