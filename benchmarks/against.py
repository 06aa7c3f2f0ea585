"""Run files under this checkout and under another one, in turn: first, unchanged, and after an edit of each.

    python -m benchmarks.against ../before jobs/census.py --edit "= 0.1==>= 0.05"
    python -m benchmarks.against ../before benchmarks/plain/plain_census.py jobs/plain_income.py --rounds 3

Each checkout runs by its own virtual environment (`make setup`), in fresh processes without a server that stays, with a
catalog of its own for each round. Both are given this checkout's text of each file. Seconds are those until the last
line is printed, or to the end where none is; what both print as answers is compared.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import geometric_mean
from typing import NamedTuple

from benchmarks.harness import FIXED, ROOT, Row, command_line, finish, in_turn, medians, new_folder, run, say, sound
from helix_spark.program.program_text import is_plain_program


class Edit(NamedTuple):
    """A text, and what takes its place."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Round:
    """What a checkout took for a file, and printed: by what was done."""

    seconds: Mapping[str, float]
    printed: Mapping[str, str]


def run_once(checkout: Path, file: Path, edit: Edit | None) -> Round:
    """Run a file first, unchanged, and after the edit if there is one, with an empty catalog."""
    python = str(checkout / ".venv/bin/python")
    more = {**FIXED, "PYSPARK_PYTHON": python, "PYTHONPATH": str(checkout), "HELIX_SERVER": "off"}
    text, is_script = file.read_text(), is_plain_program(file)
    texts = {"first": text, "unchanged": text, **({"edited": text.replace(edit.old, edit.new)} if edit else {})}
    seconds, printed = {}, {}
    with new_folder() as folder:
        for what, version in texts.items():
            (folder / file.name).write_text(version)
            command = [python, "-m", "helix_spark", "run", file.name, "-q" if is_script else "--json"]
            done = sound(run(command, folder, more))
            seconds[what] = done.answered if done.printed else done.seconds
            printed[what] = done.printed if is_script else json.dumps(done.report["outputs"], sort_keys=True)
    say(f"{checkout.name}: {file.stem}")
    return Round(seconds, printed)


def rows_of(file: Path, checkouts: Mapping[str, Path], edit: Edit | None, rounds: int) -> list[Row]:
    """Return a row for each thing that was done with a file: medians of both checkouts, and their ratio."""
    systems = {name: partial(run_once, checkout, file, edit) for name, checkout in checkouts.items()}
    results = in_turn(systems, rounds)
    rows = []
    for what in results["this"][0].seconds:
        took = medians({name: [one.seconds[what] for one in each] for name, each in results.items()})
        texts = {one.printed[what] for each in results.values() for one in each}
        rows.append(Row(f"{file.stem}, {what}", {
            **took, "ratio": took["this"] / took["other"], "equal": len(texts) == 1,
        }))
    return rows


def main() -> int:
    """Measure; the exit code is 1 if answers differ."""
    parser: ArgumentParser = command_line(__doc__, rounds=3)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("files", type=Path, nargs="+", help="workflows or scripts")
    parser.add_argument("--edit", default="", metavar="OLD==>NEW", help="an edit of their texts, where they have OLD")
    given = parser.parse_args()
    checkouts = {"this": ROOT, "other": given.other.resolve()}
    edit = Edit(*given.edit.split("==>", 1)) if "==>" in given.edit else None
    rows = [
        row for file in given.files
        for row in rows_of(file, checkouts, edit if edit and edit.old in file.read_text() else None, given.rounds)
    ]
    mean = geometric_mean([float(row.cells["ratio"]) for row in rows])
    finish(given, "against", rows, f"In the geometric mean {mean:.2f}.")
    return 0 if all(row.cells["equal"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
