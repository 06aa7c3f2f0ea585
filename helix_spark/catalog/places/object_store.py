"""A location in an object store: S3, Azure's or Google's.

An object appears atomically and is visible to all at once, so writing it replaces a file. A folder exists while the
name of an object goes through it. There are no links, and no renames.

Hadoop marks folders by empty objects, in S3 and at Google ``NAME/``. obstore lists such a mark as ``NAME`` and cannot
delete it. So empty objects do not count as folders, and pyarrow deletes the marks.
"""

from __future__ import annotations

import errno
import importlib.util
import io
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar, cast

from helix_spark.errors import CatalogError, install
from helix_spark.regular_files import OddFileError
from helix_spark.store_access import StoreAccess, StoreError, answering, bucket_of, parse_address

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

T = TypeVar("T")
R = TypeVar("R")

_PIECE = 8 << 20
"""Bytes per request when a large part of an object is fetched; concurrent requests are faster than a single one."""


class ObjectStatus(NamedTuple):
    """An object's bytes, its time in Unix seconds of the store's clock, and, in listings, its name."""

    st_size: int
    st_mtime: float
    name: str = ""

    def stat(self) -> ObjectStatus:
        return self


@dataclass(frozen=True, slots=True)
class ObjectPath:
    """An object or a folder, as bucket/name/name; see `place.Place`. Raises StoreError."""

    access: StoreAccess
    path: str

    def __str__(self) -> str:
        return self.access.address(self.path)

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

    def exists(self) -> bool:
        return self.is_dir() or self.is_file()

    def is_dir(self) -> bool:
        return next(self._below(), None) is not None

    def is_own_folder(self) -> bool:
        return any(meta["size"] for meta in self._below())

    def is_file(self) -> bool:
        try:
            return bool(self._beginning and self.stat())
        except FileNotFoundError:
            return False

    def stat(self) -> ObjectStatus:
        return _status(self._ask(lambda store, key: store.head(key)), "")

    lstat = stat

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok:
            self.stat()
        with suppress(FileNotFoundError):
            self._ask(lambda store, key: store.delete(key))

    def glob(self, pattern: str, /) -> Iterator[ObjectPath]:
        yield from (self / entry.name for entry in self.entries() if PurePosixPath(entry.name).match(pattern))

    def entries(self) -> list[ObjectStatus]:
        listing, start = self._ask(lambda store, key: store.list_with_delimiter(key or None)), self._beginning
        own_mark = self._key[1]
        objects = {meta["path"]: meta for meta in listing["objects"] if meta["path"] != own_mark}
        statuses = {path: _status(meta, path[start:]) for path, meta in objects.items()}
        statuses |= {path: ObjectStatus(0, 0.0, path[start:]) for path in listing["common_prefixes"]}
        return list(statuses.values())

    def replace_text(self, text: str, *, synced: bool = False) -> None:
        self._write(text.encode())

    def write_new(self, content: bytes, *, synced: bool = False) -> None:
        """Create the object. Raises FileExistsError, also if an earlier request created it and its answer was lost."""
        self._write(content, mode="create")

    def move_to(self, target: Any, /) -> None:
        target._write(self.read_at_most(1 << 30))  # all moved files are much smaller
        self.unlink(missing_ok=True)

    def sync(self, files: Collection[Any], /) -> None:
        """No-op: a store answers after the object is durable."""

    def make_folder(self, *, synced: bool = False) -> None:
        """No-op: the name of an object makes its folders."""

    def make_new_folder(self, *, within: Any) -> None:
        """Check that the folder is new. Its name is a new id, so no other process writes there."""
        if self.is_dir():
            raise FileExistsError(errno.EEXIST, "the folder exists already", str(self))

    def total_bytes(self) -> int:
        return sum(meta["size"] for meta in self._below())

    def last_modified(self) -> float | None:
        return max((meta["last_modified"].timestamp() for meta in self._below() if meta["size"]), default=None)

    def second_names(self, skipped: Collection[str] = (), /) -> Iterator[tuple[str, str]]:
        """List everything in pages: a request for each folder would take longer."""
        names = (meta["path"][self._beginning :].split("/") for meta in self._below() if meta["size"])
        yield from dict.fromkeys((first, second[0]) for first, *second in names if second)

    def files(self) -> Iterator[ObjectPath]:
        """Yield all objects except the empty marks of folders, which have objects below their names."""
        sizes = {meta["path"]: meta["size"] for meta in self._below() if meta["path"] != self._key[1]}
        if not sizes:
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(self))
        folders = {name.rpartition("/")[0] for name in sizes}
        yield from (self._at(name) for name, size in sizes.items() if size or name not in folders)

    def delete_tree(self) -> None:
        """Delete all objects in bulk requests; retry if another process deleted some of them meanwhile."""
        objects = [*self._below()]
        while names := [meta["path"] for meta in objects if meta["size"]]:
            with suppress(FileNotFoundError):
                self._ask(lambda store, _: store.delete(names))
            objects = [*self._below()]
        for name in sorted((meta["path"] for meta in objects), reverse=True):  # Azure's folders, once they are empty
            self._at(name).unlink(missing_ok=True)
        if objects and (marks := self.access.marks()) is not None and self.is_dir():
            with _explained(self), suppress(FileNotFoundError):
                marks.delete_dir(self.path)

    def read_at_most(self, most: int) -> bytes:
        def read(store: ObjectStore, key: str) -> bytes:
            response = store.get(key)
            if response.meta["size"] > most:
                raise OddFileError(errno.EFBIG, f"it has more than {most:,} bytes", str(self))
            return bytes(response.bytes())

        return self._ask(read)

    def open_binary(self) -> BinaryIO:
        return cast(BinaryIO, _ObjectFile(self, self.stat().st_size))

    @contextmanager
    def writable(self) -> Iterator[Any]:
        """Yield a file in memory, written at the end as a whole object."""
        import pyarrow as pa

        with pa.BufferOutputStream() as file:
            yield file
            content = file.getvalue().to_pybytes()
        self._write(content, use_multipart=None)

    @property
    def spark_uri(self) -> str:
        return str(self)

    @property
    def _key(self) -> tuple[ObjectStore, str]:
        bucket, _, key = self.path.partition("/")
        return bucket_of(self.access, bucket), key

    @property
    def _beginning(self) -> int:
        """Length of this folder's prefix in the names of its objects."""
        return len(self._key[1]) + 1 if self._key[1] else 0

    def _at(self, key: str) -> ObjectPath:
        return ObjectPath(self.access, f"{self.bucket}/{key}")

    def _ask(self, request: Callable[[ObjectStore, str], T]) -> T:
        with _explained(self):
            return request(*self._key)

    def _write(self, content: Any, **options: Any) -> None:
        self._ask(lambda store, key: store.put(key, content, **{"use_multipart": False, **options}))

    def _below(self) -> Iterator[ObjectMeta]:
        """List all objects below a folder, page by page."""
        pages = self._ask(lambda store, key: iter(store.list(key or None, chunk_size=1000)))
        while page := self._ask(lambda *_: next(pages, None)):
            yield from page


class _ObjectFile(io.RawIOBase):
    """A seekable object: each read is one request, or concurrent requests for many bytes."""

    def __init__(self, path: ObjectPath, size: int) -> None:
        self._path, self._size, self._at = path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = max(0, (0, self._at, self._size)[whence] + offset)
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        start, end = self._at, self._size if size is None or size < 0 else min(self._size, self._at + size)

        def piece(at: int) -> bytes:
            part = self._path._ask(lambda store, key: store.get_range(key, start=at, end=min(at + _PIECE, end)))
            return bytes(part)

        if end - start <= _PIECE:
            content = piece(start) if start < end else b""
        else:
            content = b"".join(at_once(piece, range(start, end, _PIECE)))
        self._at += len(content)
        return content


def at_once(work: Callable[[T], R], items: Iterable[T], threads: int = 8) -> Iterator[R]:
    """Yield the results of `work` for items, in order, running it concurrently."""
    from concurrent.futures import ThreadPoolExecutor  # imports `logging`, which most lookups do not need

    with ThreadPoolExecutor(threads, thread_name_prefix="helix-store") as pool:
        yield from pool.map(work, items)


def _status(meta: ObjectMeta, name: str) -> ObjectStatus:
    return ObjectStatus(meta["size"], meta["last_modified"].timestamp(), name)


_STATUS = re.compile(r"status code: (\d{3} [^:]*)(?:.*?<Code>(\w+)</Code>)?", re.DOTALL)
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")


@contextmanager
def _explained(path: ObjectPath) -> Iterator[None]:
    """Raise a request's error as an OSError of the fitting class, with the store's message in `strerror`."""
    from obstore import exceptions

    try:
        with answering(path.access.where):
            yield
    except StoreError:
        raise
    except (exceptions.BaseError, FileNotFoundError) as error:
        name, status = str(path), _STATUS.search(str(error))
        text = " ".join(filter(None, status.groups())) if status else str(error).split("\n")[0][:300]
        raised: OSError
        if any(code in text for code in _NO_BUCKET):
            raised = StoreError(errno.ENODEV, f"there is no bucket {path.bucket!r} at {path.access.where}", name)
        elif isinstance(error, FileNotFoundError):
            raised = FileNotFoundError(errno.ENOENT, "there is no such object", name)
        elif isinstance(error, exceptions.AlreadyExistsError):
            raised = FileExistsError(errno.EEXIST, "the object exists already", name)
        elif text.startswith(("401", "403")) or "ExpiredToken" in text:
            raised = StoreError(errno.EACCES, f"the store refuses the request: {text}", name)
        else:
            raised = StoreError(errno.EIO, text, name)
        raise raised from error


def object_path(root: str) -> ObjectPath:
    """Return the path for an address such as ``s3a://bucket/path``. Raises CatalogError if it is no such address, or
    the store cannot be reached, has no such bucket, or refuses the credentials."""
    path = ObjectPath(*parse_address(root))
    if importlib.util.find_spec("obstore") is None:
        raise CatalogError("a catalog in an object store needs the package obstore, which is not installed",
                           remedy=install("stores"))
    try:
        path.entries()
    except OSError as error:
        where, text = path.access.where, error.strerror or str(error)
        message = f"the object store at {where} cannot be reached"
        remedy = "check the network, and the variables that name the store"
        if error.errno == errno.ENODEV:
            message, remedy = text, "create the bucket, name another, or set the store's variables to its location"
        elif error.errno == errno.EACCES:
            message = f"the bucket {path.bucket!r} at {where} refuses these credentials"
            remedy = f"set {path.access.variables}"
        raise CatalogError(message, exists=None if message == text else text, remedy=remedy) from error
    return path


def check_conditional(marker: ObjectPath, text: str) -> None:
    """Check that the store refuses to create an existing object, the marker with its text: concurrent appends of
    records rely on this. Raises CatalogError if it does not refuse, or cannot be written."""
    with _unwritable(marker.parent), suppress(FileExistsError):
        marker.write_new(text.encode())
        message = f"the store at {marker.access.where} ignores If-None-Match when an object is written"
        raise CatalogError(message, exists="concurrent runs could lose each other's records",
                           remedy="use a store that does (AWS S3, Azure and Google do), or a local folder")


TRIED = ".helix-try-"
"""Prefix of the files that test a disk or a store."""


def try_store(root: ObjectPath) -> str:
    """Write an object and delete it; return a message that the store suits a catalog. Raises CatalogError if it does
    not, cannot be written, or has a clock that differs from ours."""
    tried, content = root / f"{TRIED}{uuid.uuid4().hex}", uuid.uuid4().bytes
    with _unwritable(root):
        before = time.time()
        tried.write_new(content)
        now = (before + time.time()) / 2
        try:
            check_conditional(tried, "another")
            times = {entry.name: entry.stat().st_mtime for entry in root.entries()}
            if tried.name not in times or tried.read_at_most(len(content)) != content:
                raise CatalogError(f"the store at {root.access.where} does not show written objects at once",
                                   exists="records would be missed", remedy="use another store, or a local folder")
        finally:
            tried.unlink(missing_ok=True)
    ahead = times[tried.name] - now
    if abs(ahead) > 60.0:  # a run elsewhere counts as dead after this time without a heartbeat
        difference = f"{abs(ahead):,.0f} s {'behind' if ahead > 0 else 'ahead of'}"
        raise CatalogError(f"this machine's clock is {difference} that of the store at {root.access.where}",
                           exists="results and records are sound, but a live run elsewhere may count as dead",
                           remedy="set this machine's clock by a time server")
    return f"{root} at {root.access.where} creates only what is absent and shows at once what was written"


@contextmanager
def _unwritable(root: ObjectPath) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CatalogError(f"the catalog {root} cannot be written: {error.strerror}",
                           remedy="allow these credentials to write, or name another location; "
                           "log and explain work without writing") from error
