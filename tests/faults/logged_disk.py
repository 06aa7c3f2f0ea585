"""A disk whose writes are logged: an ext4 file system on a loop device, over a file that a FUSE file system of our own
serves. What the kernel writes to the device comes by in its order, with the flushes that a sync asks for, so that the
disk can be had as it was whenever the power might have been cut.

    python -m tests.faults.logged_disk MOUNTPOINT IMAGE LOG

That is the server. It takes root, /dev/fuse and a loop device; where these cannot be had, `why_not_here` says so.

What a cut leaves: all that was written before the last flush; of what was written since, any sectors, as a disk with a
cache of its own may have kept them. The kernel's memory is gone, so what was never written to the device is, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.processes import start_python

SECTOR = 512
_SIZE = 64 << 20
_LOG_ENTRY = struct.Struct("<BQI")
_WRITE, _FLUSH, _MARK = range(3)
_DISK, _MARKS = "disk", "marks"
_NODES = {_DISK: 2, _MARKS: 3}
OPTIONS = ("", "noauto_da_alloc,commit=1")
"""Of ext4: as it comes; and without its own guess at what applications forgot to sync, and with a journal that is
written every second, so that names survive more often than what they name."""


def why_not_here() -> str:
    """Why there can be no such disk on this machine; empty if there can."""
    if os.geteuid() != 0:
        return "only root may mount a file system"
    missing = [name for name in ("/dev/fuse", "/dev/loop-control") if not Path(name).exists()]
    missing += [name for name in ("losetup", "mkfs.ext4", "mount", "umount") if shutil.which(name) is None]
    if missing:
        return f"this machine has no {', no '.join(missing)}"
    probe = subprocess.run(["losetup", "--find"], capture_output=True, text=True)
    return "" if probe.returncode == 0 else f"no loop device can be had: {probe.stderr.strip()}"


@dataclass(frozen=True)
class Cut:
    """The disk as a cut of the power left it.

    Attributes:
        image: file of the disk.
        marks: what was marked before the cut.
    """

    image: Path
    marks: tuple[str, ...]


class LoggedDisk:
    """Make one with `logged_disk`.

    Attributes:
        folder: where its file system is mounted.
    """

    def __init__(self, served: Path, folder: Path, image: Path, log: Path) -> None:
        self.folder = folder
        self._served, self._image, self._log = served, image, log
        self._first = b""

    def begin(self) -> None:
        """What was written so far is no part of the log."""
        _run("sync", "--file-system", str(self.folder))
        self._first = self._image.read_bytes()
        self._log.write_bytes(b"")

    @property
    def marks(self) -> Path:
        """A file: what is written to it is remembered in the log, such as that something was acknowledged by then."""
        return self._served / _MARKS

    def recorded(self) -> Recording:
        """The log so far."""
        return Recording(self._first, _entries(self._log.read_bytes()))


@dataclass(frozen=True)
class Recording:
    """What was written to a disk, from `begin` on."""

    first: bytes
    entries: list[tuple[int, int, bytes]]

    def moments(self, chosen: random.Random, count: int) -> list[int]:
        """Where in the log the power may be cut: half of them just behind a mark, where most is at stake."""
        marks = [index + 1 for index, entry in enumerate(self.entries) if entry[0] == _MARK]
        first = next((index for index, entry in enumerate(self.entries) if entry[0] == _WRITE), 0)
        anywhere = [chosen.randrange(first, len(self.entries) + 1) for _ in range(count)]
        return [chosen.choice(marks) if marks and index % 2 else moment for index, moment in enumerate(anywhere)]

    def cut(self, moment: int, chosen: random.Random, image: Path) -> Cut:
        """Writes the disk as it is after a cut at a moment.

        Args:
            image: a new file: of one that was mounted before, the kernel might remember what it held.
        """
        disk = bytearray(self.first)
        entries = self.entries[:moment]
        flushed = max((index for index, entry in enumerate(entries) if entry[0] == _FLUSH), default=-1)
        kept = chosen.choice((0.0, 0.5, 0.9, 1.0))
        for index, (kind, offset, content) in enumerate(entries):
            if kind != _WRITE:
                continue
            for at in range(0, len(content), len(content) if index < flushed else SECTOR):
                if index < flushed or chosen.random() < kept:
                    piece = content[at:] if index < flushed else content[at : at + SECTOR]
                    disk[offset + at : offset + at + len(piece)] = piece
        image.write_bytes(disk)
        return Cut(image, tuple(content.decode() for kind, _, content in entries if kind == _MARK))


def _entries(log: bytes) -> list[tuple[int, int, bytes]]:
    found, at = [], 0
    while at < len(log):
        kind, offset, length = _LOG_ENTRY.unpack_from(log, at)
        at += _LOG_ENTRY.size
        found.append((kind, offset, log[at : at + length]))
        at += length
    return found


@contextlib.contextmanager
def logged_disk(work: Path, options: str = "") -> Iterator[LoggedDisk]:
    """A disk that is logged, empty.

    Args:
        work: a folder for its files, not on the disk itself.
        options: of the mount.
    """
    served, folder, image, log = (work / name for name in ("served", "disk", "image", "log"))
    served.mkdir(parents=True)
    folder.mkdir()
    image.write_bytes(bytes(_SIZE))
    with contextlib.ExitStack() as undo:
        words = ("-m", "tests.faults.logged_disk", served, image, log)
        server = start_python(*words, stdout=None, stderr=None, start_new_session=False)
        undo.callback(server.wait)
        undo.callback(_run, "umount", "--lazy", str(served))
        _wait_for(served / _DISK, server)
        device = _run("losetup", "--find", "--show", str(served / _DISK))
        undo.callback(_run, "losetup", "--detach", device)
        # Initialised at once: a kernel that does so later would write on in the background.
        _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", device)
        _run("mount", "-o", ",".join(filter(None, ("nodiscard", options))), device, str(folder))
        undo.callback(_run, "umount", str(folder))
        disk = LoggedDisk(served, folder, image, log)
        disk.begin()
        yield disk


@contextlib.contextmanager
def powered_on(cut: Cut) -> Iterator[Path]:
    """A disk after a cut, mounted again, which has the file system put itself right. The image is gone afterwards."""
    folder = cut.image.with_suffix(".mounted")
    folder.mkdir()
    _run("mount", "-o", "loop", str(cut.image), str(folder))
    try:
        yield folder
    finally:
        # Lazily: a catalog holds its folder open for as long as its heartbeat goes on.
        _run("umount", "--lazy", str(folder))
        cut.image.unlink()


def _run(*command: str) -> str:
    for _ in range(20):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout.strip()
        if "busy" not in done.stderr:
            break
        time.sleep(0.2)  # somebody looks at it still, such as an indexer
    raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def _wait_for(path: Path, server: subprocess.Popen[str]) -> None:
    for _ in range(200):
        if path.exists():
            return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise OSError("the FUSE file system that serves the disk did not start")


# The server -----------------------------------------------------------------------------------------------------------

_IN, _OUT = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
_READ, _WRITTEN = struct.Struct("<QQIIQII"), struct.Struct("<II")
_ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
_MAX_WRITE = 128 << 10
_NO_ANSWER = frozenset({2, 42})  # FORGET, BATCH_FORGET
_ENOENT, _ENOSYS = 2, 38


class _Server:
    """Answers the kernel's requests (https://docs.kernel.org/filesystems/fuse/fuse.html) for a folder of two files."""

    def __init__(self, fuse: int, image: Path, log: Path) -> None:
        self._fuse, self._image = fuse, os.open(image, os.O_RDWR)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._size = os.fstat(self._image).st_size

    def serve(self) -> None:
        """Until it is unmounted."""
        while True:
            try:
                request = os.read(self._fuse, _MAX_WRITE + (64 << 10))
            except OSError:
                return  # it was unmounted
            _, opcode, unique, node, *_ = _IN.unpack_from(request)
            if opcode in _NO_ANSWER:
                continue
            answer = self._answer(opcode, node, request[_IN.size :])
            error, content = (-answer, b"") if isinstance(answer, int) else (0, answer)
            os.write(self._fuse, _OUT.pack(_OUT.size + len(content), error, unique) + content)

    def _answer(self, opcode: int, node: int, request: bytes) -> bytes | int:
        match opcode:
            case 26:  # INIT
                return struct.pack("<IIIIHHIIHHI28x", 7, 31, 128 << 10, 0, 12, 9, _MAX_WRITE, 1, 0, 0, 0)
            case 1:  # LOOKUP
                found = _NODES.get(request.rstrip(b"\0").decode())
                return _ENOENT if found is None else struct.pack("<QQQQII", found, 0, 0, 0, 0, 0) + self._status(found)
            case 3 | 4:  # GETATTR, SETATTR
                return struct.pack("<QII", 0, 0, 0) + self._status(node)
            case 14 | 27:  # OPEN, OPENDIR
                return struct.pack("<QII", 0, 0, 0)
            case 15:  # READ
                _, offset, size, *_ = _READ.unpack_from(request)
                return os.pread(self._image, size, offset) if node == _NODES[_DISK] else b""
            case 16:  # WRITE
                _, offset, size, *_ = _READ.unpack_from(request)
                return self._written(node, offset, request[_READ.size : _READ.size + size])
            case 17:  # STATFS
                return struct.pack("<QQQQQIIII24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)
            case 20:  # FSYNC: the device was told to flush its cache
                self._note(_FLUSH if node == _NODES[_DISK] else _MARK, 0, b"")
                return b""
            case 28:  # READDIR: whoever needs a name knows it
                return b""
            case 18 | 25 | 29 | 34 | 38:  # RELEASE, FLUSH, RELEASEDIR, ACCESS, DESTROY
                return b""
        return _ENOSYS

    def _written(self, node: int, offset: int, content: bytes) -> bytes:
        if node == _NODES[_DISK]:
            os.pwrite(self._image, content, offset)
        self._note(_WRITE if node == _NODES[_DISK] else _MARK, offset, content)
        return _WRITTEN.pack(len(content), 0)

    def _note(self, kind: int, offset: int, content: bytes) -> None:
        os.write(self._log, _LOG_ENTRY.pack(kind, offset, len(content)) + content)

    def _status(self, node: int) -> bytes:
        size = self._size if node == _NODES[_DISK] else 0
        mode = stat.S_IFDIR | 0o755 if node == 1 else stat.S_IFREG | 0o600
        return _ATTRIBUTES.pack(node, size, size // 512, *(0,) * 6, mode, 1, 0, 0, 0, 4096, 0)


def main() -> None:
    served, image, log = map(Path, sys.argv[1:])
    fuse = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,max_read={128 << 10}"
    if libc.mount(b"helix-logged", str(served).encode(), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "the FUSE file system cannot be mounted")
    _Server(fuse, image, log).serve()


if __name__ == "__main__":
    main()
