"""What a file system says of files, so that a later look tells whether one may have held anything else meanwhile.

Whatever is done to a file shows in its time of change, which no program can set: also where size and time of the last
write are put back, and where the same bytes are written once more.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from helix_spark.since_python_311 import StrEnum

TICK, COARSE_TICK = 20 * 10**6, 2 * 10**9
"""Nanoseconds from one tick of a file system's clock to the next at most, and the same of a clock that tells whole
seconds alone (FAT, some disks on a network). Two changes within a tick have one time."""

_SECOND = 10**9
_MOST_LINKS = 40
"""As many as Linux follows."""


class Met(StrEnum):
    """As what a file, folder or link was met."""

    FILE = "file"
    FOLDER = "folder"
    """All of its files count: whatever comes into it or goes is a change."""
    LINK = "link"
    """On the way."""
    PASSED = "passed"
    """A folder on the way: others may do in it what they like, as long as it stays where it is."""


@dataclass(frozen=True, slots=True)
class FileState:
    """One file, folder or link as it was.

    Attributes:
        path: absolute, as it was reached.
        place: the same with all links followed.
        number: device and inode.
        size: bytes.
        modified, changed: nanoseconds since 1970.
        content: of a file that is read, a digest of its bytes or of what stands for them; empty if nobody looked.
    """

    path: str
    met: Met
    place: str
    number: tuple[int, int]
    size: int
    modified: int
    changed: int
    content: str = ""


def states_of(files: Iterable[Path], folders: Iterable[Path] = ()) -> tuple[FileState, ...]:
    """The states of files, of folders that are read as such, and of all that is passed on the way to them.

    Raises:
        OSError: one of them is not there, or may not be looked at.
    """
    way = _Way()
    read = [way.end(str(path.absolute()), Met.FILE) for path in files]
    read += [way.end(str(path.absolute()), Met.FOLDER) for path in folders]
    return (*read, *way.passed.values())


def difference(before: Sequence[FileState], now: Sequence[FileState]) -> str | None:
    """How files differ from what they were, in words; None where nothing can have been done to them.

    >>> old = FileState("/a/n.csv", Met.FILE, "/a/n.csv", (1, 2), 10, 5, 5, "3f")
    >>> difference([old], [old])
    >>> difference([old], []), difference([], [old])
    ('n.csv is gone', 'n.csv is new')
    >>> from dataclasses import replace
    >>> difference([old], [replace(old, number=(1, 3))]), difference([old], [replace(old, changed=6)])
    ('n.csv is another file', 'n.csv was written to, or touched')
    """
    was, seen = ({(state.met, state.path): state for state in states} for states in (before, now))
    for key, old in was.items():
        new = seen.get(key)
        if new is None:
            if old.met in (Met.FILE, Met.FOLDER):
                return f"{_name(old)} is gone"
        elif (how := _change(old, new)) is not None:
            return how
    added = next((state for key, state in seen.items() if key not in was), None)
    return None if added is None else f"{_name(added)} is new"


def seconds_to_settle(states: Iterable[FileState], now: int) -> float:
    """How long to wait until a further change would show in a time of its own; 0 if it would already.

    Args:
        now: nanoseconds since 1970.

    >>> fresh = FileState("/a/n.csv", Met.FILE, "/a/n.csv", (1, 2), 10, 5, 1_000_000_001)
    >>> seconds_to_settle([fresh], 1_000_000_001), seconds_to_settle([fresh], 2_000_000_000)
    (0.02, 0.0)
    """
    # A time of change is never set back, so the newest says when the last change was; without one, the last write does.
    newest = max((one.changed or one.modified for one in states if one.met is not Met.PASSED), default=0)
    tick = TICK if newest % _SECOND else COARSE_TICK
    return min(tick, max(0, newest + tick - now)) / _SECOND


def _change(old: FileState, new: FileState) -> str | None:
    if old == new:
        return None
    name = _name(old)
    if old.met is Met.LINK:
        return f"the link {name} was turned"
    if (old.place, old.number) != (new.place, new.number):
        return f"{name} is another {'file' if old.met is Met.FILE else 'folder'}"
    if old.met is Met.FOLDER:
        return f"something came into the folder {name}, or went"
    if old.met is Met.PASSED:
        # What is made or removed in it changes both times; that it was elsewhere, and is back, shows in one.
        moved = old.modified == new.modified and old.changed != new.changed
        return f"the folder {name} was moved, or its rights changed" if moved else None
    same = (old.size, old.modified, old.changed) == (new.size, new.modified, new.changed)
    if same and not (old.content and new.content and old.content != new.content):
        return None
    return f"{name} was written to, or touched"


def _name(state: FileState) -> str:
    return os.path.basename(state.path) or state.path  # noqa: PTH119 - a hundred thousand of them


class _Way:
    """Follows paths as the system does, and takes down what it passes.

    Attributes:
        passed: by place.
    """

    def __init__(self) -> None:
        self.passed: dict[str, FileState] = {}
        self._folders: dict[str, str] = {}

    def end(self, path: str, met: Met) -> FileState:
        """The state of what a path leads to."""
        above, _, name = path.rpartition("/")
        folder = self._folders.get(above)
        if folder is None:
            folder = self._folders[above] = self._followed(above)
        place = f"{folder.rstrip('/')}/{name}"
        status = os.lstat(place)
        if name in ("", ".", "..") or stat.S_ISLNK(status.st_mode):
            place = self._followed(path)
            status = os.lstat(place)
        return _state(path, met, place, status)

    def _followed(self, path: str) -> str:
        """The place that a path leads to, all links followed."""
        here, links = "/", 0
        rest = path.split("/")[::-1]
        while rest:
            name = rest.pop()
            if name in ("", "."):
                continue
            if name == "..":
                here = here.rpartition("/")[0] or "/"
                continue
            place = f"{here.rstrip('/')}/{name}"
            status = os.lstat(place)
            if not stat.S_ISLNK(status.st_mode):
                if stat.S_ISDIR(status.st_mode):
                    self.passed[place] = _state(place, Met.PASSED, place, status)
                here = place
                continue
            self.passed[place] = _state(place, Met.LINK, place, status)
            target, links = os.readlink(place), links + 1  # noqa: PTH115 - a text, of which no part is left out
            if links > _MOST_LINKS:
                raise OSError(f"too many links on the way to {path}")
            here = "/" if target.startswith("/") else here
            rest += target.split("/")[::-1]
        return here


def _state(path: str, met: Met, place: str, status: os.stat_result) -> FileState:
    number = status.st_dev, status.st_ino
    return FileState(path, met, place, number, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
