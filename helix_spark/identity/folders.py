"""Files: those below a folder, and what is in one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from helix_spark.regular_files import open_regular


def below(
    folder: Path, is_skipped: Callable[[str], bool] = lambda name: False
) -> tuple[list[Path], list[tuple[str, Path]]]:
    """A folder with all folders below it, and all files in them by their names from there, in order: those behind links
    too, once for each way that leads to them.

    Args:
        folder: to start from, whatever it is called.
        is_skipped: whether a file or folder of this name is left out, with all that is in it.

    Raises:
        OSError: a folder cannot be read.
    """
    folders: list[Path] = []
    files: list[tuple[str, Path]] = []

    def into(path: Path, name: str, above: frozenset[tuple[int, int]]) -> None:
        status = path.stat()
        if (number := (status.st_dev, status.st_ino)) in above:
            return  # a link to a folder that it is in leads round and round
        folders.append(path)
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if is_skipped(entry.name):
                continue
            if entry.is_dir():
                into(Path(entry.path), f"{name}{entry.name}/", above | {number})
            elif entry.is_file():
                files.append((f"{name}{entry.name}", Path(entry.path)))

    into(folder, "", frozenset())
    return folders, files


def content_digest(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex characters, without holding them all in memory. Raises OSError."""
    with open_regular(file) as stream:
        told = hashlib.sha256()
        while block := stream.read(_BLOCK):
            told.update(block)
        return told.hexdigest()


_BLOCK = 1 << 20
