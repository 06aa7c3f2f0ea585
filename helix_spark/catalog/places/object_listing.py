"""What is below a name in an S3 store, by pyarrow, which lists, deletes, and reads long objects piece by piece.

obstore has no name for the empty objects ``NAME/`` by which Hadoop marks folders, so it could not delete what Spark
wrote.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, BinaryIO, cast

from helix_spark.catalog.places.single_object import ObjectStatus
from helix_spark.s3_access import TRIES, S3Access, StoreError, answering

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, S3FileSystem

_AWS_ERROR = re.compile(r"AWS Error (\w+) during \w+ operation: (.*?)(?: \(Request ID.*)?$", re.DOTALL)


def is_there(access: S3Access, path: str) -> bool:
    """Whether there is an object of a name, or one below it. Raises OSError."""
    from pyarrow.fs import FileType

    return bool(_info(access, path).type != FileType.NotFound)


def is_folder(access: S3Access, path: str) -> bool:
    """Whether there is an object below a name. Raises OSError."""
    from pyarrow.fs import FileType

    return bool(_info(access, path).type == FileType.Directory)


def _info(access: S3Access, path: str) -> FileInfo:
    with _told(access):
        return _files(access).get_file_info(path)


def listed(access: S3Access, path: str, *, recursive: bool) -> list[FileInfo]:
    """What is below a name. Raises FileNotFoundError if nothing is, other OSErrors."""
    from pyarrow.fs import FileSelector

    with _told(access):
        return list(_files(access).get_file_info(FileSelector(path, recursive=recursive)))


def status_of(found: FileInfo) -> ObjectStatus:
    """The status of an object in a listing, which tells no tags."""
    return ObjectStatus(found.size or 0, (found.mtime_ns or 0) / 1e9)


def delete_below(access: S3Access, path: str) -> None:
    """Delete all that is below a name, also what Hadoop leaves to mark an empty folder. Raises OSError."""
    with _told(access):
        _files(access).delete_dir(path)


def opened(access: S3Access, path: str) -> BinaryIO:
    """An object to read and to seek in. Raises OSError."""
    with _told(access):
        return cast(BinaryIO, _files(access).open_input_file(path))


@contextmanager
def _told(access: S3Access) -> Iterator[None]:
    """pyarrow's errors with what the store said in `strerror`, as local ones have it, and of the class that fits."""
    try:
        with answering(access.where):
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


@cache
def _files(access: S3Access) -> S3FileSystem:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    return S3FileSystem(**access.arrow(), retry_strategy=AwsStandardS3RetryStrategy(max_attempts=TRIES))
