"""Runs Helix on every Python, and on every pair of pyspark and delta-spark, that it works with: unit tests on each
Python, the census job (twice: computed, then reused) on each Python with each pair. Prints a table of what each cell
said; some environments of 1.5 GB each are made below `.versions`, and stay.

    python -m tests.versions                    # make versions
    python -m tests.versions --python 3.12 --no-unit
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helix_spark.versions import PAIRS, PYTHONS

PROJECT = Path(__file__).resolve().parent.parent
PLACE = PROJECT / ".versions"
EXTRAS = "jobs,ui,mlflow,s3,dev"


@dataclass(frozen=True, slots=True)
class Cell:
    """What one run said."""

    ok: bool
    said: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="*", default=[".".join(map(str, one)) for one in PYTHONS])
    parser.add_argument("--no-unit", action="store_true", help="leave the unit tests out")
    parser.add_argument("--no-census", action="store_true", help="leave the census job out")
    given = parser.parse_args()
    heads = [*([] if given.no_unit else ["unit tests"]), *([] if given.no_census else map(_named, PAIRS.items()))]
    lines, failed = [["Python", *heads], ["---"] * (1 + len(heads))], False
    for name in given.python:
        cells = list(_cells(name, unit=not given.no_unit, census=not given.no_census))
        failed |= not all(cell.ok for cell in cells)
        lines.append([name, *(cell.said for cell in cells)])
        print("\n".join(f"| {' | '.join(line)} |" for line in lines), flush=True)
    sys.exit(failed)


def _cells(name: str, *, unit: bool, census: bool) -> list[Cell]:
    python = find_python(name)
    if python is None:
        return [Cell(False, "there is no such Python")]
    cells = []
    for pyspark, delta in PAIRS.items():
        own = environment(python, name, pyspark, delta)
        if unit and pyspark == next(iter(PAIRS)):
            cells.append(_unit_tests(own))
        if census:
            cells.append(_census(own))
    return cells


def _named(pair: tuple[str, str]) -> str:
    return "pyspark {}, delta-spark {}".format(*pair)


def find_python(name: str) -> str | None:
    """The interpreter of a version such as 3.12: in the PATH, or among pyenv's."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    kept = [folder / "bin" / "python" for folder in sorted(home.glob(f"{name}.*"))]
    for candidate in (shutil.which(f"python{name}"), *(str(path) for path in kept if path.exists())):
        if candidate is not None and _runs(candidate, name):  # pyenv's stand-ins are there for what is not
            return candidate
    return None


def _runs(python: str, name: str) -> bool:
    told = subprocess.run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True,
                          text=True, check=False)
    return told.stdout.strip() == name


def environment(python: str, name: str, pyspark: str, delta: str) -> Path:
    """The interpreter of an environment with the project and a pair, made where it is not there yet."""
    folder = PLACE / f"python{name}-pyspark{pyspark}"
    own, marker = folder / "bin" / "python", folder / f"delta-{delta}"
    if not marker.exists():
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
        wanted = [f"pyspark[connect]=={pyspark}", f"delta-spark=={delta}"]
        others = folder / "constraints.txt"
        pinned = (PROJECT / "constraints.txt").read_text().splitlines(keepends=True)
        others.write_text("".join(one for one in pinned if not one.startswith(("pyspark==", "delta-spark=="))))
        subprocess.run(
            [str(own), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", str(others),
             *wanted, "-e", f"{PROJECT}[{EXTRAS}]"], check=True,
        )
        marker.touch()
    return own


def _unit_tests(python: Path) -> Cell:
    done = subprocess.run(
        [str(python), "-m", "pytest", "tests/unit", "tests/commands", "-q", "-n", "2", "-p", "no:cacheprovider"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]]
    if done.returncode:
        print("\n".join(line for line in lines if line.startswith(("FAILED", "ERROR"))), file=sys.stderr)
    return Cell(done.returncode == 0, lines[-1].strip("= "))


def _census(python: Path) -> Cell:
    """The answers of the job, whether all that is to be is stored, and whether a second run computes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [_run(python, Path(folder) / "catalog") for _ in range(2)]
    broken = next((run for run in runs if isinstance(run, str)), None)
    if broken is not None:
        return Cell(False, f"failed: {broken}")
    first, second = runs
    assert not isinstance(first, str)
    assert not isinstance(second, str)
    same = first["outputs"] == second["outputs"]
    again = [node["name"] for node in second["nodes"] if node["state"] == "compute"]
    stored = [node["name"] for node in second["nodes"] if node["stored"]]
    answers = ", ".join(f"{name} {value:.3f}" for name, value in first["outputs"].items())
    told = f"{answers}; {len(stored)} stored" + (f"; computed again: {', '.join(again)}" if again else "")
    return Cell(same and not again and "predictions" in stored, told)


def _run(python: Path, catalog: Path) -> dict[str, Any] | str:
    command = [str(python), "-m", "helix_spark", "run", "jobs/census.py", "--json", "--catalog", str(catalog)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
