"""The project that is edited: a copy of the census job, a job with the rest, a sample of the data, a small package."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.edit_cases.case import Change, apply
from jobs.datasets import adult

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = {"adult.data": 1600, "adult.test": 400}
"""Lines of each file: few, for what is told apart here does not depend on how much data there is."""

PACKAGE = {
    "bands/__init__.py": 'def spread(values):\n    return float(max(values) - min(values))\n',
    "bands-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: bands\nVersion: 1.0\n",
    "bands-1.0.dist-info/top_level.txt": "bands\n",
}


def make_project(folder: Path, *, full: bool) -> Path:
    """Writes the project into a folder. With `full`, all 48,842 rows.

    Raises:
        SourceError: the census data is not to be had.
    """
    shutil.copytree(ROOT / "benchmarks" / "edit_cases" / "project", folder)
    shutil.copy(ROOT / "jobs" / "census.py", folder)
    (folder / "data").mkdir()
    for given in map(Path, adult()):
        lines = given.read_text().strip().splitlines(keepends=True)
        kept = lines if full else lines[: SAMPLE[given.name]]
        (folder / "data" / given.name).write_text("".join(kept).rstrip("\n") + "\n")
    for name, text in PACKAGE.items():
        file = folder / "site-packages" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@contextmanager
def edited(project: Path, changes: Sequence[Change]) -> Iterator[None]:
    """The project with changes made; afterwards each file says again what it said.

    Raises:
        EditError: an old text is not there.
    """
    before = {change.file: (project / change.file).read_bytes() for change in changes}
    try:
        for change in changes:
            apply(change, project)
        yield
    finally:
        for file, content in before.items():
            (project / file).write_bytes(content)
