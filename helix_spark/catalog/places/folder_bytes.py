"""Physical bytes of a folder of files that are written once, told again and again without looking at every file."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from helix_spark.catalog.places.place import Place

_SETTLED_SECONDS = 0.1
"""File systems stamp a change by a clock that ticks every few milliseconds: a folder that was changed just before it
was looked at may change again under the same stamp."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A directory as it was: its stamp, the bytes of its own files, the names of its directories."""

    stamp: int
    settled: bool
    bytes: int
    folders: tuple[str, ...]


class FolderBytes:
    """The bytes of all files under a folder. Files must not be written in place: they come, go and are replaced whole.

    Args:
        path: need not exist.
    """

    def __init__(self, path: Place) -> None:
        self._place = path
        self._path = str(path)
        self._seen: dict[str, _Seen] = {}
        self._lock = Lock()

    def total(self) -> int:
        """In bytes; a directory whose entries are as they were is not listed again. Links are not followed.

        An object store is asked for all names each time, a thousand in one answer.
        """
        if not isinstance(self._place, Path):
            return self._place.total_bytes()
        with self._lock:
            total, waiting, found = 0, [self._path], dict[str, _Seen]()
            while waiting:
                path = waiting.pop()
                seen = self._look(path)
                if seen is not None:
                    found[path] = seen
                    total += seen.bytes
                    waiting.extend(f"{path}/{name}" for name in seen.folders)
            self._seen = found
            return total

    def _look(self, path: str) -> _Seen | None:
        try:
            status = Path(path).lstat()
            if not stat.S_ISDIR(status.st_mode):
                return None
            before = self._seen.get(path)
            if before is not None and before.settled and before.stamp == status.st_mtime_ns:
                return before
            settled = time.time_ns() - status.st_mtime_ns > _SETTLED_SECONDS * 1e9
            return _listed(path, status.st_mtime_ns, settled)
        except FileNotFoundError:
            return None


def _listed(path: str, stamp: int, settled: bool) -> _Seen:
    size, folders = 0, []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
                continue
            try:
                size += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
    return _Seen(stamp, settled, size, tuple(folders))
