"""Forked processes. A child has its parent's memory, but none of its threads, and shares its connections: whatever of
Helix its parent had can be used there no more than once by mistake, so it says so instead."""

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
    """The process in which something was made.

    >>> Birthplace().is_here
    True
    >>> Birthplace(pid=1).check("this Helix")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    helix_spark.errors.HelixError: this Helix is of process 1, from which this one was forked
      begin such processes by "spawn", ...
    """

    pid: int = field(default_factory=os.getpid)

    @property
    def is_here(self) -> bool:
        """Whether it is this process."""
        return os.getpid() == self.pid

    def check(self, what: str) -> None:
        """Raise HelixError in a process that was forked from it; `what` is used there, in words."""
        if not self.is_here:
            raise HelixError(
                f"{what} is of process {self.pid}, from which this one was forked",
                remedy='begin such processes by "spawn", as multiprocessing.get_context("spawn") does, and make a '
                "Helix or a session in each; or hand them plain values",
            )


@contextmanager
def ending_children(print_error: Callable[[BaseException], None] = traceback.print_exception) -> Iterator[None]:
    """Run the author's code. A child that it forks ends where that code ends, as Python ends a process; what ends it is
    printed. Otherwise it would go on as its parent: record the parent's run, stop its server, release its leases."""
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
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads and pools; there is no public name
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)


def remove_own(folder: Path, home: Birthplace) -> None:
    """Remove a temporary folder, unless a forked child ends or releases what it took over from its parent."""
    if home.is_here:
        import shutil  # no lookup needs it

        shutil.rmtree(folder, ignore_errors=True)


_first_catalog = cache(Birthplace)


def check_catalogs_work() -> None:
    """Raise HelixError in a process that was forked from one that has read a catalog, whose libraries have threads."""
    _first_catalog().check("what reads catalogs")
