"""A place in an S3 object store.

An object appears whole or not at all and is seen by all at once (S3 is strongly consistent since 2020), so a file is
replaced by writing it. There are no folders: one is there as long as an object's name goes through it. There are no
links, and no renames.

Two libraries ask for them, as neither can do all: obstore writes on a condition, which pyarrow cannot; pyarrow lists,
deletes, and reads long objects. Obstore has no name for the empty objects ``NAME/`` by which Hadoop marks folders, so
it could not delete what Spark wrote. (Nor could obstore serve for disks: it syncs nothing, and follows links.)

A condition is decided by the store: ``If-None-Match: *`` for an object that must not be there, ``If-Match`` for one
that must still be what it was.
"""

from __future__ import annotations

import errno
import io
import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from helix_spark.catalog.places.local_disk import SMALL, OddFileError
from helix_spark.catalog.places.s3_access import TRIES, S3Access, StoreError, access_from, answering
from helix_spark.errors import CatalogError, install

if TYPE_CHECKING:
    from obstore import UpdateVersion, WritableFile
    from obstore.store import S3Store
    from pyarrow.fs import FileInfo, S3FileSystem

SCHEMES = ("s3a", "s3")
"""Two names of one place: S3A is what Hadoop calls its client, and the only name that Spark knows without settings."""

_LARGEST_COPY = 1 << 30
"""Bytes of an object that is copied at most."""

_WRITE = "helix-write"
"""Name under which an object has the id of the conditional write that made it."""

_STATUS = re.compile(r"status code: (\d{3} [^:]*)(?:.*?<Code>(\w+)</Code>)?", re.DOTALL)

_AWS_ERROR = re.compile(r"AWS Error (\w+) during \w+ operation: (.*?)(?: \(Request ID.*)?$", re.DOTALL)


_NOTHING: Mapping[ObjectPath, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """Of an object.

    Attributes:
        st_size: bytes.
        st_mtime: when it was written, in seconds since 1970 by the store's clock.
        tag: differs with what it holds; empty if that was not asked for.
    """

    st_size: int
    st_mtime: float
    tag: str = ""


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
    def parent(self) -> ObjectPath:
        return ObjectPath(self.store, self.path.rpartition("/")[0])

    def with_name(self, name: str, /) -> ObjectPath:
        return self.parent / name

    # What a path does ----------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        return self.seen is not None or self._info().type != self._types().NotFound

    def is_dir(self) -> bool:
        return self.seen is None and self._info().type == self._types().Directory

    is_own_folder = is_dir

    def is_file(self) -> bool:
        try:
            return bool(self.stat())
        except FileNotFoundError:
            return False

    def stat(self) -> ObjectStatus:
        return self._asked_for() if self.seen is None else self.seen

    lstat = stat

    def unlink(self, missing_ok: bool = False) -> None:
        import obstore

        if not missing_ok:
            self.stat()
        with self._asking():
            obstore.delete(*self._object)

    def iterdir(self) -> Iterator[ObjectPath]:
        yield from (self._listed(found) for found in self._listing(recursive=False))

    def glob(self, pattern: str, /) -> Iterator[ObjectPath]:
        with suppress(FileNotFoundError):
            yield from (path for path in self.iterdir() if PurePosixPath(path.name).match(pattern))

    # What can be done there ----------------------------------------------------------------------------------------

    def replace_text(self, text: str, *, synced: bool = False) -> None:
        self._write(text.encode())

    def write_new_text(self, text: str, *, synced: bool = False) -> None:
        """Of several who do so at once one succeeds."""
        self._write_if("create", text.encode())

    def stamp(self) -> str | None:
        """Its tag."""
        with suppress(FileNotFoundError):
            return self._asked_for().tag
        return None

    def read_stamped(self) -> tuple[str, str]:
        content, tag = self._read(SMALL)
        return content.decode(), tag

    def freshen(self, text: str, stamp: str, /) -> None:
        self._write_if({"e_tag": stamp}, text.encode())

    def unlink_as_seen(self, stamp: str, /) -> None:
        """By taking it over first, which only one can who saw the same: a store removes without conditions."""
        self.freshen("{}", stamp)
        self.unlink(missing_ok=True)

    def hold(self) -> _HeldPrefix:
        return _HeldPrefix()

    def keep_as(self, other: ObjectPath, /) -> None:
        other._write(self.read_at_most(_LARGEST_COPY))

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
            path._write(content)

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

    def read_at_most(self, most: int) -> bytes:
        return self._read(most)[0]

    def open_binary(self) -> BinaryIO:
        with _told(self.store):
            return cast(BinaryIO, self.store.files.open_input_file(self.path))

    readable = open_binary

    @contextmanager
    def writable(self) -> Iterator[io.RawIOBase]:
        """A file to write to. It goes to the store in parts, and is there when the context ends."""
        import obstore

        with self._asking():
            try:
                with obstore.open_writer(*self._object) as file:
                    yield _Written(file)
            except OSError as error:  # which has no errors of its own, unlike all else
                raise StoreError(errno.EIO, _refusal(error), str(self)) from error

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

    def room(self) -> str:
        return ""

    @property
    def _object(self) -> tuple[S3Store, str]:
        bucket, _, key = self.path.partition("/")
        return _bucket_of(self.store.access, bucket), key

    def _asked_for(self) -> ObjectStatus:
        import obstore

        with self._asking():
            found = obstore.head(*self._object)
        return ObjectStatus(found["size"], found["last_modified"].timestamp(), found["e_tag"] or "")

    def _read(self, most: int) -> tuple[bytes, str]:
        """What it holds, and its tag."""
        import obstore

        with self._asking():
            found = obstore.get(*self._object)
            if found.meta["size"] > most:
                raise OddFileError(errno.EFBIG, f"it has more than {most:,} bytes", str(self))
            return bytes(found.bytes()), found.meta["e_tag"] or ""

    def _write(self, content: bytes) -> None:
        import obstore

        with self._asking():
            obstore.put(*self._object, content, use_multipart=False)

    def _write_if(self, condition: Literal["create"] | UpdateVersion, content: bytes) -> None:
        """A write has an id. It is looked for where the store's answer was lost: the write may have been carried out,
        and then it does not meet its own condition when it is tried again."""
        import obstore
        from obstore.exceptions import BaseError

        write = uuid.uuid4().hex
        with self._asking():
            try:
                obstore.put(
                    *self._object, content, mode=condition, use_multipart=False,
                    attributes={_WRITE: write},
                )
            except BaseError:
                if self._last_write() != write:
                    raise

    def _last_write(self) -> str | None:
        """The id of the conditional write that it was last written by, if it was; None also if the store does not
        say."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            return obstore.get(*self._object).attributes.get(_WRITE)
        except (BaseError, FileNotFoundError):
            return None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        from obstore import exceptions

        name = str(self)
        try:
            with answering(self.store.access.where):
                yield
        except (exceptions.NotFoundError, FileNotFoundError) as error:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", name) from error
        except exceptions.AlreadyExistsError as error:
            raise FileExistsError(errno.EEXIST, "the object is there already", name) from error
        except exceptions.PreconditionError as error:
            raise BlockingIOError(errno.EAGAIN, "somebody else wrote the object", name) from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise StoreError(errno.EACCES, f"the store refuses it: {_refusal(error)}", name) from error
        except exceptions.BaseError as error:
            raise StoreError(errno.EIO, _refusal(error), name) from error

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


class _Written(io.RawIOBase):
    """A file as Python has them: of obstore's own pyarrow takes every one to be closed, as `closed` is a method."""

    def __init__(self, file: WritableFile) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return self._file.write(bytes(data))


def check_installed() -> None:
    """Raises CatalogError if the library is not there."""
    try:
        import obstore  # noqa: F401  # only whether it can be had
    except ImportError as error:
        raise CatalogError("a catalog in an object store needs the package obstore, which is not installed",
                           remedy=install("s3")) from error


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
        marker.write_new_text(text)
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


def _refusal(error: Exception) -> str:
    text = str(error)
    found = _STATUS.search(text)
    return " ".join(filter(None, found.groups())) if found else text.split("\n")[0][:300]


@cache
def _bucket_of(access: S3Access, bucket: str) -> S3Store:
    from obstore.store import S3Store

    return S3Store(bucket, **access.obstore())
