"""One object of an S3 store, by obstore: it writes on a condition, which pyarrow cannot.

A condition is decided by the store: ``If-None-Match: *`` for an object that must not be there, ``If-Match`` for one
that must still be what it was.
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

from helix_spark.regular_files import OddFileError
from helix_spark.s3_access import S3Access, StoreError, answering

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
    """An object, there or not. What is asked of it raises FileNotFoundError where it is not, and StoreError where the
    store does not answer, or refuses.

    Attributes:
        path: the bucket and the names below it, divided by slashes.
    """

    access: S3Access
    path: str

    def status(self) -> ObjectStatus:
        """Return its status, with its tag."""
        import obstore

        with self._asking():
            found = obstore.head(*self._key)
        return ObjectStatus(found["size"], found["last_modified"].timestamp(), found["e_tag"] or "")

    def read(self, most: int) -> tuple[bytes, str]:
        """Return what it holds, and its tag. Raises OddFileError for more than `most` bytes."""
        import obstore

        with self._asking():
            found = obstore.get(*self._key)
            if found.meta["size"] > most:
                raise OddFileError(errno.EFBIG, f"it has more than {most:,} bytes", self._name)
            return bytes(found.bytes()), found.meta["e_tag"] or ""

    def write(self, content: bytes) -> None:
        """Make it, or replace it."""
        import obstore

        with self._asking():
            obstore.put(*self._key, content, use_multipart=False)

    def write_if(self, condition: Literal["create"] | UpdateVersion, content: bytes) -> None:
        """Write it where a condition holds; else raises FileExistsError, or BlockingIOError where it is another by now.

        A write has an id. It is looked for where the store's answer was lost: the write may have been carried out,
        and then it does not meet its own condition when it is tried again."""
        import obstore
        from obstore.exceptions import BaseError

        write = uuid.uuid4().hex
        with self._asking():
            try:
                obstore.put(
                    *self._key, content, mode=condition, use_multipart=False, attributes={_WRITE: write}
                )
            except BaseError:
                if self._last_write() != write:
                    raise

    def delete(self) -> None:
        """Remove it; nothing happens where it is not there."""
        import obstore

        with self._asking():
            obstore.delete(*self._key)

    @contextmanager
    def writable(self) -> Iterator[io.RawIOBase]:
        """A file to write to. It goes to the store in parts, and is there when the context ends."""
        import obstore

        with self._asking():
            try:
                with obstore.open_writer(*self._key) as file:
                    yield _Written(file)
            except OSError as error:  # which has no errors of its own, unlike all else
                raise StoreError(errno.EIO, _refusal(error), self._name) from error

    @property
    def _name(self) -> str:
        return f"s3a://{self.path}"

    @property
    def _key(self) -> tuple[S3Store, str]:
        bucket, _, key = self.path.partition("/")
        return _bucket_of(self.access, bucket), key

    def _last_write(self) -> str | None:
        """The id of the conditional write that it was last written by, if it was; None also if the store does not
        say."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            return obstore.get(*self._key).attributes.get(_WRITE)
        except (BaseError, FileNotFoundError):
            return None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        from obstore import exceptions

        name = self._name
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
            raise StoreError(errno.EACCES, f"the store refuses it: {_refusal(error)}", name) from error
        except exceptions.BaseError as error:
            raise StoreError(errno.EIO, _refusal(error), name) from error


class _Written(io.RawIOBase):
    """A file as Python has them: of obstore's own pyarrow takes every one to be closed, as `closed` is a method."""

    def __init__(self, file: WritableFile) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return self._file.write(bytes(data))


def _refusal(error: Exception) -> str:
    text = str(error)
    found = _STATUS.search(text)
    return " ".join(filter(None, found.groups())) if found else text.split("\n")[0][:300]


@cache
def _bucket_of(access: S3Access, bucket: str) -> S3Store:
    from obstore.store import S3Store

    return S3Store(bucket, **access.obstore())
