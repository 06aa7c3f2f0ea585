"""How long the author's functions take in Spark's Python workers.

Spark's own metrics do not tell. `pythonProcessingTime` goes on while a worker waits for its rows: an addition behind a
column that took the JVM 52 s, summed over tasks, has 52 s as well, and so has each of two functions in a row. So here
the waiting is left out, where it happens: in what reads Spark's stream of rows, once a batch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from time import perf_counter, time  # as they are before watching wraps them: the author's code does not ask
from typing import Any, NamedTuple

from helix_spark.hermetic.task import tell

WORKED = "worked"
"""The sort of event that tells of it (see `worker_reports`)."""


class Worked(NamedTuple):
    """What functions did in a worker, in one task.

    Attributes:
        keys: what they were written for; several where one worker called them in turn: which took what is not known.
        task: Spark's number of the task. Several workers may serve one, one after the other or at the same time.
        start, end: when they were at hand, by `time.time()`.
        seconds: how long they ran, without waiting for rows or writing what they made.
    """

    keys: tuple[str, ...]
    task: int
    start: float
    end: float
    seconds: float


@dataclass(slots=True)
class _Clock:
    """Of one task in this worker.

    Attributes:
        keys: of the functions that came for it, in their order.
        waited: seconds, for rows.
    """

    task: int
    file: str
    keys: dict[str, None] = field(default_factory=dict)
    seconds: float = 0.0
    waited: float = 0.0
    waiting: bool = False

    def given(self, read: Iterator[Any]) -> Iterator[Any]:
        """What Spark sends; what it is put together from may be read in the same way, and counts once."""
        while True:
            outermost, begun = not self.waiting, perf_counter()
            self.waiting = True
            try:
                one = next(read)
            except StopIteration:
                return
            finally:
                if outermost:
                    self.waiting = False
                    self.waited += perf_counter() - begun
            yield one

    def made(self, work: Iterator[Any]) -> Iterator[Any]:
        """What the functions make."""
        while True:
            begun, waited = perf_counter(), self.waited
            try:
                one = next(work)
            except StopIteration:
                return
            finally:
                self.seconds += perf_counter() - begun - (self.waited - waited)
            yield one


_clocks: list[_Clock] = []
"""That of the task that is to run, or runs."""

_wrapped: list[type] = []


def time_in_task(task: int, key: str, folder: str) -> None:
    """A function came for a task: what the worker does from now on to the end of what it sends back is timed."""
    if not _wrapped and not _wrap():
        return
    if not _clocks or _clocks[-1].task != task:
        _clocks[:] = [_Clock(task, f"{folder}/{os.uname().nodename}-{os.getpid()}")]
    _clocks[-1].keys[key] = None


def _wrap() -> bool:
    """Has what reads and writes Spark's streams be timed, once a process; not where pyspark's classes are others, as
    in 4.1: where one reads that is not known of, waiting would be taken for work."""
    plain, arrow = sys.modules.get("pyspark.serializers"), sys.modules.get("pyspark.sql.pandas.serializers")
    writing = [getattr(plain, "FramedSerializer", None), getattr(arrow, "ArrowStreamSerializer", None)]
    grouped = [getattr(arrow, f"ArrowStream{name}Serializer", None) for name in ("Group", "CoGroup")]
    if None in writing or None in grouped:
        return False
    for one in (*writing, *grouped):
        one.load_stream = _loading(one.load_stream)  # type: ignore[union-attr]  # it is there
    for one in writing:
        one.dump_stream = _dumping(one.dump_stream)  # type: ignore[union-attr]  # as above
    _wrapped.extend(filter(None, writing))
    return True


def _loading(told: Callable[[Any, Any], Iterator[Any]]) -> Callable[[Any, Any], Iterator[Any]]:
    @wraps(told)
    def loaded(self: Any, stream: Any) -> Iterator[Any]:
        clock, read = _running(), told(self, stream)
        return read if clock is None else clock.given(iter(read))

    return loaded


def _dumping(told: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    @wraps(told)
    def dumped(self: Any, iterator: Any, stream: Any) -> None:
        if (clock := _running()) is None:
            return told(self, iterator, stream)
        start = time()
        try:
            return told(self, clock.made(iter(iterator)), stream)
        finally:  # a reader that has enough rows ends it, too
            _clocks.clear()
            worked = Worked(tuple(clock.keys), clock.task, start, time(), clock.seconds)
            tell(clock.file, ["", WORKED, "", worked])

    return dumped


def _running() -> _Clock | None:
    """That of the task that runs: one that failed before it began has left its own."""
    context = sys.modules["pyspark.taskcontext"].TaskContext.get()
    return _clocks[-1] if _clocks and context is not None and context.taskAttemptId() == _clocks[-1].task else None
