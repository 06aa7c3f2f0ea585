"""Where a run and a server meet: a socket in a folder that only its owner can enter, named by the folder that both work
in; who keeps a server there holds its lock. Messages are lines of JSON. A connection is a lease: it ends with its
process, however that ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket as socket_module
import stat
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from socket import AF_UNIX, MSG_PEEK, SOCK_STREAM, SOL_SOCKET, recv_fds, send_fds, socket
from threading import Lock
from typing import Any

from helix_spark.errors import SetupError

FOLDER_VARIABLE = "HELIX_SERVER_FOLDER"
"""Names the folder in which servers are met, in place of the user's runtime folder."""

_LONGEST = 100
"""Bytes of a socket's path: 108 with the zero at its end on Linux, 104 on macOS."""


def runtime_folder() -> Path:
    """Return the folder that servers of this user are met in; made if it is not there. Raises SetupError if it is
    somebody else's, or others may enter it."""
    named, given = os.environ.get(FOLDER_VARIABLE), os.environ.get("XDG_RUNTIME_DIR", "")
    around = Path(given) if given and os.access(given, os.W_OK) else Path(tempfile.gettempdir())
    folder = Path(named) if named else around / f"helix-spark-{os.getuid()}"
    remedy = f"remove it, or name another one by {FOLDER_VARIABLE}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise SetupError(f"the folder for servers, {folder}, cannot be used: {error}", remedy=remedy) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise SetupError(f"the folder for servers, {folder}, is not for this user alone", remedy=remedy)
    if len(os.fsencode(folder)) > _LONGEST - len("/0123456789abcdef.sock"):
        raise SetupError(f"the path of the folder for servers is too long: {folder}", remedy=remedy)
    return folder


@dataclass(frozen=True, slots=True)
class MeetingPoint:
    """The place of the one server of a folder. `stem` is the path of its files, without what follows the name."""

    stem: Path

    @staticmethod
    def of(folder: str) -> MeetingPoint:
        """Return that of a folder to work in. Raises as `runtime_folder` does."""
        return MeetingPoint(runtime_folder() / blake2b(os.fsencode(folder), digest_size=8).hexdigest())

    @staticmethod
    def all() -> list[MeetingPoint]:
        """Return those of all folders that a server was ever kept for and that was not forgotten."""
        return [MeetingPoint(lock.with_suffix("")) for lock in sorted(runtime_folder().glob("*.lock"))]

    @property
    def door(self) -> Path:
        """The socket at which the keeper is asked."""
        return self.stem.with_suffix(".sock")

    @property
    def forks(self) -> Path:
        """The socket at which the fork server is asked."""
        return self.stem.with_suffix(".fork")

    @property
    def log(self) -> Path:
        """What the server's JVM and its workers print."""
        return self.stem.with_suffix(".log")

    @property
    def lock(self) -> Path:
        """Locked by the process that keeps the server; says which one that is."""
        return self.stem.with_suffix(".lock")

    @contextmanager
    def kept(self) -> Iterator[bool]:
        """Be the one that keeps the server, meanwhile; yields whether that could be had."""
        with os.fdopen(os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            try:
                yield True
            finally:
                file.truncate(0)

    def keeper(self) -> int:
        """Return the process that keeps the server; 0 if there is none."""
        with suppress(OSError, ValueError), self.lock.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0)
        return 0

    @staticmethod
    def listen(door: Path) -> socket:
        with suppress(FileNotFoundError):
            door.unlink()
        made = socket(AF_UNIX, SOCK_STREAM)
        before = os.umask(0o177)
        try:
            made.bind(str(door))
        finally:
            os.umask(before)
        made.listen(64)
        return made

    @staticmethod
    def call(door: Path, patience: float) -> Line | None:
        """Return a connection to the process that listens there, or None; `patience` is for each answer, by default."""
        made = socket(AF_UNIX, SOCK_STREAM)
        made.settimeout(patience)
        try:
            made.connect(str(door))
        except OSError:
            made.close()
            return None
        return Line(made)

    def ask(self, message: Mapping[str, Any], patience: float) -> dict[str, Any] | None:
        """Ask the keeper something, and return the answer; None where none answers within so many seconds."""
        with suppress(OSError):
            if (line := self.call(self.door, patience)) is not None:
                with closing(line):
                    return line.ask(message, patience)
        return None


_MOST_DESCRIPTORS = 250
"""That one message brings along: the system takes 253."""


class Line:
    """A connection over which messages go, one at a time each way. Its methods may be called from any thread."""

    def __init__(self, connected: socket) -> None:
        self._socket, self._rest = connected, b""
        self._asking = Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Raises OSError where the other side is gone."""
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, patience: float | None = None) -> dict[str, Any] | None:
        """Return the next message; None where the other side is gone. Raises TimeoutError after `patience` seconds."""
        self._socket.settimeout(patience)
        while b"\n" not in self._rest:
            try:
                found = self._socket.recv(1 << 16)
            except ConnectionError:
                found = b""
            if not found:
                return None
            self._rest += found
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def ask(self, message: Mapping[str, Any], patience: float | None = None) -> dict[str, Any] | None:
        """Send a message, and return the answer; None where the other side is gone. Raises TimeoutError as `receive`.
        """
        with self._asking:
            try:
                self.send(message)
            except OSError:
                return None
            return self.receive(patience)

    def send_descriptors(self, descriptors: Sequence[int]) -> None:
        """Give the other side descriptors of files. Raises OSError where it is gone."""
        send_fds(self._socket, [b"+"], list(descriptors))

    def receive_descriptors(self, patience: float) -> list[int]:
        """Return the descriptors that come before the next message. Raises OSError where there are none."""
        self._socket.settimeout(patience)
        _, found, _, _ = recv_fds(self._socket, 1, _MOST_DESCRIPTORS)
        return found

    def fileno(self) -> int:
        return self._socket.fileno()

    def is_open(self) -> bool:
        with self._asking:
            try:
                self._socket.settimeout(0)
                return bool(self._socket.recv(1, MSG_PEEK))
            except BlockingIOError:
                return True
            except OSError:
                return False

    def is_ours(self) -> bool:
        """Return whether the other side is a process of this user, where the system can tell."""
        return self._credentials()[1] in (os.getuid(), None)  # others cannot enter the folder

    def their_process(self) -> int:
        """Return the process of the other side; 0 where the system does not tell."""
        return self._credentials()[0] or 0

    def _credentials(self) -> tuple[int | None, ...]:
        """Return the process, the user and the group of the other side, where the system tells."""
        if (credentials := getattr(socket_module, "SO_PEERCRED", None)) is None:
            return None, None, None
        return struct.unpack("3i", self._socket.getsockopt(SOL_SOCKET, credentials, struct.calcsize("3i")))

    def close(self) -> None:
        self._socket.close()
