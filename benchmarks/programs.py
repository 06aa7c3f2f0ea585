"""Plain PySpark programs by themselves and under Helix, whose answers have to be equal.

    python -m benchmarks.programs income [--fresh]
    python -m benchmarks.programs jobs [--edits 2] [--set SIZE=5000]
    python -m benchmarks.programs examples
    python -m benchmarks.programs notebook

- income: `jobs/plain_income.py` first, unchanged and after edits. Each version runs by itself and by `helix run`, both
  in fresh processes and warm: in a process that keeps its session, and as `helix watch` runs it, next to a warm server.
  Seconds are of the whole process; those of the warm session until the last line is printed, with those until all is
  stored next to them. With `--fresh` nothing runs warm.
- jobs: edits of script 0 to the five jobs: the plain job by `python` and by `helix run`, and the declared one by
  `helix run`.
- examples: Spark ML's examples in pyspark's wheel by themselves, under `helix run`, and again. An example that prints
  different results in two runs by itself (many split their rows without a seed) is right if it prints the same twice
  under Helix.
- notebook: `jobs/plain_income.py` as a notebook's cells, in a new kernel each time: by itself, after
  `%load_ext helix_spark`, and again.

The exit code is 1 if an answer differs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest.mock import patch

import pyspark

from benchmarks.harness import (
    COMMAND,
    FIXED,
    ROOT,
    Row,
    Run,
    Worker,
    chosen,
    collect,
    command_line,
    finish,
    new_folder,
    run,
    same,
    serve_program,
    sound,
)
from benchmarks.iterating.experiment import Experiment
from benchmarks.iterating.systems import write_texts
from benchmarks.scripts import NAMES, Version

INCOME = ROOT / "jobs" / "plain_income.py"
EXAMPLES = Path(pyspark.__file__).parent / "examples" / "src" / "main" / "python" / "ml"

EDITS: Mapping[str, tuple[str, str]] = {
    "first": ("", ""),
    "unchanged": ("", ""),
    "a value of the grid": ("[0.001, 0.01, 0.03, 0.1]", "[0.001, 0.01, 0.05, 0.1]"),
    "a feature's stage": ('strategy="median"', 'strategy="mean"'),
    "the evaluator": ("areaUnderROC", "areaUnderPR"),
}
"""The old and the new text; each edit is of the original program."""

MAIN = '''

if __name__ == "__main__":
    import json

    from benchmarks.plain.keeping import keep_for_this_run
    from pyspark.sql import SparkSession as Session

    session = Session.builder.getOrCreate()
    print("answered " + json.dumps(answer(session, keep_for_this_run)), flush=True)
    session.stop()
'''
"""Makes a plain job a program."""

RANDOM = re.compile(r"(?<=[A-Za-z]_)[0-9a-f]{12}\b|0x[0-9a-f]+|\d+\.\d+ s(?:econds)?\b")
"""Texts that differ from run to run of an example by itself: uids of stages, addresses, seconds."""


def _helix(program: Path | str, folder: Path, catalog: str, *options: str) -> Run:
    command = [COMMAND, "run", str(program), "--catalog", str(folder / catalog), *options]
    return run(command, folder, FIXED)


def income(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Run all versions of the income program in all modes."""
    names = chosen(EDITS, options.only)
    text = INCOME.read_text()
    texts = {name: text.replace(*EDITS[name]) if EDITS[name][0] else text for name in names}
    path = folder / INCOME.name
    warm_plain = {} if options.fresh else _warm_plain(folder / "warm", texts)
    fresh = dict[str, tuple[Run, Run]]()
    for name, version in texts.items():
        path.write_text(version)
        fresh[name] = sound(run([sys.executable, str(path)], folder, FIXED)), sound(_helix(path, folder, "fresh"))
    warm_helix = {} if options.fresh else _warm_helix(path, texts)
    for name, (plain, helix) in fresh.items():
        seconds, printed = warm_plain.get(name, (math.nan, plain.printed))
        warm = warm_helix.get(name)
        yield Row(name, {
            "plain": plain.seconds, "helix": helix.seconds, "ratio": plain.seconds / helix.seconds,
            "warm: plain": seconds, "warm: helix": warm.answered if warm else math.nan,
            "stored": warm.seconds if warm else math.nan, "fits": helix.fits,
            "equal": plain.printed == helix.printed == printed == (warm or plain).printed,
        })


def _warm_plain(folder: Path, texts: Mapping[str, str]) -> dict[str, tuple[float, str]]:
    folder.mkdir()
    with patch.dict(os.environ, FIXED):
        worker, results = Worker(serve_program, folder, INCOME.name), dict[str, tuple[float, str]]()
    try:
        for name, text in texts.items():
            (folder / INCOME.name).write_text(text)
            results[name] = worker.run(None)
    finally:
        worker.close()
    return results


def _warm_helix(path: Path, texts: Mapping[str, str]) -> dict[str, Run]:
    from helix_spark.engine.server.starting import HeldServer

    server, runs = HeldServer({}, folder=path.parent), dict[str, Run]()
    try:
        for name, text in texts.items():
            path.write_text(text)
            runs[name] = sound(_helix(path, path.parent, "beside"))
    finally:
        server.close()
    return runs


def jobs(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Run the versions of the five jobs, plain, plain under Helix, and declared; then the sums of each job."""
    settings = dict(setting.lower().split("=", 1) for setting in options.set)
    for job in chosen(NAMES, options.only):
        (folder / job).mkdir()
        rows = list[Row]()
        for version in Experiment(job, 0, "process", ("helix", "plain"), options.edits, settings).versions():
            rows.append(_job(job, version, folder / job))
            yield rows[-1]
        plain, helix, declared = (sum(row.cells[name] for row in rows) for name in ("plain", "helix", "declared"))
        yield Row(f"{job}, all", {
            "plain": plain, "helix": helix, "declared": declared, "equal": all(row.cells["equal"] for row in rows),
            "plain / helix": plain / helix, "helix / declared": helix / declared,
        })


def _job(job: str, version: Version, folder: Path) -> Row:
    declared, plain = write_texts(job, version, folder)
    plain.write_text(plain.read_text() + MAIN)
    by_itself = sound(run([sys.executable, str(plain)], folder, FIXED))
    captured = sound(_helix(plain, folder, "captured"))
    ours = sound(_helix(declared, folder, "declared", "--json", *version.options))
    expected = _outputs(by_itself)
    declared_outputs = {name: value for name, value in ours.report["outputs"].items() if name in expected}
    return Row(f"{job}, {version.edit}", {
        "plain": by_itself.seconds, "helix": captured.seconds, "declared": ours.seconds,
        "equal": same(expected, _outputs(captured)) and same(expected, declared_outputs),
    })


def _outputs(done: Run) -> dict[str, object]:
    """Return the outputs that a plain job printed."""
    outputs: dict[str, object] = json.loads(done.printed.partition("answered ")[2].partition("\n")[0])
    return outputs


def examples(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Run the examples of Spark ML."""
    shutil.copytree(EXAMPLES.parents[4] / "data", folder / "data")
    for name in chosen([file.stem for file in sorted(EXAMPLES.glob("*.py"))], options.only):
        file = EXAMPLES / f"{name}.py"
        plain = run([sys.executable, str(file)], folder)
        first, again = (run([COMMAND, "run", str(file), "--catalog", f"catalog-{name}"], folder) for _ in range(2))
        is_same = _ending(plain) == _ending(first) == _ending(again)
        if not is_same and _ending(first) == _ending(again):
            is_same = _ending(plain) != _ending(run([sys.executable, str(file)], folder))
        yield Row(name, {
            "plain": plain.seconds, "first": first.seconds, "again": again.seconds, "equal": is_same,
            "with reuse": "runs without reuse" not in first.errors, "requests again": again.requests - again.reused,
        })


def _ending(done: Run) -> tuple[int, str]:
    return done.code, RANDOM.sub("#", done.printed)


def notebook(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Restart the kernel and run all cells: by itself, under Helix, and again."""
    from benchmarks.notebook_runs import cells_of, run_all, without_own_lines

    cells = cells_of(INCOME)
    plain = run_all(cells, folder, {})
    catalog = {"HELIX_CATALOG": str(folder / "catalog")}
    first, again = (run_all(["%load_ext helix_spark", *cells], folder, catalog) for _ in range(2))
    yield Row("restart and run all", {
        "plain": plain.seconds, "first": first.seconds, "again": again.seconds,
        "equal": all(without_own_lines(ours.printed[1:]) == list(plain.printed) for ours in (first, again)),
    })


PROGRAMS: Mapping[str, Callable[[argparse.Namespace, Path], Iterator[Row]]] = {
    "income": income, "jobs": jobs, "examples": examples, "notebook": notebook,
}


def main() -> int:
    """Run programs of a kind and print their seconds."""
    parser = command_line(__doc__)
    parser.add_argument("programs", choices=PROGRAMS)
    parser.add_argument("--fresh", action="store_true", help="income: in fresh processes alone")
    parser.add_argument("--edits", type=int, help="jobs: only the first so many edits")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="jobs: settings of the jobs")
    options = parser.parse_args()
    with new_folder() as folder:
        rows = collect(PROGRAMS[options.programs](options, folder))
    equal = sum(row.cells["equal"] for row in rows)
    finish(options, f"programs-{options.programs}", rows, f"{equal} of {len(rows)} print the same")
    return 0 if equal == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
