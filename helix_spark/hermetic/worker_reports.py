"""What the author's code is seen to do in Spark's Python workers, and how the driver learns of it.

A worker process appends what it sees to a file of its own, in a folder that the driver reads, at once. So the driver
knows it also where the task fails later, or where nobody reads its rows to their end; what Spark itself has for this,
an accumulator, tells only of tasks that came to theirs. Where workers are on other machines, the folder lies in the
catalog's, which they see as well. What numbers are drawn from is not looked at: that would cost too much.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from weakref import WeakKeyDictionary

from helix_spark.hermetic.asking import Kind, kind_of
from helix_spark.hermetic.seen import Seen, value_of
from helix_spark.hermetic.task import tell
from helix_spark.hermetic.watch import Event, Watch, Wrapped, seen_in

_SPARKS = ("SPARK_", "PYSPARK_", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONUNBUFFERED", "OMP_NUM_THREADS")
"""Beginnings of variables of which Spark may give its workers other values than the driver has."""

_MOST_FILES = 10_000
"""Files that one node's code may read by itself and still be reused: each is read once more, for its content."""


class WorkerReports:
    """The driver's end."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._taken: dict[str, int] = {}
        self._events: dict[str, list[Event]] = {}
        self._lock = threading.Lock()

    def folder(self, shared: Path | None = None) -> str:
        """The folder that workers write to. It is made when it is asked for first.

        Args:
            shared: a folder that workers on other machines see, too, to have it in; None where all are on this one.
        """
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix=".helix-workers-", dir=shared))
                if shared is not None:  # where workers are somebody else, they write tables there, too
                    self._folder.chmod(shared.stat().st_mode & 0o777)
            return str(self._folder)

    def take(self, keys: Collection[str]) -> dict[str, Seen]:
        """What was seen since it was taken last, by the keys that functions were written for (see `task.Purpose`).
        What others than these did is kept for who asks for it."""
        with self._lock:
            for line in self._new_lines():
                key, sort, name, more = json.loads(line)
                self._events.setdefault(key, []).append((sort, name, more))
            found = {key: self._events.pop(key) for key in keys if key in self._events}
        return {key: _seen(events) for key, events in found.items()}

    def close(self) -> None:
        """Removes the folder; workers that still run have nobody to tell."""
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _new_lines(self) -> Iterator[bytes]:
        for file in sorted(self._folder.iterdir()) if self._folder is not None else ():
            with file.open("rb") as stream:
                stream.seek(self._taken.get(file.name, 0))
                whole, end, _ = stream.read().rpartition(b"\n")
            self._taken[file.name] = self._taken.get(file.name, 0) + len(whole) + len(end)
            yield from whole.splitlines()


def _seen(events: list[Event]) -> Seen:
    """What workers told of one node. The driver looks at what they asked for: files it finds itself, variables it may
    have otherwise."""
    read = {name for sort, name, _ in events if sort == "read"}
    if len(read) > _MOST_FILES:
        kept = [one for one in events if one[0] in ("chance", "outside")]
        many = f"reads {len(read):,} files by itself, more than are looked at (name their folder in depends_on=)"
        return seen_in([*kept, ("chance", many, None)])
    others = {name: more[1] for sort, name, more in events if sort == "asked" and value_of(name) != more[0]}
    own = [one for one in events if one[0] != "asked" or one[1] not in others]
    seen = seen_in(own)
    told = dict.fromkeys(
        f"{asks}, which Spark's workers have another value of than the driver"
        for name, asks in others.items() if not name.startswith(_SPARKS)
    )
    return replace(seen, chance=(*seen.chance, *told))


class _Telling(Watch):
    """The worker's end: tells at once what it sees.

    Args:
        folder: where the driver reads.
        keys: what the functions were written for that may do it.
    """

    def __init__(self, folder: str, keys: Collection[str]) -> None:
        super().__init__(_own_variables)
        self._file, self._keys = f"{folder}/{os.uname().nodename}-{os.getpid()}", keys

    def _note(self, sort: str, name: str, more: Any = None) -> None:
        told = len(self.events)
        super()._note(sort, name, more)
        if len(self.events) == told:
            return
        tell(self._file, *([key, sort, name, more] for key in self._keys))


class _InTask:
    """What is watched in the task that a worker runs.

    Attributes:
        number: of the task.
        by_code: by the code of each function that it was sent, what watches that.
        keys: what these were written for.
        all: watches what is done by the author's code outside of them, as in iterators that one has returned.
    """

    def __init__(self, number: int, folder: str) -> None:
        self.number = number
        self.by_code: dict[CodeType, Watch] = {}
        self.keys: dict[str, Watch] = {}
        self.begun: WeakKeyDictionary[threading.Thread, Watch] = WeakKeyDictionary()
        self.all = _Telling(folder, self.keys)

    def watch(self, frame: FrameType | None) -> Watch | None:
        """What watches what a frame asks for: that of the innermost function that was sent. None where nobody does,
        for it is Spark who asks."""
        authors = False
        while frame is not None:
            if (found := self.by_code.get(frame.f_code)) is not None:
                return found
            authors = authors or kind_of(frame.f_code.co_filename) is Kind.AUTHOR
            frame = frame.f_back
        thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # makes none up
        return self.all if authors else self.begun.get(thread) if thread is not None else None


_own_variables: set[str] = set()
_tasks: list[_InTask] = []
"""The one that runs."""

_put_in_place: list[Wrapped] = []


def watch_in_task(number: int, function: Any, key: str, folder: str) -> None:
    """Has a worker watch a function, or the class of a table function, from now on to the end of its task."""
    if not _put_in_place:  # once a process
        wrapped = Wrapped(_watch, _begins_thread)
        wrapped.install()
        _put_in_place.append(wrapped)
    if not _tasks or _tasks[-1].number != number:
        _tasks[:] = [_InTask(number, folder)]
    task = _tasks[-1]
    watch = task.keys.setdefault(key, _Telling(folder, (key,)))
    task.by_code.update(dict.fromkeys(_codes(function), watch))


def _codes(function: Any) -> Iterator[CodeType]:
    """The code that runs first where something is called, or a table function works."""
    while isinstance(function, partial):
        function = function.func
    named = (vars(base).get(name) for base in getattr(function, "__mro__", ()) for name in _TABLE_FUNCTION)
    for one in (function, getattr(type(function), "__call__", None), *named):  # noqa: B004 - its code is wanted
        code = getattr(one, "__code__", None)
        if isinstance(code, CodeType):
            yield code


_TABLE_FUNCTION = ("__init__", "eval", "terminate", "cleanup")


def _watch(frame: FrameType | None) -> Watch | None:
    return _tasks[-1].watch(frame) if _tasks else None


def _begins_thread(thread: threading.Thread, frame: FrameType | None) -> None:
    if (watch := _watch(frame)) is not None:
        _tasks[-1].begun[thread] = watch
