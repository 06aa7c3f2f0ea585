"""Report the reads of the author's code in Spark's Python workers to the driver.

A worker process appends each event at once to a file of its own, in a folder that the driver reads. So events of tasks
that fail, or whose rows are not read to the end, arrive too, unlike with Spark's accumulators. If workers are on other
machines, the folder is in the catalog's, which they share. Draws are not reported: that would be too slow.
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
from helix_spark.hermetic.memos import Holders, Memos
from helix_spark.hermetic.observed_inputs import FOR_SPARK, ObservedInputs, value_of
from helix_spark.hermetic.task import tell
from helix_spark.hermetic.watch import Event, Watch, Wrapped, observed_in

_MOST_FILES = 10_000
"""Limit of files that one node's code may read by itself and still be reused: the driver digests each."""


class WorkerReports:
    """The reports of workers, at the driver."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._taken: dict[str, int] = {}
        self._events: dict[str, list[Event]] = {}
        self._lock = threading.Lock()

    @property
    def folder(self) -> str:
        """The folder that workers on this machine write to, created at its first use."""
        return self.folder_in(None)

    def folder_in(self, shared: Path | None) -> str:
        """Return the folder, inside of `shared` if workers are on other machines."""
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix=".helix-workers-", dir=shared))
                if shared is not None:  # workers of another user write there as they write tables
                    self._folder.chmod(shared.stat().st_mode & 0o777)
            return str(self._folder)

    def take(self, keys: Collection[str]) -> dict[str, ObservedInputs]:
        """Return new observations by the keys of functions (see `task.Purpose`). Keep those of other keys."""
        with self._lock:
            for file in sorted(self._folder.iterdir()) if self._folder is not None else ():
                with file.open("rb") as stream:
                    stream.seek(self._taken.get(file.name, 0))
                    lines, end, _ = stream.read().rpartition(b"\n")
                self._taken[file.name] = self._taken.get(file.name, 0) + len(lines) + len(end)
                for key, kind, name, details in map(json.loads, lines.splitlines()):
                    self._events.setdefault(key, []).append((kind, name, details))
            new = {key: self._events.pop(key) for key in keys if key in self._events}
        return {key: _observed(events) for key, events in new.items()}

    def close(self) -> None:
        """Remove the folder. Workers that still run report nothing more."""
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)


def _observed(events: list[Event]) -> ObservedInputs:
    """Return what workers reported of one node, with the driver's files and variables."""
    files = {name for kind, name, _ in events if kind == "read"}
    if len(files) > _MOST_FILES:
        kept = [event for event in events if event[0] in ("chance", "outside")]
        many = f"reads {len(files):,} files by itself, more than are looked at (name their folder in depends_on=)"
        return observed_in([*kept, ("chance", many, None)])
    differing = {name: more[1] for kind, name, more in events if kind == "asked" and value_of(name) != more[0]}
    inputs = observed_in([event for event in events if event[0] != "asked" or event[1] not in differing])
    reasons = dict.fromkeys(
        f"{asks}, which Spark's workers have another value of than the driver"
        for name, asks in differing.items() if not name.startswith(FOR_SPARK)  # Spark may set those
    )
    return replace(inputs, chance=(*inputs.chance, *reasons))


_own_variables = set[str]()


class _ReportingWatch(Watch):
    """A watch in a worker that reports each event at once, for the functions of some keys."""

    def __init__(self, folder: str, keys: Collection[str], began: int) -> None:
        super().__init__(_own_variables, began)
        self._file, self._keys = f"{folder}/{os.uname().nodename}-{os.getpid()}", keys

    def _note(self, kind: str, name: str, details: Any = None) -> None:
        is_new = (kind, name) not in self._noted
        super()._note(kind, name, details)
        if is_new:
            tell(self._file, *([key, kind, name, details] for key in self._keys))


class _WatchedTask:
    """The watches of the task that a worker runs, after the task with the `earlier` keys."""

    def __init__(self, number: int, folder: str, earlier: tuple[str, ...]) -> None:
        self.number, self._earlier = number, earlier
        self._folder, self._began = folder, time.time_ns()
        self._keys: dict[CodeType, tuple[str, ...]] = {}
        self.keys: tuple[str, ...] = ()
        self._watches: dict[tuple[str, ...], Watch] = {}
        self._threads: WeakKeyDictionary[threading.Thread, Watch] = WeakKeyDictionary()

    def add(self, code: CodeType, key: str) -> None:
        """Register the code and key of a function. One function may have the keys of several nodes. Empty caches that
        another task has filled, if nothing is reported of that for this key."""
        if key not in (*self._earlier, *self.keys):
            if _caches:
                _memos.end(_caches.pop())
            _caches.append(_memos.begin())
        self._keys[code] = tuple(dict.fromkeys((*self._keys.get(code, ()), key)))
        self.keys = tuple(dict.fromkeys((*self.keys, key)))

    def begins_thread(self, thread: threading.Thread, frame: FrameType | None) -> None:
        if (watch := self.watch(frame)) is not None:
            self._threads[thread] = watch

    def watch(self, frame: FrameType | None) -> Watch | None:
        """Return the watch of the outermost registered function that calls a frame. Return that of all functions if the
        author's code runs outside of them, as in a returned iterator, or if they may share a cache. Return None for
        frames of Spark."""
        keys: tuple[str, ...] | None = None
        is_authors = False
        for caller, kind in callers(frame):
            keys = self._keys.get(caller.f_code, keys)
            is_authors = is_authors or kind is CodeOwner.AUTHOR
        thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # no dummy
        if keys is None and thread is not None and thread in self._threads:
            return self._threads[thread]
        if keys is None and not is_authors:
            return None
        if keys is None or _caches[-1].memos:
            keys = self.keys
        if keys not in self._watches:
            self._watches[keys] = _ReportingWatch(self._folder, keys, self._began)
        return self._watches[keys]


_tasks: list[_WatchedTask] = []
"""The task that runs, if any."""

_memos = Memos()
_caches: list[Holders] = []
"""The caches before they were filled, if any task has begun."""


def watch_in_task(number: int, function: Any, key: str, folder: str) -> None:
    """Watch a function, or the class of a table function, in a worker until the end of its task."""
    is_first = not _tasks
    if is_first or _tasks[-1].number != number:
        _tasks[:] = [_WatchedTask(number, folder, () if is_first else _tasks[-1].keys)]
    if is_first:  # task of this process
        Wrapped(
            lambda frame: _tasks[-1].watch(frame), lambda thread, frame: _tasks[-1].begins_thread(thread, frame)
        ).install()
    while isinstance(function, partial):
        function = function.func
    # Methods that run first when an object is called or a table function is used.
    methods = ("__init__", "eval", "terminate", "cleanup")
    functions = (vars(base).get(name) for base in getattr(function, "__mro__", ()) for name in methods)
    for called in (function, getattr(type(function), "__call__", None), *functions):  # noqa: B004 - for its code
        if isinstance(code := getattr(called, "__code__", None), CodeType):
            _tasks[-1].add(code, key)
