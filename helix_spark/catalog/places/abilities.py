"""What a disk can do of that on which a catalog rests, found out by trying it.

A file is put where none must be by a link, which fails where the name is taken; deltalake commits so, too. Hard links
are what many disks lack: USB sticks (exFAT, FAT), some folders shared with a virtual machine.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TRIED = ".helix-try-"
"""What the name of a folder begins with in which something is tried. It goes when that is done."""

PAUSES = random.Random()
"""Draws how long a writer waits before it tries again. `random`'s own generator is the author's."""


@dataclass(frozen=True, slots=True)
class Shortcoming:
    """Something that a disk cannot do.

    Attributes:
        lacks: what, in words.
        means: what that means for a catalog.
        refused: whether a catalog cannot be there at all.
    """

    lacks: str
    means: str
    refused: bool

    def __str__(self) -> str:
        return f"it has no {self.lacks}: {self.means}"


def shortcomings(folder: Path) -> tuple[Shortcoming, ...]:
    """Return what a catalog needs of the disk of a folder, which exists, and does not get.

    Raises:
        OSError: no file can be made there.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=TRIED) as made:
        tried = Path(made)
        found = [one for can, one in _TRIALS if not _can(can, tried)]
    return tuple(found)


def _can(trial: Callable[[Path], bool], folder: Path) -> bool:
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        return trial(place)
    except OSError:
        return False
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _links(folder: Path) -> bool:
    file, other = folder / "one", folder / "other"
    file.write_text("one")
    os.link(file, other)
    try:
        os.link(file, other)
    except FileExistsError:
        return other.read_text() == "one"
    return False


def _syncs(folder: Path) -> bool:
    for path in (folder, folder / "file"):
        handle = os.open(path, os.O_RDONLY if path == folder else os.O_CREAT | os.O_WRONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    return True


def _names(folder: Path) -> bool:
    (folder / ("n" * 150)).write_text("")
    return True


def _times(folder: Path) -> bool:
    file = folder / "file"
    file.write_text("")
    os.utime(file, (1_000_000_000.0, 1_000_000_000.0))
    return abs(file.stat().st_mtime - 1_000_000_000.0) <= 2


_TRIALS: tuple[tuple[Callable[[Path], bool], Shortcoming], ...] = (
    (_links, Shortcoming("hard links", "two runs at once could lose each other's records", refused=True)),
    (_names, Shortcoming("names of 150 letters", "files of tables have such", refused=True)),
    (_syncs, Shortcoming("way to sync a folder", "what was stored last may be lost with the power", refused=False)),
    (_times, Shortcoming("times of files that can be set", "another machine cannot tell whether a run here lives",
                         refused=False)),
)
