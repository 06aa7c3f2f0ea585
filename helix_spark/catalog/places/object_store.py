"""A place in an S3 object store.

An object appears whole or not at all and is seen by all at once, so a file is replaced by writing it. A folder is there
as long as an object's name goes through it. There are no links, and no renames.

Two libraries are used, as neither can do all. obstore makes an object that must not be there (``If-None-Match: *``).
pyarrow lists and deletes the empty objects ``NAME/`` by which Hadoop marks folders.
"""

from __future__ import annotations

import errno
import importlib.util
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from helix_spark.errors import CatalogError, NotACatalogError, install
from helix_spark.regular_files import OddFileError
from helix_spark.s3_access import SCHEMES, TRIES, S3Access, StoreError, access_from, answering

if TYPE_CHECKING:
    from obstore.store import S3Store
    from pyarrow.fs import FileInfo, S3FileSystem

_LARGEST_COPY = 1 << 30
"""Bytes of an object that is copied at most."""


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """Of an object: bytes, and when it was written, in seconds since 1970 by the store's clock."""

    st_size: int
    st_mtime: float


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a listing of its folder shows it."""

    name: str
    status: ObjectStatus

    def stat(self) -> ObjectStatus:
        return self.status


@dataclass(frozen=True, slots=True)
class ObjectPath:
    """An object or a folder of them: the bucket and the names below it, divided by slashes; see `place.Place`. Raises
    StoreError where the store does not answer, or refuses."""

    access: S3Access
    path: str

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
        return self._type() != "NotFound"

    def is_dir(self) -> bool:
        return self._type() == "Directory"

    is_own_folder = is_dir

    def is_file(self) -> bool:
        try:
            return bool(self.stat())
        except FileNotFoundError:
            return False

    def stat(self) -> ObjectStatus:
        import obstore

        with self._asking():
            found = obstore.head(*self._key)
        return ObjectStatus(found["size"], found["last_modified"].timestamp())

    lstat = stat

    def unlink(self, missing_ok: bool = False) -> None:
        import obstore

        if not missing_ok:
            self.stat()
        with self._asking():
            obstore.delete(*self._key)

    def glob(self, pattern: str, /) -> Iterator[ObjectPath]:
        names = (one.path for one in self._below(recursive=False) if PurePosixPath(one.base_name).match(pattern))
        yield from (ObjectPath(self.access, name) for name in names)

    def entries(self) -> list[ListedObject]:
        return [
            ListedObject(one.base_name, ObjectStatus(one.size or 0, (one.mtime_ns or 0) / 1e9))
            for one in self._below(recursive=False)
        ]

    # What can be done there ----------------------------------------------------------------------------------------

    def replace_text(self, text: str, *, synced: bool = False) -> None:
        self._write(text.encode())

    def write_new(self, content: bytes, *, synced: bool = False) -> None:
        """A writer whose answer was lost is told, too, that the object is there."""
        import obstore

        with self._asking():
            obstore.put(*self._key, content, mode="create", use_multipart=False)

    def move_to(self, other: ObjectPath, /) -> None:
        other._write(self.read_at_most(_LARGEST_COPY))
        self.unlink(missing_ok=True)

    def sync(self, files: Collection[ObjectPath], replaced: Mapping[ObjectPath, bytes] | None = None, /) -> None:
        """A store answers once it keeps what was written."""
        for path, content in (replaced or {}).items():
            path._write(content)

    def make_folder(self, *, synced: bool = False) -> None:
        """No-op: the name of an object makes its folders."""

    def make_new_folder(self, *, within: ObjectPath) -> None:
        """Check that the folder is new. Its name is a fresh id, so no other process writes there."""
        if self.exists():
            raise FileExistsError(errno.EEXIST, "something is there already", str(self))

    def total_bytes(self) -> int:
        return sum(found.size or 0 for found in self._below() if found.is_file)

    def last_modified(self) -> float | None:
        return max(((found.mtime_ns or 0) / 1e9 for found in self._below() if found.is_file), default=None)

    def second_names(self, known: Collection[str] = (), /) -> Iterator[tuple[str, str]]:
        """List everything at once: a request for each folder would take longer than many pages of names."""
        names = (found.path[len(self.path) + 1 :].split("/") for found in self._below())
        yield from dict.fromkeys((first, second[0]) for first, *second in names if second)

    def files(self) -> Iterator[ObjectPath]:
        yield from (ObjectPath(self.access, one.path) for one in self._below(must_be_there=True) if one.is_file)

    def delete_tree(self) -> None:
        with suppress(FileNotFoundError), _said_by_arrow(self.access):
            _files(self.access).delete_dir(self.path)

    def read_at_most(self, most: int) -> bytes:
        import obstore

        with self._asking():
            found = obstore.get(*self._key)
            if found.meta["size"] > most:
                raise OddFileError(errno.EFBIG, f"it has more than {most:,} bytes", str(self))
            return bytes(found.bytes())

    def open_binary(self) -> BinaryIO:
        with _said_by_arrow(self.access):
            return cast(BinaryIO, _files(self.access).open_input_file(self.path))

    readable = open_binary

    @contextmanager
    def writable(self) -> Iterator[Any]:
        with _said_by_arrow(self.access), _files(self.access).open_output_stream(self.path) as file:
            yield file

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

    # By obstore ----------------------------------------------------------------------------------------------------

    @property
    def _key(self) -> tuple[S3Store, str]:
        bucket, _, key = self.path.partition("/")
        return _bucket_of(self.access, bucket), key

    def _write(self, content: bytes) -> None:
        import obstore

        with self._asking():
            obstore.put(*self._key, content, use_multipart=False)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        from obstore import exceptions

        name = str(self)
        try:
            with answering(self.access.where):
                yield
        except (exceptions.NotFoundError, FileNotFoundError) as error:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", name) from error
        except exceptions.AlreadyExistsError as error:
            raise FileExistsError(errno.EEXIST, "the object is there already", name) from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise StoreError(errno.EACCES, f"the store refuses it: {_refusal(error)}", name) from error
        except exceptions.BaseError as error:
            raise StoreError(errno.EIO, _refusal(error), name) from error

    # By pyarrow ----------------------------------------------------------------------------------------------------

    def _type(self) -> str:
        with _said_by_arrow(self.access):
            return str(_files(self.access).get_file_info(self.path).type.name)

    def _below(self, *, recursive: bool = True, must_be_there: bool = False) -> list[FileInfo]:
        from pyarrow.fs import FileSelector

        try:
            with _said_by_arrow(self.access):
                # Where it may be missing (`allow_not_found`), pyarrow does not tell that the bucket is.
                return list(_files(self.access).get_file_info(FileSelector(self.path, recursive=recursive)))
        except FileNotFoundError:
            if must_be_there:
                raise
            return []


_STATUS = re.compile(r"status code: (\d{3} [^:]*)(?:.*?<Code>(\w+)</Code>)?", re.DOTALL)
_AWS_ERROR = re.compile(r"AWS Error (\w+) during \w+ operation: (.*?)(?: \(Request ID.*)?$", re.DOTALL)


def _refusal(error: Exception) -> str:
    text = str(error)
    found = _STATUS.search(text)
    return " ".join(filter(None, found.groups())) if found else text.split("\n")[0][:300]


@contextmanager
def _said_by_arrow(access: S3Access) -> Iterator[None]:
    """Raise pyarrow's errors with what the store said in `strerror`, and of the class that fits."""
    try:
        with answering(access.where):
            yield
    except StoreError:
        raise
    except OSError as error:
        text = error.strerror or str(error)
        said = _AWS_ERROR.search(text)
        text = (f"{said[1]}: {said[2]}" if said else text)[:300]
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(errno.ENOENT, text) from error
        raise StoreError(errno.EIO, text) from error


@cache
def _bucket_of(access: S3Access, bucket: str) -> S3Store:
    from obstore.store import S3Store

    return S3Store(bucket, **access.obstore())


@cache
def _files(access: S3Access) -> S3FileSystem:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    return S3FileSystem(**access.arrow(), retry_strategy=AwsStandardS3RetryStrategy(max_attempts=TRIES))


def object_path(root: str) -> ObjectPath:
    """Return the place that an address such as ``s3a://bucket/path`` names. Raises CatalogError if it is no such
    address, or the store cannot be reached, has no such bucket, or refuses the credentials."""
    scheme, _, rest = root.partition("://")
    path = re.sub("/+", "/", rest).strip("/")
    if scheme not in SCHEMES or not path or ".." in path.split("/"):
        raise NotACatalogError(f"the catalog {root!r} is neither a local folder nor a place in an S3 store",
                               remedy="give a folder's path, or s3a://BUCKET/PATH")
    if odd := sorted(set(re.findall(r"[^A-Za-z0-9/._=-]", path))):
        raise NotACatalogError(f"the catalog {root!r} has {' '.join(odd)!r} in its name",
                               exists="libraries write such letters in addresses in different ways",
                               remedy="use letters, digits, and . _ = - only")
    found = ObjectPath(access_from(), path)
    if importlib.util.find_spec("obstore") is None:
        raise CatalogError("a catalog in an object store needs the package obstore, which is not installed",
                           remedy=install("s3"))
    try:
        next(iter(found.glob("*")), None)
    except OSError as error:
        raise _unreachable(found, error) from error
    return found


def check_conditional(marker: ObjectPath, text: str) -> None:
    """Check that the store refuses to make an object that is there, such as the marker with its text: all that keeps
    records apart rests on it. Raises CatalogError if it does not, or does not let us write."""
    try:
        marker.write_new(text.encode())
    except FileExistsError:
        return
    except OSError as error:
        raise CatalogError(f"the catalog {marker.parent} cannot be written: {error.strerror}",
                           remedy="allow these credentials to write, or name another place; "
                           "log and explain work without writing") from error
    raise CatalogError(
        f"the store at {marker.access.where} does not honour If-None-Match when an object is written",
        exists="two runs at once could lose each other's records",
        remedy="use a store that does (AWS S3 does, MinIO does), or a local folder",
    )


def _unreachable(root: ObjectPath, error: OSError) -> CatalogError:
    where, text = root.access.where, error.strerror or str(error)
    if "NO_SUCH_BUCKET" in text:
        return CatalogError(f"there is no bucket {root.bucket!r} at {where}",
                            remedy="make it, name another, or set AWS_ENDPOINT_URL and AWS_REGION to where it is")
    if any(word in text for word in ("ACCESS_DENIED", "INVALID_ACCESS_KEY", "SIGNATURE", "TOKEN", "UNAUTHORIZED")):
        given = "those in AWS_ACCESS_KEY_ID" if root.access.key else "none are set"
        return CatalogError(f"the bucket {root.bucket!r} at {where} refuses these credentials",
                            exists=f"{given}; {text}",
                            remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, if any)")
    return CatalogError(f"the object store at {where} cannot be reached", exists=text,
                        remedy="check the network, AWS_ENDPOINT_URL and AWS_REGION")
