"""The process that keeps a server: starts it, attaches runs, and ends it when idle, short of memory, or told to."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

from helix_spark.engine.server.fit import Wanted, session_settings, why_unfit
from helix_spark.engine.server.forks_apart import ForksApart
from helix_spark.engine.server.kept_servers import family, resident_bytes
from helix_spark.engine.server.meeting import Line, MeetingPoint
from helix_spark.engine.server.run_sessions import RunSessions, context_state
from helix_spark.engine.spark.connect_server import NO_SETTINGS, ConnectServer
from helix_spark.engine.spark.gateway import STAYING_COLLECTOR, first_line
from helix_spark.engine.spark.kept_rows import KeptRows
from helix_spark.errors import HelixError, SetupError

IDLE_SECONDS = 15 * 60.0
"""How long a server waits for the next run. HELIX_SERVER_IDLE says another number of seconds."""

_LOOK = 5.0
"""Seconds between two looks at whether it is still needed."""

_REST = 60.0
"""Seconds without a run after which a server gives memory back."""

_TO_ANSWER = 15.0
"""Seconds that a JVM has to answer: more than it takes to collect garbage on a busy machine."""

_LEAST_FREE = 0.05
"""Of the machine's memory. With less an idle server ends."""

ROWS_SHARE = 0.25
"""Of the JVM's heap, for rows that runs leave in memory. HELIX_SERVER_MEMORY says another share."""

_TRIM = "systemTrimNativeHeap"
"""A diagnostic command of Java 17.0.9 and later on Linux: 51 MB of 650 after the census job and four edits."""

_MOST_LOG = 1_000_000
"""Bytes of a server's output that are kept while nobody reads it."""


@dataclass(eq=False, slots=True)
class _Lease:
    """A connection of a run, and what it has in the server."""

    line: Line
    pid: int = 0
    sessions: RunSessions | None = None

    @property
    def is_run(self) -> bool:
        return self.sessions is not None


@dataclass(eq=False)
class Keeper:
    """Keeps one server for one folder, which is met at `point`. What it `has` was given to the server at its start;
    while no `spark_is_wanted`, as a run without Spark has left it, the settings come with the first run that wants it.
    Further commands of the folder are forked from the process of `forks`, with this `environ`."""

    point: MeetingPoint
    has: Wanted
    idle_seconds: float = IDLE_SECONDS
    rows_share: float = ROWS_SHARE
    environ: Mapping[str, str] = field(default_factory=dict)
    spark_is_wanted: bool = True
    began: float = field(default_factory=time.time)
    server: ConnectServer | None = None
    error: HelixError | None = None
    over: threading.Event = field(default_factory=threading.Event)
    _ready: threading.Event = field(default_factory=threading.Event)
    _leases: set[_Lease] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _rested: bool = False
    _found_by: tuple[int, ...] = ()
    _pristine: str = ""
    _is_spoiled: bool = False
    _rows: Mapping[str, int] = field(default_factory=dict)
    _last_end: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.forks = ForksApart(self.point, self.environ)

    def keep(self) -> None:
        listening = self.point.listen(self.point.door)
        self._found_by = self._files()
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
        try:
            if self.spark_is_wanted:
                self._start()
            else:
                self.forks.start()
            while not self.over.wait(_LOOK) and self._is_needed():
                pass
        finally:
            self.forks.end()
            if self._files() == self._found_by:
                self.point.door.unlink()
            with suppress(OSError):
                listening.shutdown(SHUT_RDWR)  # wakes who waits for the next connection
            listening.close()
            if self.server is not None and self._answers():
                with suppress(Exception):
                    self.server.stop()
            elif self.server is not None:
                self.server.kill()

    def _start(self) -> None:
        try:
            hadoop = "spark.hadoop."
            store = {
                name.removeprefix(hadoop): value for name, value in self.has.settings.items() if name.startswith(hadoop)
            }
            settings = {**self.has.settings, "spark.scheduler.mode": "FAIR"}  # two runs at once share the cores
            self.server = ConnectServer(
                settings, store if self.has.file_system else NO_SETTINGS, NO_SETTINGS, collector=STAYING_COLLECTOR
            )
            self._pristine = context_state(self.server.driver)
        except HelixError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - told to the run that waits for it
            self.error = SetupError(f"the server did not start: {type(error).__name__}: {error}")
        self._ready.set()
        if self.error is not None:
            self.over.set()
            time.sleep(0.2)  # for the answers to who waits

    def _is_needed(self) -> bool:
        if self.how_ended():
            return False
        with self._lock:
            idle = 0.0 if any(one.is_run for one in self._leases) else self._idle_seconds()
            holds = bool(self._leases)
        if idle:
            self.forks.start()  # it has ended where a library was replaced
        if idle > _REST and not self._rested:
            self._rested = True
            self._give_memory_back()
        is_lost = idle > _LOOK and self._files() != self._found_by  # nobody can find it any more
        is_short = idle > _LOOK and _free_memory() < _LEAST_FREE
        if is_short and self._rows:  # what is in memory to save time goes first
            self._trim(0.0)
            self._give_memory_back()
            is_short = False
        return not (is_lost or is_short or (idle > self.idle_seconds and not holds))

    def _idle_seconds(self) -> float:
        return min(time.monotonic() - self._last_end, self.forks.seconds_since_use() or math.inf)

    def _files(self) -> tuple[int, ...]:
        """Return which files its lock and its socket are; empty where one is gone."""
        try:
            return tuple(file.stat().st_ino for file in (self.point.lock, self.point.door))
        except OSError:
            return ()

    def _give_memory_back(self) -> None:
        if self.server is None:
            return
        log = self.point.log
        if log.stat().st_size > _MOST_LOG:
            os.truncate(log, 0)
        release_memory(self.server.driver._jvm)

    def _trim(self, share: float, ending: _Lease | None = None) -> None:
        """Release rows in memory beyond a share of the heap, unless a run that does not end now may read them."""
        assert self.server is not None
        rows = KeptRows(self.server.driver._jvm)
        with self._lock:
            if not any(one.is_run for one in self._leases if one is not ending):
                rows.trim(share)
            self._rows = rows.sizes()

    def how_ended(self, error: BaseException | None = None) -> str:
        """Return how the server's JVM ended; empty while it runs. Argument as of `gateway.how_ended`."""
        return "" if self.server is None else self.server.how_ended(error)

    def _answers(self) -> bool:
        assert self.server is not None
        answered, server = threading.Event(), self.server

        def ask() -> None:
            with suppress(Exception):
                server.driver._jsparkSession.conf().isModifiable("spark.master")
                answered.set()

        threading.Thread(target=ask, daemon=True).start()
        return answered.wait(_TO_ANSWER)

    def _accept(self, listening: Any) -> None:
        while not self.over.is_set():
            try:
                connected, _ = listening.accept()
            except OSError:
                return
            line = Line(connected)
            if line.is_ours():
                threading.Thread(target=self._serve, args=(_Lease(line),), daemon=True).start()
            else:
                line.close()

    def _serve(self, lease: _Lease) -> None:
        with self._lock:
            self._leases.add(lease)
        try:
            while (asked := lease.line.receive()) is not None:
                try:
                    answer = self._answer(lease, asked)
                except Exception as error:  # noqa: BLE001 - it is told to who asked
                    answer = {"error": {
                        "what": f"this folder's server failed: {type(error).__name__}: {first_line(error)}",
                        "exists": None, "remedy": "run `helix server stop`, and again",
                    }}
                lease.line.send(answer)
        except (OSError, ValueError):
            pass
        finally:
            self._end(lease)

    def _answer(self, lease: _Lease, asked: Mapping[str, Any]) -> dict[str, Any]:
        sessions: Any = lease.sessions  # a run that has none has not attached: what it asks of them fails
        match asked["ask"]:
            case "hello":
                lease.pid = int(asked.get("pid", 0))
                return {}
            case "attach":
                return self._attach(lease, Wanted(**asked["wanted"]), asked["paths"])
            case "session":
                sessions.open(asked["user"], asked["id"])
                return {}
            case "leave_rows":
                relation = b64decode(asked["relation"])
                return {"done": sessions.leave_rows(asked["session"], asked["key"], relation)}
            case "take_rows":
                return {"done": sessions.take_rows(asked["session"], asked["key"], asked["name"])}
            case "gateway":
                port, secret = sessions.gateway()
                return {"port": port, "secret": secret}
            case "state":
                return {"ended": self.how_ended(ConnectionError() if asked["broken"] else None)}
            case "forks":
                self.forks.start()
                return {}
            case "rows":
                return {"rows": self._rows}
            case "status":
                return self._status()
            case "stop":
                self.over.set()
                return {}
        raise ValueError(f"no {asked['ask']!r} is known")

    def _attach(self, lease: _Lease, wanted: Wanted, paths: list[str]) -> dict[str, Any]:
        with self._lock:
            is_first, self.spark_is_wanted = not self.spark_is_wanted, True
            if is_first:
                asked = replace(self.has, settings=wanted.settings, file_system=wanted.file_system)
                if why := why_unfit(asked, wanted):
                    self.over.set()
                    return {"unfit": why, "busy": False}
                self.has = asked
        if is_first:
            self._start()
        self._ready.wait()
        if self.error is not None or self.server is None:
            error = self.error or SetupError("the server did not start")
            return {"error": {"what": error.what, "exists": error.exists, "remedy": error.remedy}}
        if how := self.how_ended() or ("" if self._answers() else "does not answer any more"):
            self.over.set()
            return {"ended": how}
        with self._lock:
            runtime = self.server.driver._jsparkSession.conf()
            spoiled = "a run has left files or jars in it that all runs see" if self._is_spoiled else ""
            if why := spoiled or why_unfit(self.has, wanted, lambda name: bool(runtime.isModifiable(name))):
                is_busy = any(one.is_run for one in self._leases if one is not lease)
                if not is_busy:
                    self.over.set()
                return {"unfit": why, "busy": is_busy}
            given, unset = session_settings(self.has, wanted)
            lease.sessions = RunSessions(self.server.driver, given, unset, paths)
            self._rested = False
        return {"address": self.server.address}

    def _status(self) -> dict[str, Any]:
        with self._lock:
            runs = [one.pid for one in self._leases if one.is_run]
        return {
            "folder": self.has.folder, "keeper": os.getpid(), "started": self.began, "ready": self._ready.is_set(),
            "spark": self.spark_is_wanted,
            "runs": runs, "bytes": sum(map(resident_bytes, [*family(os.getpid()), self.forks.pid()])),
            "rows": len(self._rows), "rows_bytes": sum(self._rows.values()),
            "idle_seconds": 0.0 if runs else self._idle_seconds(), "log": str(self.point.log),
        }

    def _end(self, lease: _Lease) -> None:
        try:
            if lease.sessions is not None and self.server is not None and not self.how_ended():
                lease.sessions.close()
                self._trim(self.rows_share, lease)
                self._is_spoiled |= context_state(self.server.driver) != self._pristine
                self.forks.start()  # not earlier: the first run needs all cores
        except Exception as error:  # noqa: BLE001 - what is left of a run may be in the next one's way
            print(f"helix: a run's sessions could not be closed: {type(error).__name__}: {error}", file=sys.stderr)
            self.over.set()
        finally:
            lease.line.close()
            with self._lock:
                self._leases.discard(lease)
                self._last_end = time.monotonic()


def release_memory(jvm: Any) -> None:
    management = jvm.java.lang.management.ManagementFactory
    kind = jvm.java.lang.Class.forName("com.sun.management.HotSpotDiagnosticMXBean")
    options = management.getPlatformMXBean(kind)
    before = {name: options.getVMOption(name).getValue() for name in ("MinHeapFreeRatio", "MaxHeapFreeRatio")}
    for name, value in (("MinHeapFreeRatio", "0"), ("MaxHeapFreeRatio", "10")):
        options.setVMOption(name, value)
    for _ in range(2):
        jvm.java.lang.System.gc()
    for name in reversed(before):
        options.setVMOption(name, before[name])
    # By reflection: the class of this server of beans is no public one, and py4j does not ask for its interfaces.
    kind = jvm.java.lang.Class.forName("javax.management.MBeanServer")
    commands = jvm.javax.management.ObjectName("com.sun.management:type=DiagnosticCommand")
    ask = {str(one.getName()): one for one in kind.getMethods()}
    beans = management.getPlatformMBeanServer()
    known = ask["getMBeanInfo"].invoke(beans, _objects(jvm, commands)).getOperations()
    if any(str(one.getName()) == _TRIM for one in known):  # what its compilers and libraries have freed
        ask["invoke"].invoke(beans, _objects(jvm, commands, _TRIM, None, None))


def _objects(jvm: Any, *given: Any) -> Any:
    made = jvm.java.lang.reflect.Array.newInstance(jvm.java.lang.Class.forName("java.lang.Object"), len(given))
    for index, one in enumerate(given):
        made[index] = one
    return made


def _free_memory() -> float:
    """Return the part of the machine's memory that is free; 1 where the system does not tell."""
    with suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = {name: int(value.split()[0]) for name, _, value in (one.partition(":") for one in lines)}
        return found["MemAvailable"] / found["MemTotal"]
    return 1.0


def _keep_pandas_out() -> None:
    """Remove py4j's converters of NumPy's values, for which pyspark imports pandas, in 0.3 s and 90 MB."""
    import pyspark.sql.types  # noqa: F401 - which adds the converters
    from py4j.protocol import INPUT_CONVERTER

    INPUT_CONVERTER[:] = [one for one in INPUT_CONVERTER if "Numpy" not in type(one).__name__]


def main() -> None:
    """Keep a server as the first line of standard input says, unless another process does."""
    given = json.loads(sys.stdin.readline())
    point = MeetingPoint(Path(given["stem"]))
    with point.kept() as is_ours:
        if is_ours:
            idle = float(os.environ.get("HELIX_SERVER_IDLE") or IDLE_SECONDS)
            share = float(os.environ.get("HELIX_SERVER_MEMORY") or ROWS_SHARE)
            _keep_pandas_out()
            Keeper(point, Wanted(**given["wanted"]), idle, share, given["environ"], given["spark"]).keep()


if __name__ == "__main__":
    main()
