"""Files: what is below a folder, and what a file system says of each, so that a later look tells whether it may have
held anything else meanwhile.

Whatever is done to a file shows in its time of change, which no program can set: also where size and time of the last
write are put back, and where the same bytes are written once more.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from helix_spark.since_python_311 import StrEnum

TICK, COARSE_TICK = 20 * 10**6, 2 * 10**9
"""Nanoseconds from one tick of a file system's clock to the next at most, and the same of a clock that tells whole
seconds alone (FAT, some disks on a network). Two changes within a tick have one time."""

_SECOND = 10**9


class PathKind(StrEnum):
    """What a path led to. What is done in a folder that was passed on the way does not matter."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class FileState:
    """One file, folder or link as it was: its absolute path as it was reached, its device and inode, bytes, and times
    in nanoseconds since 1970; of a file that was read a digest of its content."""

    path: str
    kind: PathKind
    number: tuple[int, int]
    size: int
    modified: int
    changed: int
    content: str = ""


def states_of(files: Iterable[Path], folders: Iterable[Path] = ()) -> tuple[FileState, ...]:
    """Return the states of files, of folders that are read as such, and of all that is passed on the way to them."""
    passed: dict[str, FileState] = {}

    def end(path: Path, kind: PathKind) -> FileState:
        text = str(path.absolute())
        status = os.lstat(text)
        if stat.S_ISLNK(status.st_mode):
            status = os.stat(text)  # noqa: PTH116 - a text
            _note_way(text, passed)
        elif (above := text.rpartition("/")[0]) not in passed:
            _note_way(above, passed)
        return _state(text, kind, status)

    read = [*(end(path, PathKind.FILE) for path in files), *(end(path, PathKind.FOLDER) for path in folders)]
    return (*read, *passed.values())


def _note_way(path: str, passed: dict[str, FileState]) -> None:
    """Add the folders and links that lead to a path, and those that lead to where these links lead."""
    for place in (path[:at] for at in range(1, len(path) + 1) if path[at:at + 1] in ("/", "")):
        if place in passed:
            continue
        status = os.lstat(place)
        if stat.S_ISLNK(status.st_mode):
            passed[place] = _state(place, PathKind.LINK, status)
            _note_way(os.path.join(os.path.dirname(place), os.readlink(place)), passed)  # noqa: PTH115, PTH118, PTH120
        elif stat.S_ISDIR(status.st_mode):
            passed[place] = _state(place, PathKind.PASSED, status)


def difference(before: Sequence[FileState], now: Sequence[FileState]) -> str | None:
    """Return how files differ from what they were, in words; None where nothing can have been done to them.

    >>> old = FileState("/a/n.csv", PathKind.FILE, (1, 2), 10, 5, 5, "3f")
    >>> difference([old], []), difference([], [old])
    ('n.csv is gone', 'n.csv is new')
    """
    was, seen = ({(state.kind, state.path): state for state in states} for states in (before, now))
    for key, old in was.items():
        new = seen.get(key)
        was_read = old.kind in (PathKind.FILE, PathKind.FOLDER)
        how = _change(old, new) if new is not None else "{} is gone" if was_read else None
        if how is not None:
            return how.format(_name(old))
    added = next((state for key, state in seen.items() if key not in was), None)
    return None if added is None else f"{_name(added)} is new"


def seconds_to_settle(states: Iterable[FileState], now: int) -> float:
    """Return how long to wait after `now`, in ns since 1970, until a further change shows in a time of its own."""
    # A time of change is never set back, so the newest says when the last change was; without one, the last write does.
    newest = max((one.changed or one.modified for one in states if one.kind is not PathKind.PASSED), default=0)
    tick = TICK if newest % _SECOND else COARSE_TICK
    return min(tick, max(0, newest + tick - now)) / _SECOND


def _change(old: FileState, new: FileState) -> str | None:
    """Return how one differs, as a sentence with a place for its name."""
    if old == new:
        return None
    if old.kind is PathKind.LINK:
        return "the link {} was turned"
    if old.number != new.number:
        return "{} is another " + ("file" if old.kind is PathKind.FILE else "folder")
    if old.kind is PathKind.FOLDER:
        return "something came into the folder {}, or went"
    if old.kind is PathKind.PASSED:
        # What is made or removed in it changes both times; that it was elsewhere, and is back, shows in one.
        moved = old.modified == new.modified and old.changed != new.changed
        return "the folder {} was moved, or its rights changed" if moved else None
    same = (old.size, old.modified, old.changed) == (new.size, new.modified, new.changed)
    return None if same and not (old.content and new.content) else "{} was written to, or touched"


def _name(state: FileState) -> str:
    return os.path.basename(state.path) or state.path  # noqa: PTH119 - a hundred thousand of them


def _state(path: str, kind: PathKind, status: os.stat_result) -> FileState:
    number = status.st_dev, status.st_ino
    return FileState(path, kind, number, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def files_below(
    folder: Path, is_skipped: Callable[[str], bool] = lambda name: False
) -> tuple[list[Path], list[tuple[str, Path]]]:
    """Return a folder with all folders below it, and by their names from there all files in them, in order; what links
    lead to as well, once for each way. What `is_skipped` says of a name holds for all below it. Raises OSError."""
    folders: list[Path] = []
    files: list[tuple[str, Path]] = []

    def into(path: Path, name: str, above: frozenset[tuple[int, int]]) -> None:
        status = path.stat()
        if (number := (status.st_dev, status.st_ino)) in above:
            return  # a link to a folder that it is in leads round and round
        folders.append(path)
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if is_skipped(entry.name):
                continue
            if entry.is_dir():
                into(Path(entry.path), f"{name}{entry.name}/", above | {number})
            elif entry.is_file():
                files.append((f"{name}{entry.name}", Path(entry.path)))

    into(folder, "", frozenset())
    return folders, files
