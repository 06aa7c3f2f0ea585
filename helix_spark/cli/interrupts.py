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


def leave(code: int) -> NoReturn:
    """Ends the process without waiting for threads: a function of the author's cannot be stopped in any other way."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
