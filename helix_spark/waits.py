"""Waits that Ctrl-C interrupts, and waits at a process's end.

A signal that arrives just as the main thread begins to wait does not end the wait. So each wait is short and repeated.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import cache
from typing import Any, TypeVar

Awaited = TypeVar("Awaited")

MOMENT = 0.2
"""Seconds of each wait."""


def first_done(futures: Iterable[Future[Awaited]]) -> set[Future[Awaited]]:
    """Wait until any future is done; return those that are. Raises KeyboardInterrupt in the main thread."""
    pending, done = set(futures), set[Future[Awaited]]()
    while not done:
        done, _ = wait(pending, MOMENT, FIRST_COMPLETED)
    return done


def result_of(future: Future[Awaited]) -> Awaited:
    """Wait for a future's result. Raises the future's exception; KeyboardInterrupt as above."""
    first_done([future])
    return future.result()


_unfinished = set[Future[Any]]()
"""The futures that this process awaits before it ends."""


def awaited_at_exit(future: Future[Awaited]) -> Future[Awaited]:
    """Make this process await a future before it ends; return the future. Thread pools accept work until then."""
    _register_wait()
    _unfinished.add(future)
    future.add_done_callback(_unfinished.discard)
    return future


@cache
def _register_wait() -> None:
    before_pools_end(lambda: [first_done([future]) for future in _unfinished.copy()])
    os.register_at_fork(after_in_child=_unfinished.clear)  # a child has no thread that would finish them


def before_pools_end(call: Callable[[], object]) -> None:
    """Call a function as this process ends, before its thread pools, which write the catalog; `atexit` comes later."""
    from concurrent.futures import thread  # noqa: F401 - registers its own callback, which must run last

    threading._register_atexit(call)  # type: ignore[attr-defined]  # there is no public way
