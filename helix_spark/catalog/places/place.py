"""File operations of a catalog (`Place`), on a disk (`LocalPath`) or in an object store (`ObjectPath`)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import sys
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PosixPath
from typing import Any, BinaryIO, TypeAlias

from helix_spark.catalog.places.object_store import ObjectPath, ObjectStatus, R, T, at_once
from helix_spark.regular_files import OddFileError, open_regular, read_regular
from helix_spark.store_access import StoreError

Entry: TypeAlias = os.DirEntry[str] | ObjectStatus
"""A file in the listing of a folder."""


class LocalPath(PosixPath):
    """A path in a catalog on a disk. `ObjectPath` has the same methods and OSErrors; its folders exist while filled."""

    __slots__ = ()

    def entries(self) -> Sequence[Entry]:
        """List a folder, in a store by one request; empty if there is no such folder."""
        try:
            with os.scandir(self) as entries:
                return list(entries)
        except FileNotFoundError:
            return []

    def replace_text(self, text: str, *, synced: bool = False) -> None:
        """Write a small file atomically; if `synced`, it survives a power loss."""
        with self._unfinished(text.encode(), synced) as file:
            file.replace(self)

    def write_new(self, content: bytes, *, synced: bool = False) -> None:
        """Create a file atomically. Raises FileExistsError."""
        with self._unfinished(content, synced) as file:
            os.link(file, self)

    @contextlib.contextmanager
    def _unfinished(self, content: bytes, synced: bool) -> Iterator[LocalPath]:
        """Yield a temporary file next to this one, for the block to rename or link."""
        unfinished = self.with_name(f".{self.name}.{uuid.uuid4().hex}")
        try:
            unfinished.write_bytes(content)
            if synced:  # before the rename, which may survive a power loss that the bytes do not
                sync_path(unfinished)
            yield unfinished
            if synced:
                sync_path(self.parent)
        finally:
            unfinished.unlink(missing_ok=True)

    def move_to(self, target: Any, /) -> None:
        """Rename a file, or on a disk a folder, in the same store; replace a file of the new name."""
        self.replace(target)

    def sync(self, files: Collection[Any], /) -> None:
        """Sync files under this folder concurrently, with the folders on the way, so that they survive a power loss."""
        # One flush serves all syncs that wait for it: of 30 small files on ext4, one at a time takes 60 flushes,
        # 8 at a time take 18, and 32 take 6.
        above = {folder for file in files for folder in file.parents if folder.is_relative_to(self)}
        for paths in (files, above):
            list(at_once(sync_path, paths, threads=32))

    def make_folder(self, *, synced: bool = False) -> None:
        """Make a folder and its parents, unless they exist."""
        existing = what_is_there(self)
        self.mkdir(parents=True, exist_ok=True)
        for above in self.parents if synced and existing != self else ():
            with contextlib.suppress(PermissionError):  # a folder may be writable and not readable
                sync_path(above)
            if above == existing:
                break

    def make_new_folder(self, *, within: Any) -> None:
        """Make a folder and its parents below `within`, which must exist: it may be moved. Raises FileExistsError."""
        between = [above for above in reversed(self.parents) if above != within and above.is_relative_to(within)]
        for attempts_left in reversed(range(5)):
            try:
                for above in between:
                    above.mkdir(exist_ok=True)
                self.mkdir()
            except FileNotFoundError:  # another process removed or moved an empty folder meanwhile
                if not attempts_left or not within.is_dir():
                    raise
            else:
                return

    def total_bytes(self) -> int:
        """Return the bytes of all files under the path, without following links; 0 if there are none."""
        return sum(status.st_size for status in _statuses(self) if not stat.S_ISDIR(status.st_mode))

    def last_modified(self) -> float | None:
        """Return the time of the last write under the path, in Unix seconds; None if it does not exist."""
        return max((status.st_mtime for status in _statuses(self)), default=None)

    def is_own_folder(self) -> bool:
        """True if this is a folder, and neither it nor its parent is a link."""
        return all(folder.is_dir() and not folder.is_symlink() for folder in (self, self.parent))

    def second_names(self, skipped: Collection[str] = (), /) -> Iterator[tuple[str, str]]:
        """Yield the names of two levels, as (folder, entry of it). Those in `skipped` folders may be omitted."""
        for first in _names(self):
            for second in _names(self / first) if first not in skipped else ():
                yield first, second

    def files(self) -> Iterator[LocalPath]:
        """Yield all files under a folder. Raises OddFileError for an entry that is neither a file nor a folder."""
        for entry in entries_below(self):
            if entry.is_file(follow_symlinks=False):
                yield type(self)(entry.path)
            elif not entry.is_dir(follow_symlinks=False):
                raise OddFileError(errno.EINVAL, "it is a link, or no regular file", entry.path)

    def delete_tree(self) -> None:
        """Delete a folder with its content, if it exists, and its parent if that is empty. Delete a link, not its
        target. Raises OddFileError if the parent is a link."""
        if self.parent.is_symlink():
            raise OddFileError(errno.ELOOP, f"a link leads out of the catalog, to {self.parent.resolve()}", str(self))

        def unless_gone(_function: object, _path: str, raised: tuple[object, BaseException, object]) -> None:
            if not isinstance(raised[1], FileNotFoundError):
                raise raised[1]

        if self.is_symlink():
            self.unlink()
        elif self.exists():
            from shutil import rmtree  # no lookup needs it
            try:
                rmtree(self, onerror=unless_gone)
            except RecursionError as error:
                raise OddFileError(errno.ELOOP, "its folders are nested too deep", str(self)) from error
        # This fails if another attempt exists or begins. An empty folder costs nothing.
        with contextlib.suppress(OSError):
            self.parent.rmdir()

    def read_at_most(self, most: int) -> bytes:
        """Read a whole file. Raises OddFileError for a link, a pipe, a device, and for more than `most` bytes."""
        return read_regular(self, most, links=False)

    def open_binary(self) -> BinaryIO:
        """Open a file to read and seek. Raises OddFileError as `read_at_most`."""
        return open_regular(self, links=False)

    def writable(self) -> BinaryIO:
        """Open a new binary file to write. It exists when the context ends."""
        return self.open("xb")

    @property
    def spark_uri(self) -> str:
        """The address for Spark, with a scheme, as `fs.defaultFS` may set another. Hadoop's `Path` encodes it."""
        return f"file://{self}"


Place: TypeAlias = LocalPath | ObjectPath


def sync_path(path: Path) -> None:
    """Sync the bytes of a file, or the names in a folder, so that they survive a power loss."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # do not wait for the other end of a pipe
    try:
        if sys.platform == "darwin":  # its `fsync` leaves data in the disk's cache
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
        else:
            os.fsync(handle)
    except OSError as error:
        # Some file systems cannot sync folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def entries_below(folder: Path, *, passed: Collection[int] = ()) -> Iterator[os.DirEntry[str]]:
    """Yield all entries below a folder; follow no links. Skip folders whose listing fails by an errno in `passed`."""
    folders = [str(folder)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError as error:
            if error.errno not in passed:
                raise
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            yield entry


def what_is_there(path: Path) -> Path:
    """Return the path, or its nearest existing parent, which decides the disk and permissions of the path.

    >>> what_is_there(Path("/no/such/folder"))
    PosixPath('/')
    """
    return next(existing for existing in (path, *path.absolute().parents) if existing.exists())


def room(place: Place) -> str | None:
    """Return a message with a disk's free bytes, for an error; None for a store."""
    disk = os.statvfs(what_is_there(place)) if isinstance(place, Path) else None
    return None if disk is None else f"free on that disk: {disk.f_bavail * disk.f_frsize:,} bytes"


def _names(folder: Path) -> list[str]:
    try:
        return [] if folder.is_symlink() else [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """Yield the status of `path` and of all below it, without following links or entries whose paths are too long."""
    with contextlib.suppress(FileNotFoundError):
        yield path.lstat()
    passed = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    for entry in () if path.is_symlink() else entries_below(path, passed=passed):
        with contextlib.suppress(FileNotFoundError):
            yield entry.stat(follow_symlinks=False)


def text_in(place: Place, most: int = 1 << 20) -> str:
    """Read the text of a file of a catalog. Raises as `read_at_most`, and UnicodeDecodeError (a ValueError)."""
    return place.read_at_most(most).decode()


def is_out_of_reach(error: BaseException) -> bool:
    """True if stored data could not be reached or does not fit into memory; False if it may be damaged or missing."""
    # Too many open files, no permission, or a network disk that does not answer: the file may be sound.
    unreached = (errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT)
    return isinstance(error, StoreError | MemoryError) or (isinstance(error, OSError) and error.errno in unreached)


def map_concurrently(place: Place, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the results of `work` for items, in order; for an object store, run it concurrently."""
    return map(work, items) if isinstance(place, Path) else at_once(work, items)


def is_remote(root: Any) -> bool:
    """True if a catalog's root, as the user wrote it, is in an object store."""
    return isinstance(root, ObjectPath) or "://" in str(root)


def spark_options(places: Iterable[Place]) -> Mapping[str, str]:
    """Return Spark's settings for the stores of some places; see `S3Access.hadoop`."""
    stores = (place.access.hadoop(place.bucket) for place in places if isinstance(place, ObjectPath))
    return {name: value for options in stores for name, value in options.items()}
