"""Files that commands write for people: synced, and renamed into place, before they are announced."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from helix_spark.catalog.places.local_disk import LocalPath, sync_path
from helix_spark.errors import HelixError, ParameterError


@contextmanager
def output_at(path: Path, *, replaces: bool = False) -> Iterator[Path]:
    """Yield an unused path for a file or a folder; move what was written there to `path` once it survives a power cut.

    Args:
        replaces: whether a file at `path` is replaced. Its permissions stay; a link to it stays a link.

    Raises:
        ParameterError: something is at `path`, and is not to be replaced.
        HelixError: the disk refuses.
    """
    try:
        if replaces and path.exists() and not path.is_file():
            yield path  # a terminal or a pipe: nothing is kept there
            return
        target = path.resolve() if replaces else path
        unfinished = LocalPath(target.with_name(f".{uuid.uuid4().hex}"))
        try:
            yield unfinished
            _sync(unfinished)
            _rename(unfinished, target, replaces=replaces)
        finally:
            if unfinished.is_dir():
                shutil.rmtree(unfinished, ignore_errors=True)
            else:
                unfinished.unlink(missing_ok=True)
        with suppress(PermissionError):  # a user who may write into a folder may not always list it
            sync_path(target.absolute().parent)
    except FileExistsError:
        raise already_there(path) from None
    except OSError as error:
        raise HelixError(f"{path} cannot be written: {error.strerror or error}") from error


def already_there(path: Path) -> ParameterError:
    """Return the error for a path that is taken."""
    return ParameterError(f"{path} exists", remedy="name another, or remove it; nothing was written")


def _sync(unfinished: LocalPath) -> None:
    if unfinished.is_dir():
        unfinished.sync([file for file in unfinished.rglob("*") if file.is_file()])
    else:
        sync_path(unfinished)


def _rename(unfinished: Path, target: Path, *, replaces: bool) -> None:
    if replaces:
        if target.exists():
            unfinished.chmod(stat.S_IMODE(target.stat().st_mode))
        unfinished.replace(target)
    else:
        if os.path.lexists(target):
            raise FileExistsError
        unfinished.rename(target)
