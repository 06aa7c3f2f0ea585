"""A place in an S3 object store.

An object appears whole or not at all and is seen by all at once (S3 is strongly consistent since 2020), so a file is
replaced by writing it. There are no folders: one is there as long as an object's name goes through it. There are no
links, and no renames.

Two libraries ask for them, as neither can do all: obstore for one object (`single_object`), pyarrow for what is below a
name (`object_listing`). (Nor could obstore serve for disks: it syncs nothing, and follows links.)
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from helix_spark.catalog.places.local_disk import SMALL
from helix_spark.catalog.places.object_listing import delete_below, is_folder, is_there, listed, opened, status_of
from helix_spark.catalog.places.single_object import ObjectStatus, SingleObject
from helix_spark.s3_access import S3Access

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

_LARGEST_COPY = 1 << 30
"""Bytes of an object that is copied at most."""

_NOTHING: Mapping[ObjectPath, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ObjectPath:
    """An object or a folder of them; see `place.Place`.

    Attributes:
        path: the bucket and the names below it, divided by slashes.
        seen: the status it had in the listing that it comes from, which spares a question.
    """

    access: S3Access
    path: str
    seen: ObjectStatus | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"s3a://{self.path}"

    def __truediv__(self, key: str, /) -> ObjectPath:
        return ObjectPath(self.access, f"{self.path}/{key}")

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def bucket(self) -> str:
        return self.path.partition("/")[0]

    @property
    def parent(self) -> ObjectPath:
        return ObjectPath(self.access, self.path.rpartition("/")[0])

    def with_name(self, name: str, /) -> ObjectPath:
        return self.parent / name

    # What a path does ----------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        return self.seen is not None or is_there(self.access, self.path)

    def is_dir(self) -> bool:
        return self.seen is None and is_folder(self.access, self.path)

    is_own_folder = is_dir

    def is_file(self) -> bool:
        try:
            return bool(self.stat())
        except FileNotFoundError:
            return False

    def stat(self) -> ObjectStatus:
        return self._object.status() if self.seen is None else self.seen

    lstat = stat

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok:
            self.stat()
        self._object.delete()

    def iterdir(self) -> Iterator[ObjectPath]:
        yield from (self._listed(found) for found in self._listing(recursive=False))

    def glob(self, pattern: str, /) -> Iterator[ObjectPath]:
        with suppress(FileNotFoundError):
            yield from (path for path in self.iterdir() if PurePosixPath(path.name).match(pattern))

    # What can be done there ----------------------------------------------------------------------------------------

    def replace_text(self, text: str, *, synced: bool = False) -> None:
        self._object.write(text.encode())

    def write_new_text(self, text: str, *, synced: bool = False) -> None:
        """Of several who do so at once one succeeds."""
        self._object.write_if("create", text.encode())

    def stamp(self) -> str | None:
        """Its tag."""
        with suppress(FileNotFoundError):
            return self._object.status().tag
        return None

    def read_stamped(self) -> tuple[str, str]:
        content, tag = self._object.read(SMALL)
        return content.decode(), tag

    def freshen(self, text: str, stamp: str, /) -> None:
        self._object.write_if({"e_tag": stamp}, text.encode())

    def unlink_as_seen(self, stamp: str, /) -> None:
        """By taking it over first, which only one can who saw the same: a store removes without conditions."""
        self.freshen("{}", stamp)
        self.unlink(missing_ok=True)

    def keep_as(self, other: ObjectPath, /) -> None:
        other._object.write(self.read_at_most(_LARGEST_COPY))

    def move_to(self, other: ObjectPath, /) -> None:
        """By a copy, which comes first."""
        self.keep_as(other)
        self.unlink(missing_ok=True)

    @property
    def needs_syncs(self) -> bool:
        """No: a store answers once it keeps what was written."""
        return False

    def sync(self, files: Collection[ObjectPath], replaced: Mapping[ObjectPath, bytes] = _NOTHING, /) -> None:
        """All that is written is kept."""
        for path, content in replaced.items():
            path._object.write(content)

    def make_folder(self, *, synced: bool = False) -> None:
        """Nothing: an object's name makes its folders."""

    def make_new_folder(self, *, within: ObjectPath) -> None:
        """Only looks: nobody else writes where the name is a fresh id."""
        if self.exists():
            raise FileExistsError(errno.EEXIST, "something is there already", str(self))

    def total_bytes(self) -> int:
        with suppress(FileNotFoundError):
            return sum(found.size or 0 for found in self._listing(recursive=True) if found.is_file)
        return 0

    def last_modified(self) -> float | None:
        with suppress(FileNotFoundError):
            times = [status_of(found).st_mtime for found in self._listing(recursive=True) if found.is_file]
            return max(times, default=None)
        return None

    def second_names(self, wanted: Callable[[str], bool], /) -> Iterator[tuple[str, str]]:
        """By one listing of everything: a question for each folder would take longer than many pages of names."""
        pairs: dict[tuple[str, str], None] = {}
        with suppress(FileNotFoundError):
            for found in self._listing(recursive=True):
                names = found.path[len(self.path) + 1 :].split("/")
                if len(names) > 1 and wanted(names[0]):
                    pairs[names[0], names[1]] = None
        yield from pairs

    def looked_for(
        self, pairs: Collection[tuple[str, str]], wanted: Callable[[str], bool], /
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """By one listing: a store's are never old, and a question for each would take longer."""
        there = dict.fromkeys(self.second_names(lambda name: True))
        return [pair for pair in pairs if pair not in there], [pair for pair in there if wanted(pair[0])]

    def files(self) -> Iterator[ObjectPath]:
        yield from (self._listed(found) for found in self._listing(recursive=True) if found.is_file)

    def delete_tree(self) -> None:
        """Also what Hadoop leaves to mark an empty folder. An empty object that marks the folder above may stay."""
        with suppress(FileNotFoundError):
            delete_below(self.access, self.path)

    def leads_out_of(self, root: ObjectPath, /) -> str:
        """Nowhere: there are no links."""
        return ""

    def read_at_most(self, most: int) -> bytes:
        return self._object.read(most)[0]

    def open_binary(self) -> BinaryIO:
        return opened(self.access, self.path)

    readable = open_binary

    def writable(self) -> AbstractContextManager[io.RawIOBase]:
        """A file to write to. It goes to the store in parts, and is there when the context ends."""
        return self._object.writable()

    @property
    def spark_uri(self) -> str:
        return str(self)

    @property
    def table_uri(self) -> str:
        return f"s3://{self.path}"

    @property
    def table_options(self) -> dict[str, str]:
        return self.access.delta()

    def room(self) -> str:
        return ""

    @property
    def _object(self) -> SingleObject:
        return SingleObject(self.access, self.path)

    def _listing(self, *, recursive: bool) -> list[FileInfo]:
        return listed(self.access, self.path, recursive=recursive)

    def _listed(self, found: FileInfo) -> ObjectPath:
        return ObjectPath(self.access, found.path, status_of(found) if found.is_file else None)
