"""The author's functions in Spark's Python workers: what they draw follows from their node and their partition, and
what they read and ask for is told to the driver.

A worker runs one task after the other, and calls a function for each row or batch. Its state lies in `sys`, for a
worker that has no helix_spark gets these functions by value, each with a copy of this module. Such a worker watches
nothing.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from helix_spark.hermetic.generators import Draws, EntropyGiven

if TYPE_CHECKING:
    from helix_spark.hermetic.worker_reports import Reporter


class Purpose(NamedTuple):
    """What functions are written for.

    Attributes:
        key: of a node: what its functions draw follows from this, and what they do is told under it.
        folder: where workers are to tell (see `worker_reports.WorkerReports`); empty if they are not.
    """

    key: str
    folder: str = ""


_STATE = "_helix_task"
_PURPOSE: ContextVar[Purpose] = ContextVar("purpose", default=Purpose(""))  # noqa: B039 - it never changes
_METHODS = ("__init__", "eval", "terminate", "cleanup")
"""Of a class that is a table function, what Spark calls in a worker."""


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


def guarded(function: Any, *, watched: bool = True) -> Any:
    """What a worker is to call in place of a function, or to make in place of a class that is a table function.

    Args:
        watched: whether the worker and the driver share a folder.
    """
    meant = _PURPOSE.get() if watched else Purpose(_PURPOSE.get().key)
    if isinstance(function, type):
        return _guarded_class(function, meant)
    return _guarded(function, meant) if callable(function) else function


def _guarded_class(kind: type, meant: Purpose) -> type:
    if not callable(getattr(kind, "eval", None)):
        return kind
    methods = {name: _guarded(vars(one)[name], meant) for one in reversed(kind.__mro__) for name in _METHODS
               if callable(vars(one).get(name)) and one is not object}
    return type(kind)(kind.__name__, (kind,), {"__module__": kind.__module__, "__doc__": kind.__doc__, **methods})


def _guarded(function: Callable[..., Any], meant: Purpose) -> Callable[..., Any]:
    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        task = begun(meant.key)
        if task is None or not meant.folder:
            return function(*given, **named)
        reporter = task.reporter(meant)
        with reporter:
            found = function(*given, **named)
        return _each(found, reporter) if hasattr(type(found), "__next__") else found

    with suppress(TypeError, ValueError):  # of some that are written in C nobody knows the parameters
        call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # pyspark counts parameters
    return call


def _each(made: Iterator[Any], reporter: Reporter) -> Iterator[Any]:
    """What the author's code makes one by one, watched as it does."""
    try:
        while True:
            with reporter:
                try:
                    one = next(made)
                except StopIteration:
                    return
            yield one
    finally:
        if hasattr(made, "close"):
            with reporter:
                made.close()


def begun(seed: str) -> _Task | None:
    """The task that this worker runs. What follows is drawn from the seed, unless the task has begun with another. None
    in the driver."""
    context = sys.modules["pyspark.taskcontext"].TaskContext.get()
    if context is None:
        return None
    number = context.taskAttemptId()
    state: _Task | None = vars(sys).get(_STATE)
    if state is not None and state.number == number:
        return state
    if state is not None:
        state.end()
    task = _Task(number, Draws(f"{seed} {context.partitionId()}"))
    setattr(sys, _STATE, task)
    return task


class _Task:
    """One task.

    Args:
        number: of the attempt.
        draws: what its draws follow from.
    """

    def __init__(self, number: int, draws: Draws) -> None:
        self.number = number
        self._draws, self._given = draws, EntropyGiven(lambda: draws.entropy)
        self._reporters: dict[Purpose, Reporter] = {}
        self._given.install()
        draws.begin()

    def reporter(self, meant: Purpose) -> Reporter:
        """What watches code that is written for something."""
        found = self._reporters.get(meant)
        if found is None:
            from helix_spark.hermetic.worker_reports import reporter

            found = self._reporters[meant] = reporter(meant.folder, meant.key, self._draws.position)
        return found

    def end(self) -> None:
        """Puts all back when the next task begins."""
        self._draws.end()
        self._given.remove()
