"""The server that a program's questions go to when they have no recorded answer: started at the first of them, or kept
by the process that watches the program, or the one that the program itself names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from helix_spark.answers.sent_requests import is_unreachable, rpc_error, server_ended
from helix_spark.engine.spark.connect import is_this_machine, settings_of_server
from helix_spark.engine.spark.connect_server import ConnectServer, inherited_server
from helix_spark.plans.program_client import address_of, connect


@dataclass(slots=True)
class ProgramServer:
    """A server that starts on demand.

    Attributes:
        settings: Spark's, for one that is started.
        address: of the one that the program names, as ``sc://host:port``; empty where it names none.
        store: Hadoop's settings for the object store that the catalog is in; none for a catalog in a folder.
    """

    settings: Mapping[str, str]
    address: str = ""
    store: Mapping[str, str] = field(default_factory=dict)
    _own: ConnectServer | None = None
    _inherits: bool = True
    _is_lost: bool = False
    _stub: Any = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

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
                address = self.address
                if address:
                    self._stub = connect(address)
                else:
                    there = inherited_server() if self._inherits else None
                    if there is None:
                        self._own = ConnectServer(self.settings, self.store)
                        there = self._own.service.port, self._own.service.token
                    self._stub = _LocalService(connect(address_of(*there)), self.how_ended)
            return self._stub

    def how_ended(self, error: BaseException | None = None) -> str:
        """Return how a server on this machine ended without being told to; empty while it runs or where there is none.

        Args:
            error: of a request, if one failed.
        """
        own, unreachable = self._own, error is not None and is_unreachable(error)
        if own is not None:
            return own.how_ended(ConnectionResetError() if unreachable else None)
        inherited = self._stub is not None and not self.address
        self._is_lost = self._is_lost or (inherited and unreachable)
        return "does not answer any more" if self._is_lost else ""

    def drop(self) -> None:
        """Forget a server that has ended, so that another one is started where one is needed."""
        with self._lock:
            self.stop()
            self._stub, self._inherits, self._is_lost = None, False, False

    def settings_there(self) -> dict[str, str]:
        """Return all settings of the server that the program names.

        Raises:
            SetupError: nobody answers there, or its Spark is of another version than this PySpark.
        """
        return settings_of_server(self.address, self.stub())

    def stop(self) -> None:
        """Stop one that was started here."""
        if self._own is not None:
            self._own.stop()
            self._own, self._stub = None, None


@dataclass(frozen=True, slots=True)
class _LocalService:
    """A service whose requests fail with a ServerEndedError once `how_ended` says that its server has ended."""

    stub: Any
    how_ended: Callable[[BaseException], str]

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.stub, name)

        def checked(request: Any, metadata: Any = None) -> Any:
            with self._errors_checked():
                answer = call(request)
            return self._stream(answer) if hasattr(answer, "__next__") else answer

        return checked

    def _stream(self, answers: Iterator[Any]) -> Iterator[Any]:
        with self._errors_checked():
            yield from answers

    @contextmanager
    def _errors_checked(self) -> Iterator[None]:
        try:
            yield
        except rpc_error() as error:
            if how := self.how_ended(error):
                raise server_ended(how) from error
            raise
