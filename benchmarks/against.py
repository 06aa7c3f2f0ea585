"""Run files under this checkout and under another one, in turn: first, unchanged, and after an edit of each.

    python -m benchmarks.against ../before jobs/census.py --edit "= 0.1==>= 0.05"
    python -m benchmarks.against ../before benchmarks/plain/plain_census.py jobs/plain_income.py --rounds 3

Each checkout runs by its own virtual environment (`make setup`), in fresh processes without a server that stays, with a
catalog of its own for each round. Both get this checkout's text of each file. Seconds are those until the last line is
printed; the answers that both print are compared.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import geometric_mean

from benchmarks.harness import FIXED, ROOT, Row, command_line, finish, in_turn, medians, new_folder, run, say, sound
from helix_spark.program.program_text import is_plain_program


def run_once(checkout: Path, file: Path, edit: str) -> dict[str, tuple[float, str]]:
    """Run a file first, unchanged, and after an edit that it fits, with an empty catalog.

    Returns:
        Seconds and the answer of each version, by its name.
    """
    python = str(checkout / ".venv/bin/python")
    variables = {**FIXED, "PYSPARK_PYTHON": python, "PYTHONPATH": str(checkout), "HELIX_SERVER": "off"}
    text, is_script = file.read_text(), is_plain_program(file)
    texts, (old, _, new) = {"first": text, "unchanged": text}, edit.partition("==>")
    if old and old in text:
        texts["edited"] = text.replace(old, new)
    results = dict[str, tuple[float, str]]()
    with new_folder() as folder:
        for name, version in texts.items():
            (folder / file.name).write_text(version)
            command = [python, "-m", "helix_spark", "run", file.name, "-q" if is_script else "--json"]
            done = sound(run(command, folder, variables))
            answer = done.printed if is_script else json.dumps(done.report["outputs"], sort_keys=True)
            results[name] = done.answered, answer
    say(f"{checkout.name}: {file.stem}")
    return results


def rows_of(file: Path, checkouts: Mapping[str, Path], edit: str, rounds: int) -> list[Row]:
    """Return a row for each version of a file: medians of both checkouts, and their ratio."""
    results = in_turn({name: partial(run_once, checkout, file, edit) for name, checkout in checkouts.items()}, rounds)
    rows = []
    for version in results["this"][0]:
        seconds = medians({name: [run[version][0] for run in runs] for name, runs in results.items()})
        answers = {run[version][1] for runs in results.values() for run in runs}
        rows.append(Row(f"{file.stem}, {version}", {
            **seconds, "ratio": seconds["this"] / seconds["other"], "equal": len(answers) == 1,
        }))
    return rows


def main() -> int:
    """Measure; the exit code is 1 if answers differ."""
    parser = command_line(__doc__, rounds=3)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("files", type=Path, nargs="+", help="workflows or scripts")
    parser.add_argument("--edit", default="", metavar="OLD==>NEW", help="an edit of their texts, where they have OLD")
    options = parser.parse_args()
    checkouts = {"this": ROOT, "other": options.other.resolve()}
    rows = [row for file in options.files for row in rows_of(file, checkouts, options.edit, options.rounds)]
    mean = geometric_mean([row.cells["ratio"] for row in rows])
    finish(options, "against", rows, f"In the geometric mean {mean:.2f}.")
    return 0 if all(row.cells["equal"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
