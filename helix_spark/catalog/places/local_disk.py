"""A place on a local disk, or on whatever is mounted as one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import sys
import tempfile
import uuid
import weakref
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What can be done at a path; see `places.Ground`."""

    path: Path

    def replace_text(self, text: str, *, synced: bool = False) -> None:
        """By a file beside it that is renamed."""
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            if synced:  # before it is renamed: a name may survive a loss of power that the bytes did not
                sync_path(Path(name))
            Path(name).replace(self.path)
            if synced:
                sync_path(self.path.parent)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise

    def write_new_text(self, text: str, *, synced: bool = False) -> None:
        """By a link, which fails where the name exists, to a file beside it."""
        unfinished = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        try:
            unfinished.write_text(text, encoding="utf-8")
            if synced:
                sync_path(unfinished)
            os.link(unfinished, self.path)
            if synced:
                sync_path(self.path.parent)
        finally:
            unfinished.unlink(missing_ok=True)

    def stamp(self) -> tuple[int, ...] | None:
        try:
            return _stamp(self.path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_stamped(self) -> tuple[str, tuple[int, ...]]:
        with self.path.open(encoding="utf-8") as file:
            return file.read(), _stamp(os.fstat(file.fileno()))

    def hold(self) -> HeldFolder:
        return HeldFolder(self.path)

    def read_at_most(self, most: int) -> bytes:
        # A pipe would have its reader wait for a writer; a device has no end.
        with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", str(self.path))
            content = file.read(most + 1)
        if len(content) > most:
            raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(self.path))
        return content

    def copy_to(self, other: Path, /) -> None:
        shutil.copyfile(self.path, other)

    def move_to(self, other: Path, /) -> None:
        self.path.replace(other)

    @property
    def needs_syncs(self) -> bool:
        return True

    def sync(self, files: Collection[Path], /) -> None:
        """A folder keeps the names in it, so each on the way is synced as well."""
        folders = {above for file in files for above in file.parents if above.is_relative_to(self.path)}
        with ThreadPoolExecutor(_SYNCED_AT_ONCE, thread_name_prefix="helix-sync") as threads:
            list(threads.map(sync_path, files))
            list(threads.map(sync_path, folders))

    def make_folder(self, *, synced: bool = False) -> None:
        there = what_is_there(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        for above in self.path.parents if synced and there != self.path else ():
            with contextlib.suppress(PermissionError):  # who may make something in a folder may not always list it
                sync_path(above)
            if above == there:
                break

    def make_new_folder(self) -> None:
        self.path.mkdir(parents=True)

    def total_bytes(self) -> int:
        return sum(status.st_size for status in _statuses(self.path) if not stat.S_ISDIR(status.st_mode))

    def last_modified(self) -> float | None:
        return max((status.st_mtime for status in _statuses(self.path)), default=None)

    def second_names(self, wanted: Callable[[str], bool], /) -> Iterator[tuple[str, str]]:
        for first in filter(wanted, _names(self.path)):
            for second in _names(self.path / first):
                yield first, second

    def looked_for(
        self, pairs: Collection[tuple[str, str]], wanted: Callable[[str], bool], /
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        gone = [(first, second) for first, second in pairs if not (self.path / first / second).is_dir()]
        return gone, list(self.second_names(wanted))

    def files(self) -> Iterator[Path]:
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from OnDisk(Path(entry.path)).files()
                elif entry.is_file():
                    yield Path(entry.path)

    def delete_tree(self) -> None:
        if self.path.is_symlink():
            self.path.unlink()
        elif self.path.exists():
            shutil.rmtree(self.path, onerror=_unless_gone)
        # Not empty where another attempt lives or begins; an empty folder that stays costs nothing.
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    def leads_out_of(self, root: Path) -> str:
        found = self.path.resolve()
        return "" if found.is_relative_to(root.resolve()) else str(found)

    def open_binary(self) -> BinaryIO:
        return self.path.open("rb")

    def readable(self) -> Path:
        return self.path

    @contextlib.contextmanager
    def writable(self) -> Iterator[Path]:
        yield self.path

    @property
    def spark_uri(self) -> str:
        return f"file://{self.path}"

    @property
    def table_uri(self) -> str:
        return str(self.path)

    @property
    def table_options(self) -> None:
        return None

    @property
    def guards_bits(self) -> bool:
        return False

    def room(self) -> str:
        return f"free on that disk: {shutil.disk_usage(what_is_there(self.path)).free:,} bytes"


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class HeldFolder:
    """A folder that is open, so that its number in the file system is given to no other one. Raises OSError."""

    def __init__(self, path: Path) -> None:
        # Needs no permission to list it, where the system knows how to open without.
        handle = os.open(path, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC)
        self._handle = handle
        weakref.finalize(self, os.close, handle)

    def is_at(self, place: Path, /) -> bool:
        try:
            return os.path.samestat(os.fstat(self._handle), place.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False


_SYNCED_AT_ONCE = 8
"""A file system makes several waits for a disk one."""

_NOTHING_TO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})
"""What a file system answers that does not know how to sync a folder: it keeps names as it keeps them."""


def sync_path(path: Path) -> None:
    """Have a file's bytes, or the names in a folder, survive a loss of power. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        if sys.platform == "darwin":  # whose `fsync` leaves what it wrote in the disk's own memory
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
        else:
            os.fsync(handle)
    except OSError as error:
        if error.errno not in _NOTHING_TO_SYNC:
            raise
    finally:
        os.close(handle)


def what_is_there(path: Path) -> Path:
    """The path, or what is there of the way to it: whose disk and permissions it will have once it is made.

    >>> what_is_there(Path("/no/such/folder"))
    PosixPath('/')
    """
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _unless_gone(_function: object, _path: str, raised: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(raised[1], FileNotFoundError):
        raise raised[1]


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """`path` itself and everything under it, links not followed."""
    try:
        yield path.lstat()
        entries = list(os.scandir(path)) if path.is_dir() and not path.is_symlink() else []
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _statuses(Path(entry.path))
            continue
        try:
            yield entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
