"""Opens files by names that somebody else may have written, as those in a record: regular files of real disks alone.

What else a name may lead to waits for ever (a pipe, /proc/kmsg), never ends (/dev/zero), or acts when it is opened (a
watchdog, a tape).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LONGEST_PATH = 4096
"""Bytes of a path that Linux takes."""

_KERNEL = ("/proc/", "/sys/")
"""Folders in which a kernel shows what it does: files there wait, or act when they are opened."""

_ODD = "it is a link, or no regular file"
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.EISDIR)
"""What opening says of a link, of a socket and of a folder."""


class OddFileError(OSError):
    """A name leads to something else than a regular file of a disk, or to one beyond all measure."""


def open_regular(path: str | Path, *, links: bool = True) -> BinaryIO:
    """Open a file for reading; never wait for what is not there.

    Args:
        links: whether the name may lead to the file by a link.

    Raises:
        OddFileError: it is no regular file of a disk, or the name is none.
        OSError: it is not there, or cannot be read.
    """
    name = _checked_name(path)
    follow = 0 if links else os.O_NOFOLLOW
    status = os.stat(name, follow_symlinks=links)  # noqa: PTH116 - a text
    if not stat.S_ISREG(status.st_mode) or not _is_on_disk(name):
        kind = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OddFileError(kind, _ODD, _shown(name))
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | follow)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise OddFileError(error.errno, _ODD, _shown(name)) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # it was replaced in between
        os.close(handle)
        raise OddFileError(errno.EINVAL, _ODD, _shown(name))
    return os.fdopen(handle, "rb")


def read_regular(path: str | Path, most: int, *, links: bool = True) -> bytes:
    """Return all bytes of a file. Raises as `open_regular`, and OddFileError where there are more than `most`."""
    with open_regular(path, links=links) as file:
        # The size comes first: a file with holes takes no room on a disk, and all of it in memory.
        content = file.read(most + 1) if os.fstat(file.fileno()).st_size <= most else None
    if content is None or len(content) > most:
        raise OddFileError(errno.EFBIG, f"it has more than {most:,} bytes", _shown(os.fspath(path)))
    return content


@contextmanager
def scan_folder(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """List a folder of a disk. Raises OddFileError where it is none, OSError where it cannot be listed."""
    name = _checked_name(path)
    status = os.stat(name)  # noqa: PTH116 - a text
    if not stat.S_ISDIR(status.st_mode) or not _is_on_disk(name):
        kind = errno.EINVAL if stat.S_ISDIR(status.st_mode) else errno.ENOTDIR
        raise OddFileError(kind, "it is no folder of a disk", _shown(name))
    with os.scandir(name) as entries:
        yield entries


def is_file_name(name: str) -> bool:
    """True if a file can have this path.

    >>> is_file_name("/a/b"), is_file_name("/a\\0b"), is_file_name("/a" * 3000)
    (True, False, False)
    """
    if len(name) > LONGEST_PATH:
        return False
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return b"\0" not in encoded and len(encoded) <= LONGEST_PATH


def _checked_name(path: str | Path) -> str:
    name = os.fspath(path)
    if not is_file_name(name):
        raise OddFileError(errno.EINVAL, "it is no name of a file", _shown(name))
    return name


def _shown(name: str) -> str:
    return name[:200].encode(errors="backslashreplace").decode()


def _is_on_disk(name: str) -> bool:
    return not f"{os.path.realpath(name)}/".startswith(_KERNEL)
