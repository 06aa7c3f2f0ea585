"""The folders that hold stored tables and models: fresh ones to write to, what each says of itself, sizes, and removal.

Every writer gets a folder of its own, so nothing that is half-written is ever shared, and a folder is removed whole.
When all is stored and checked, just before it is recorded, a manifest is written beside the data: a small JSON file
with all that the record says. Where records are lost, the results that have one are recorded again; what has none was
never finished.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.rows import Misfit, from_columns
from helix_spark.catalog.places.catalog_folder import Layout, is_id, is_signature
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.records import LAYOUT, ArtifactKind, ArtifactRecord
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


def attempt_in(layout: Layout, signature: str, attempt: str, kind: ArtifactKind) -> Attempt:
    """An attempt; nothing is written. Raises CatalogError for a signature or an id that is not plain hex."""
    path = None if kind == "value" else layout.attempt(kind, signature, attempt)
    return Attempt(signature, attempt, kind, path)


def attempt_of(layout: Layout, record: ArtifactRecord) -> Attempt:
    """The attempt by which an artifact was stored."""
    return attempt_in(layout, record.signature, record.attempt, record.kind)


def physical_bytes(path: Place) -> int:
    """Bytes of all files under `path` as they lie on disk: logs, checksums and leftovers included; 0 if there is none.
    """
    return path.total_bytes()


def stored_attempts(layout: Layout, known: Collection[str] = ()) -> Iterator[Attempt]:
    """All attempts that have a folder, live or not, in no order. Other things in there are left alone.

    Args:
        known: signatures whose attempts are left out where that spares looks.
    """
    for kind in layout.kinds_with_folders:
        for signature, attempt in layout.attempts(kind).second_names(known):
            if is_signature(signature) and is_id(attempt):
                yield attempt_in(layout, signature, attempt, kind)


def missing_among(layout: Layout, records: Iterable[ArtifactRecord]) -> list[ArtifactRecord]:
    """Those of some artifacts whose folder is gone, whatever an older listing said."""
    paths = ((record, attempt_of(layout, record).path) for record in records)
    return [record for record, path in paths if path is not None and not path.is_own_folder()]


def delete(layout: Layout, attempt: Attempt) -> None:
    """Delete an attempt's folder; nothing happens if it is gone already or never was.

    Raises:
        CatalogError: it cannot be deleted, or a link leads to it.
    """
    path = attempt_in(layout, attempt.signature, attempt.attempt, attempt.kind).path
    if path is None:
        return
    reach("delete.begun")
    try:
        path.delete_tree()
    except OSError as error:
        raise CatalogError(
            f"{path} cannot be deleted: {error.strerror}",
            remedy="it is not used any more; `helix gc` tries again, or delete it by hand",
        ) from error


def delete_all(layout: Layout, attempts: Iterable[Attempt]) -> None:
    """Delete the folders of attempts, each of them whatever becomes of the others.

    Raises CatalogError or OSError for the first that could not be deleted.
    """
    failures: list[CatalogError | OSError] = []
    for attempt in attempts:
        try:
            delete(layout, attempt)
        except (CatalogError, OSError) as error:
            failures.append(error)
    if not failures:
        return
    first, more = failures[0], len(failures) - 1
    if more and isinstance(first, CatalogError):
        raise CatalogError(f"{first.what} (and {more:,} more)", exists=first.exists, remedy=first.remedy)
    raise first


MANIFEST = ".helix.json"
"""Spark, Delta and the digests of what is stored pass over files whose names begin with a dot."""

_LARGEST_MANIFEST = 16 << 20
"""Bytes of one that is read: most of it is a schema."""


def write_manifest(folder: Place, record: ArtifactRecord) -> ArtifactRecord:
    """Writes what a record says beside the data in its folder; returns the record with the bytes that this takes in
    its own. Raises OSError."""
    whole, text = record, ""
    while not text or whole.bytes != record.bytes + len(text):  # JSON is ASCII
        whole = replace(record, bytes=record.bytes + len(text))
        text = _manifest_text(whole)
    (folder / MANIFEST).replace_text(text)
    return whole


def has_manifest(folder: Place) -> bool:
    """Whether a stored result was finished: its record was written, or was about to be."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Place) -> ArtifactRecord | None:
    """The record that lies beside the data in a folder, as far as it has the form of one; None if there is none.

    Raises ValueError for what is none, OSError where it cannot be read. What it says is not compared with anything.
    """
    try:
        told = parsed((folder / MANIFEST).read_at_most(_LARGEST_MANIFEST))
    except FileNotFoundError:
        return None
    if not isinstance(told, dict) or told.get("layout") != LAYOUT or not isinstance(told.get("record"), dict):
        raise ValueError("its manifest is none of this version")
    known = {each.name for each in fields(ArtifactRecord)}
    said = {name: [value] for name, value in told["record"].items() if name in known}
    (record,) = from_columns(said, ArtifactRecord) or (Misfit({}),)
    if isinstance(record, Misfit):
        raise ValueError(f"its manifest does not fit: {record}")
    return record


def _manifest_text(record: ArtifactRecord) -> str:
    # Most of them say the same as when nothing is said.
    told = {each.name: each.default for each in fields(ArtifactRecord)}
    said = {name: value for name, value in asdict(record).items() if value != told[name]}
    return json.dumps({"layout": LAYOUT, "record": said})
