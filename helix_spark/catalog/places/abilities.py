"""What a disk can do of that on which a catalog rests, found out by trying it, and what is done where it cannot.

Hard links are what many disks lack: USB sticks (exFAT, FAT), folders shared with a virtual machine, stores that are
mounted as a disk. A file is put where none must be by a link, which fails where the name is taken. Where there are no
links, it is renamed under a lock on its folder: a rename writes over what is there, so whoever does it looks first.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
LOCK = ".one-at-a-time"
"""The file in a folder that is locked. It stays: who removed it would take it from under those who wait for it."""

TRIED = ".helix-try-"
"""What the name of a folder begins with in which something is tried. It goes when that is done."""

LONGEST_WAIT = 20.0
"""Seconds that are waited for who holds the lock of a folder. One commit takes some milliseconds; who has it longer was
stopped, and may be for days. For a minute after, nobody waits again: a run stores many results."""

_NOT_HAD: dict[Path, float] = {}
"""By the lock, until when it is not waited for, on the clock of `time.monotonic`."""

PAUSES = random.Random()
"""Draws how long a writer waits before it tries again. `random`'s own generator is the author's."""

_HAVE_LINKS: dict[int, bool] = {}
"""By number of the disk."""


def put_new(unfinished: Path, path: Path) -> None:
    """Give a file another name, which nothing has yet: raises FileExistsError if something has. It may keep its own."""
    if _HAVE_LINKS.get(disk_of(path.parent), True):
        try:
            os.link(unfinished, path)
            return
        except OSError as error:
            if error.errno not in _NO_LINKS or has_links(path.parent):
                raise
    with one_at_a_time(path.parent):
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        unfinished.rename(path)


def keep_as(path: Path, other: Path) -> None:
    """Give a file a second name, over what has that: it stays under it when something else takes its first one. Where
    the disk has no links, it is copied."""
    other.unlink(missing_ok=True)
    try:
        os.link(path, other)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(path, other)


def has_links(folder: Path) -> bool:
    """Whether the disk of a folder has hard links; tried once a disk. Where nothing can be tried, it is taken to."""
    disk = disk_of(folder)
    if disk not in _HAVE_LINKS:
        try:
            with tempfile.TemporaryDirectory(dir=folder, prefix=TRIED) as tried:
                _HAVE_LINKS[disk] = _links(Path(tried))
        except OSError:
            return True
    return _HAVE_LINKS[disk]


def is_without_links(folder: Path) -> bool:
    """Whether the disk of a folder is known to have no hard links; tries nothing."""
    return not _HAVE_LINKS.get(disk_of(folder), True)


def disk_of(path: Path) -> int:
    """The number of the disk that a path is on, or will be on once it is made."""
    return next(place for place in (path, *path.parents) if place.exists()).stat().st_dev


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which one process of this machine has at a time.

    Raises:
        OSError: the disk knows no locks, or the process that has this one does not go on.
    """
    handle = _locked(folder / LOCK)
    try:
        yield
    finally:
        os.close(handle)


def _locked(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    begun = time.monotonic()
    until = begun if begun < _NOT_HAD.get(path, 0.0) else begun + LONGEST_WAIT
    try:
        while not _takes(handle):
            if time.monotonic() > until:
                _NOT_HAD[path] = time.monotonic() + 60.0
                raise TimeoutError(errno.ETIMEDOUT, "another process has its lock and does not go on", str(path.parent))
            time.sleep(PAUSES.uniform(0.0, 0.02))
    except OSError:
        os.close(handle)
        raise
    return handle


def _takes(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Shortcoming:
    """Something that a disk cannot do.

    Attributes:
        lacks: what, in words.
        means: what that means for a catalog.
        refused: whether a catalog cannot be there at all.
    """

    lacks: str
    means: str
    refused: bool

    def __str__(self) -> str:
        return f"it has no {self.lacks}: {self.means}"


def shortcomings(folder: Path) -> tuple[Shortcoming, ...]:
    """Return what a catalog needs of the disk of a folder, which exists, and does not get.

    Raises:
        OSError: no file can be made there.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=TRIED) as made:
        tried = Path(made)
        found = [one for can, one in _TRIALS if not _can(can, tried)]
    without_links = [one for one in found if one is _NO_LINK]
    if without_links and any(one is _NO_LOCK for one in found):
        found.append(_NEITHER)
    elif not without_links:
        found = [one for one in found if one is not _NO_LOCK]  # nothing is locked where there are links
    return tuple(found)


def _can(trial: Callable[[Path], bool], folder: Path) -> bool:
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        return trial(place)
    except OSError:
        return False
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _links(folder: Path) -> bool:
    file, other = folder / "one", folder / "other"
    file.write_text("one")
    try:
        os.link(file, other)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    try:
        os.link(file, other)
    except FileExistsError:
        return other.read_text() == "one"
    return False


def _locks(folder: Path) -> bool:
    with (folder / "locked").open("w") as one, (folder / "locked").open("w") as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _makes_new(folder: Path) -> bool:
    (folder / "there").write_text("one")
    try:
        os.close(os.open(folder / "there", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return True
    return False


def _replaces(folder: Path) -> bool:
    (folder / "one").write_text("one")
    (folder / "other").write_text("other")
    (folder / "one").replace(folder / "other")
    return (folder / "other").read_text() == "one" and not (folder / "one").exists()


def _syncs(folder: Path) -> bool:
    for path in (folder, folder / "file"):
        handle = os.open(path, os.O_RDONLY if path == folder else os.O_CREAT | os.O_WRONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    return True


def _names(folder: Path) -> bool:
    (folder / ("n" * 150)).write_text("")
    return True


def _times(folder: Path) -> bool:
    file = folder / "file"
    file.write_text("")
    os.utime(file, (1_000_000_000.0, 1_000_000_000.0))
    return abs(file.stat().st_mtime - 1_000_000_000.0) <= 2


_NO_LINK = Shortcoming(
    "hard links", "records are put in place under a lock instead, which holds among the runs of one machine, and on a "
    "disk in the network only if it passes locks on", refused=False,
)
_NO_LOCK = Shortcoming("locks", "see the above", refused=False)
_NEITHER = Shortcoming("hard links nor locks", "two runs at once could lose each other's records", refused=True)
_TRIALS: tuple[tuple[Callable[[Path], bool], Shortcoming], ...] = (
    (_links, _NO_LINK),
    (_locks, _NO_LOCK),
    (_makes_new, Shortcoming("files that are made only where none is", "two runs at once could take each other's "
                             "leases and records", refused=True)),
    (_replaces, Shortcoming("renames over a file that is there", "small files cannot be replaced whole", refused=True)),
    (_names, Shortcoming("names of 150 letters", "files of tables have such", refused=True)),
    (_syncs, Shortcoming("way to sync a folder", "what was stored last may be lost with the power", refused=False)),
    (_times, Shortcoming("times of files that can be set", "another machine cannot tell whether a run here lives",
                         refused=False)),
)
