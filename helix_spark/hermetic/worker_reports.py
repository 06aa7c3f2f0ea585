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
import time
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from weakref import WeakKeyDictionary

from helix_spark.hermetic.asking import CodeOwner, callers
from helix_spark.hermetic.observed_inputs import FOR_SPARK, ObservedInputs, value_of
from helix_spark.hermetic.task import tell
from helix_spark.hermetic.watch import Event, Watch, Wrapped, observed_in

_MOST_FILES = 10_000
"""Files that one node's code may read by itself and still be reused: each is read once more, for its content."""


class WorkerReports:
    """The driver's end."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._taken: dict[str, int] = {}
        self._events: dict[str, list[Event]] = {}
        self._lock = threading.Lock()

    @property
    def folder(self) -> str:
        """The folder that workers on this machine write to. It is made when it is asked for first."""
        return self.folder_in(None)

    def folder_in(self, shared: Path | None) -> str:
        """Return the same, for workers on other machines: in a folder that they see, too."""
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix=".helix-workers-", dir=shared))
                if shared is not None:  # where workers are somebody else, they write tables there, too
                    self._folder.chmod(shared.stat().st_mode & 0o777)
            return str(self._folder)

    def take(self, keys: Collection[str]) -> dict[str, ObservedInputs]:
        """Return what was newly seen, by the keys of functions (see `task.Purpose`); what others did is kept."""
        with self._lock:
            for file in sorted(self._folder.iterdir()) if self._folder is not None else ():
                with file.open("rb") as stream:
                    stream.seek(self._taken.get(file.name, 0))
                    whole, end, _ = stream.read().rpartition(b"\n")
                self._taken[file.name] = self._taken.get(file.name, 0) + len(whole) + len(end)
                for key, sort, name, more in map(json.loads, whole.splitlines()):
                    self._events.setdefault(key, []).append((sort, name, more))
            found = {key: self._events.pop(key) for key in keys if key in self._events}
        return {key: _observed(events) for key, events in found.items()}

    def close(self) -> None:
        """Remove the folder; workers that still run report nothing any more."""
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)


def _observed(events: list[Event]) -> ObservedInputs:
    """Return what workers told of one node, with files and variables that they asked for as the driver sees them."""
    read = {name for sort, name, _ in events if sort == "read"}
    if len(read) > _MOST_FILES:
        kept = [one for one in events if one[0] in ("chance", "outside")]
        many = f"reads {len(read):,} files by itself, more than are looked at (name their folder in depends_on=)"
        return observed_in([*kept, ("chance", many, None)])
    others = {name: more[1] for sort, name, more in events if sort == "asked" and value_of(name) != more[0]}
    own = [one for one in events if one[0] != "asked" or one[1] not in others]
    seen = observed_in(own)
    told = dict.fromkeys(
        f"{asks}, which Spark's workers have another value of than the driver"
        for name, asks in others.items() if not name.startswith(FOR_SPARK)  # which Spark itself may set for them
    )
    return replace(seen, chance=(*seen.chance, *told))


_own_variables = set[str]()


class _Telling(Watch):
    """The worker's end: tells at once what it sees, of the functions that were written for these `keys`."""

    def __init__(self, folder: str, keys: Collection[str], began: int) -> None:
        super().__init__(_own_variables, began)
        self._file, self._keys = f"{folder}/{os.uname().nodename}-{os.getpid()}", keys

    def _note(self, sort: str, name: str, more: Any = None) -> None:
        is_known = (sort, name) in self._noted
        super()._note(sort, name, more)
        if not is_known:
            tell(self._file, *([key, sort, name, more] for key in self._keys))


class _InTask:
    """What is watched in the task that a worker runs."""

    def __init__(self, number: int, folder: str) -> None:
        self.number = number
        self._folder, self._began = folder, time.time_ns()
        self._keys: dict[CodeType, tuple[str, ...]] = {}
        self._all: tuple[str, ...] = ()
        self._watches: dict[tuple[str, ...], Watch] = {}
        self._threads: WeakKeyDictionary[threading.Thread, Watch] = WeakKeyDictionary()

    def add(self, code: CodeType, key: str) -> None:
        """Note a function that was sent, and what it was written for; one may be for several nodes."""
        self._keys[code] = tuple(dict.fromkeys((*self._keys.get(code, ()), key)))
        self._all = tuple(dict.fromkeys((*self._all, key)))

    def begins_thread(self, thread: threading.Thread, frame: FrameType | None) -> None:
        if (watch := self.watch(frame)) is not None:
            self._threads[thread] = watch

    def watch(self, frame: FrameType | None) -> Watch | None:
        """Return what watches a frame: the watch of the outermost function that was sent, or of all functions where the
        author's code runs outside of them, as in an iterator that one has returned. None where Spark asks."""
        keys: tuple[str, ...] | None = None
        authors = False
        for one, kind in callers(frame):
            keys = self._keys.get(one.f_code, keys)
            authors = authors or kind is CodeOwner.AUTHOR
        thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # makes none up
        if keys is None and thread is not None and thread in self._threads:
            return self._threads[thread]
        if keys is None and not authors:
            return None
        keys = keys or self._all
        if keys not in self._watches:
            self._watches[keys] = _Telling(self._folder, keys, self._began)
        return self._watches[keys]


_tasks: list[_InTask] = []
"""The one that runs."""


def watch_in_task(number: int, function: Any, key: str, folder: str) -> None:
    """Make a worker watch a function, or the class of a table function, from now on to the end of its task."""
    is_first = not _tasks
    if is_first or _tasks[-1].number != number:
        _tasks[:] = [_InTask(number, folder)]
    if is_first:  # of this process
        Wrapped(
            lambda frame: _tasks[-1].watch(frame), lambda thread, frame: _tasks[-1].begins_thread(thread, frame)
        ).install()
    while isinstance(function, partial):
        function = function.func
    # The code that runs first where something is called, or a table function works.
    methods = ("__init__", "eval", "terminate", "cleanup")
    named = (vars(base).get(name) for base in getattr(function, "__mro__", ()) for name in methods)
    for one in (function, getattr(type(function), "__call__", None), *named):  # noqa: B004 - its code is wanted
        if isinstance(code := getattr(one, "__code__", None), CodeType):
            _tasks[-1].add(code, key)
