"""The author's functions in Spark's Python workers: what they draw follows from their node and their partition.

A worker runs one task after the other, and calls a function for each row or batch. Its state lies in `sys`, for a
worker that has no helix_spark gets these functions by value, each with a copy of this module.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import wraps
from typing import Any

from helix_spark.hermetic.generators import Draws, EntropyGiven

_STATE = "_helix_task"
_NODE: ContextVar[str] = ContextVar("node", default="")


@contextmanager
def of_node(seed: str) -> Iterator[None]:
    """While the plan of a node is written: functions in it are seeded from this."""
    token = _NODE.set(seed)
    try:
        yield
    finally:
        _NODE.reset(token)


def node() -> str:
    """What functions are seeded from now."""
    return _NODE.get()


def guarded(function: Any) -> Any:
    """What a worker is to call in place of a function. A class, as of a table function, stays as it is."""
    if not callable(function) or isinstance(function, type):
        return function
    seed = _NODE.get()

    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        begin(seed)
        return function(*given, **named)

    with suppress(TypeError, ValueError):  # of some that are written in C nobody knows the parameters
        call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # pyspark counts parameters
    return call


def begin(seed: str) -> None:
    """Has what follows be drawn from this seed, unless the task has begun with one."""
    context = sys.modules["pyspark.taskcontext"].TaskContext.get()
    if context is None:  # it is called in the driver
        return
    task = context.taskAttemptId()
    state = vars(sys).get(_STATE)
    if state is not None and state[0] == task:
        return
    if state is not None:
        state[1].end()
    draws = Draws(f"{seed} {context.partitionId()}")
    given = EntropyGiven(lambda: draws.entropy)
    given.install()
    draws.begin()
    setattr(sys, _STATE, (task, _Task(draws, given)))


class _Task:
    """What is to be put back when the next task begins."""

    def __init__(self, draws: Draws, given: EntropyGiven) -> None:
        self._draws, self._given = draws, given

    def end(self) -> None:
        self._draws.end()
        self._given.remove()


