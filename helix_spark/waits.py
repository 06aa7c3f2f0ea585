"""Waits that hear of Ctrl-C.

A signal that comes just as Python's main thread begins to wait is noted, and wakes nobody: the wait goes on until what
it is for is there, twenty seconds or an hour later. So nobody waits longer than a moment at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

Awaited = TypeVar("Awaited")

MOMENT = 0.2
"""Seconds."""


def first_done(futures: Iterable[Future[Awaited]]) -> set[Future[Awaited]]:
    """Wait for any of these; return those that are done by then.

    Raises:
        KeyboardInterrupt: somebody interrupts the process, and this is its main thread.
    """
    waited_for, done = set(futures), set[Future[Awaited]]()
    while not done:
        done, _ = wait(waited_for, MOMENT, FIRST_COMPLETED)
    return done


def result_of(future: Future[Awaited]) -> Awaited:
    """Wait for one.

    Raises:
        BaseException: whatever it ended with; KeyboardInterrupt as above.
    """
    first_done([future])
    return future.result()
