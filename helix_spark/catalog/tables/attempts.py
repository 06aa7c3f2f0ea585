"""The folders of stored tables and models. Each writer gets its own, which is deleted as a whole.

After the data is stored and checked, and before it is recorded, a manifest is written next to it: a small JSON file
with the fields of the record. If records are lost, results with a manifest are recorded again; others are unfinished.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from msgspec import Struct

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.places.catalog_folder import FOLDERS, ID, SIGNATURE, Layout
from helix_spark.catalog.places.json_text import parsed_as
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.records import ArtifactKind, ArtifactRecord
from helix_spark.catalog.segments.record_index import fields_of, record_of
from helix_spark.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to store a result.

    Attributes:
        attempt: new id of 32 hex characters.
        path: folder to write to; None for a value. Spark's writers create it.
    """

    signature: str
    attempt: str
    kind: ArtifactKind
    path: Place | None


def attempt_in(layout: Layout, signature: str, attempt: str, kind: ArtifactKind) -> Attempt:
    """Return an attempt. Raises CatalogError for ids that are not plain hex: a path may have no others."""
    if kind == "value":
        return Attempt(signature, attempt, kind, None)
    if not SIGNATURE.fullmatch(signature):
        raise CatalogError(f"{signature!r} is not a signature (64 hex characters)")
    if not ID.fullmatch(attempt):
        raise CatalogError(f"{attempt!r} is not the id of an attempt or a run (32 hex characters)")
    return Attempt(signature, attempt, kind, layout.attempts(kind) / signature / attempt)


def attempt_of(layout: Layout, record: ArtifactRecord) -> Attempt:
    return attempt_in(layout, record.signature, record.attempt, record.kind)


LONGEST_COMMIT = 64 << 20
"""Maximum bytes of a table's commit: a file takes some 300, a column 100."""


def commit_of(table: Place) -> Place:
    """Return the only entry of a stored table's Delta log."""
    return table / "_delta_log" / f"{0:020}.json"


def stored_attempts(layout: Layout, skipped: Collection[str] = ()) -> Iterator[Attempt]:
    """Yield all attempts with a folder, live or not. Those of `skipped` signatures may be omitted."""
    for kind in FOLDERS:
        for signature, attempt in layout.attempts(kind).second_names(skipped):
            if SIGNATURE.fullmatch(signature) and ID.fullmatch(attempt):
                yield attempt_in(layout, signature, attempt, kind)


def missing_among(layout: Layout, records: Iterable[ArtifactRecord]) -> list[ArtifactRecord]:
    """Return the artifacts whose folder is missing."""
    paths = ((record, attempt_of(layout, record).path) for record in records)
    return [record for record, path in paths if path is not None and not path.is_own_folder()]


def delete_all(layout: Layout, attempts: Iterable[Attempt]) -> None:
    """Delete folders of attempts, all even if one fails. Raises CatalogError for the first failure, as by a link."""
    failures: list[tuple[Place, OSError]] = []
    for attempt in attempts:
        if (path := attempt_in(layout, attempt.signature, attempt.attempt, attempt.kind).path) is not None:
            try:
                reach("delete.begun")
                path.delete_tree()
            except OSError as error:
                failures.append((path, error))
    for folder, first in failures[:1]:
        more = f" (and {len(failures) - 1:,} more)" if failures[1:] else ""
        raise CatalogError(f"{folder} cannot be deleted: {first.strerror or first}{more}",
                           remedy="it is unused; `helix gc` tries again, or delete it manually") from first


MANIFEST = ".helix.json"
"""Name of a manifest. Spark, Delta and our digests skip files whose names begin with a dot."""


class _Manifest(Struct):
    """The content of a manifest, in its first version."""

    layout: Literal[1]
    record: dict[str, Any]


def write_manifest(folder: Place, record: ArtifactRecord) -> ArtifactRecord:
    """Write a record's manifest into its folder; return the record with the manifest's bytes included."""
    complete, text = record, ""
    while not text or complete.bytes != record.bytes + len(text):  # JSON is ASCII
        complete = replace(record, bytes=record.bytes + len(text))
        text = json.dumps({"layout": 1, "record": fields_of(complete)})
    (folder / MANIFEST).replace_text(text)
    return complete


def has_manifest(folder: Place) -> bool:
    """True if a stored result is finished, recorded or not."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Place) -> ArtifactRecord | None:
    """Read the record in a folder's manifest; None if there is no manifest. Raises ValueError, OSError."""
    try:
        manifest = parsed_as((folder / MANIFEST).read_at_most(16 << 20), _Manifest)  # most of it is a schema
        return record_of(manifest.record, ArtifactRecord)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"its manifest does not fit: {error}") from error
