"""A place on a local disk, or on whatever is mounted as one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING, BinaryIO

from helix_spark.regular_files import OddFileError, open_regular, read_regular

if TYPE_CHECKING:
    from typing_extensions import Self

SMALL = 1 << 20
"""Bytes at most of the small files of a catalog: markers, heads, leases, notes."""


class LocalPath(PosixPath):
    """A path of a catalog on a disk; see `place.Place`."""

    __slots__ = ()

    def replace_text(self, text: str, *, synced: bool = False) -> None:
        with self._unfinished(text, synced) as file:
            file.replace(self)

    def write_new_text(self, text: str, *, synced: bool = False) -> None:
        with self._unfinished(text, synced) as file:
            os.link(file, self)

    @contextlib.contextmanager
    def _unfinished(self, text: str, synced: bool) -> Iterator[Self]:
        """A file beside this one, to be given its name."""
        unfinished = self.with_name(f".{self.name}.{uuid.uuid4().hex}")
        try:
            unfinished.write_text(text, encoding="utf-8")
            if synced:  # before it gets its name, which may survive a loss of power that the bytes did not
                sync_path(unfinished)
            yield unfinished
            if synced:
                sync_path(self.parent)
        finally:
            unfinished.unlink(missing_ok=True)

    def move_to(self, other: Self, /) -> None:
        self.replace(other)

    def sync(self, files: Collection[Self], replaced: Mapping[Self, bytes] | None = None, /) -> None:
        """A folder keeps the names in it, so each on the way is synced as well."""
        replaced = replaced or {}
        unfinished = {path.with_name(f".{path.name}.{uuid.uuid4().hex}"): path for path in replaced}
        above = {folder for file in (*files, *replaced) for folder in file.parents if folder.is_relative_to(self)}
        try:
            for new, path in unfinished.items():
                new.write_bytes(replaced[path])
            with ThreadPoolExecutor(_SYNCED_AT_ONCE, thread_name_prefix="helix-sync") as threads:
                list(threads.map(sync_path, [*files, *unfinished]))
                for new, path in unfinished.items():
                    new.replace(path)
                list(threads.map(sync_path, above))
        except OSError:
            for new in unfinished:
                new.unlink(missing_ok=True)
            raise

    def make_folder(self, *, synced: bool = False) -> None:
        there = what_is_there(self)
        self.mkdir(parents=True, exist_ok=True)
        for above in self.parents if synced and there != self else ():
            with contextlib.suppress(PermissionError):  # who may make something in a folder may not always list it
                sync_path(above)
            if above == there:
                break

    def make_new_folder(self, *, within: Self) -> None:
        between = [above for above in reversed(self.parents) if above != within and above.is_relative_to(within)]
        for tries_left in reversed(range(_TRIES)):
            try:
                for above in between:
                    above.mkdir(exist_ok=True)
                self.mkdir()
            except FileNotFoundError:  # somebody removed or moved an empty folder meanwhile
                if not tries_left or not within.is_dir():
                    raise
            else:
                return

    def total_bytes(self) -> int:
        return sum(status.st_size for status in _statuses(self) if not stat.S_ISDIR(status.st_mode))

    def is_own_folder(self) -> bool:
        return _is_folder(self) and _is_folder(self.parent)

    def last_modified(self) -> float | None:
        return max((status.st_mtime for status in _statuses(self)), default=None)

    def second_names(self, known: Collection[str] = (), /) -> Iterator[tuple[str, str]]:
        for first in _names(self):
            for second in _names(self / first) if first not in known else ():
                yield first, second

    def files(self) -> Iterator[Self]:
        for entry in entries_below(self):
            if entry.is_file(follow_symlinks=False):
                yield type(self)(entry.path)
            elif not entry.is_dir(follow_symlinks=False):
                raise OddFileError(errno.EINVAL, "it is a link, or no regular file", entry.path)

    def delete_tree(self) -> None:
        if self.parent.is_symlink():
            raise OddFileError(errno.ELOOP, f"a link leads out of the catalog, to {self.parent.resolve()}", str(self))
        if self.is_symlink():
            self.unlink()
        elif self.exists():
            _remove(self)
        # Not empty where another attempt lives or begins; an empty folder that stays costs nothing.
        with contextlib.suppress(OSError):
            self.parent.rmdir()

    def read_at_most(self, most: int) -> bytes:
        return read_regular(self, most, links=False)

    def open_binary(self) -> BinaryIO:
        return open_regular(self, links=False)

    def readable(self) -> Path:
        return self

    @contextlib.contextmanager
    def writable(self) -> Iterator[Path]:
        yield self

    @property
    def spark_uri(self) -> str:
        return f"file://{self}"

    @property
    def table_uri(self) -> str:
        return str(self)

    @property
    def table_options(self) -> dict[str, str] | None:
        return None

    def room(self) -> str:
        return f"free on that disk: {shutil.disk_usage(what_is_there(self)).free:,} bytes"


_TRIES = 5
"""To make a folder in one that is removed meanwhile."""

_SYNCED_AT_ONCE = 32
"""Threads that wait for a disk. A file system serves all who wait at once by one flush: of 30 small files on ext4 each
by itself takes 60 flushes of the disk, 8 at a time take 18, and 32 take 6."""

_NOTHING_TO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})
"""What a file system answers that does not know how to sync a folder: it keeps names as it keeps them."""


def sync_path(path: Path) -> None:
    """Have a file's bytes, or the names in a folder, survive a loss of power. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # of a pipe, nobody waits for its other end
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


def entries_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All that is in a folder and in those below, links not followed. Raises OSError for one that may not be listed."""
    folders = [str(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                yield entry


def what_is_there(path: Path) -> Path:
    """The path, or what is there of the way to it: whose disk and permissions it will have once it is made.

    >>> what_is_there(Path("/no/such/folder"))
    PosixPath('/')
    """
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder, onerror=_unless_gone)
    except RecursionError as error:
        raise OddFileError(errno.ELOOP, "its folders are nested beyond all measure", str(folder)) from error


def _is_folder(path: Path) -> bool:
    """Whether a folder is there itself, and not where a link leads."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _unless_gone(_function: object, _path: str, raised: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(raised[1], FileNotFoundError):
        raise raised[1]


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()] if _is_folder(folder) else []
    except (FileNotFoundError, NotADirectoryError):
        return []


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """`path` itself and everything under it, links not followed; nothing of what is nested too deep to have a path."""
    try:
        yield path.lstat()
    except FileNotFoundError:
        return
    folders = [str(path)] if _is_folder(path) else []
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
                raise
            continue
        for entry in entries:
            try:
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
            except FileNotFoundError:
                continue
