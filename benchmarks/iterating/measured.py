"""What a system is given when a script begins, and what is recorded of each of its iterations."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from benchmarks.scripts.edit import Version

if TYPE_CHECKING:
    from typing_extensions import Self

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Begin:
    """A script begins.

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
        stored_bytes: what lies there for later iterations: on the disk, or (`cached`) held by the session.
    """

    answer_seconds: float
    busy_seconds: float
    stored_bytes: int
    outputs: dict[str, Any]


def bytes_below(folder: Path) -> int:
    """Sum of the sizes of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0


class PeakMemory:
    """The largest resident memory of a process and all that it started, looked at every fifth of a second."""

    def __init__(self) -> None:
        self.bytes = 0
        self._root, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def of(self, pid: int) -> None:
        """Looks at this process from now on."""
        self._root = pid

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            if self._root:
                self.bytes = max(self.bytes, resident(self._root))


def resident(root: int) -> int:
    """Resident bytes of a process and its descendants; 0 once it is gone."""
    parents, sizes = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            sizes[int(entry.name)] = int((entry / "statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            continue  # it ended while it was looked at
    family = {root}
    for pid in sorted(parents):  # children mostly have higher numbers; a second pass finds the others
        family |= {pid} if parents[pid] in family else set()
    family |= {pid for pid, parent in parents.items() if parent in family}
    return sum(sizes.get(pid, 0) for pid in family)
