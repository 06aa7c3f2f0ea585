"""Files that commands write for people: synced, and renamed into place, before they are announced."""

from __future__ import annotations

import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from helix_spark.catalog.places.local_disk import sync_path
from helix_spark.errors import HelixError


@contextmanager
def output_at(path: Path) -> Iterator[Path]:
    """Yield an unused path for a file; move what was written there to `path` once it survives a power cut. A file that
    is there is replaced: its permissions stay, and a link to it stays a link.

    Raises:
        HelixError: the disk refuses.
    """
    try:
        if path.exists() and not path.is_file():
            yield path  # a terminal or a pipe: nothing is kept there
            return
        target = path.resolve()
        unfinished = target.with_name(f".{uuid.uuid4().hex}")
        try:
            yield unfinished
            sync_path(unfinished)
            if target.exists():
                unfinished.chmod(stat.S_IMODE(target.stat().st_mode))
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
        with suppress(PermissionError):  # a user who may write into a folder may not always list it
            sync_path(target.parent)
    except OSError as error:
        raise HelixError(f"{path} cannot be written: {error.strerror or error}") from error
