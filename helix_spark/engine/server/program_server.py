"""The server that a plain program asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from helix_spark.answers.sent_requests import server_ended
from helix_spark.engine.server.starting import start_server
from helix_spark.engine.spark.borrowed import is_this_machine
from helix_spark.engine.spark.connect_server import SparkServer, as_spark_has_it
from helix_spark.plans.program_client import connect


@dataclass(slots=True)
class ProgramServer:
    """The server of a program: the one whose `address` it names, as ``sc://host:port``; else one on this machine,
    started, or attached to, on demand. `store` has Hadoop's settings for a catalog in an object store; `tell` is told
    what a person should know of the start."""

    settings: Mapping[str, str]
    address: str = ""
    store: Mapping[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda _: None
    _own: SparkServer | None = None
    _stub: Any = None
    _lock: Lock = field(default_factory=Lock)

    @property
    def start_seconds(self) -> float:
        """Seconds that its start took; 0.0 where there was none."""
        return 0.0 if self._own is None else self._own.start_seconds

    @property
    def elsewhere(self) -> str:
        """The host of a server on another machine, which has disks of its own; empty for others."""
        host = urlsplit(self.address).hostname or ""
        return "" if not host or is_this_machine(host) else host

    def stub(self) -> Any:
        """Return what sends it requests. Raises SetupError if it cannot be started."""
        with self._lock:
            if self._stub is None:
                if not (address := self.address):
                    self._own = start_server(self.settings, self.store, as_spark_has_it(), say=self.tell)
                    address = self._own.address
                self._stub = connect(address, self._end)
            return self._stub

    def open_session(self, user: str, session_id: str) -> None:
        """Register a session under a client's ids, see `SparkServer`."""
        if self._own is not None:
            self._own.open_session(user, session_id)

    def leave_rows(self, session_id: str, key: str, relation: bytes) -> bool:
        """Leave rows of a session in memory to later runs, see `SparkServer`."""
        return self._own is not None and self._own.leave_rows(session_id, key, relation)

    def take_rows(self, session_id: str, key: str, name: str) -> bool:
        """Register rows that an earlier run left, see `SparkServer`."""
        return self._own is not None and self._own.take_rows(session_id, key, name)

    def how_ended(self, error: BaseException | None = None) -> str:
        """Return how a server on this machine ended without being told to; empty while it runs or where there is none.
        """
        return "" if self._own is None else self._own.how_ended(error)

    def _end(self, error: Exception) -> Exception | None:
        return server_ended(how) if (how := self.how_ended(error)) else None

    def drop(self) -> None:
        """Forget a server that has ended, so that another one is started where one is needed."""
        with self._lock:
            self.stop()
            self._stub = None

    def stop(self) -> None:
        if self._own is not None:
            self._own.stop()
            self._own, self._stub = None, None
