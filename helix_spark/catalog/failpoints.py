"""Places where tests stop a process, or make it fail: named, and listed here.

``HELIX_FAILPOINT=MODULE ARGUMENT`` arms them in a process: what ``MODULE.hook(ARGUMENT)`` gives is called with the name
of each that is reached, as in `tests/fakes/armed_failpoints.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module

POINTS: Mapping[str, str] = {
    "store.begun": "a place to write to was given, nothing is written",
    "store.file_written": "the data file is there, the table's log is not",
    "store.written": "all is written, nothing is published",
    "publish.recorded": "the record is there, its writer has not been told",
    "log.appending": "records are about to be appended",
    "log.appended": "records are appended, their writer has not been told",
    "log.syncing": "records are appended, and would not survive a loss of power",
    "end.recorded": "an end is recorded, the data is still there",
    "delete.begun": "an ended attempt's folder is about to be deleted",
    "fold.written": "files of records were folded, the replaced ones are still there",
    "fold.deleting": "a file of records that was folded is about to be deleted",
    "gc.found": "leftovers were found, nothing was done about them",
    "gc.recorded": "the ends of attempts that nobody published are recorded, their data is still there",
    "repair.aside": "something that cannot be read is about to be moved aside",
    "lease.taken": "a lease was taken, the work has not begun",
}
"""All failpoints, in the order of a result's life, and what is so when each is reached."""


@cache
def _hooks() -> list[Callable[[str], None]]:
    """Return those of this process, which may have been forked from one with another environment."""
    module, _, argument = os.environ.get("HELIX_FAILPOINT", "").partition(" ")
    return [import_module(module).hook(argument)] if module else []


@contextmanager
def watched(by: Callable[[str], None]) -> Iterator[None]:
    """Call `by` with every failpoint that is reached while a block runs."""
    _hooks().append(by)
    try:
        yield
    finally:
        _hooks().remove(by)


def reach(name: str) -> None:
    """Tell what is armed that a failpoint is reached."""
    for hook in _hooks():
        hook(name)
