"""Control the author's functions in Spark's workers: draws follow from node and partition, reads are reported.

It begins when a worker unpickles a function, once for each task. One task may call functions of several nodes for each
row: each draws as it would without the others. A worker's state is in `sys`, because a worker without helix_spark gets
several copies of this module's code by value. Such a worker watches nothing, and reports that.
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

from helix_spark.hermetic.generators import ControlledEntropy, Draws


class Purpose(NamedTuple):
    """The node that functions are sent for: a key, which seeds its draws and identifies its reports."""

    key: str
    folder: str = ""
    """The folder for reports of workers (see `worker_reports.WorkerReports`); empty if they send none."""
    home: str = ""
    """The working folder of workers, the driver's in a classic session; empty for Spark's."""


_STATE = "_helix_task"
_UNSEEN = "runs in Spark's workers without helix_spark, where nobody sees what it reads (install it there)"
_PURPOSE: ContextVar[Purpose] = ContextVar("purpose", default=Purpose(""))  # noqa: B039 - it is immutable


@contextmanager
def written_for(purpose: Purpose) -> Iterator[None]:
    """Send the functions in the plan that is written meanwhile for a purpose."""
    token = _PURPOSE.set(purpose)
    try:
        yield
    finally:
        _PURPOSE.reset(token)


def purpose() -> Purpose:
    return _PURPOSE.get()


def guarded(function: Any) -> Any:
    """Return the object to pickle in place of a function, or of the class of a table function."""
    return _SentFunction(function, _PURPOSE.get()) if callable(function) else function


class _SentFunction:
    """A function with its purpose, to be pickled for a worker."""

    def __init__(self, function: Any, purpose: Purpose) -> None:
        self._function, self._purpose = function, purpose

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self._function, *self._purpose)


def _arrived(function: Any, key: str, folder: str, home: str) -> Any:
    """Unpickle a function in a worker, controlled and watched for the rest of its task."""
    context = sys.modules["pyspark.taskcontext"].TaskContext.get()
    if context is None:  # unpickled outside of a task
        return function
    if home:
        with suppress(OSError):  # another machine may lack the folder
            os.chdir(home)
    controlled = in_turn(function, begin(context.taskAttemptId()), f"{key} {context.partitionId()}")
    if folder:
        try:
            from helix_spark.hermetic.worker_reports import watch_in_task
        except ImportError:
            tell(f"{folder}/{os.uname().nodename}-{os.getpid()}", [key, "outside", _UNSEEN, None])
        else:
            watch_in_task(context.taskAttemptId(), function, key, folder)
    return controlled


def tell(file: str, *events: Sequence[Any]) -> None:
    """Send events to the driver, if its folder exists and the worker may write to it."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except (FileNotFoundError, PermissionError):
        return
    try:
        os.write(descriptor, "".join(f"{json.dumps(event)}\n" for event in events).encode())
    finally:
        os.close(descriptor)


def begin(number: int) -> Any:
    """Begin a task, if it has not begun, and end the previous one."""
    state: _Task | None = vars(sys).get(_STATE)
    if state is None or state.number != number:
        if state is not None:
            state.end()
        state = _Task(number)
        setattr(sys, _STATE, state)
    return state


def in_turn(function: Any, task: Any, seed: str) -> Any:
    """Wrap a function to draw from a seed when it is called in a task. For speed, do not wrap the task's first
    function, others of the same seed, or the class of a table function."""
    if task.seed is None or isinstance(function, type):
        task.turn(seed)
    if task.seed == seed:
        return function
    first = task.seed

    def call(*arguments: Any, **keywords: Any) -> Any:
        task.turn(seed)
        try:
            return function(*arguments, **keywords)
        finally:
            task.turn(first)

    with suppress(AttributeError, TypeError, ValueError):  # a callable may have neither names nor a signature
        update_wrapper(call, function)
        vars(call)["__signature__"] = inspect.signature(function)
    return call


class _Task:
    """The draws of one task, with Spark's number, until the next one begins."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.seed: str | None = None  # of the present draws; None before the first call
        self._draws: dict[str, Draws] = {}
        self._paused: dict[str, dict[str, Any]] = {}
        self._entropy = ControlledEntropy(lambda: None if self.seed is None else self._draws[self.seed].entropy)
        self._entropy.install()

    def turn(self, seed: str) -> None:
        """Switch the generators to a seed, in the state of its last use."""
        if self.seed is not None:
            self._paused[self.seed] = self._draws[self.seed].away()
        if seed not in self._draws:
            self._draws[seed] = Draws(seed)
        self._draws[seed].back(self._paused.pop(seed, {}))
        self.seed = seed

    def end(self) -> None:
        if self.seed is not None:
            self._draws[self.seed].end()
        self._entropy.remove()
