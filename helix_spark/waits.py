"""Waits that hear of Ctrl-C: a signal that comes just as Python's main thread begins to wait is noted, and does not end
the wait, whether that takes twenty seconds or an hour. So each wait is for a moment, and repeated."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

Awaited = TypeVar("Awaited")

MOMENT = 0.2
"""Seconds."""


def first_done(futures: Iterable[Future[Awaited]]) -> set[Future[Awaited]]:
    """Wait for any of these; return those that are done by then. Raises KeyboardInterrupt in the main thread."""
    waited_for, done = set(futures), set[Future[Awaited]]()
    while not done:
        done, _ = wait(waited_for, MOMENT, FIRST_COMPLETED)
    return done


def result_of(future: Future[Awaited]) -> Awaited:
    """Wait for one. Raises whatever it ended with; KeyboardInterrupt as above."""
    first_done([future])
    return future.result()
