"""Checks for forked processes. A child has its parent's memory and connections but none of its threads, so using the
parent's Helix objects there raises an error."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from helix_spark.errors import HelixError


@dataclass(frozen=True, slots=True)
class Birthplace:
    """The process in which an object was created.

    >>> Birthplace().is_here
    True
    >>> Birthplace(pid=1).check("this Helix")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    helix_spark.errors.HelixError: this Helix belongs to process 1, from which this process was forked
      start such processes by "spawn", ...
    """

    pid: int = field(default_factory=os.getpid)

    @property
    def is_here(self) -> bool:
        """True in that process."""
        return os.getpid() == self.pid

    def check(self, name: str) -> None:
        """Raise HelixError in a process that was forked from it; `name` describes the object that is used there."""
        if not self.is_here:
            raise HelixError(
                f"{name} belongs to process {self.pid}, from which this process was forked",
                remedy='start such processes by "spawn", as multiprocessing.get_context("spawn") does, and create a '
                "Helix or a session in each; or pass them plain values",
            )


@contextmanager
def ending_children(print_error: Callable[[BaseException], None] = traceback.print_exception) -> Iterator[None]:
    """Run the author's code, and end each forked child where that code ends, after printing its error. Otherwise the
    child would continue as its parent: record the parent's run, stop its server, release its leases."""
    home, error = Birthplace(), None
    try:
        yield
    except BaseException as raised:
        if home.is_here:
            raise
        error = raised
    if not home.is_here:
        code = 0 if error is None else 130 if isinstance(error, KeyboardInterrupt) else 1
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
            if isinstance(error.code, str):
                print(error.code, file=sys.stderr)
        elif error is not None:
            print_error(error)
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads and pools; it has no public name
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)


def remove_own(folder: Path, home: Birthplace) -> None:
    """Remove a temporary folder; no-op in a forked child, as the folder is its parent's."""
    if home.is_here:
        import shutil  # imported late, as lookups do not need it

        shutil.rmtree(folder, ignore_errors=True)


_first_catalog = cache(Birthplace)


def check_catalogs_work() -> None:
    """Raise HelixError in a child of a process that has read a catalog: the libraries that read it have threads."""
    _first_catalog().check("the code that reads catalogs")
