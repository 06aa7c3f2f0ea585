"""What a catalog needs of the place it lies in: a local disk (`LocalPath`) or an object store (`ObjectPath`)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

from helix_spark.catalog.places.local_disk import SMALL, LocalPath
from helix_spark.catalog.places.object_store import ObjectPath, ObjectStatus
from helix_spark.s3_access import StoreError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["LocalPath", "Place", "each", "is_out_of_reach", "is_remote", "spark_options", "text_in"]

T = TypeVar("T")
R = TypeVar("R")


class Place(Protocol):
    """A file or folder, there or not: as much of `pathlib.Path` as a catalog uses, and what that cannot do by itself.
    Everything raises the OSErrors that a path's methods raise.

    In an object store a folder is there as long as something is in it.
    """

    @property
    def name(self) -> str: ...
    @property
    def parent(self) -> Self: ...
    def __truediv__(self, key: str, /) -> Self: ...
    def with_name(self, name: str, /) -> Self: ...
    def exists(self) -> bool: ...
    def is_dir(self) -> bool: ...
    def is_file(self) -> bool: ...
    def stat(self) -> os.stat_result | ObjectStatus: ...
    def lstat(self) -> os.stat_result | ObjectStatus: ...
    def unlink(self, missing_ok: bool = ...) -> None: ...
    def glob(self, pattern: str, /) -> Iterator[Self]: ...

    # What is done there -----------------------------------------------------------------------------------------------

    def replace_text(self, text: str, *, synced: bool = False) -> None:
        """Write a small file whole or not at all: a reader sees the old text or the new; where it is `synced`, also
        after a loss of power."""

    def write_new_text(self, text: str, *, synced: bool = False) -> None:
        """The same where there is none: raises FileExistsError if there is."""

    def move_to(self, other: Self, /) -> None:
        """Give a file, or on a disk a folder, another name in the same place: over a file of that name."""

    def sync(self, files: Collection[Self], replaced: Mapping[Self, bytes] | None = None, /) -> None:
        """Have files under this folder survive a loss of power, with their names and those of the folders on the way:
        all at once, as a disk takes hardly longer for many than for one.

        Args:
            replaced: small files that are written anew, each whole or not at all, with what they are to hold.
        """

    def make_folder(self, *, synced: bool = False) -> None:
        """Make a folder and those above it, unless they are there."""

    def make_new_folder(self, *, within: Self) -> None:
        """Make a folder, and those above it up to one that must be there: nothing makes a catalog's folder anew that
        was moved. Raises FileExistsError if something is there."""

    def total_bytes(self) -> int:
        """Bytes of all files under the place as they lie there; 0 if there is none. A symbolic link counts as itself;
        files that vanish meanwhile count as nothing."""

    def last_modified(self) -> float | None:
        """When anything under the place was last written, in seconds since 1970; None if nothing is there."""

    def second_names(self, known: Collection[str] = ..., /) -> Iterator[tuple[str, str]]:
        """(folder in this one, what is in it); none if it is not there.

        Args:
            known: folders that need not be looked into. An object store lists all at once.
        """

    def files(self) -> Iterator[Self]:
        """All files under a folder. Raises OddFileError where something is neither a file nor a folder."""

    def delete_tree(self) -> None:
        """Delete a folder with all that is in it; nothing happens where nothing is. A link goes, not what it leads to.
        Raises OddFileError where the folder above is a link.

        The folder above goes too, where it can be told to be empty.
        """

    def is_own_folder(self) -> bool:
        """Whether a folder is there, itself and not where a link leads; nor is the one above a link."""

    def read_at_most(self, most: int) -> bytes:
        """All of a file. Raises OddFileError for a link, a pipe, a device, and for more than `most` bytes."""

    def open_binary(self) -> BinaryIO:
        """A file to read and to seek in. Raises OddFileError for a link, a pipe, a device."""

    def readable(self) -> Any:
        """A file as pyarrow reads it quickest."""

    def writable(self) -> AbstractContextManager[Any]:
        """A new file as pyarrow writes it; it is there when the context ends."""

    @property
    def spark_uri(self) -> str:
        """A file or folder as Spark is told of it: with its scheme, as `fs.defaultFS` may name another place.

        Not percent-encoded: Hadoop's `Path` encodes what it is given, and so `%20` would be three letters of a name.
        """

    @property
    def table_uri(self) -> str:
        """A folder as deltalake names it."""

    @property
    def table_options(self) -> dict[str, str] | None:
        """What deltalake must know of the store."""

    def room(self) -> str:
        """How much room is left, in words for an error; empty where that is not known."""


def text_in(place: Place, most: int = SMALL) -> str:
    """The text of a file of a catalog. Raises what `Place.read_at_most` does, and UnicodeDecodeError (a ValueError)."""
    return place.read_at_most(most).decode()


_OUT_OF_REACH = frozenset({
    errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT,
})
"""Too many files are open, no permission, a disk on the network that does not answer: they tell nothing of a file."""


def is_out_of_reach(error: BaseException) -> bool:
    """Whether an error says that what is stored could not be reached or held, and not that it is damaged or gone.

    pyarrow's own readers raise plain OSErrors of a store, of which the text tells.
    """
    if isinstance(error, StoreError | MemoryError):
        return True
    return isinstance(error, OSError) and not isinstance(error, FileNotFoundError) and (
        error.errno in _OUT_OF_REACH or "AWS Error" in str(error)
    )


_AT_ONCE = 8
"""Requests that wait for a store at the same time: each is mostly waiting."""


def each(here: Place, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """What `work` gives for each item, in order: on a disk one after the other, in an object store several at once."""
    if isinstance(here, Path):
        yield from map(work, items)
        return
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="helix-store") as threads:
        yield from threads.map(work, items)


def is_remote(root: Any) -> bool:
    """Whether a catalog's root, as the user names it, is in an object store."""
    return isinstance(root, ObjectPath) or "://" in str(root)


def spark_options(place: Place) -> Mapping[str, str]:
    """What Spark must know of the store, as Hadoop's settings, secrets left out: see `S3Access.hadoop`."""
    return place.access.hadoop(place.bucket) if isinstance(place, ObjectPath) else {}
