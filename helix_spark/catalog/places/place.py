"""What a catalog needs of the place it lies in (`Place`): a disk (`LocalPath`) or an object store (`ObjectPath`)."""

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
"""What a listing says of a file in a folder."""


class LocalPath(PosixPath):
    """A file or folder of a catalog on a disk, there or not. `ObjectPath` has the same methods, with the same OSErrors;
    in an object store a folder is there as long as something is in it."""

    __slots__ = ()

    def entries(self) -> Sequence[Entry]:
        """List what is in a folder, by one request of a store; nothing where there is none."""
        try:
            with os.scandir(self) as found:
                return list(found)
        except FileNotFoundError:
            return []

    def replace_text(self, text: str, *, synced: bool = False) -> None:
        """Write a small file whole or not at all; where it is `synced`, also after a loss of power."""
        with self._unfinished(text.encode(), synced) as file:
            file.replace(self)

    def write_new(self, content: bytes, *, synced: bool = False) -> None:
        """Write a file whole or not at all where there is none. Raises FileExistsError."""
        with self._unfinished(content, synced) as file:
            os.link(file, self)

    @contextlib.contextmanager
    def _unfinished(self, content: bytes, synced: bool) -> Iterator[LocalPath]:
        """A file beside this one, to be given its name."""
        unfinished = self.with_name(f".{self.name}.{uuid.uuid4().hex}")
        try:
            unfinished.write_bytes(content)
            if synced:  # before it gets its name, which may survive a loss of power that the bytes did not
                sync_path(unfinished)
            yield unfinished
            if synced:
                sync_path(self.parent)
        finally:
            unfinished.unlink(missing_ok=True)

    def move_to(self, other: Any, /) -> None:
        """Give a file, or on a disk a folder, another name in the same place: over a file of that name."""
        self.replace(other)

    def sync(self, files: Collection[Any], /) -> None:
        """Sync files under this folder, with their names and those of the folders on the way, so that they survive a
        loss of power: all at once, as a disk takes hardly longer for many than for one."""
        # A folder keeps the names in it, so each on the way is synced as well. A file system serves all who wait at
        # once by one flush: of 30 small files on ext4 each by itself takes 60, 8 at a time take 18, and 32 take 6.
        above = {folder for file in files for folder in file.parents if folder.is_relative_to(self)}
        for paths in (files, above):
            list(at_once(sync_path, paths, threads=32))

    def make_folder(self, *, synced: bool = False) -> None:
        """Make a folder and those above it, unless they are there."""
        there = what_is_there(self)
        self.mkdir(parents=True, exist_ok=True)
        for above in self.parents if synced and there != self else ():
            with contextlib.suppress(PermissionError):  # who may make something in a folder may not always list it
                sync_path(above)
            if above == there:
                break

    def make_new_folder(self, *, within: Any) -> None:
        """Make a folder and those above it, within one that must be there: it may be moved. Raises FileExistsError."""
        between = [above for above in reversed(self.parents) if above != within and above.is_relative_to(within)]
        for tries_left in reversed(range(5)):
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
        """Bytes of all files under the place, links as themselves; 0 if there is none."""
        return sum(status.st_size for status in _statuses(self) if not stat.S_ISDIR(status.st_mode))

    def last_modified(self) -> float | None:
        """Return when anything under the place was last written, in seconds since 1970; None if nothing is there."""
        return max((status.st_mtime for status in _statuses(self)), default=None)

    def is_own_folder(self) -> bool:
        """True if a folder is there, and neither it nor the one above is a link."""
        return all(one.is_dir() and not one.is_symlink() for one in (self, self.parent))

    def second_names(self, known: Collection[str] = (), /) -> Iterator[tuple[str, str]]:
        """(folder in this one, what is in it). The `known` folders need not be looked into."""
        for first in _names(self):
            for second in _names(self / first) if first not in known else ():
                yield first, second

    def files(self) -> Iterator[LocalPath]:
        """All files under a folder. Raises OddFileError where something is neither a file nor a folder."""
        for entry in entries_below(self):
            if entry.is_file(follow_symlinks=False):
                yield type(self)(entry.path)
            elif not entry.is_dir(follow_symlinks=False):
                raise OddFileError(errno.EINVAL, "it is a link, or no regular file", entry.path)

    def delete_tree(self) -> None:
        """Delete a folder, if it is there, with all that is in it, and the one above where it can be told to be empty.
        A link goes, not what it leads to. Raises OddFileError where the folder above is a link."""
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
                raise OddFileError(errno.ELOOP, "its folders are nested beyond all measure", str(self)) from error
        # Not empty where another attempt lives or begins; an empty folder that stays costs nothing.
        with contextlib.suppress(OSError):
            self.parent.rmdir()

    def read_at_most(self, most: int) -> bytes:
        """All of a file. Raises OddFileError for a link, a pipe, a device, and for more than `most` bytes."""
        return read_regular(self, most, links=False)

    def open_binary(self) -> BinaryIO:
        """A file to read and to seek in. Raises OddFileError as `read_at_most`."""
        return open_regular(self, links=False)

    @contextlib.contextmanager
    def writable(self) -> Iterator[Path]:
        """A new file as pyarrow writes it; it is there when the context ends."""
        yield self

    @property
    def spark_uri(self) -> str:
        """The address for Spark, with its scheme, which `fs.defaultFS` may set; Hadoop's `Path` encodes it itself."""
        return f"file://{self}"


Place: TypeAlias = LocalPath | ObjectPath


def sync_path(path: Path) -> None:
    """Sync the bytes of a file, or the names in a folder, so that they survive a loss of power."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # of a pipe, nobody waits for its other end
    try:
        if sys.platform == "darwin":  # whose `fsync` leaves what it wrote in the disk's own memory
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
        else:
            os.fsync(handle)
    except OSError as error:
        # A file system that does not know how to sync a folder keeps names as it keeps them.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def entries_below(folder: Path, *, passed: Collection[int] = ()) -> Iterator[os.DirEntry[str]]:
    """Yield all that is in a folder and below, links not followed, but not where listing gives an error of `passed`."""
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
    """Return the path, or what is there of the way to it: whose disk and permissions it will have once it is made.

    >>> what_is_there(Path("/no/such/folder"))
    PosixPath('/')
    """
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def room(place: Place) -> str | None:
    """Return how much room a disk has left, in words for an error; None for a store."""
    disk = os.statvfs(what_is_there(place)) if isinstance(place, Path) else None
    return None if disk is None else f"free on that disk: {disk.f_bavail * disk.f_frsize:,} bytes"


def _names(folder: Path) -> list[str]:
    try:
        return [] if folder.is_symlink() else [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """`path` itself and everything under it, links not followed; nothing of what is nested too deep to have a path."""
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
    """True if an error says that what is stored could not be reached or held, and not that it is damaged or gone."""
    # Too many files are open, no permission, a disk on the network that does not answer: they tell nothing of a file.
    unreached = (errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT)
    return isinstance(error, StoreError | MemoryError) or (isinstance(error, OSError) and error.errno in unreached)


def each(here: Place, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield what `work` gives for each item, in order; in an object store several are worked on at once."""
    return map(work, items) if isinstance(here, Path) else at_once(work, items)


def is_remote(root: Any) -> bool:
    """True if a catalog's root, as the user names it, is in an object store."""
    return isinstance(root, ObjectPath) or "://" in str(root)


def spark_options(places: Iterable[Place]) -> Mapping[str, str]:
    """Return what Spark must know of the stores of some places; see `S3Access.hadoop`."""
    stores = (place.access.hadoop(place.bucket) for place in places if isinstance(place, ObjectPath))
    return {name: value for options in stores for name, value in options.items()}
