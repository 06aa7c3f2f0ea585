"""The server that a program's questions go to when they have no recorded answer: started at the first of them, or kept
by the process that watches the program."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from helix_spark.capture.program_client import connect
from helix_spark.engine.spark.connect_server import ConnectServer, told_server


@dataclass(slots=True)
class ProgramServer:
    """A server, on demand.

    Attributes:
        settings: Spark's, for one that is started.
    """

    settings: Mapping[str, str]
    _own: ConnectServer | None = None
    _stub: Any = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def start_seconds(self) -> float:
        """How long its start took; 0.0 where there was none."""
        return 0.0 if self._own is None else self._own.start_seconds

    def stub(self) -> Any:
        """What sends it requests. Raises SetupError if it cannot be started."""
        with self._lock:
            if self._stub is None:
                told = told_server()
                if told is None:
                    self._own = ConnectServer(self.settings)
                    told = self._own.port, self._own.token
                self._stub = connect(*told)
            return self._stub

    def stop(self) -> None:
        """Stops one that was started here."""
        if self._own is not None:
            self._own.stop()
            self._own, self._stub = None, None
