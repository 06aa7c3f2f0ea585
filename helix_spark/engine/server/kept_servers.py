"""The servers that are kept for this user, one a folder: where a run meets its server, its state, its end; and whether
a server is kept for this process.

They meet at a socket in a folder that only its owner can enter, named by the folder that both work in; the process that
keeps the server, the keeper, holds a lock. Messages are lines of JSON. A connection is a lease: it ends with its
process, however that ends.
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
"""Seconds that a keeper has to say that it is there."""

AGAIN = 0.01
"""Seconds between two looks at whether something has begun, or ended."""

SERVER_VARIABLE = "HELIX_SERVER"
"""``off``: each run starts Spark for itself. ``on``: a server is kept, wherever the run is."""

_MOST_SERVERS = 2
"""Of one person. Each holds some gigabytes."""

FOLDER_VARIABLE = "HELIX_SERVER_FOLDER"
"""Names the folder in which servers are met, in place of the user's runtime folder."""


def runtime_folder() -> Path:
    """Return this user's folder to meet servers in, made if need be. Raises SetupError if another may enter it."""
    named, runtime = os.environ.get(FOLDER_VARIABLE), os.environ.get("XDG_RUNTIME_DIR", "")
    around = Path(runtime) if runtime and os.access(runtime, os.W_OK) else Path(tempfile.gettempdir())
    folder = Path(named) if named else around / f"helix-spark-{os.getuid()}"
    remedy = f"remove it, or name another one by {FOLDER_VARIABLE}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise SetupError(f"the folder for servers, {folder}, cannot be used: {error}", remedy=remedy) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise SetupError(f"the folder for servers, {folder}, is not for this user alone", remedy=remedy)
    if len(os.fsencode(folder)) > 100 - len("/0123456789abcdef.sock"):  # a socket's takes 108 bytes, on macOS 104
        raise SetupError(f"the path of the folder for servers is too long: {folder}", remedy=remedy)
    return folder


class MeetingPoint:
    """Where the one server of a folder is met.

    Attributes:
        stem: the path of its files without their suffixes.
        door, forks: the sockets of the keeper and of the fork server.
        log: the output of the server's JVM and its workers.
        lock: the file that the keeper locks, with the number of its process in it.
    """

    def __init__(self, stem: Path) -> None:
        self.stem, self.door, self.forks = stem, stem.with_suffix(".sock"), stem.with_suffix(".fork")
        self.log, self.lock = stem.with_suffix(".log"), stem.with_suffix(".lock")

    @staticmethod
    def for_folder(folder: str) -> MeetingPoint:
        """Return the point of a folder to work in. Raises as `runtime_folder` does."""
        return MeetingPoint(runtime_folder() / blake2b(os.fsencode(folder), digest_size=8).hexdigest())

    @staticmethod
    def all() -> list[MeetingPoint]:
        """Return the points of all folders that a server was ever kept for."""
        return [MeetingPoint(lock.with_suffix("")) for lock in sorted(runtime_folder().glob("*.lock"))]

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Lock it as the server's keeper; yield False where another process has."""
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
        """Return a connection to the process that listens there, or None; `patience` is for each answer, by default."""
        connected = socket(AF_UNIX, SOCK_STREAM)
        connected.settimeout(patience)
        try:
            connected.connect(str(door))
        except OSError:
            connected.close()
            return None
        return Line(connected)

    def ask(self, message: Mapping[str, Any], patience: float) -> dict[str, Any] | None:
        """Send the keeper a request, and return the answer; None where no keeper answers within so many seconds."""
        with suppress(OSError):
            if (line := self.call(self.door, patience)) is not None:
                with closing(line):
                    return line.ask(message, patience)
        return None

    def status(self) -> dict[str, Any] | None:
        """Return the state of the server; None where there is none, or none that answers."""
        return self.ask({"ask": "status"}, PATIENCE) if self.keeper() else None

    def stop(self) -> bool:
        """End the server, also one that does not answer; return whether there was one."""
        if not self.keeper():
            return False
        self.ask({"ask": "stop"}, PATIENCE)
        self.await_end()
        return True

    def await_end(self) -> None:
        """Wait until no process keeps a server there. Kill a keeper that does not end within a while."""
        since = time.monotonic()
        while self.keeper():
            if time.monotonic() - since > 2 * PATIENCE:
                self.kill()
            time.sleep(AGAIN)

    def kill(self) -> None:
        """Kill the keeper, if there is one, and all processes that it has started."""
        if pid := self.keeper():
            for one in reversed(family(pid)):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(one, signal.SIGKILL)


class Line:
    """A connection over which messages go, one at a time each way. Its methods may be called from any thread."""

    def __init__(self, connected: socket) -> None:
        self._socket, self._rest, self._asking = connected, b"", Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Raises OSError where the other side is gone."""
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, patience: float | None = None) -> dict[str, Any] | None:
        """Return the next message; None where the other side is gone. Raises TimeoutError after `patience` seconds."""
        self._socket.settimeout(patience)
        while b"\n" not in self._rest:
            try:
                received = self._socket.recv(1 << 16)
            except ConnectionError:
                received = b""
            if not received:
                return None
            self._rest += received
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def ask(self, message: Mapping[str, Any], patience: float | None = None) -> dict[str, Any] | None:
        """Send a message, and return the answer; None where the other side is gone. Raises as `receive`."""
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
        return recv_fds(self._socket, 1, 250)[1]  # the system takes 253 in one message

    def fileno(self) -> int:
        return self._socket.fileno()

    def is_ours(self) -> bool:
        """Return whether the other side is a process of this user, where the system can tell."""
        return self.peer()[1] == os.getuid()

    def peer(self) -> tuple[int, int]:
        """Return the process and the user of the other side; 0 and this user where the system does not tell."""
        if (credentials := getattr(socket_module, "SO_PEERCRED", None)) is None:
            return 0, os.getuid()  # others cannot enter the folder
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
    """What a plan may expect of a folder's server.

    Attributes:
        rows: bytes of the tables that runs have left in its memory, by their keys.
        runs: whether its Spark is started, so that a run waits for none.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    runs: bool = False


NO_SERVER = KeptServer()


def kept_server() -> KeptServer:
    """Return what this folder's server has; nothing if it does not answer at once."""
    if not why_none_is_kept():
        with suppress(SetupError, OSError):
            answer = MeetingPoint.for_folder(str(Path.cwd())).ask({"ask": "rows"}, patience=0.3) or {}
            return KeptServer(answer.get("rows", {}), answer.get("runs", False))  # one of an earlier version says less
    return NO_SERVER


def make_room(point: MeetingPoint, say: Callable[[str], None]) -> bool:
    """End idle servers of other folders, the longest idle first, to have room for one; return whether there is."""
    others = _other_servers(point)
    idle = sorted((one for one in others if not one[1]["runs"]), key=lambda one: -one[1]["idle_seconds"])
    surplus = max(0, len(others) - _MOST_SERVERS + 1)
    for other, status in idle[:surplus]:
        say(f"the server of {status['folder']} is ended: no more than {_MOST_SERVERS} are kept")
        other.stop()
    return len(idle) >= surplus


def has_room(point: MeetingPoint) -> bool:
    """Return whether one more may stay as it is."""
    return len(_other_servers(point)) < _MOST_SERVERS


def _other_servers(point: MeetingPoint) -> list[tuple[MeetingPoint, dict[str, Any]]]:
    """Return the points of other servers that answer, with their states."""
    points = (one for one in MeetingPoint.all() if one.stem != point.stem)
    return [(one, status) for one in points if (status := one.status()) is not None]


def script_of(module: str) -> str:
    """Return a text for Python's `-c` that calls a module's `main`. `-m` would have Python look for its own modules in
    the folder that the process works in."""
    package = str(Path(__file__).resolve().parents[3])
    return (f"import sys; sys.path.pop(0); {package!r} in sys.path or sys.path.insert(0, {package!r}); "
            f"from {module} import main; main()")


def family(pid: int) -> list[int]:
    """Return a process and those that it has started, with theirs, where the system tells."""
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parent = int(file.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(file.parent.name))
    members = [pid]
    for one in members:
        members += children.get(one, [])
    return members


def resident_bytes(pid: int) -> int:
    """Return the bytes of memory that a process holds; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
