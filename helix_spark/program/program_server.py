"""The server that a program's questions go to when they have no recorded answer: started at the first of them, or kept
by the process that watches the program, or the one that the program itself names."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from helix_spark.capture.program_client import address_of, connect
from helix_spark.engine.spark.connect import settings_of_server
from helix_spark.engine.spark.connect_server import ConnectServer, inherited_server
from helix_spark.engine.spark.connect_transport import is_this_machine


@dataclass(slots=True)
class ProgramServer:
    """A server, on demand.

    Attributes:
        settings: Spark's, for one that is started.
        address: of the one that the program names, as ``sc://host:port``; empty where it names none.
    """

    settings: Mapping[str, str]
    address: str = ""
    _own: ConnectServer | None = None
    _stub: Any = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def start_seconds(self) -> float:
        """How long its start took; 0.0 where there was none."""
        return 0.0 if self._own is None else self._own.start_seconds

    @property
    def elsewhere(self) -> str:
        """Of a server that runs on another machine, which; empty of others. It has disks of its own."""
        host = urlsplit(self.address).hostname or ""
        return "" if not host or is_this_machine(host) else host

    def stub(self) -> Any:
        """What sends it requests. Raises SetupError if it cannot be started."""
        with self._lock:
            if self._stub is None:
                address = self.address
                if not address:
                    told = inherited_server()
                    if told is None:
                        self._own = ConnectServer(self.settings)
                        told = self._own.port, self._own.token
                    address = address_of(*told)
                self._stub = connect(address)
            return self._stub

    def settings_there(self) -> dict[str, str]:
        """All settings of the server that the program names.

        Raises:
            SetupError: nobody answers there, or its Spark is of another version than this PySpark.
        """
        return settings_of_server(self.address, self.stub())

    def stop(self) -> None:
        """Stops one that was started here."""
        if self._own is not None:
            self._own.stop()
            self._own, self._stub = None, None
