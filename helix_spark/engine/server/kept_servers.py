"""Connections to the servers that are kept for this user, one for each working folder.

A run and its server meet at a socket in a folder that only the user can enter, named by a digest of the working folder.
The process that keeps the server, the keeper, holds a lock. Messages are lines of JSON. A connection is a lease: it
ends with its process.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket as socket_module
import stat
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, SOL_SOCKET, recv_fds, send_fds, socket
from threading import Lock
from typing import Any

from helix_spark.errors import SetupError

PATIENCE = 10.0
"""Seconds that a keeper has to answer."""

POLL_SECONDS = 0.01
"""Pause between two checks of a start or an end."""

SERVER_VARIABLE = "HELIX_SERVER"
"""``off``: each run starts Spark for itself. ``on``: a server is kept, wherever the run is."""

_MOST_SERVERS = 2
"""Limit for one user. Each server takes some gigabytes of memory."""

FOLDER_VARIABLE = "HELIX_SERVER_FOLDER"
"""Names the folder of the sockets, instead of the user's runtime folder."""


def runtime_folder() -> Path:
    """Return this user's folder of sockets, created if missing. Raises SetupError if other users may enter it."""
    named, runtime = os.environ.get(FOLDER_VARIABLE), os.environ.get("XDG_RUNTIME_DIR", "")
    parent = Path(runtime) if runtime and os.access(runtime, os.W_OK) else Path(tempfile.gettempdir())
    folder = Path(named) if named else parent / f"helix-spark-{os.getuid()}"
    remedy = f"remove it, or set {FOLDER_VARIABLE} to another folder"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise SetupError(f"the folder for servers, {folder}, cannot be used: {error}", remedy=remedy) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise SetupError(f"the folder for servers, {folder}, is not for this user alone", remedy=remedy)
    if len(os.fsencode(folder)) > 100 - len("/0123456789abcdef.sock"):  # macOS allows a socket's path 104 bytes
        raise SetupError(f"the path of the folder for servers is too long: {folder}", remedy=remedy)
    return folder


class MeetingPoint:
    """The files by which runs reach the server of a working folder.

    Attributes:
        stem: the path of its files without their suffixes.
        door, forks: the sockets of the keeper and of the fork server.
        log: the output of the server's JVM and its workers.
        lock: the file that the keeper locks; it contains the keeper's process id.
    """

    def __init__(self, stem: Path) -> None:
        self.stem, self.door, self.forks = stem, stem.with_suffix(".sock"), stem.with_suffix(".fork")
        self.log, self.lock = stem.with_suffix(".log"), stem.with_suffix(".lock")

    @staticmethod
    def for_folder(folder: str) -> MeetingPoint:
        """Return the meeting point of a working folder. Raises as `runtime_folder` does."""
        return MeetingPoint(runtime_folder() / blake2b(os.fsencode(folder), digest_size=8).hexdigest())

    @staticmethod
    def all() -> list[MeetingPoint]:
        """Return the meeting points of all folders that ever had a server."""
        return [MeetingPoint(lock.with_suffix("")) for lock in sorted(runtime_folder().glob("*.lock"))]

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Lock it as the server's keeper; yield False if another process has locked it."""
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
        """Return the id of the process that keeps the server; 0 if there is none."""
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
        listening = socket(AF_UNIX, SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listening.bind(str(door))
        finally:
            os.umask(before)
        listening.listen(64)
        return listening

    @staticmethod
    def call(door: Path, patience: float) -> Line | None:
        """Return a connection to the process that listens at a socket, or None. `patience` is in seconds."""
        connection = socket(AF_UNIX, SOCK_STREAM)
        connection.settimeout(patience)
        try:
            connection.connect(str(door))
        except OSError:
            connection.close()
            return None
        return Line(connection)

    def ask(self, message: Mapping[str, Any], patience: float) -> dict[str, Any] | None:
        """Send the keeper a request, and return its answer; None if no keeper answers within `patience` seconds."""
        with suppress(OSError):
            if (line := self.call(self.door, patience)) is not None:
                with closing(line):
                    return line.ask(message, patience)
        return None

    def status(self) -> dict[str, Any] | None:
        """Return the state of the server; None if no server answers."""
        return self.ask({"ask": "status"}, PATIENCE) if self.keeper() else None

    def stop(self) -> bool:
        """End the server, even if it does not answer; return whether there was one."""
        if not self.keeper():
            return False
        self.ask({"ask": "stop"}, PATIENCE)
        self.await_end()
        return True

    def await_end(self) -> None:
        """Wait until the keeper has ended. Kill it after twice the time that it has to answer."""
        start = time.monotonic()
        while self.keeper():
            if time.monotonic() - start > 2 * PATIENCE:
                self.kill()
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """Kill the keeper, if there is one, and all processes that it has started."""
        if keeper := self.keeper():
            for pid in reversed(family(keeper)):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)


class Line:
    """A connection for messages, one at a time each way. Its methods may be called from any thread."""

    def __init__(self, connection: socket) -> None:
        self._socket, self._buffer, self._asking = connection, b"", Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message. Raises OSError if the peer has closed the connection."""
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, patience: float | None = None) -> dict[str, Any] | None:
        """Return the next message; None if the peer has closed the connection. Raises TimeoutError after `patience`."""
        self._socket.settimeout(patience)
        while b"\n" not in self._buffer:
            try:
                chunk = self._socket.recv(1 << 16)
            except ConnectionError:
                chunk = b""
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def ask(self, message: Mapping[str, Any], patience: float | None = None) -> dict[str, Any] | None:
        """Send a message, and return the answer; None if the peer has closed the connection. Raises as `receive`."""
        with self._asking:
            try:
                self.send(message)
            except OSError:
                return None
            return self.receive(patience)

    def send_descriptors(self, descriptors: Sequence[int]) -> None:
        """Send file descriptors. Raises OSError if the peer has closed the connection."""
        send_fds(self._socket, [b"+"], list(descriptors))

    def receive_descriptors(self, patience: float) -> list[int]:
        """Return the descriptors that precede the next message. Raises OSError if there are none."""
        self._socket.settimeout(patience)
        return recv_fds(self._socket, 1, 250)[1]  # Linux allows 253 in one message

    def fileno(self) -> int:
        return self._socket.fileno()

    def is_ours(self) -> bool:
        """Return whether the peer is a process of this user, as far as the system can tell."""
        return self.peer()[1] == os.getuid()

    def peer(self) -> tuple[int, int]:
        """Return the peer's process id and user id; 0 and this user where the system does not tell."""
        if (credentials := getattr(socket_module, "SO_PEERCRED", None)) is None:
            return 0, os.getuid()  # other users cannot enter the folder
        process, user, _ = struct.unpack("3i", self._socket.getsockopt(SOL_SOCKET, credentials, struct.calcsize("3i")))
        return process, user

    def close(self) -> None:
        self._socket.close()


def why_none_is_kept(environ: Mapping[str, str] = os.environ) -> str:
    """Return why no server is kept for this process, in words; empty if one is.

    >>> why_none_is_kept({"HELIX_SERVER": "off"}), why_none_is_kept({"HELIX_SERVER": "on", "CI": "true"})
    ('HELIX_SERVER is off', '')
    """
    if (setting := environ.get(SERVER_VARIABLE, "").lower()) in ("off", "on"):
        return "HELIX_SERVER is off" if setting == "off" else ""
    if environ.get("CI", "").lower() not in ("", "0", "false"):
        return "this is CI"
    if "PYSPARK_GATEWAY_PORT" in environ:
        return "spark-submit has started the JVM"
    if os.getpid() == 1:
        return "the container ends with this process"
    return ""


@dataclass(frozen=True, slots=True)
class KeptServer:
    """The state of a folder's server that a plan depends on.

    Attributes:
        rows: bytes of the tables that runs have left in its memory, by key.
        runs: True if its Spark is started, so that a run need not wait for it.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    runs: bool = False


NO_SERVER = KeptServer()


def kept_server() -> KeptServer:
    """Return the state of this folder's server; `NO_SERVER` if it does not answer within 0.3 seconds."""
    if not why_none_is_kept():
        with suppress(SetupError, OSError):
            answer = MeetingPoint.for_folder(str(Path.cwd())).ask({"ask": "rows"}, patience=0.3) or {}
            return KeptServer(answer.get("rows", {}), answer.get("runs", False))  # an older server sends less
    return NO_SERVER


def make_room(point: MeetingPoint, say: Callable[[str], None]) -> bool:
    """End idle servers of other folders, the longest idle first, until one more may start; return whether it may."""
    servers = _other_servers(point)
    idle = [(status, server) for server, status in servers if not status["runs"]]
    idle.sort(key=lambda pair: -pair[0]["idle_seconds"])
    surplus = max(0, len(servers) - _MOST_SERVERS + 1)
    for status, server in idle[:surplus]:
        say(f"the server of {status['folder']} is ended: no more than {_MOST_SERVERS} are kept")
        server.stop()
    return len(idle) >= surplus


def has_room(point: MeetingPoint) -> bool:
    """Return whether one more server may start while all others stay."""
    return len(_other_servers(point)) < _MOST_SERVERS


def _other_servers(point: MeetingPoint) -> list[tuple[MeetingPoint, dict[str, Any]]]:
    """Return the meeting points and states of the servers of other folders that answer."""
    others = (other for other in MeetingPoint.all() if other.stem != point.stem)
    return [(other, status) for other in others if (status := other.status()) is not None]


def script_of(module: str) -> str:
    """Return a program for `python -c` that calls a module's `main`; `-m` would import from the working folder."""
    package = str(Path(__file__).resolve().parents[3])
    return (f"import sys; sys.path.pop(0); {package!r} in sys.path or sys.path.insert(0, {package!r}); "
            f"from {module} import main; main()")


def family(pid: int) -> list[int]:
    """Return the ids of a process and its descendants, as far as the system tells."""
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parent = int(file.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(file.parent.name))
    members = [pid]
    for member in members:
        members += children.get(member, [])
    return members


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory in bytes; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
