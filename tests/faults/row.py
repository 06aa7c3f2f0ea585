"""The table of faults: each row is one fault, how often it is injected, and what came of it."""

from __future__ import annotations

import math
import pkgutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module

import tests.faults
from helix_spark.catalog.places.place import LocalPath


class NotHereError(Exception):
    """A fault cannot be injected on this machine; says why."""


@dataclass
class Tally:
    """Counts the injections of one fault.

    Attributes:
        wrong: what happened, for each injection that was not right.
        note: further figures.
        not_here: why nothing can be injected on this machine; empty if it can.
        until: when slow rows end early, on the clock of `time.perf_counter`.
    """

    injected: int = 0
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    note: str = ""
    not_here: str = ""
    seconds: float = 0.0
    until: float = math.inf

    def rounds(self, count: int) -> Iterator[int]:
        """Yield the numbers from 1 to `count`; fewer, but one, when the row's time is over."""
        for number in range(1, count + 1):
            if number > 1 and time.perf_counter() > self.until:
                return
            yield number

    def folders(self, folder: LocalPath, count: int) -> Iterator[tuple[int, LocalPath]]:
        """Yield such numbers, each with a new folder."""
        for number in self.rounds(count):
            (folder / str(number)).mkdir()
            yield number, folder / str(number)

    def expect(self, ok: bool, otherwise: str) -> None:
        """Count one injection; `otherwise` is what happened if it is not `ok`."""
        self.injected += 1
        self.right += ok
        if not ok:
            self.wrong.append(otherwise)

    def expect_none(self, title: str, wrong: str) -> None:
        """Count one injection, right if nothing is wrong."""
        self.expect(not wrong, f"{title}: {wrong}")


Inject = Callable[[LocalPath, int, Tally], None]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: what is broken.
        expected: what must happen.
        inject: takes an empty folder, how often, and where to count.
        short, full: how often, in the tests (0 if it takes too long for them) and in the table.
        spark: whether it needs a JVM.
    """

    name: str
    expected: str
    inject: Inject
    short: int
    full: int
    spark: bool = False

    def run(self, folder: LocalPath, *, short: bool, seconds: float = math.inf) -> Tally:
        """Inject it into an empty folder; slow rows end early after so many seconds.

        An error of the injection itself counts as one that is not right.
        """
        start = time.perf_counter()
        tally = Tally(until=start + seconds)
        folder.mkdir(parents=True)
        try:
            self.inject(folder, self.short if short else self.full, tally)
        except NotHereError as error:
            tally.not_here = tally.note = str(error)
        except Exception as error:  # noqa: BLE001  # a row that breaks must not hide the others; it counts as wrong
            tally.expect(False, f"{type(error).__name__}: {error}")
        tally.seconds = time.perf_counter() - start
        return tally


FAULTS: list[Fault] = []


def fault(name: str, expected: str, *, short: int, full: int, spark: bool = False) -> Callable[[Inject], Inject]:
    """Add a fault to the table."""

    def register(inject: Inject) -> Inject:
        FAULTS.append(Fault(name, expected, inject, short, full, spark))
        return inject

    return register


def all_faults() -> list[Fault]:
    """Import all modules of this package, which add their faults, and return the table."""
    for module in pkgutil.iter_modules(tests.faults.__path__):
        if not module.name.startswith(("test_", "__")):
            import_module(f"tests.faults.{module.name}")
    return FAULTS
