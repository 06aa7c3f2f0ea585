"""The author's functions in Spark's Python workers: what they draw follows from their node and their partition, and
what they read and ask for is told to the driver.

All of it begins where a worker unpickles a function, which it does for each task. Spark may have one task call
functions of several nodes in turn, for each row: each draws what it would draw without the others. A worker's state
lies in `sys`, for one that has no helix_spark gets this module's code by value, in several copies. Such a worker
watches nothing, and says so.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import update_wrapper
from typing import Any, NamedTuple

from helix_spark.hermetic.generators import Draws, EntropyGiven


class Purpose(NamedTuple):
    """What functions are written for: a key, from which a node's draws follow, and under which it is reported on."""

    key: str
    folder: str = ""
    """Where workers are to tell (see `worker_reports.WorkerReports`); empty if they are not."""
    home: str = ""
    """The folder that they are to be in, as workers of a classic session are in the driver's; empty for Spark's."""


_STATE = "_helix_task"
_UNSEEN = "runs in Spark's workers without helix_spark, where nobody sees what it reads (install it there)"
_PURPOSE: ContextVar[Purpose] = ContextVar("purpose", default=Purpose(""))  # noqa: B039 - it never changes


@contextmanager
def written_for(purpose: Purpose) -> Iterator[None]:
    """Make functions in the plan of a node, which is written meanwhile, be for a purpose."""
    token = _PURPOSE.set(purpose)
    try:
        yield
    finally:
        _PURPOSE.reset(token)


def purpose() -> Purpose:
    return _PURPOSE.get()


def guarded(function: Any) -> Any:
    """Return what is to be pickled in place of a function, or of a class that is a table function."""
    return _Sent(function, _PURPOSE.get()) if callable(function) else function


class _Sent:
    """A function on its way to a worker."""

    def __init__(self, function: Any, meant: Purpose) -> None:
        self._function, self._meant = function, meant

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self._function, *self._meant)


def _arrived(function: Any, key: str, folder: str, home: str) -> Any:
    """Receive a function that a worker unpickles: what it does from now on in this task is controlled and watched."""
    context = sys.modules["pyspark.taskcontext"].TaskContext.get()
    if context is None:  # nobody calls it in a task
        return function
    if home:
        with suppress(OSError):  # another machine has no such folder
            os.chdir(home)
    called = in_turn(function, begin(context.taskAttemptId()), f"{key} {context.partitionId()}")
    if folder:
        try:
            from helix_spark.hermetic.worker_reports import watch_in_task
        except ImportError:
            tell(f"{folder}/{os.uname().nodename}-{os.getpid()}", [key, "outside", _UNSEEN, None])
        else:
            watch_in_task(context.taskAttemptId(), function, key, folder)
    return called


def tell(file: str, *events: Sequence[Any]) -> None:
    """Send events to the driver, if it is still there, and a worker may write where it reads."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except (FileNotFoundError, PermissionError):
        return
    try:
        os.write(descriptor, "".join(f"{json.dumps(event)}\n" for event in events).encode())
    finally:
        os.close(descriptor)


def begin(number: int) -> Any:
    """Begin a task, if it has not begun, and end the one before it."""
    state: _Task | None = vars(sys).get(_STATE)
    if state is None or state.number != number:
        if state is not None:
            state.end()
        state = _Task(number)
        setattr(sys, _STATE, state)
    return state


def in_turn(function: Any, task: Any, seed: str) -> Any:
    """Return a function that draws from a seed when it is called in a task. The first one, and others that draw from
    that seed, are as they are, for they are called for each row; so is a table function's class."""
    if task.seed is None or isinstance(function, type):
        task.turn(seed)
    if task.seed == seed:
        return function
    first = task.seed

    def called(*given: Any, **named: Any) -> Any:
        task.turn(seed)
        try:
            return function(*given, **named)
        finally:
            task.turn(first)

    with suppress(AttributeError, TypeError, ValueError):  # what is called may have neither names nor a signature
        update_wrapper(called, function)
        vars(called)["__signature__"] = inspect.signature(function)
    return called


class _Task:
    """The draws of one task, by Spark's number, and what is to be put back when the next one begins."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.seed: str | None = None  # what is drawn now follows from this; None as long as nothing was called
        self._draws: dict[str, Draws] = {}
        self._left: dict[str, dict[str, Any]] = {}
        self._given = EntropyGiven(lambda: None if self.seed is None else self._draws[self.seed].entropy)
        self._given.install()

    def turn(self, seed: str) -> None:
        """Draw what follows from a seed, from where it was left."""
        if self.seed is not None:
            self._left[self.seed] = self._draws[self.seed].away()
        if seed not in self._draws:
            self._draws[seed] = Draws(seed)
        self._draws[seed].back(self._left.pop(seed, {}))
        self.seed = seed

    def end(self) -> None:
        if self.seed is not None:
            self._draws[self.seed].end()
        self._given.remove()
