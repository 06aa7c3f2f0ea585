"""The files that leases are, by place: made so that making fails where one exists, beaten, and removed if unchanged."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import uuid
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

from helix_spark.catalog.places.abilities import put_new
from helix_spark.catalog.places.local_disk import LocalPath
from helix_spark.catalog.places.object_store import ObjectPath
from helix_spark.catalog.places.place import Place, text_in

LONGEST = 64 * 1024
"""Bytes of a lease at most."""

HEARTBEAT = 2.0
"""Seconds between two heartbeats on a disk."""


class LeaseFiles(Protocol):
    """Small files with names, in one folder. Everything raises OSError where it cannot be done."""

    @property
    def heartbeat(self) -> float:
        """Seconds between two heartbeats: a request each in a store that counts them."""

    @property
    def looks(self) -> float:
        """Seconds between two looks at a lease that is waited for."""

    def make(self, name: str, text: str) -> None:
        """Make a file, whole. Raises FileExistsError where there is one."""

    def read(self, name: str) -> str: ...

    def beat(self, name: str) -> Hashable:
        """What changes with each heartbeat, and with each holder."""

    def beaten_at(self, name: str) -> float:
        """When the last heartbeat was, in seconds since 1970."""

    def touch(self, name: str) -> None:
        """A heartbeat."""

    def remove(self, name: str) -> None: ...

    def remove_as_seen(self, name: str, beat: Hashable) -> None:
        """Remove a file if nobody touched or made it since it had this beat."""

    def names(self) -> Iterator[str]: ...

    def clear_aside(self, untouched: float) -> None:
        """Remove what those left behind who died while they made or removed a file, so many seconds ago at least."""


def lease_files(folder: Place) -> LeaseFiles:
    """The files in a folder, which need not exist."""
    if isinstance(folder, LocalPath):
        return _OnDisk(folder)
    return _InStore(cast(ObjectPath, folder))


@dataclass(frozen=True, slots=True)
class _OnDisk:
    """The heartbeat is the file's modification time."""

    folder: LocalPath
    heartbeat: float = HEARTBEAT
    looks: float = 0.1

    def make(self, name: str, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_new_text(text)

    def read(self, name: str) -> str:
        return text_in(self.folder / name, LONGEST)

    def beat(self, name: str) -> Hashable:
        status = (self.folder / name).lstat()
        return status.st_ino, status.st_mtime_ns

    def beaten_at(self, name: str) -> float:
        return (self.folder / name).lstat().st_mtime

    def touch(self, name: str) -> None:
        os.utime(self.folder / name)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()

    def remove_as_seen(self, name: str, beat: Hashable) -> None:
        aside = self.folder / f".{name}.{uuid.uuid4().hex}"
        (self.folder / name).rename(aside)
        status = aside.lstat()
        if (status.st_ino, status.st_mtime_ns) != beat:
            # Another taker was quicker, and this is its lease: it gets it back, unless a third has one by now.
            with contextlib.suppress(FileExistsError):
                put_new(aside, self.folder / name)
        aside.unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        yield from sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))

    def clear_aside(self, untouched: float) -> None:
        for path in self.folder.glob(".*"):
            if _ASIDE.fullmatch(path.name) and time.time() - path.lstat().st_mtime > untouched:
                path.unlink(missing_ok=True)


_ASIDE = re.compile(r"\..+\.[0-9a-f]{32}", re.DOTALL)
"""Names of what is made and removed beside a lease."""

_GIVEN_UP = b"{}"
"""What a lease holds that somebody is about to remove: no holder. It is removed in the next moment, or is silent."""


@dataclass(frozen=True, slots=True)
class _InStore:
    """The heartbeat is a number in the object, written on the condition that the object is still the one that was read
    (``If-Match``); the beat is the object's tag, which differs with what it holds."""

    folder: ObjectPath
    heartbeat: float = 5.0
    looks: float = 1.0

    def make(self, name: str, text: str) -> None:
        (self.folder / name).write_new(text.encode())

    def read(self, name: str) -> str:
        return text_in(self.folder / name, LONGEST)

    def beat(self, name: str) -> Hashable:
        return (self.folder / name).status().tag

    def beaten_at(self, name: str) -> float:
        return (self.folder / name).status().st_mtime

    def touch(self, name: str) -> None:
        lease = self.folder / name
        content, tag = lease.read_tagged(LONGEST)
        lease.write_over(json.dumps({**json.loads(content), "beat": time.time_ns()}).encode(), tag)

    def remove(self, name: str) -> None:
        (self.folder / name).remove()

    def remove_as_seen(self, name: str, beat: Hashable) -> None:
        """By taking it over first, which only one can who saw the same: a store removes without conditions."""
        lease = self.folder / name
        lease.write_over(_GIVEN_UP, str(beat))
        lease.remove()

    def names(self) -> Iterator[str]:
        yield from sorted(path.name for path in self.folder.iterdir())

    def clear_aside(self, untouched: float) -> None:
        """A store makes and removes objects whole."""
