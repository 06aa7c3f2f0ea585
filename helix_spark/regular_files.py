"""Safe access to regular files by untrusted names, and the identity of a file's content.

Opening other files may block (a pipe, /proc/kmsg), never end (/dev/zero), or start a device (a watchdog, a tape).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LONGEST_PATH = 4096
"""Linux's limit of a path, in bytes."""

HASHED_BYTES = 64 * 2**20
"""Files up to this size are identified by content (0.1 s), larger ones by size, modification time and samples."""

SAMPLES, SAMPLED_BYTES = 16, 2**22
"""Hashed blocks of each larger file, and their bytes in all. They detect most rewrites that keep size and time."""

_NOT_REGULAR = "it is a link, or no regular file"


class OddFileError(OSError):
    """A name does not lead to a regular file on a disk, or the file is too large."""


def open_regular(path: str | Path, *, links: bool = True) -> BinaryIO:
    """Open a file for reading without blocking; follow links only if `links`. Raises OddFileError if it is no regular
    file on a disk, or the name is invalid; OSError."""
    name = _checked_name(path)
    follow = 0 if links else os.O_NOFOLLOW
    status = os.stat(name, follow_symlinks=links)  # noqa: PTH116 - a text
    if not stat.S_ISREG(status.st_mode) or not _is_on_disk(name):
        kind = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OddFileError(kind, _NOT_REGULAR, _printable(name))
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | follow)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR):  # a link, a socket, a folder
            raise
        raise OddFileError(error.errno, _NOT_REGULAR, _printable(name)) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # replaced in between
        os.close(handle)
        raise OddFileError(errno.EINVAL, _NOT_REGULAR, _printable(name))
    return os.fdopen(handle, "rb")


def read_regular(path: str | Path, most: int, *, links: bool = True) -> bytes:
    """Return all bytes of a file. Raises as `open_regular`, and OddFileError if there are more than `most`."""
    with open_regular(path, links=links) as file:
        # Check the size first: a sparse file takes no space on a disk, but all of it in memory.
        content = file.read(most + 1) if os.fstat(file.fileno()).st_size <= most else None
    if content is None or len(content) > most:
        raise OddFileError(errno.EFBIG, f"it has more than {most:,} bytes", _printable(os.fspath(path)))
    return content


def content_fields(
    path: str | Path, least: int = HASHED_BYTES + 1, count: int = SAMPLES, block: int = SAMPLED_BYTES // SAMPLES
) -> tuple[str | bytes, ...]:
    """Return the identity of a file's content: its SHA-256; for a file of at `least` that many bytes its size, its
    modification time, and the SHA-256 of `count` blocks of `block` bytes. Raises as `open_regular`."""
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        if status.st_size < least:
            digest = hashlib.sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
            return "content", digest.hexdigest()
        blocks: list[bytes] = []
        for offset in sample_places(status.st_size, block, count):
            file.seek(offset)
            blocks.append(hashlib.sha256(file.read(block)).digest())
        return "sampled", str(status.st_size), str(status.st_mtime_ns), *blocks


def sample_places(size: int, block: int, count: int = SAMPLES) -> list[int]:
    """Return the offsets of the hashed blocks of a large file, evenly from its first byte to its end.

    >>> places = sample_places(10_000, block=100)
    >>> places[:3], places[-1], len(places) == SAMPLES
    ([0, 660, 1320], 9900, True)
    """
    last = max(0, size - block)
    return [last * number // (count - 1) for number in range(count)]


@contextmanager
def scan_folder(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """List a folder on a disk. Raises OddFileError for another path, OSError if it cannot be listed."""
    name = _checked_name(path)
    status = os.stat(name)  # noqa: PTH116 - a text
    if not stat.S_ISDIR(status.st_mode) or not _is_on_disk(name):
        kind = errno.EINVAL if stat.S_ISDIR(status.st_mode) else errno.ENOTDIR
        raise OddFileError(kind, "it is no folder on a disk", _printable(name))
    with os.scandir(name) as entries:
        yield entries


def is_file_name(name: str) -> bool:
    """Return whether a file can have this path.

    >>> is_file_name("/a/b"), is_file_name("/a\\0b"), is_file_name("/a" * 3000)
    (True, False, False)
    """
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return b"\0" not in encoded and len(encoded) <= LONGEST_PATH


def _checked_name(path: str | Path) -> str:
    name = os.fspath(path)
    if not is_file_name(name):
        raise OddFileError(errno.EINVAL, "a file cannot have this name", _printable(name))
    return name


def _printable(name: str) -> str:
    return name[:200].encode(errors="backslashreplace").decode()


def _is_on_disk(name: str) -> bool:
    # Opening files of the kernel may block, or act.
    return not f"{os.path.realpath(name)}/".startswith(("/proc/", "/sys/"))
