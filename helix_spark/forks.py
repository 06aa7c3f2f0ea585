"""Forked processes. A child has its parent's memory, but none of its threads, and shares its connections: whatever of
Helix its parent had can be used there no more than once by mistake, so it says so instead."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from helix_spark.errors import HelixError

_REMEDY = (
    'begin such processes by "spawn", as multiprocessing.get_context("spawn") does, and make a Helix in each; or hand '
    "them plain values"
)


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
        """Raises HelixError in a process that was forked from it.

        Args:
            what: is used there, in words.
        """
        if not self.is_here:
            raise HelixError(f"{what} is of process {self.pid}, from which this one was forked", remedy=_REMEDY)


_first_catalog: list[Birthplace] = []


def check_catalogs_work() -> None:
    """Whether catalogs can be read here: the libraries that do have threads of their own from then on, for good.

    Raises:
        HelixError: this process was forked from one that has read a catalog.
    """
    if not _first_catalog:
        _first_catalog.append(Birthplace())
    _first_catalog[0].check("what reads catalogs")
