"""What the author's code is seen to do in Spark's Python workers, and how the driver learns of it.

A worker process appends what it sees to a file of its own, in a folder that the driver reads, each time the author's
code gives back control. So the driver knows it also where the task fails later, or where nobody reads its rows to their
end; what Spark itself has for this, an accumulator, tells only of tasks that came to theirs. Workers on other machines
have no such folder: there nothing is seen.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from helix_spark.hermetic.seen import Seen, value_of
from helix_spark.hermetic.watch import Event, Watch, Wrapped, seen_in

_SPARKS = ("SPARK_", "PYSPARK_", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONUNBUFFERED", "OMP_NUM_THREADS")
"""Beginnings of variables of which Spark may give its workers other values than the driver has."""

_MOST_FILES = 10_000
"""Files that one node's code may read by itself and still be reused: each is read once more, for its content."""


class WorkerReports:
    """The driver's end.

    Attributes:
        folder: where workers write to. It is made when it is asked for first.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._taken: dict[str, int] = {}
        self._events: dict[str, list[Event]] = {}
        self._lock = Lock()

    @property
    def folder(self) -> str:
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="helix-workers-"))
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
    seen = seen_in(own, drew=any(sort == "drew" for sort, _, _ in events))
    told = dict.fromkeys(
        f"{asks}, which Spark's workers have another value of than the driver"
        for name, asks in others.items() if not name.startswith(_SPARKS)
    )
    return replace(seen, chance=(*seen.chance, *told))


class Reporter:
    """The worker's end: what one node's code does in one task.

    Args:
        folder: where the driver reads.
        key: what the function was written for.
        drawn: how far the generators of the task are.
    """

    def __init__(self, folder: str, key: str, drawn: Callable[[], Any]) -> None:
        self.watch = Watch(_own_variables)
        self._file, self._key, self._drawn = f"{folder}/{os.getpid()}", key, drawn
        self._told = self._calls = 0
        self._before: Any = None
        self._drew = False

    def __enter__(self) -> None:
        """The author's code begins, or goes on."""
        _running.append(self)
        self._calls += 1
        if not self._drew and self._calls & (self._calls - 1) == 0:  # it takes too long to look each time
            self._before = self._drawn()

    def __exit__(self, *raised: object) -> None:
        """It gives back control."""
        _running.pop()
        if self._before is not None:
            self._drew, self._before = self._before != self._drawn(), None
            if self._drew:
                self.watch.events.append(("drew", "", None))
        if len(self.watch.events) > self._told:
            self._tell()

    def _tell(self) -> None:
        new = self.watch.events[self._told :]
        self._told += len(new)
        text = "".join(f"{json.dumps([self._key, *event])}\n" for event in new)
        try:
            file = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except FileNotFoundError:  # the driver has closed: nobody asks any more
            return
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)


_running: list[Reporter] = []
"""The innermost last."""

_own_variables: set[str] = set()
_wrapped: Wrapped | None = None


def reporter(folder: str, key: str, drawn: Callable[[], Any]) -> Reporter:
    """What a worker watches one node's code with in one task. What tells of it is put in place once a process."""
    global _wrapped
    if _wrapped is None:
        _wrapped = Wrapped(_watch, lambda thread: None)
        _wrapped.install()
    return Reporter(folder, key, drawn)


def _watch() -> Watch | None:
    return _running[-1].watch if _running else None
