"""The five plain jobs as plain programs, edited by a script: by themselves, under `helix run`, and declared.

    python -m benchmarks.plain_jobs [--only census mnist] [--script 0] [--edits 3] [--set SIZE=5000] [--save FILE]

Each edit is made to the text of the job in plain PySpark and to that of the declared workflow. Each text is then run in
a fresh process: the plain one by `python`, the plain one by `helix run`, the declared one by `helix run`; the two of
Helix's have a catalog each. Answers have to be equal; the exit code is 1 if they are not. Seconds are of the
whole process.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.iterating.agreement import disagreements
from benchmarks.iterating.experiment import Experiment
from benchmarks.iterating.systems import settings_of, write_texts
from benchmarks.program_runs import HELIX, fixed, run, sound
from benchmarks.scripts import NAMES
from benchmarks.scripts.edit import Version

MAIN = '''

if __name__ == "__main__":
    import json

    from pyspark.sql import SparkSession as Session

    session = Session.builder.getOrCreate()
    found = answer(session, lambda name, make, *, once=False: make() if once else make().cache())
    print("answered " + json.dumps(found), flush=True)
    session.stop()
'''
"""Makes a plain job a program."""


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of one version of a job by each way, and where answers differ, in sentences."""

    job: str
    edit: str
    plain: float
    helix: float
    declared: float
    differs: tuple[str, ...] = ()


def main() -> int:
    """Measures, and prints a line a version."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--script", type=int, default=0)
    parser.add_argument("--edits", type=int, help="only the first so many edits")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the jobs")
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    settings = dict(one.lower().split("=", 1) for one in asked.set)
    rows: list[Took] = []
    print(f"{'':44}{'plain':>8}{'helix':>8}{'declared':>10}")
    for job in asked.only:
        with tempfile.TemporaryDirectory(prefix="helix-plain-jobs-") as folder:
            for row in measured(job, asked.script, asked.edits, settings, Path(folder)):
                rows.append(row)
                seconds = f"{row.plain:8.1f}{row.helix:8.1f}{row.declared:10.1f}"
                print(f"{f'{job}, {row.edit}':44}{seconds}  {'; '.join(row.differs)}", flush=True)
    for job in asked.only:
        sums = [sum(getattr(row, way) for row in rows if row.job == job) for way in ("plain", "helix", "declared")]
        print(f"{f'{job}, all':44}{sums[0]:8.1f}{sums[1]:8.1f}{sums[2]:10.1f}  "
              f"plain / helix {sums[0] / sums[1]:.2f}, helix / declared {sums[1] / sums[2]:.2f}")
    if asked.save:
        asked.save.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 1 if any(row.differs for row in rows) else 0


def measured(job: str, script: int, edits: int | None, settings: dict[str, str], folder: Path) -> Iterator[Took]:
    """All versions of a job by all ways.

    Args:
        settings: of the job, beside the workload's own.
    """
    for version in Experiment(job, script, "process", ("helix", "plain"), edits, settings).versions():
        yield _measured(job, version, folder)


def _measured(job: str, version: Version, folder: Path) -> Took:
    declared, plain = write_texts(job, version, folder)
    plain.write_text(plain.read_text() + MAIN)
    by_itself = sound(run([sys.executable, str(plain)], folder, fixed()))
    captured = sound(run([HELIX, "run", str(plain), "--catalog", str(folder / "captured")], folder, fixed()))
    sets = [word for setting in settings_of(version) for word in ("--set", setting)]
    told = sound(run(
        [HELIX, "run", str(declared), "--json", "--catalog", str(folder / "declared"), *sets], folder, fixed()
    ))
    expected = _answered(by_itself.printed)
    outputs = {name: value for name, value in json.loads(told.printed)["outputs"].items() if name in expected}
    answers = {"plain": [expected], "helix": [_answered(captured.printed)], "declared": [outputs]}
    return Took(
        job, version.edit, by_itself.seconds, captured.seconds, told.seconds,
        tuple(disagreements(answers, [version.edit])),
    )


def _answered(printed: str) -> dict[str, object]:
    """What a plain job printed as its answer."""
    line = next(line for line in printed.splitlines() if line.startswith("answered "))
    found: dict[str, object] = json.loads(line.removeprefix("answered "))
    return found


if __name__ == "__main__":
    sys.exit(main())
