"""The folders that hold stored tables and models: fresh ones to write to, sizes, and removal. Knows no records.

Every writer gets a folder of its own, so nothing that is half-written is ever shared, and a folder is removed whole.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.layout import Layout, is_id, is_signature
from helix_spark.catalog.places import Place, at
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
    path: Place | None


def new_attempt(layout: Layout, signature: str, kind: ArtifactKind) -> Attempt:
    """A fresh attempt; nothing is written. Raises CatalogError for a signature that is not plain hex."""
    attempt = uuid.uuid4().hex
    path = None if kind == "value" else layout.attempt(kind, signature, attempt)
    return Attempt(signature, attempt, kind, path)


def physical_bytes(path: Place) -> int:
    """Bytes of all files under `path` as they lie on disk: logs, checksums and leftovers included; 0 if there is none.

    A symbolic link counts as itself. Files that vanish meanwhile count as nothing.
    """
    return at(path).total_bytes()


def seconds_untouched(path: Place) -> float:
    """Seconds since anything under `path` was last modified, by this machine's clock; below 0 if that is ahead."""
    newest = at(path).last_modified()
    return 0.0 if newest is None else time.time() - newest


def stored_attempts(layout: Layout) -> Iterator[Attempt]:
    """All attempts that have a folder, live or not, in no order. Other things in there are left alone."""
    for kind in layout.kinds_with_folders:
        for signature, attempt in at(layout.attempts(kind)).second_names(is_signature):
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
    if elsewhere := at(path.parent).leads_out_of(layout.root):
        raise CatalogError(
            f"{path} is not deleted: a link leads out of the catalog, to {elsewhere}",
            remedy="remove the link by hand",
        )
    reach("delete.begun")
    try:
        at(path).delete_tree()
    except OSError as error:
        raise CatalogError(
            f"{path} cannot be deleted: {error.strerror}",
            remedy="it is not used any more; `helix gc` tries again, or delete it by hand",
        ) from error
