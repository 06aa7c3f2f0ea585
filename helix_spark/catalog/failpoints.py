"""Failpoints: named points at which tests stop a process, or make it fail.

``HELIX_FAILPOINT=MODULE ARGUMENT`` arms them: ``MODULE.hook(ARGUMENT)`` returns a function, which is called with the
name of each that is reached; see `tests/fakes/armed_failpoints.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module

POINTS: Mapping[str, str] = {
    "store.begun": "an attempt began, nothing is written",
    "store.file_written": "the data file is there, the table's log is not",
    "store.written": "all is written, nothing is published",
    "publish.recorded": "the record is there, its writer does not know yet",
    "log.appending": "records are about to be appended",
    "log.appended": "records are appended, their writer does not know yet",
    "log.syncing": "records are appended, and would not survive a loss of power",
    "end.recorded": "an end is recorded, the data is still there",
    "delete.begun": "an ended attempt's folder is about to be deleted",
    "fold.written": "segments were folded, the replaced files are still there",
    "fold.deleting": "a folded file of records is about to be deleted",
    "gc.found": "leftovers were found, nothing is deleted",
    "gc.recorded": "the ends of unpublished attempts are recorded, their data is still there",
    "takeover.recorded": "the records of an older layout are in the log, and still there as tables",
    "repair.aside": "a damaged file is about to be moved aside",
    "lease.taken": "a lease was taken, the work has not begun",
}
"""All failpoints in the order of a result's life, each with the state in which it is reached."""


@cache
def _hooks() -> list[Callable[[str], None]]:
    """Return the hooks of this process, read once from its environment."""
    module, _, argument = os.environ.get("HELIX_FAILPOINT", "").partition(" ")
    return [import_module(module).hook(argument)] if module else []


@contextmanager
def watched(hook: Callable[[str], None]) -> Iterator[None]:
    """Call `hook` with the name of every failpoint that is reached while a block runs."""
    _hooks().append(hook)
    try:
        yield
    finally:
        _hooks().remove(hook)


def reach(name: str) -> None:
    """Call the armed hooks with the name of a failpoint."""
    for hook in _hooks():
        hook(name)
