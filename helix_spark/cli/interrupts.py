"""Ctrl-C and SIGTERM: both interrupt a command, which records that and ends soon, whatever its threads are at."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes: 128 and the signal's number, as shells have them."""


class Terminated(KeyboardInterrupt):
    """SIGTERM. Handled wherever Ctrl-C is."""


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, meanwhile. Only the main thread of a process can say so; others go without."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Return the interrupt that an error is, or that caused it: a signal to the whole group ends the JVM as well, and
    code that tidies up then fails.

    >>> try:
    ...     try:
    ...         raise KeyboardInterrupt
    ...     finally:
    ...         raise ConnectionRefusedError
    ... except ConnectionRefusedError as error:
    ...     interrupt_behind(error), interrupt_behind(ValueError())
    (KeyboardInterrupt(), None)
    """
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, KeyboardInterrupt):
        behind = behind.__context__
    return behind


def leave(code: int) -> NoReturn:
    """End the process without waiting for threads: a function of the author's cannot be stopped in any other way."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def ignore_termination() -> None:
    """Ignore SIGTERM from now on, as this process ends already. Only its main thread can do so."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated("SIGTERM")
