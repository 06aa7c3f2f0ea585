"""Find or start the server that is kept for a run's folder, or start one for the run alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any
from urllib.parse import urlsplit

from helix_spark.answers.sent_requests import server_ended
from helix_spark.engine.server.fit import Requirements, requirements_now
from helix_spark.engine.server.kept_servers import (
    FOLDER_VARIABLE,
    PATIENCE,
    POLL_SECONDS,
    SERVER_VARIABLE,
    Line,
    MeetingPoint,
    has_room,
    make_room,
    script_of,
    why_none_is_kept,
)
from helix_spark.engine.spark.borrowed import is_this_machine
from helix_spark.engine.spark.connect_server import (
    NO_SETTINGS,
    SERVING,
    ConnectServer,
    SparkServer,
    as_spark_has_it,
    import_pyspark,
    planned_settings,
    uses_hive,
)
from helix_spark.engine.spark.driver_client import USER, DriverClient, for_workers, service_sessions
from helix_spark.engine.spark.gateway import (
    Forwarded,
    environment,
    forget,
    is_broken_connection,
    keep_from_children,
)
from helix_spark.engine.spark.settings import is_local
from helix_spark.errors import ServerEndedError, SetupError
from helix_spark.forks import Birthplace
from helix_spark.plans.current_program import classic
from helix_spark.plans.program_client import connect

_TO_START = 300.0
"""Seconds in which a server has to start."""

_RUN_AGAIN = "run it again: another one is started"


class AttachedServer(SparkServer):
    """A server that another process keeps, for as long as this run needs it."""

    def __init__(self, line: Line, log: Path, answer: Mapping[str, Any], start: float) -> None:
        """Use the connection over which the keeper sent `answer`. `start` is the `time.perf_counter()` of the start."""
        self._line, self._home, self._ending = line, Birthplace(), ""
        os.register_at_fork(after_in_child=line.close)  # else the lease would last as long as a child
        self.address, self._port, self._secret = str(answer["address"]), answer["port"], answer["secret"]
        self.start_seconds = time.perf_counter() - start
        self._is_over = threading.Event()
        self._output = Forwarded(_new_lines(log, self._is_over), 2)

    def open_session(self, user: str, session_id: str) -> None:
        """Register a session that shares nothing with other runs. Raises ServerEndedError."""
        if (answer := self._line.ask({"ask": "open", "arguments": (user, session_id)})) is None:
            raise ServerEndedError("this folder's server has ended", remedy=_RUN_AGAIN)
        _check_answer(answer)

    def _new_client(self) -> DriverClient:
        from pyspark import SparkConf, SparkContext
        from pyspark.java_gateway import launch_gateway
        from pyspark.sql import SparkSession

        name = str(uuid.uuid4())
        try:
            self.open_session(USER, name)
            with classic():  # the session is also a classic one of this process
                with environment(PYSPARK_GATEWAY_PORT=str(self._port), PYSPARK_GATEWAY_SECRET=self._secret):
                    gateway: Any = launch_gateway()  # type: ignore[no-untyped-call]  # pyspark's
                gateway.proc = self  # for `gateway.how_ended`
                keep_from_children()
                jvm = gateway.jvm
                key = jvm.org.apache.spark.sql.connect.service.SessionKey(USER, name)
                session = service_sessions(jvm).get(key).session()
                context = jvm.org.apache.spark.api.java.JavaSparkContext(session.sparkContext())
                conf = SparkConf(_jvm=jvm, _jconf=context.getConf())
                self._context: Any = SparkContext(gateway=gateway, jsc=context, conf=conf)
                vars(self._context)["stop"] = self._leave_context
                driver = SparkSession(self._context, session)
            return DriverClient(driver, connect(self.address), name)
        except Exception as error:  # py4j and gRPC report the end of a JVM in many ways
            if not (how := self.how_ended(ConnectionError(str(error)))):
                raise
            forget()
            self.stop()
            raise ServerEndedError(f"this folder's server {how}", remedy=_RUN_AGAIN) from error

    def _leave_context(self) -> None:
        """Forget the context instead of stopping it: other runs use it as well."""
        if (updates := vars(self._context).get("_accumulatorServer")) is not None:
            updates.shutdown()
        if (gateway := type(self._context)._gateway) is not None:
            gateway.close()
        self._context._accumulatorServer = self._context._jsc = None
        forget()

    def leave_rows(self, session_id: str, key: str, relation: bytes) -> bool:
        return self._is_done("leave_rows", session_id, key, b64encode(relation).decode())

    def take_rows(self, session_id: str, key: str, name: str) -> bool:
        return self._is_done("take_rows", session_id, key, name)

    def _is_done(self, method: str, *arguments: str) -> bool:
        # If the keeper fails or the JVM ends, the next request raises the error.
        return bool((self._line.ask({"ask": method, "arguments": arguments}) or {}).get("done"))

    def how_ended(self, error: BaseException | None = None) -> str:
        if not self._ending and self._home.is_here:
            is_broken = is_broken_connection(error)
            try:
                answer = self._line.ask({"ask": "state", "broken": is_broken}, PATIENCE)
            except OSError:
                answer = {"ended": "does not answer any more" if is_broken else ""}
            self._ending = "was ended" if answer is None else answer["ended"]
        return self._ending

    def stop(self, *, keep_classes: bool = True) -> None:
        """End this run's sessions. The server runs on."""
        if not self._home.is_here:
            return
        if self._client is not None:
            self._close_client()
            with classic():
                self._context.stop()
        self._line.close()
        self._is_over.set()
        self._output.join()


def _check_answer(answer: Mapping[str, Any]) -> None:
    """Raise a keeper's error as SetupError."""
    if failure := answer.get("error"):
        raise SetupError(failure["what"], exists=failure["exists"], remedy=failure["remedy"])


def _new_lines(log: Path, is_over: threading.Event) -> Generator[bytes, None, None]:
    """Yield the lines that are written to a log from now on, until `is_over`."""
    with os.fdopen(os.open(log, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb") as file:
        file.seek(0, os.SEEK_END)
        partial_line, is_last = b"", False
        while not is_last:
            is_last = is_over.wait(POLL_SECONDS * 10)
            while chunk := file.read(1 << 16):
                *lines, partial_line = (partial_line + chunk).split(b"\n")
                yield from (line + b"\n" for line in lines)


def start_server(
    author: Mapping[str, str], store: Mapping[str, str] = NO_SETTINGS, defaults: Mapping[str, str] = NO_SETTINGS,
    folder: Path | None = None, say: Callable[[str], None] = lambda _: None,
) -> SparkServer:
    """Return the server that is kept for a folder, by default this one, or one for this process alone. Arguments as in
    `ConnectServer`; `say` prints a message. Raises SetupError if the server could not be started."""
    if (settings := _settings_to_keep(author, store, defaults)) is not None:
        import_pyspark()
        if (server := attach(settings, say, folder or Path.cwd())) is not None:
            return server
    return ConnectServer(author, store, defaults, folder)


def _settings_to_keep(author: Mapping[str, str], *others: Mapping[str, str]) -> dict[str, str] | None:
    """Return the settings of a server that may stay, of arguments as of `planned_settings`; None if it may not."""
    settings = {} if why_none_is_kept() else planned_settings({**SERVING, **author}, *others)
    is_wanted = os.environ.get(SERVER_VARIABLE, "").lower() == "on" or is_local(settings.get("spark.master", ""))
    return settings if settings and is_wanted and not uses_hive(settings) else None


def attach(settings: Mapping[str, str], say: Callable[[str], None], folder: Path) -> AttachedServer | None:
    """Return the server of a folder, started if none fits; None if this run must start Spark for itself, because
    other runs use the servers. Raises as `start_server` does."""
    start, requirements = time.perf_counter(), requirements_now(settings, folder)
    try:
        point = MeetingPoint.for_folder(requirements.folder)
    except SetupError as error:
        say(f"{error.what}: Spark is started for this run alone")
        return None
    paths = [path for path in for_workers(folder)["PYTHONPATH"].split(os.pathsep) if path]
    for _ in range(3):
        if (line := _connect_to_keeper(point, requirements, say)) is None:
            say("as many servers as may stay are in use: Spark is started for this run alone")
            return None
        try:
            answer = line.ask({"ask": "attach", "wanted": asdict(requirements), "paths": paths}, _TO_START)
        except OSError:
            answer = None
        if answer is None:
            answer = {"refused": "does not answer"}
            point.kill()
        _check_answer(answer)
        if "address" in answer:
            return AttachedServer(line, point.log, answer, start)
        line.close()
        if answer.get("busy"):
            say(f"this folder's server {answer['refused']}, and another run uses it: Spark is started for this run "
                "alone")
            return None
        say(f"this folder's server {answer['refused']}: another one is started")
        point.await_end()
    say("no server could be kept: Spark is started for this run alone")
    return None


@dataclass(slots=True)
class ProgramServer:
    """The server of a program, as `answers.served_session.Server`: the one at `address` (``sc://host:port``), or one on
    this machine, which starts or is attached to on demand, in `folder`, by default the one of now.
    `store` has Hadoop's settings for a catalog in an object store; `tell` prints messages about the start."""

    settings: Mapping[str, str]
    address: str = ""
    store: Mapping[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda _: None
    folder: Path = field(default_factory=Path.cwd)
    _own: SparkServer | None = None
    _stub: Any = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def start_seconds(self) -> float:
        """Seconds that its start took; 0.0 if this process did not start or attach to it."""
        return 0.0 if self._own is None else self._own.start_seconds

    @property
    def elsewhere(self) -> str:
        """The host of a server on another machine, with other disks; empty for a server here."""
        host = urlsplit(self.address).hostname or ""
        return "" if not host or is_this_machine(host) else host

    def stub(self) -> Any:
        """Return its gRPC stub. Raises SetupError if it cannot be started."""
        with self._lock:
            if self._stub is None:
                if not (address := self.address):
                    defaults = as_spark_has_it()
                    self._own = start_server(self.settings, self.store, defaults, self.folder, self.tell)
                    address = self._own.address
                self._stub = connect(address, self._end)
            return self._stub

    def open_session(self, user: str, session_id: str) -> None:
        if self._own is not None:
            self._own.open_session(user, session_id)

    def leave_rows(self, session_id: str, key: str, relation: bytes) -> bool:
        return self._own is not None and self._own.leave_rows(session_id, key, relation)

    def take_rows(self, session_id: str, key: str, name: str) -> bool:
        return self._own is not None and self._own.take_rows(session_id, key, name)

    def how_ended(self, error: BaseException | None = None) -> str:
        return "" if self._own is None else self._own.how_ended(error)

    def _end(self, error: Exception) -> Exception | None:
        return server_ended(how) if (how := self.how_ended(error)) else None

    def drop(self) -> None:
        """Forget a server that has ended, so that the next `stub` starts another one."""
        with self._lock:
            self.stop()
            self._stub = None

    def stop(self) -> None:
        if self._own is not None:
            self._own.stop()
            self._own, self._stub = None, None


def prepare_next(say: Callable[[str], None] = lambda _: None) -> None:
    """Ask the folder's keeper to start the process from which the next commands are forked. If there is no keeper,
    start one that starts Spark on demand, unless another server would have to end for it."""
    with suppress(SetupError, OSError):
        point, folder = MeetingPoint.for_folder(str(Path.cwd())), Path.cwd()
        if point.ask({"ask": "forks"}, PATIENCE) is None and not point.keeper() and has_room(point):
            _start_keeper(point, requirements_now({}, folder), with_spark=False)
            say(f"a process {_STAYS.format(folder)}")


_STAYS = f"stays for the next runs in {{}}: `helix server stop` ends it, {SERVER_VARIABLE}=off has none stay"


class HeldServer:
    """A lease that keeps a folder's server while no run uses it; without kept servers, one for this process alone."""

    def __init__(
        self, settings: Mapping[str, str], say: Callable[[str], None] = lambda _: None, folder: Path | None = None
    ) -> None:
        """Take the lease. `settings` are the author's, for a new server; `folder` is the runs', by default this one."""
        self._settings, self._folder = settings, folder or Path.cwd()
        self._line: Line | None = None
        self._own_folder, self._say = "", say
        if why_none_is_kept():
            self._say = lambda _: None
            self._own_folder = tempfile.mkdtemp(prefix="helix-")
            os.environ |= {SERVER_VARIABLE: "on", FOLDER_VARIABLE: self._own_folder}
        self.hold()

    def hold(self) -> None:
        """Take the lease of the folder's current server; start one if none runs, and it may stay. Raises SetupError."""
        if self._line is not None:
            self._line.close()
        if (settings := _settings_to_keep(self._settings, NO_SETTINGS, as_spark_has_it())) is not None:
            requirements = requirements_now(settings, self._folder)
            self._line = _connect_to_keeper(MeetingPoint.for_folder(requirements.folder), requirements, self._say)

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._own_folder:
            MeetingPoint.for_folder(str(self._folder)).stop()
            rmtree(self._own_folder, ignore_errors=True)


def _connect_to_keeper(point: MeetingPoint, requirements: Requirements, say: Callable[[str], None]) -> Line | None:
    """Return a connection to the keeper at a meeting point, started if missing; None if no further server may start."""
    process, start = None, time.perf_counter()
    while time.perf_counter() - start < _TO_START:
        if (line := point.call(point.door, PATIENCE)) is not None:
            with suppress(OSError):
                if line.ask({"ask": "hello", "pid": os.getpid()}, PATIENCE) is not None:
                    return line
            line.close()
            if point.keeper():
                say("this folder's server does not answer: another one is started")
                point.kill()
        elif process is None and not point.keeper():
            if not make_room(point, say):
                return None
            process = _start_keeper(point, requirements)
            say(f"a Spark server {_STAYS.format(requirements.folder)}")
        elif process is not None and process.poll() is not None and not point.keeper():
            output = point.log.read_text(errors="replace").strip()[-500:] if point.log.exists() else ""
            raise SetupError("the process that keeps a server ended as soon as it began", exists=output or None,
                             remedy=f"set {SERVER_VARIABLE}=off to start Spark in this process")
        time.sleep(POLL_SECONDS)
    raise SetupError("the process that keeps a server does not answer", remedy=f"set {SERVER_VARIABLE}=off")


def _start_keeper(
    point: MeetingPoint, requirements: Requirements, *, with_spark: bool = True
) -> subprocess.Popen[bytes]:
    # Sessions bring the folders of Python's path.
    environment = {**os.environ, **for_workers(), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    log = os.open(point.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", script_of("helix_spark.engine.server.keeper")], stdin=subprocess.PIPE, stdout=log,
            stderr=log, start_new_session=True, cwd=requirements.folder, env=environment,
        )
    finally:
        os.close(log)
    initial = dict(os.environ)
    with suppress(OSError):  # from the start of this process: the author's code may have changed variables since
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
        pairs = (entry.partition(b"=") for entry in entries if b"=" in entry)
        initial = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        arguments = {"stem": str(point.stem), "wanted": asdict(requirements), "environ": initial, "spark": with_spark}
        process.stdin.write(json.dumps(arguments).encode() + b"\n")
        process.stdin.close()
    return process
