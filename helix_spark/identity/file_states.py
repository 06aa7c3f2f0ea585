"""States of files and folders in the file system, by which a later check finds every change since.

Each change to a file sets its time of change, which no program can set: also if size and modification time are
restored, or if the same bytes are written again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from helix_spark.since_python_311 import StrEnum

TICK, COARSE_TICK = 20 * 10**6, 2 * 10**9
"""Maximal nanoseconds of a tick of a file system's clock, and of a clock that has only whole seconds (FAT, some network
disks). Two changes within a tick have the same time."""

_SECOND = 10**9


class PathKind(StrEnum):
    """The kind of a path's target. Changes inside a folder that only leads to a target do not matter."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class FileState:
    """The state of a file, folder or link: its absolute path, its device and inode, bytes, times in nanoseconds since
    1970, and the digest of its content if it was read."""

    path: str
    kind: PathKind
    number: tuple[int, int]
    size: int
    modified: int
    changed: int
    content: str = ""


def states_of(files: Iterable[Path], folders: Iterable[Path] = ()) -> tuple[FileState, ...]:
    """Return the states of files, of listed folders, and of the folders and links on the paths to them."""
    passed: dict[str, FileState] = {}

    def target_state(path: Path, kind: PathKind) -> FileState:
        text = str(path.absolute())
        status = os.lstat(text)
        if stat.S_ISLNK(status.st_mode):
            status = os.stat(text)  # noqa: PTH116 - a text
            _note_path(text, passed)
        elif (above := text.rpartition("/")[0]) not in passed:
            _note_path(above, passed)
        return _state(text, kind, status)

    targets = [(path, PathKind.FILE) for path in files] + [(path, PathKind.FOLDER) for path in folders]
    states = [target_state(path, kind) for path, kind in targets]
    return (*states, *passed.values())


def _note_path(path: str, passed: dict[str, FileState]) -> None:
    """Add the folders and links on a path, and those on the paths of these links' targets."""
    for prefix in (path[:end] for end in range(1, len(path) + 1) if path[end:end + 1] in ("/", "")):
        if prefix in passed:
            continue
        status = os.lstat(prefix)
        if stat.S_ISLNK(status.st_mode):
            passed[prefix] = _state(prefix, PathKind.LINK, status)
            target = os.path.join(os.path.dirname(prefix), os.readlink(prefix))  # noqa: PTH115, PTH118, PTH120
            _note_path(target, passed)
        elif stat.S_ISDIR(status.st_mode):
            passed[prefix] = _state(prefix, PathKind.PASSED, status)


def difference(before: Sequence[FileState], now: Sequence[FileState]) -> str | None:
    """Return the first change of files, in words; None if they are certainly unchanged.

    >>> old = FileState("/a/n.csv", PathKind.FILE, (1, 2), 10, 5, 5, "3f")
    >>> difference([old], []), difference([], [old])
    ('n.csv is gone', 'n.csv is new')
    """
    earlier, current = ({(state.kind, state.path): state for state in states} for states in (before, now))
    for key, old in earlier.items():
        new = current.get(key)
        is_target = old.kind in (PathKind.FILE, PathKind.FOLDER)
        change = _change(old, new) if new is not None else "{} is gone" if is_target else None
        if change is not None:
            return change.format(_name(old))
    added = next((state for key, state in current.items() if key not in earlier), None)
    return None if added is None else f"{_name(added)} is new"


def seconds_to_settle(states: Iterable[FileState], now: int) -> float:
    """Return the seconds to wait after `now`, in ns since 1970, until a further change gets a later time."""
    # A time of change is never set back, so the newest is that of the last change. Some file systems have none.
    times = (state.changed or state.modified for state in states if state.kind is not PathKind.PASSED)
    newest = max(times, default=0)
    tick = TICK if newest % _SECOND else COARSE_TICK
    return min(tick, max(0, newest + tick - now)) / _SECOND


def _change(old: FileState, new: FileState) -> str | None:
    """Return the change of a file, folder or link as a sentence with a placeholder for its name."""
    if old == new:
        return None
    if old.kind is PathKind.LINK:
        return "the link {} was changed"
    if old.number != new.number:
        return "{} is another " + ("file" if old.kind is PathKind.FILE else "folder")
    if old.kind is PathKind.FOLDER:
        return "files were added to the folder {}, or removed"
    if old.kind is PathKind.PASSED:
        # Adding or removing files changes both times; moving the folder away and back changes one.
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
    """Return a folder and all folders below it, and all files in them by their relative names, in order; also the
    targets of links, once for each path. Skip everything below a skipped name. Raises OSError."""
    folders: list[Path] = []
    files: list[tuple[str, Path]] = []

    def descend(path: Path, name: str, above: frozenset[tuple[int, int]]) -> None:
        status = path.stat()
        if (number := (status.st_dev, status.st_ino)) in above:
            return  # a link to a folder above it
        folders.append(path)
        with os.scandir(path) as entries:
            in_order = sorted(entries, key=lambda entry: entry.name)
        for entry in in_order:
            if is_skipped(entry.name):
                continue
            if entry.is_dir():
                descend(Path(entry.path), f"{name}{entry.name}/", above | {number})
            elif entry.is_file():
                files.append((f"{name}{entry.name}", Path(entry.path)))

    descend(folder, "", frozenset())
    return folders, files
