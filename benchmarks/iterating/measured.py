"""What a system gets when a script begins, and what is recorded of each of its iterations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scripts import Version
from helix_spark.engine.server.kept_servers import family, resident_bytes


@dataclass(frozen=True, slots=True)
class Begin:
    """The start of a script.

    Attributes:
        folder: for its texts and for all that the system stores.
        budget: bytes that Helix may store; None for no limit.
        script: all versions, for the system that knows them beforehand.
        records: the catalog of an earlier run of the script that stored everything, for the same.
    """

    system: str
    folder: Path
    budget: int | None
    script: tuple[Version, ...]
    records: Path | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """One iteration.

    Attributes:
        answer_seconds: until the outputs are known.
        busy_seconds: until everything that follows the answer is done, storing above all.
        stored_bytes: for later iterations: on the disk, or (`cached`) held by the session.
    """

    answer_seconds: float
    busy_seconds: float
    stored_bytes: int
    outputs: dict[str, Any]


RunVersion = Callable[[Version], Measured]


def bytes_below(folder: Path) -> int:
    """Return the sum of the sizes of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@dataclass
class PeakMemory:
    """The largest resident memory of a process and its descendants."""

    bytes: int = 0
    pid: int = 0

    def watch(self, pid: int) -> None:
        """Sample this process from now on."""
        self.pid = pid


@contextmanager
def peak_memory() -> Iterator[PeakMemory]:
    """Sample memory every fifth of a second."""
    memory, stop = PeakMemory(), threading.Event()

    def sample() -> None:
        while not stop.wait(0.2):
            if memory.pid:
                memory.bytes = max(memory.bytes, sum(map(resident_bytes, family(memory.pid))))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        stop.set()
        thread.join()
