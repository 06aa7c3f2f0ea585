"""Waits that hear of Ctrl-C: a signal that comes just as Python's main thread begins to wait is noted, and does not end
the wait, whether that takes twenty seconds or an hour. So each wait is for a moment, and repeated. And what a process
waits for as it ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import cache
from typing import Any, TypeVar

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


_unended = set[Future[Any]]()
"""What this process waits for before it ends."""


def awaited_at_exit(future: Future[Awaited]) -> Future[Awaited]:
    """Return a future for which this process waits before it ends. Pools of threads still take work until then."""
    _await_unended()
    _unended.add(future)
    future.add_done_callback(_unended.discard)
    return future


@cache
def _await_unended() -> None:
    before_pools_end(lambda: [first_done([one]) for one in _unended.copy()])
    os.register_at_fork(after_in_child=_unended.clear)  # a child has no thread that would end them


def before_pools_end(call: Callable[[], object]) -> None:
    """Call something as this process ends. Not by `atexit`: pools of threads, by which a catalog is written, have ended
    by then."""
    from concurrent.futures import thread  # noqa: F401 - whose own call comes after all that are registered later

    threading._register_atexit(call)  # type: ignore[attr-defined]  # there is no other way
