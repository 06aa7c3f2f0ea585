"""A row of the table of faults: what is injected, how often, and what came of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from helix_spark.catalog.places.place import LocalPath


class NotHereError(Exception):
    """A fault cannot be injected on this machine; says why."""


@dataclass
class Tally:
    """Counts the injections of one fault.

    Attributes:
        injected, right: how many.
        wrong: of those that were not right, what happened.
        note: further figures, in words.
        not_here: why nothing could be injected on this machine; empty if it could.
        until: on the clock of `time.perf_counter`, when slow rows end early.
    """

    injected: int = 0
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    note: str = ""
    not_here: str = ""
    seconds: float = 0.0
    until: float = math.inf

    def rounds(self, count: int) -> Iterator[int]:
        """Numbers from 1 to `count`; fewer, but one, where the row's time is over."""
        for number in range(1, count + 1):
            if number > 1 and time.perf_counter() > self.until:
                return
            yield number

    def expect(self, ok: bool, otherwise: str) -> None:
        """Counts one injection.

        Args:
            otherwise: what happened if it is not `ok`.
        """
        self.injected += 1
        self.right += ok
        if not ok:
            self.wrong.append(otherwise)


Inject = Callable[[LocalPath, int, Tally], None]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: what is broken.
        expected: what must happen.
        inject: given an empty folder, how often, and where to count.
        short, full: how often, in the tests (0: not there, it takes too long) and in the table.
        spark: whether it needs a JVM.
    """

    name: str
    expected: str
    inject: Inject
    short: int
    full: int
    spark: bool = False

    def run(self, folder: LocalPath, *, short: bool, seconds: float = math.inf) -> Tally:
        """Injects it into an empty folder, for so many seconds at most where each injection takes long.

        An error of the injection itself counts as one that is not right.
        """
        begun = time.perf_counter()
        tally = Tally(until=begun + seconds)
        folder.mkdir(parents=True)
        try:
            self.inject(folder, self.short if short else self.full, tally)
        except NotHereError as error:
            tally.not_here = tally.note = str(error)
        except Exception as error:  # noqa: BLE001  # a row that breaks must not hide the others; it counts as wrong
            tally.expect(False, f"{type(error).__name__}: {error}")
        tally.seconds = time.perf_counter() - begun
        return tally


FAULTS: list[Fault] = []


def fault(name: str, expected: str, *, short: int, full: int, spark: bool = False) -> Callable[[Inject], Inject]:
    """Adds a fault to the table."""

    def register(inject: Inject) -> Inject:
        FAULTS.append(Fault(name, expected, inject, short, full, spark))
        return inject

    return register
