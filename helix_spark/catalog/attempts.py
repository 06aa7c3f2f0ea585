"""The folders that hold stored tables and models: fresh ones to write to, sizes, and removal. Knows no records.

Every writer gets a folder of its own, so nothing that is half-written is ever shared, and a folder is removed whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.layout import Layout, is_id, is_signature
from helix_spark.catalog.records import ArtifactKind
from helix_spark.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to store a result.

    Attributes:
        signature: of the result.
        attempt: 32 hex characters, never used before.
        kind: table or model, which have a folder, or value, which has none.
        path: the folder to write to. It does not exist yet: Spark's writers want to make it.
    """

    signature: str
    attempt: str
    kind: ArtifactKind
    path: Path | None


def new_attempt(layout: Layout, signature: str, kind: ArtifactKind) -> Attempt:
    """A fresh attempt; nothing is written. Raises CatalogError for a signature that is not plain hex."""
    attempt = uuid.uuid4().hex
    path = None if kind == "value" else layout.attempt(kind, signature, attempt)
    return Attempt(signature, attempt, kind, path)


def physical_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes of all files under `path` as they lie on disk: logs, checksums and leftovers included; 0 if there is none.

    A symbolic link counts as itself. Files that vanish meanwhile count as nothing.
    """
    return sum(status.st_size for status in _statuses(Path(path)) if not stat.S_ISDIR(status.st_mode))


def seconds_untouched(path: Path) -> float:
    """Seconds since anything under `path` was last modified, by this machine's clock; below 0 if that is ahead."""
    newest = max((status.st_mtime for status in _statuses(path)), default=time.time())
    return time.time() - newest


def stored_attempts(layout: Layout) -> Iterator[Attempt]:
    """All attempts that have a folder, live or not, in no order. Other things in there are left alone."""
    for kind in layout.kinds_with_folders:
        for signature in _names(layout.attempts(kind)):
            if not is_signature(signature):
                continue
            for attempt in _names(layout.attempts(kind) / signature):
                if is_id(attempt):
                    yield Attempt(signature, attempt, kind, layout.attempt(kind, signature, attempt))


def delete(layout: Layout, attempt: Attempt) -> None:
    """Delete an attempt's folder; nothing happens if it is gone already or never was.

    Raises:
        CatalogError: it is not inside the catalog (a link leads elsewhere), or cannot be deleted.
    """
    if attempt.kind == "value":
        return
    path = layout.attempt(attempt.kind, attempt.signature, attempt.attempt)
    if not path.parent.resolve().is_relative_to(layout.root.resolve()):
        raise CatalogError(
            f"{path} is not deleted: a link leads out of the catalog, to {path.parent.resolve()}",
            remedy="remove the link by hand",
        )
    reach("delete.begun")
    try:
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path, onerror=_unless_gone)
    except OSError as error:
        raise CatalogError(
            f"{path} cannot be deleted: {error.strerror}",
            remedy="it is not used any more; `helix gc` tries again, or delete it by hand",
        ) from error
    _remove_if_empty(path.parent)


def _unless_gone(_function: object, _path: str, raised: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(raised[1], FileNotFoundError):
        raise raised[1]


def _remove_if_empty(folder: Path) -> None:
    # Not empty where another attempt lives or begins; an empty folder that stays costs nothing.
    with contextlib.suppress(OSError):
        folder.rmdir()


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """`path` itself and everything under it, links not followed."""
    try:
        yield path.lstat()
        entries = list(os.scandir(path)) if path.is_dir() and not path.is_symlink() else []
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _statuses(Path(entry.path))
            continue
        try:
            yield entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
