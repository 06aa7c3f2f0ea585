"""Files: those below a folder, and what is in one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

_Number = tuple[int, int]


def below(folder: Path, is_skipped: Callable[[str], bool] = lambda name: False) -> tuple[list[Path], list[Path]]:
    """A folder with all folders below it, and all files in them, in order: those behind links too, once for each way
    that leads to them.

    Args:
        folder: to start from, whatever it is called.
        is_skipped: whether a file or folder of this name is left out, with all that is in it.
    """
    around: dict[Path, frozenset[_Number]] = {folder: frozenset({_number(folder)})}
    folders: list[Path] = []
    found: list[Path] = []
    for root, names, files in os.walk(folder, followlinks=True):
        above = around.pop(Path(root))
        folders.append(Path(root))
        inside = {name: Path(root, name) for name in names if not is_skipped(name)}
        numbers = {name: _number(path) for name, path in inside.items()}
        # A link to a folder that it is in leads round and round.
        names[:] = [name for name, number in numbers.items() if number not in above]
        around |= {inside[name]: above | {numbers[name]} for name in names}
        paths = (Path(root, name) for name in files if not is_skipped(name))
        found += [path for path in paths if path.is_file()]
    return sorted(folders), sorted(found)


def content_digest(file: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex characters, without holding them all in memory."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _number(folder: Path) -> _Number:
    """What tells a folder from all others, by whatever name."""
    status = folder.stat()
    return status.st_dev, status.st_ino
