"""What a system is told when a script begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.scripts.edit import Version


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
