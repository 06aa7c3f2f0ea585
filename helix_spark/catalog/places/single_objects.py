"""One object of an S3 store at a time: read, written, and written on a condition, each by one request.

A condition is decided by the store: ``If-None-Match: *`` for an object that must not be there, ``If-Match`` for one
that must still be what it was. Errors are those that a file system would raise.
"""

from __future__ import annotations

import errno
import io
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from helix_spark.catalog.places.local_disk import OddFileError
from helix_spark.catalog.places.s3_access import S3Access
from helix_spark.catalog.places.silence import StoreError, answering
from helix_spark.errors import CatalogError, install

if TYPE_CHECKING:
    from obstore import UpdateVersion, WritableFile
    from obstore.store import S3Store

_WRITE = "helix-write"
"""Name under which an object has the id of the conditional write that made it."""

_STATUS = re.compile(r"status code: (\d{3} [^:]*)(?:.*?<Code>(\w+)</Code>)?", re.DOTALL)


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
class SingleObject:
    """An object, there or not."""

    access: S3Access
    bucket: str
    key: str

    def status(self) -> ObjectStatus:
        import obstore

        with self._told():
            found = obstore.head(_store(self.access, self.bucket), self.key)
        return ObjectStatus(found["size"], found["last_modified"].timestamp(), found["e_tag"] or "")

    def read(self, most: int) -> tuple[bytes, str]:
        """What it holds, and its tag. Raises OddFileError for more than `most` bytes."""
        import obstore

        with self._told():
            found = obstore.get(_store(self.access, self.bucket), self.key)
            if found.meta["size"] > most:
                raise OddFileError(errno.EFBIG, f"it has more than {most:,} bytes", f"s3a://{self.bucket}/{self.key}")
            return bytes(found.bytes()), found.meta["e_tag"] or ""

    def write(self, content: bytes) -> None:
        """Replace it, or make it."""
        import obstore

        with self._told():
            obstore.put(_store(self.access, self.bucket), self.key, content, use_multipart=False)

    @contextmanager
    def writing(self) -> Iterator[io.RawIOBase]:
        """A file to write to. It goes to the store in parts, and is there when the context ends."""
        import obstore

        with self._told():
            try:
                with obstore.open_writer(_store(self.access, self.bucket), self.key) as file:
                    yield _Written(file)
            except OSError as error:  # which has no errors of its own, unlike all else
                raise StoreError(errno.EIO, _said(error), f"s3a://{self.bucket}/{self.key}") from error

    def write_new(self, content: bytes) -> None:
        """Make it: raises FileExistsError if it is there. Of several who do so at once one succeeds."""
        self._write_if("create", content)

    def write_over(self, content: bytes, tag: str) -> None:
        """Replace it if it still has this tag: raises BlockingIOError if it has another."""
        self._write_if({"e_tag": tag}, content)

    def remove(self) -> None:
        """Remove it; nothing happens if it is not there."""
        import obstore

        with self._told():
            obstore.delete(_store(self.access, self.bucket), self.key)

    def _write_if(self, condition: Literal["create"] | UpdateVersion, content: bytes) -> None:
        """A write has an id. It is looked for where the store's answer was lost: the write may have been carried out,
        and then it does not meet its own condition when it is tried again."""
        import obstore
        from obstore.exceptions import BaseError

        write = uuid.uuid4().hex
        with self._told():
            try:
                obstore.put(
                    _store(self.access, self.bucket), self.key, content, mode=condition, use_multipart=False,
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
            return obstore.get(_store(self.access, self.bucket), self.key).attributes.get(_WRITE)
        except (BaseError, FileNotFoundError):
            return None

    @contextmanager
    def _told(self) -> Iterator[None]:
        from obstore import exceptions

        name = f"s3a://{self.bucket}/{self.key}"
        try:
            with answering(self.access.where):
                yield
        except (exceptions.NotFoundError, FileNotFoundError) as error:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", name) from error
        except exceptions.AlreadyExistsError as error:
            raise FileExistsError(errno.EEXIST, "the object is there already", name) from error
        except exceptions.PreconditionError as error:
            raise BlockingIOError(errno.EAGAIN, "somebody else wrote the object", name) from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise StoreError(errno.EACCES, f"the store refuses it: {_said(error)}", name) from error
        except exceptions.BaseError as error:
            raise StoreError(errno.EIO, _said(error), name) from error


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


def _said(error: Exception) -> str:
    text = str(error)
    found = _STATUS.search(text)
    return " ".join(filter(None, found.groups())) if found else text.split("\n")[0][:300]


@cache
def _store(access: S3Access, bucket: str) -> S3Store:
    from obstore.store import S3Store

    return S3Store(bucket, **access.obstore())
