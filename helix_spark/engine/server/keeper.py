"""The process that keeps a server: starts it, attaches runs, and ends it when idle, short of memory, or told to."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from socket import SHUT_RDWR, socket, socketpair
from typing import Any

from helix_spark.engine.server.fit import Requirements, session_settings, why_unfit
from helix_spark.engine.server.kept_servers import Line, MeetingPoint, family, resident_bytes, script_of
from helix_spark.engine.server.run_sessions import KeptRows, RunSessions, context_state
from helix_spark.engine.spark.connect_server import ConnectServer
from helix_spark.engine.spark.gateway import STAYING_COLLECTOR, first_line
from helix_spark.errors import HelixError, SetupError

IDLE_SECONDS = 15 * 60.0
"""Idle time after which a server ends. HELIX_SERVER_IDLE overrides it."""

_CHECK_SECONDS = 5.0
"""Time between two checks whether the server is still needed."""

ROWS_SHARE = 0.25
"""Share of the JVM's heap for rows that runs leave in memory. HELIX_SERVER_MEMORY overrides it."""


@dataclass(eq=False)
class ForksApart:
    """The fork server of a keeper: a process from which commands are forked (see `helix_spark.cli.fork_server`). It is
    no child of the keeper. With an empty environment none is started."""

    point: MeetingPoint
    environ: Mapping[str, str]
    _link: socket | None = None
    _took_commands: bool = False

    def start(self) -> None:
        """Start it, unless it runs, or the last one ended before it took commands: the next would end as well."""
        if not self.environ or sys.platform != "linux" or self._is_open():
            return
        if self._link is not None and not self._took_commands:
            self.environ = {}
            return
        self.end()
        self._link, theirs = socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", script_of("helix_spark.cli.fork_server"), self.point.stem],
                stdin=theirs.fileno(), start_new_session=True, env={**self.environ, "PYTHONHASHSEED": "0"},
            )
        process.wait()  # it ends as soon as it has forked the server

    def end(self) -> None:
        """Stop it from taking commands. It ends once its running commands have ended."""
        if self._link is not None:
            self._link.close()
            self._link, self._took_commands = None, False

    def _is_open(self) -> bool:
        """Return whether it runs. It sends a byte when it begins to take commands, and closes the socket at its end."""
        if self._link is None:
            return False
        self._link.setblocking(False)
        try:
            while self._link.recv(1):
                self._took_commands = True
        except BlockingIOError:
            return True
        except ConnectionError:
            pass
        return False

    def seconds_since_use(self) -> float:
        """Return the time since it started, or last began a command; 0 if it does not run."""
        try:
            return max(time.time() - self.point.forks.stat().st_mtime, 0.0)
        except OSError:
            return 0.0

    def pid(self) -> int:
        """Return its process id; 0 if it takes no commands."""
        if (line := self.point.call(self.point.forks, patience=0.3)) is None:
            return 0
        with closing(line):
            return line.peer()[0]


@dataclass(eq=False, slots=True)
class _Lease:
    """A connection, and the sessions of its run if it has attached."""

    line: Line
    pid: int = 0
    sessions: RunSessions | None = None


@dataclass(eq=False)
class Keeper:
    """The keeper of a folder's server.

    Attributes:
        point: the meeting point of the folder.
        has: what the server got at its start.
        environ: the environment of the fork server, `forks`.
        spark_is_wanted: False until the first run that needs Spark, which brings the settings.
    """

    point: MeetingPoint
    has: Requirements
    idle_seconds: float = IDLE_SECONDS
    rows_share: float = ROWS_SHARE
    environ: Mapping[str, str] = field(default_factory=dict)
    spark_is_wanted: bool = True
    began: float = field(default_factory=time.time)
    over: threading.Event = field(default_factory=threading.Event)
    _started: Future[ConnectServer] = field(default_factory=Future)
    _leases: set[_Lease] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _own_files: tuple[int, ...] = ()
    _pristine: str = ""
    _is_spoiled: bool = False
    _rows: Mapping[str, int] = field(default_factory=dict)
    _last_end: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.forks = ForksApart(self.point, self.environ)

    @property
    def server(self) -> ConnectServer | None:
        """The server, if it has started."""
        return self._started.result() if self._started.done() and self._started.exception() is None else None

    def keep(self) -> None:
        """Keep the server until it is idle for long, has ended or is told to end."""
        listening = self.point.listen(self.point.door)
        self._own_files = self._files()
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
        try:
            if self.spark_is_wanted:
                self._start()
            else:
                self.forks.start()
            while not self.over.wait(_CHECK_SECONDS) and self._is_needed():
                pass
        finally:
            self.forks.end()
            if self._files() == self._own_files:
                self.point.door.unlink()
            with suppress(OSError):
                listening.shutdown(SHUT_RDWR)  # ends the thread of `_accept`
            listening.close()
            if self.server is not None and self._answers():
                with suppress(Exception):
                    self.server.stop()
            elif self.server is not None:
                self.server.kill()

    def _start(self) -> None:
        try:
            settings = {**self.has.settings, "spark.scheduler.mode": "FAIR"}  # two runs at once share the cores
            server = ConnectServer(settings, collector=STAYING_COLLECTOR)
            self._pristine = context_state(server.driver)
            self._started.set_result(server)
        except Exception as error:  # noqa: BLE001 - raised in the runs that wait for the server
            self._started.set_exception(error)
            self.over.set()
            time.sleep(0.2)  # for the answers to these runs

    def _is_needed(self) -> bool:
        if self.how_ended():
            return False
        with self._lock:
            idle = 0.0 if any(lease.sessions for lease in self._leases) else self._idle_seconds()
            has_leases = bool(self._leases)
        if idle:
            self.forks.start()  # the last one ends when a library is replaced
            with suppress(OSError):
                if self.point.log.stat().st_size > 1_000_000:
                    os.truncate(self.point.log, 0)
        is_unreachable = idle > _CHECK_SECONDS and self._files() != self._own_files
        is_short_of_memory = idle > _CHECK_SECONDS and _free_memory() < 0.05
        if is_short_of_memory and self._rows:
            self._trim(0.0)
            is_short_of_memory = False
        return not (is_unreachable or is_short_of_memory or (idle > self.idle_seconds and not has_leases))

    def _idle_seconds(self) -> float:
        return min(time.monotonic() - self._last_end, self.forks.seconds_since_use() or math.inf)

    def _files(self) -> tuple[int, ...]:
        """Return the inodes of its lock and its socket; empty if one is missing."""
        try:
            return tuple(file.stat().st_ino for file in (self.point.lock, self.point.door))
        except OSError:
            return ()

    def _trim(self, share: float, ending: _Lease | None = None) -> None:
        """Release rows in memory beyond a share of the heap, unless a run other than `ending` may read them."""
        assert self.server is not None
        rows = KeptRows(self.server.driver._jvm)
        with self._lock:
            if not any(lease.sessions for lease in self._leases if lease is not ending):
                rows.trim(share)
            self._rows = rows.sizes()

    def how_ended(self, error: BaseException | None = None) -> str:
        """Return how the server's JVM ended; empty while it runs. `error` as in `gateway.how_ended`."""
        return "" if self.server is None else self.server.how_ended(error)

    def _answers(self) -> bool:
        assert self.server is not None
        answered, server = threading.Event(), self.server

        def ask() -> None:
            with suppress(Exception):
                server.driver._jsparkSession.conf().isModifiable("spark.master")
                answered.set()

        threading.Thread(target=ask, daemon=True).start()
        return answered.wait(15.0)  # seconds: longer than garbage collection takes on a busy machine

    def _accept(self, listening: Any) -> None:
        while not self.over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            if (line := Line(connection)).is_ours():
                threading.Thread(target=self._serve, args=(_Lease(line),), daemon=True).start()
            else:
                line.close()

    def _serve(self, lease: _Lease) -> None:
        with self._lock:
            self._leases.add(lease)
        try:
            while (request := lease.line.receive()) is not None:
                try:
                    answer = self._answer(lease, request)
                except Exception as error:  # noqa: BLE001 - raised again in the run
                    if not isinstance(error, HelixError):
                        what = f"this folder's server failed: {type(error).__name__}: {first_line(error)}"
                        error = SetupError(what, remedy="run `helix server stop`, and again")
                    answer = {"error": {"what": error.what, "exists": error.exists, "remedy": error.remedy}}
                lease.line.send(answer)
        except (OSError, ValueError):
            pass
        finally:
            self._end(lease)

    def _answer(self, lease: _Lease, request: Mapping[str, Any]) -> dict[str, Any]:
        match request["ask"]:
            case "hello":
                lease.pid = int(request.get("pid", 0))
                return {}
            case "attach":
                return self._attach(lease, Requirements(**request["wanted"]), request["paths"])
            case "open" | "leave_rows" | "take_rows" as method:  # fails if the run has not attached
                return {"done": getattr(lease.sessions, method)(*request["arguments"])}
            case "state":
                return {"ended": self.how_ended(ConnectionError() if request["broken"] else None)}
            case "forks":
                self.forks.start()
                return {}
            case "rows":
                return {"rows": self._rows, "runs": self.server is not None}
            case "status":
                with self._lock:
                    runs = [lease.pid for lease in self._leases if lease.sessions]
                return {
                    "folder": self.has.folder, "keeper": os.getpid(), "started": self.began, "runs": runs,
                    "ready": self._started.done(), "spark": self.spark_is_wanted,
                    "bytes": sum(map(resident_bytes, [*family(os.getpid()), self.forks.pid()])),
                    "rows": len(self._rows), "rows_bytes": sum(self._rows.values()),
                    "idle_seconds": 0.0 if runs else self._idle_seconds(), "log": str(self.point.log),
                }
            case "stop":
                self.over.set()
                return {}
        raise ValueError(f"no {request['ask']!r} is known")

    def _attach(self, lease: _Lease, wanted: Requirements, paths: list[str]) -> dict[str, Any]:
        with self._lock:
            is_first, self.spark_is_wanted = not self.spark_is_wanted, True
            if is_first:
                now = replace(self.has, settings=wanted.settings)
                if why := why_unfit(now, wanted):
                    self.over.set()
                    return {"refused": f"does not fit ({why})", "busy": False}
                self.has = now
        if is_first:
            self._start()
        server = self._started.result()
        if how := self.how_ended() or ("" if self._answers() else "does not answer any more"):
            self.over.set()
            return {"refused": how}
        with self._lock:
            runtime = server.driver._jsparkSession.conf()
            spoiled = "a run has left files or jars in it that all runs see" if self._is_spoiled else ""
            if why := spoiled or why_unfit(self.has, wanted, lambda name: bool(runtime.isModifiable(name))):
                is_busy = any(other.sessions for other in self._leases if other is not lease)
                if not is_busy:
                    self.over.set()
                return {"refused": f"does not fit ({why})", "busy": is_busy}
            warehouse = wanted.settings.get("spark.sql.warehouse.dir", "")
            settings = session_settings(self.has, wanted)
            lease.sessions = sessions = RunSessions(server.driver, settings, paths, warehouse)
        return {"address": server.address, "port": sessions.port, "secret": sessions.secret}

    def _end(self, lease: _Lease) -> None:
        try:
            if lease.sessions is not None and self.server is not None and not self.how_ended():
                lease.sessions.close()
                self._trim(self.rows_share, lease)
                self._is_spoiled |= context_state(self.server.driver) != self._pristine
                self.forks.start()  # not earlier: the first run needs all cores
        except Exception as error:  # noqa: BLE001 - leftovers of a run could disturb the next run
            print(f"helix: a run's sessions could not be closed: {type(error).__name__}: {error}", file=sys.stderr)
            self.over.set()
        finally:
            lease.line.close()
            with self._lock:
                self._leases.discard(lease)
                self._last_end = time.monotonic()


def _free_memory() -> float:
    """Return the share of the machine's memory that is free; 1 where the system does not tell."""
    with suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
        return sizes["MemAvailable"] / sizes["MemTotal"]
    return 1.0


def main() -> None:
    """Keep the server that the first line of standard input describes, unless another process keeps it."""
    arguments = json.loads(sys.stdin.readline())
    point = MeetingPoint(Path(arguments["stem"]))
    with point.locked() as is_ours:
        if is_ours:
            import pyspark.sql.types  # noqa: F401 - which adds the converters
            from py4j.protocol import INPUT_CONVERTER

            # The converters of NumPy's values import pandas, which takes 0.3 s and 90 MB.
            INPUT_CONVERTER[:] = [converter for converter in INPUT_CONVERTER if "Numpy" not in type(converter).__name__]
            idle = float(os.environ.get("HELIX_SERVER_IDLE") or IDLE_SECONDS)
            share = float(os.environ.get("HELIX_SERVER_MEMORY") or ROWS_SHARE)
            requirements = Requirements(**arguments["wanted"])
            Keeper(point, requirements, idle, share, arguments["environ"], arguments["spark"]).keep()


if __name__ == "__main__":
    main()
