"""Every fault of `tests.faults` that takes no JVM, a few times each: once where that takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from helix_spark.catalog.places.place import LocalPath
from tests.faults.row import Fault, all_faults

_SECONDS = 1.0
"""After that a fault is not injected once more. `make faults` has the time for all."""

QUICK = [each for each in all_faults() if each.short and not each.spark]

SHOWN_BELOW = {
    "test_admission": ("a child process that uses its parent's Helix", "a run within a run"),
    "test_disks": ("a disk without hard links",),
    "test_record_log": (
        "a store's answer is lost after it wrote an object", "a driver is stopped for 4 days at each failpoint",
        "the index of the records", "the records, a fold", "a bit flipped in a fold of the records",
    ),
    "test_repair": (
        "a bit flipped in a file of records", "a column of the records has another type", "the records, a segment",
        "the records, the newest segment", "several files of the records at once",
        "a segment of the records is emptied while two drivers run",
    ),
    "test_process_ends": ("Ctrl-C or SIGTERM at a random time",),
    "test_catalog_tables": (
        "a stored table, cut in half", "a stored table, empty", "a stored table, vacuumed",
        "a stored table, another table", "a stored table, log",
    ),
}
"""Faults that a test of one room injects, by the module of that test: whole runs that meet them take seconds each, and
the suite has others of their kind."""

SECONDS_LONG = (
    "the power is cut", "a folder that cannot be the catalog", "hardly a file may be open", "a budget of nothing",
    "an error of the disk behind a commit", "the solver is missing", "a lease that nobody holds",
    "a marker of the catalog", "the clock goes ahead",
)
"""Faults that take seconds each, and rest on the same code as others."""

_LATER = (*SECONDS_LONG, *(name for names in SHOWN_BELOW.values() for name in names))


def test_the_names_of_faults_that_are_shown_below_are_right() -> None:
    assert [name for name in _LATER if not any(each.name.startswith(name) for each in QUICK)] == []
    modules = {file.stem for file in Path(__file__).parents[1].rglob("test_*.py")}
    assert SHOWN_BELOW.keys() <= modules


@pytest.mark.parametrize("fault", [
    pytest.param(each, id=each.name, marks=[pytest.mark.long] if each.name.startswith(_LATER) else []) for each in QUICK
])
def test_what_must_happen_happens(fault: Fault, tmp_path: LocalPath) -> None:
    tally = fault.run(tmp_path / "fault", short=True, seconds=_SECONDS)
    if tally.not_here:
        pytest.skip(tally.not_here)
    assert tally.injected > 0
    assert tally.right == tally.injected, tally.wrong
