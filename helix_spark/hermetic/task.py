"""The author's functions in Spark's Python workers: what they draw follows from their node and their partition, and
what they read and ask for is told to the driver.

All of it begins where a worker unpickles a function, which it does for each task: calling the function, for each row
maybe, costs nothing more. A worker's state lies in `sys`, for one that has no helix_spark gets this module's code by
value, in several copies. Such a worker watches nothing, and says so.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, NamedTuple

from helix_spark.hermetic.generators import Draws, EntropyGiven


class Purpose(NamedTuple):
    """What functions are written for.

    Attributes:
        key: of a node: what its functions draw follows from this, and what they do is told under it.
        folder: where workers are to tell (see `worker_reports.WorkerReports`); empty if they are not.
        home: the folder that they are to be in, as workers of a classic session are in the driver's; empty for the one
            that Spark has them in.
    """

    key: str
    folder: str = ""
    home: str = ""


_STATE = "_helix_task"
_UNSEEN = "runs in Spark's workers without helix_spark, where nobody sees what it reads (install it there)"
_PURPOSE: ContextVar[Purpose] = ContextVar("purpose", default=Purpose(""))  # noqa: B039 - it never changes


@contextmanager
def written_for(purpose: Purpose) -> Iterator[None]:
    """While the plan of a node is written: functions in it are for this."""
    token = _PURPOSE.set(purpose)
    try:
        yield
    finally:
        _PURPOSE.reset(token)


def purpose() -> Purpose:
    """What functions are written for now."""
    return _PURPOSE.get()


def guarded(function: Any) -> Any:
    """What is to be pickled in place of a function, or of a class that is a table function."""
    return _Sent(function, _PURPOSE.get()) if callable(function) else function


class _Sent:
    """A function on its way to a worker."""

    def __init__(self, function: Any, meant: Purpose) -> None:
        self._function, self._meant = function, meant

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self._function, *self._meant)


def _arrived(function: Any, key: str, folder: str, home: str) -> Any:
    """A worker unpickles a function: what it does from now on in this task is controlled and watched."""
    context = sys.modules["pyspark.taskcontext"].TaskContext.get()
    if context is None:  # nobody calls it in a task
        return function
    if home:
        with suppress(OSError):  # another machine has no such folder
            os.chdir(home)
    begin(context.taskAttemptId(), f"{key} {context.partitionId()}")
    if folder:
        try:
            from helix_spark.hermetic.worker_reports import watch_in_task
        except ImportError:
            tell(f"{folder}/{os.uname().nodename}-{os.getpid()}", [key, "outside", _UNSEEN, None])
        else:
            watch_in_task(context.taskAttemptId(), function, key, folder)
    return function


def tell(file: str, *events: Sequence[Any]) -> None:
    """Tells the driver, if it is still there, and a worker may write where it reads."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except (FileNotFoundError, PermissionError):
        return
    try:
        os.write(descriptor, "".join(f"{json.dumps(event)}\n" for event in events).encode())
    finally:
        os.close(descriptor)


def begin(task: int, seed: str) -> None:
    """Has what follows be drawn from a seed, unless the task has begun with one."""
    state: _Task | None = vars(sys).get(_STATE)
    if state is not None and state.number == task:
        return
    if state is not None:
        state.end()
    setattr(sys, _STATE, _Task(task, Draws(seed)))


class _Task:
    """What is to be put back when the next task begins."""

    def __init__(self, number: int, draws: Draws) -> None:
        self.number = number
        self._draws, self._given = draws, EntropyGiven(lambda: draws.entropy)
        self._given.install()
        draws.begin()

    def end(self) -> None:
        """Puts it back."""
        self._draws.end()
        self._given.remove()
