"""A place in an S3 object store.

An object appears whole or not at all and is seen by all at once (S3 is strongly consistent since 2020), so a file is
replaced by writing it. There are no folders: one is there as long as an object's name goes through it. There are no
links, and no renames.

Single objects are asked for as `single_objects` does; pyarrow lists them, deletes many, and reads long ones.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from helix_spark.catalog.places.local_disk import SMALL
from helix_spark.catalog.places.s3_access import TRIES, S3Access, access_from
from helix_spark.catalog.places.silence import StoreError, answering
from helix_spark.catalog.places.single_objects import ObjectStatus, SingleObject, check_installed
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, S3FileSystem

SCHEMES = ("s3a", "s3")
"""Two names of one place: S3A is what Hadoop calls its client, and the only name that Spark knows without settings."""

_LARGEST_COPY = 1 << 30
"""Bytes of an object that is copied at most."""

_AWS_ERROR = re.compile(r"AWS Error (\w+) during \w+ operation: (.*?)(?: \(Request ID.*)?$", re.DOTALL)


_NOTHING: Mapping[ObjectPath, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """The store that places are in."""

    access: S3Access

    @property
    def files(self) -> S3FileSystem:
        return _files(self.access)


class _HeldPrefix:
    """A folder in a store, of which there is nothing to hold."""

    def is_at(self, place: ObjectPath, /) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class ObjectPath:
    """An object or a folder of them; see `place.Place`.

    Attributes:
        path: the bucket and the names below it, divided by slashes.
        seen: the status it had in the listing that it comes from, which spares a question.
    """

    store: ObjectStore
    path: str
    seen: ObjectStatus | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"s3a://{self.path}"

    def __truediv__(self, key: str, /) -> ObjectPath:
        return ObjectPath(self.store, f"{self.path}/{key}")

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def bucket(self) -> str:
        return self.path.partition("/")[0]

    @property
    def single(self) -> SingleObject:
        """The object by itself."""
        return SingleObject(self.store.access, *self.path.split("/", 1))

    @property
    def parent(self) -> ObjectPath:
        return ObjectPath(self.store, self.path.rpartition("/")[0])

    def with_name(self, name: str, /) -> ObjectPath:
        return self.parent / name

    # What a path does ----------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        return self.seen is not None or self._info().type != self._types().NotFound

    def is_dir(self) -> bool:
        return self.seen is None and self._info().type == self._types().Directory

    def is_file(self) -> bool:
        try:
            return bool(self.stat())
        except FileNotFoundError:
            return False

    def stat(self) -> ObjectStatus:
        return self.single.status() if self.seen is None else self.seen

    def lstat(self) -> ObjectStatus:
        return self.stat()

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok:
            self.stat()
        self.single.remove()

    def iterdir(self) -> Iterator[ObjectPath]:
        yield from (self._listed(found) for found in self._listing(recursive=False))

    def glob(self, pattern: str, /) -> Iterator[ObjectPath]:
        with suppress(FileNotFoundError):
            yield from (path for path in self.iterdir() if PurePosixPath(path.name).match(pattern))

    def rglob(self, pattern: str, /) -> Iterator[ObjectPath]:
        with suppress(FileNotFoundError):
            listing = (self._listed(found) for found in self._listing(recursive=True))
            yield from (path for path in listing if PurePosixPath(path.path).match(pattern))

    # What can be done there ----------------------------------------------------------------------------------------

    def replace_text(self, text: str, *, synced: bool = False) -> None:
        self.single.write(text.encode())

    def write_new_text(self, text: str, *, synced: bool = False) -> None:
        self.single.write_new(text.encode())

    def stamp(self) -> str | None:
        """Its tag."""
        with suppress(FileNotFoundError):
            return self.single.status().tag
        return None

    def read_stamped(self) -> tuple[str, str]:
        content, tag = self.single.read(SMALL)
        return content.decode(), tag

    def hold(self) -> _HeldPrefix:
        return _HeldPrefix()

    def keep_as(self, other: ObjectPath, /) -> None:
        other.single.write(self.read_at_most(_LARGEST_COPY))

    def move_to(self, other: ObjectPath, /) -> None:
        """By a copy, which comes first."""
        self.keep_as(other)
        self.single.remove()

    @property
    def needs_syncs(self) -> bool:
        """No: a store answers once it keeps what was written."""
        return False

    def sync(self, files: Collection[ObjectPath], replaced: Mapping[ObjectPath, bytes] = _NOTHING, /) -> None:
        """All that is written is kept."""
        for path, content in replaced.items():
            path.single.write(content)

    def make_folder(self, *, synced: bool = False) -> None:
        """Nothing: an object's name makes its folders."""

    def make_new_folder(self) -> None:
        """Only looks: nobody else writes where the name is a fresh id."""
        if self.exists():
            raise FileExistsError(errno.EEXIST, "something is there already", str(self))

    def total_bytes(self) -> int:
        with suppress(FileNotFoundError):
            return sum(found.size or 0 for found in self._listing(recursive=True) if found.is_file)
        return 0

    def last_modified(self) -> float | None:
        with suppress(FileNotFoundError):
            times = [_status(found).st_mtime for found in self._listing(recursive=True) if found.is_file]
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
        with suppress(FileNotFoundError), _told(self.store):
            self.store.files.delete_dir(self.path)

    def leads_out_of(self, root: ObjectPath, /) -> str:
        """Nowhere: there are no links."""
        return ""

    def is_own_folder(self) -> bool:
        return self.is_dir()

    def read_at_most(self, most: int) -> bytes:
        return self.single.read(most)[0]

    def open_binary(self) -> BinaryIO:
        with _told(self.store):
            return cast(BinaryIO, self.store.files.open_input_file(self.path))

    def readable(self) -> Any:
        with _told(self.store):
            return self.store.files.open_input_file(self.path)

    @contextmanager
    def writable(self) -> Iterator[Any]:
        with self.single.writing() as file:
            yield file

    @property
    def spark_uri(self) -> str:
        return str(self)

    @property
    def table_uri(self) -> str:
        return f"s3://{self.path}"

    @property
    def table_options(self) -> dict[str, str]:
        return self.store.access.delta()

    def try_out(self) -> None:
        """Nothing: what the store can do is asked for when the catalog is made (`check_conditional`)."""

    def committing(self) -> AbstractContextManager[None]:
        return nullcontext()

    @property
    def guards_bits(self) -> bool:
        return True

    def room(self) -> str:
        return ""

    def _info(self) -> FileInfo:
        with _told(self.store):
            return self.store.files.get_file_info(self.path)

    def _listing(self, *, recursive: bool) -> list[FileInfo]:
        from pyarrow.fs import FileSelector

        with _told(self.store):
            return list(self.store.files.get_file_info(FileSelector(self.path, recursive=recursive)))

    def _listed(self, found: FileInfo) -> ObjectPath:
        path = ObjectPath(self.store, found.path)
        return replace(path, seen=_status(found)) if found.is_file else path

    @staticmethod
    def _types() -> Any:
        from pyarrow.fs import FileType

        return FileType


def object_path(root: str) -> ObjectPath:
    """The place that an address such as ``s3a://bucket/path`` names, once it was seen that the bucket answers.

    Raises:
        CatalogError: it is no such address; or the store cannot be reached, has no such bucket, or lets nobody in who
            has these credentials.
    """
    scheme, _, rest = root.partition("://")
    path = re.sub("/+", "/", rest).strip("/")
    if scheme not in SCHEMES or not path or ".." in path.split("/"):
        raise CatalogError(f"the catalog {root!r} is neither a local folder nor a place in an S3 store",
                           remedy="give a folder's path, or s3a://BUCKET/PATH")
    if odd := sorted(set(re.findall(r"[^A-Za-z0-9/._=-]", path))):
        raise CatalogError(f"the catalog {root!r} has {' '.join(odd)!r} in its name",
                           exists="libraries write such letters in addresses in different ways",
                           remedy="use letters, digits, and . _ = - only")
    found = ObjectPath(ObjectStore(access_from()), path)
    check_installed()
    try:
        next(iter(found.glob("*")), None)
    except OSError as error:
        raise _unreachable(found, error) from error
    return found


def check_conditional(marker: ObjectPath, text: str) -> None:
    """Check that the store refuses to make an object that is there: all that keeps records apart rests on it.

    Args:
        marker: an object that is there.
        text: what it holds, so that a store which does not refuse changes nothing.

    Raises:
        CatalogError: the store does not refuse, or does not let us write.
    """
    try:
        marker.single.write_new(text.encode())
    except FileExistsError:
        return
    except OSError as error:
        raise CatalogError(f"the catalog {marker.parent} cannot be written: {error.strerror}",
                           remedy="allow these credentials to write, or name another place; "
                           "log and explain work without writing") from error
    raise CatalogError(
        f"the store at {marker.store.access.where} does not honour If-None-Match when an object is written",
        exists="two runs at once could lose each other's records",
        remedy="use a store that does (AWS S3 does, MinIO does), or a local folder",
    )


def _unreachable(root: ObjectPath, error: OSError) -> CatalogError:
    where, text = root.store.access.where, error.strerror or str(error)
    if "NO_SUCH_BUCKET" in text:
        return CatalogError(f"there is no bucket {root.bucket!r} at {where}",
                            remedy="make it, name another, or set AWS_ENDPOINT_URL and AWS_REGION to where it is")
    if any(word in text for word in ("ACCESS_DENIED", "INVALID_ACCESS_KEY", "SIGNATURE", "TOKEN", "UNAUTHORIZED")):
        given = "those in AWS_ACCESS_KEY_ID" if root.store.access.key else "none are set"
        return CatalogError(f"the bucket {root.bucket!r} at {where} refuses these credentials",
                            exists=f"{given}; {text}",
                            remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, if any)")
    return CatalogError(f"the object store at {where} cannot be reached", exists=text,
                        remedy="check the network, AWS_ENDPOINT_URL and AWS_REGION")


@contextmanager
def _told(store: ObjectStore) -> Iterator[None]:
    """pyarrow's errors with what the store said in `strerror`, as local ones have it, and of the class that fits."""
    try:
        with answering(store.access.where):
            yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, _said(error)) from error
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(errno.EIO, _said(error)) from error


def _said(error: OSError) -> str:
    text = error.strerror or str(error)
    found = _AWS_ERROR.search(text)
    return f"{found[1]}: {found[2]}"[:300] if found else text[:300]


def _status(found: FileInfo) -> ObjectStatus:
    return ObjectStatus(found.size or 0, (found.mtime_ns or 0) / 1e9)


@cache
def _files(access: S3Access) -> S3FileSystem:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    return S3FileSystem(**access.arrow(), retry_strategy=AwsStandardS3RetryStrategy(max_attempts=TRIES))
