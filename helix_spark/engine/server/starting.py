"""Where a run's Spark comes from: the server that is kept for its folder, found or started; else one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

from helix_spark.engine.server.attached import AttachedServer, check_answer
from helix_spark.engine.server.fit import Wanted, wanted_now
from helix_spark.engine.server.forks_apart import initial_environment
from helix_spark.engine.server.kept_servers import (
    AGAIN,
    PATIENCE,
    SERVER_VARIABLE,
    await_end,
    end_keeper,
    has_room,
    make_room,
    stop_server,
    why_none_is_kept,
)
from helix_spark.engine.server.meeting import FOLDER_VARIABLE, Line, MeetingPoint
from helix_spark.engine.spark.connect_server import (
    NO_SETTINGS,
    SERVING,
    ConnectServer,
    as_spark_has_it,
    import_pyspark,
    planned_settings,
)
from helix_spark.engine.spark.driver_client import for_workers
from helix_spark.engine.spark.gateway import JvmStart
from helix_spark.engine.spark.settings import file_system_of, is_local
from helix_spark.errors import SetupError

_TO_START = 300.0
"""Seconds that a server has to start."""

SparkServer = ConnectServer | AttachedServer
"""A server of Spark Connect on this machine: of this process, or kept by another one."""


def start_server(
    author: Mapping[str, str], store: Mapping[str, str] = NO_SETTINGS, defaults: Mapping[str, str] = NO_SETTINGS,
    jvm_start: JvmStart | None = None, say: Callable[[str], None] = lambda _: None,
) -> SparkServer:
    """Return a server: the one that is kept for this folder, where one is kept for this process; else one of its own.
    Arguments as of `ConnectServer`; `say` is told what a person should know. Raises SetupError if it could not be
    started."""
    if not why_none_is_kept():
        settings = planned_settings({**SERVING, **author}, store, defaults)
        if is_local(settings["spark.master"]) or os.environ.get(SERVER_VARIABLE, "").lower() == "on":
            with suppress(ImportError):
                import_pyspark()
            if (found := attach(settings, file_system_of(store), say)) is not None:
                return found
    return ConnectServer(author, store, defaults, jvm_start)


def attach(
    settings: Mapping[str, str], file_system: str, say: Callable[[str], None]
) -> AttachedServer | None:
    """Return the server of this folder, started if there is none that fits; None where this run has to start Spark for
    itself: another run uses one that does not fit. Arguments as of `Wanted`; raises as `start_server` does."""
    begun, wanted = time.perf_counter(), wanted_now(settings, Path.cwd(), file_system)
    try:
        point = MeetingPoint.of(wanted.folder)
    except SetupError as error:
        say(f"{error.what}: Spark is started for this run alone")
        return None
    paths = [path for path in for_workers()["PYTHONPATH"].split(os.pathsep) if path]
    for _ in range(3):
        if (line := _reach(point, wanted, say)) is None:
            say("as many servers as may stay are in use: Spark is started for this run alone")
            return None
        try:
            found = line.ask({"ask": "attach", "wanted": wanted.to_json(), "paths": paths}, _TO_START)
        except (TimeoutError, OSError):
            found = None
        check_answer(found)
        if found is not None and "address" in found:
            return AttachedServer(line, point.log, found["address"], begun)
        line.close()
        if found is not None and found.get("busy"):
            say(f"this folder's server does not fit ({found['unfit']}), and another run uses it: Spark is started for "
                "this run alone")
            return None
        if found is not None and "unfit" in found:
            say(f"this folder's server does not fit ({found['unfit']}): another one is started")
        elif found is not None:
            say(f"this folder's server {found['ended']}: another one is started")
        else:
            say("this folder's server does not answer: another one is started")
            end_keeper(point)
        await_end(point)
    say("no server could be kept: Spark is started for this run alone")
    return None


def prepare_next(say: Callable[[str], None] = lambda _: None) -> None:
    """Prepare the process that the next commands of this folder are forked from. The folder's keeper starts it. Where
    there is none, and no other has to end for it, one is left that starts Spark when a command needs it. For a process
    that servers are kept for."""
    with suppress(SetupError, OSError):
        point, folder = MeetingPoint.of(str(Path.cwd())), Path.cwd()
        if point.ask({"ask": "forks"}, PATIENCE) is None and not point.keeper() and has_room(point):
            _start_keeper(point, wanted_now({}, folder), with_spark=False)
            say(_stays("a process", folder))


def _stays(what: str, folder: Path | str) -> str:
    return (f"{what} stays for the next runs in {folder}: `helix server stop` ends it, {SERVER_VARIABLE}=off has none "
            "stay")


class HeldServer:
    """Keeps a folder's server from ending while no run uses it; where none is kept, one for this process alone."""

    def __init__(
        self, settings: Mapping[str, str], say: Callable[[str], None] = lambda _: None, folder: Path | None = None
    ) -> None:
        """Hold it. `settings` are Spark's, of the author's, for one that is started; runs work in `folder`, or here."""
        self._settings, self._folder = settings, folder or Path.cwd()
        self._line: Line | None = None
        self._own_folder, self._say = "", say
        if why_none_is_kept():
            self._say = lambda _: None
            self._own_folder = tempfile.mkdtemp(prefix="helix-")
            os.environ |= {SERVER_VARIABLE: "on", FOLDER_VARIABLE: self._own_folder}
        self.hold()

    def hold(self) -> None:
        """Hold the one that there is now; it is started if there is none. Raises SetupError if that fails."""
        if self._line is None or not self._line.is_open():
            settings = planned_settings({**SERVING, **self._settings}, defaults=as_spark_has_it())
            wanted = wanted_now(settings, self._folder)
            self._line = _reach(MeetingPoint.of(wanted.folder), wanted, self._say)

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._own_folder:
            stop_server(MeetingPoint.of(str(self._folder)))
            rmtree(self._own_folder, ignore_errors=True)


def _reach(point: MeetingPoint, wanted: Wanted, say: Callable[[str], None]) -> Line | None:
    """Return a connection to the keeper of a meeting point, started if there is none; None without room for one."""
    process, since = None, time.perf_counter()
    while time.perf_counter() - since < _TO_START:
        if (line := point.call(point.door, PATIENCE)) is not None:
            with suppress(TimeoutError, OSError):
                if line.ask({"ask": "hello", "pid": os.getpid()}, PATIENCE) is not None:
                    return line
            line.close()
            if point.keeper():
                say("this folder's server does not answer: another one is started")
                end_keeper(point)
        elif process is None and not point.keeper():
            if not make_room(point, say):
                return None
            process = _start_keeper(point, wanted)
            say(_stays("a Spark server", wanted.folder))
        elif process is not None and process.poll() is not None and not point.keeper():
            last = point.log.read_text(errors="replace").strip()[-500:] if point.log.exists() else ""
            raise SetupError("the process that keeps a server ended as soon as it began", exists=last or None,
                             remedy=f"set {SERVER_VARIABLE}=off to start Spark in this process")
        time.sleep(AGAIN)
    raise SetupError("the process that keeps a server does not answer", remedy=f"set {SERVER_VARIABLE}=off")


def _start_keeper(point: MeetingPoint, wanted: Wanted, *, with_spark: bool = True) -> subprocess.Popen[bytes]:
    # Not by `-m`, which has Python look for its own modules in the folder that the run works in.
    script = "import sys; sys.path.pop(0); from helix_spark.engine.server.keeper import main; main()"
    package = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, **for_workers()}
    path = [package, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, path)))
    log = os.open(point.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            cwd=wanted.folder, env=environment,
        )
    finally:
        os.close(log)
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        given = {"stem": str(point.stem), "wanted": wanted.to_json(), "environ": initial_environment(),
                 "spark": with_spark}
        process.stdin.write(json.dumps(given).encode() + b"\n")
        process.stdin.close()
    return process
