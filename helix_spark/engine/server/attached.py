"""A run's end of a server that another process keeps."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import uuid
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from helix_spark.engine.server.kept_servers import AGAIN, PATIENCE
from helix_spark.engine.server.meeting import Line
from helix_spark.engine.spark.driver_client import USER, DriverClient, held_sessions
from helix_spark.engine.spark.gateway import (
    environment,
    forget,
    is_broken_connection,
    keep_from_children,
    worth_reading,
)
from helix_spark.errors import SetupError
from helix_spark.forks import Birthplace
from helix_spark.plans.program_client import connect
from helix_spark.plans.recorded_call import classic, own_session_is


class AttachedServer:
    """A server that another process keeps, for as long as this run needs it. It has what `ConnectServer` has."""

    spark: Any = None
    is_shared: Literal[True] = True
    _client: DriverClient | None = None

    def __init__(self, line: Line, log: Path, address: str, begun: float) -> None:
        self._line, self._home, self._is_lost = line, Birthplace(), ""
        os.register_at_fork(after_in_child=line.close)  # else a child that lives on would be a run that goes on
        self.address = address
        self.start_seconds = time.perf_counter() - begun
        self._printed = _Printed(log)

    def open_session(self, user: str, session_id: str) -> None:
        """Register a session under a client's ids, apart from those of other runs. Raises SetupError if it ended."""
        self._ask({"ask": "session", "user": user, "id": session_id})

    def open(self) -> None:
        """Open a session that this process has as a classic one, too. Raises SetupError if the server has ended."""
        try:
            self._open()
        except Exception as error:  # what is asked of a JVM that ends may fail in any way
            if not (how := self.how_ended(ConnectionError(str(error)))):
                raise
            forget()
            self.stop()
            raise SetupError(f"this folder's server {how}", remedy="run it again: another one is started") from error

    def _open(self) -> None:
        from pyspark import SparkConf
        from pyspark.java_gateway import launch_gateway
        from pyspark.sql import SparkSession

        begun, name = time.perf_counter(), str(uuid.uuid4())
        self.open_session(USER, name)
        found = self._ask({"ask": "gateway"})
        with classic():
            own = {"PYSPARK_GATEWAY_PORT": str(found["port"]), "PYSPARK_GATEWAY_SECRET": found["secret"]}
            with environment(**own):
                gateway = launch_gateway()  # type: ignore[no-untyped-call]  # pyspark's
            gateway.proc = _Kept(self)
            keep_from_children()
            jvm = gateway.jvm
            key = jvm.org.apache.spark.sql.connect.service.SessionKey(USER, name)
            session = held_sessions(jvm).get(key).session()
            context = jvm.org.apache.spark.api.java.JavaSparkContext(session.sparkContext())
            conf = SparkConf(_jvm=jvm, _jconf=context.getConf())
            self._context = _shared_context_class()(gateway=gateway, jsc=context, conf=conf)
            driver = SparkSession(self._context, session)
        self._client = DriverClient(driver, connect(self.address), name)
        self.spark = self._client.spark
        own_session_is(self.spark)
        self.start_seconds += time.perf_counter() - begun

    def leave_rows(self, session_id: str, key: str, relation: bytes) -> bool:
        """Leave the rows of a table of a client's session to later runs; see `KeptRows.leave`."""
        message = {"ask": "leave_rows", "session": session_id, "key": key, "relation": b64encode(relation).decode()}
        return self._is_done(message)

    def take_rows(self, session_id: str, key: str, name: str) -> bool:
        """Register the rows of a result with a client's session; see `KeptRows.take`."""
        return self._is_done({"ask": "take_rows", "session": session_id, "key": key, "name": name})

    def _is_done(self, message: Mapping[str, Any]) -> bool:
        found = self._line.ask(message)  # what fails there, as where the JVM ends, is told by what is asked next
        return found is not None and bool(found.get("done"))

    def how_ended(self, error: BaseException | None = None) -> str:
        """Return how it ended without being told to, in words; empty while it runs. `error` is of a failed request."""
        if not self._is_lost and self._home.is_here:
            is_broken = is_broken_connection(error)
            try:
                found = self._line.ask({"ask": "state", "broken": is_broken}, PATIENCE)
            except (TimeoutError, OSError):
                found = {"ended": "does not answer any more" if is_broken else ""}
            self._is_lost = "was ended" if found is None else found["ended"]
        return self._is_lost

    def stop(self, *, keep_classes: bool = True) -> None:
        """Let go of it. What this run has there ends, the server goes on. No-op in a forked child."""
        if not self._home.is_here:
            return
        if self._client is not None:
            own_session_is(None)
            self._client.close()
            self._client = None
            with classic():
                self._context.stop()
        self._line.close()
        self._printed.end()

    def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        found = self._line.ask(message)
        if found is None:
            raise SetupError("this folder's server has ended", remedy="run it again: another one is started")
        check_answer(found)
        return found


def check_answer(found: Mapping[str, Any] | None) -> None:
    if found is not None and (failed := found.get("error")):
        raise SetupError(failed["what"], exists=failed["exists"], remedy=failed["remedy"])


class _Kept:
    """Takes the place of the JVM's process where pyspark's gateway has one."""

    stdin = None

    def __init__(self, server: AttachedServer) -> None:
        self._server = server

    def poll(self) -> int | None:
        return 1 if self._server.how_ended() else None

    returncode = property(poll)

    def wait(self, timeout: float | None = None) -> int:
        if (found := self.poll()) is None:
            raise subprocess.TimeoutExpired("the server's JVM", timeout or 0.0)
        return found


@cache
def _shared_context_class() -> Any:
    from pyspark import SparkContext

    class SharedContext(SparkContext):
        """The context of a server that other runs use as well: to stop it is to let go of it."""

        def stop(self) -> None:
            if (updates := vars(self).get("_accumulatorServer")) is not None:
                updates.shutdown()
            if (made := SparkContext._gateway) is not None:
                made.close()
            self._accumulatorServer = self._jsc = None  # type: ignore[assignment]  # as `SparkContext.stop` does
            forget()

    return SharedContext


class _Printed(threading.Thread):
    """Passes on what a server's JVM and its Python workers print from now on, to stderr."""

    def __init__(self, log: Path) -> None:
        super().__init__(name="helix-server-output", daemon=True)
        self._over = threading.Event()
        self._file = os.fdopen(os.open(log, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb")
        self._file.seek(0, os.SEEK_END)
        self.start()

    def run(self) -> None:
        for line in worth_reading(self._lines()):
            os.write(2, line)

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        while True:
            is_over = self._over.wait(AGAIN * 10)
            while found := self._file.read(1 << 16):
                *lines, rest = (rest + found).split(b"\n")
                for line in lines:
                    yield line + b"\n"
            if is_over:
                return

    def end(self) -> None:
        self._over.set()
        self.join()
        self._file.close()
