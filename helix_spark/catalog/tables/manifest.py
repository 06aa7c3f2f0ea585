"""What a stored result says of itself: a small JSON file beside its data, with all that its record says.

It is written when all is stored and checked, just before the record is. Where records are lost, the results that have
one are taken up again; what has none was never finished.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace

from helix_spark.catalog.journal.rows import Misfit, from_columns
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.records import LAYOUT, ArtifactRecord

NAME = ".helix.json"
"""Spark, Delta and the digests of what is stored pass over files whose names begin with a dot."""

_LARGEST = 16 << 20
"""Bytes of one that is read: most of it is a schema."""


def write_manifest(folder: Place, record: ArtifactRecord) -> ArtifactRecord:
    """Writes what a record says beside the data in its folder; returns the record with the bytes that this takes in
    its own. Raises OSError."""
    whole, text = record, ""
    while whole.bytes != record.bytes + len(text.encode()) or not text:
        whole = replace(record, bytes=record.bytes + len(text.encode()))
        text = _text(whole)
    (folder / NAME).replace_text(text)
    return whole


def has_manifest(folder: Place) -> bool:
    """Whether a stored result was finished: its record was written, or was about to be."""
    return (folder / NAME).is_file()


def read_manifest(folder: Place) -> ArtifactRecord | None:
    """The record that lies beside the data in a folder, as far as it has the form of one; None if there is none.

    Raises ValueError for what is none, OSError where it cannot be read. What it says is not compared with anything.
    """
    try:
        told = parsed((folder / NAME).read_at_most(_LARGEST))
    except FileNotFoundError:
        return None
    if not isinstance(told, dict) or told.get("layout") != LAYOUT or not isinstance(told.get("record"), dict):
        raise ValueError("its manifest is none of this version")
    known = {each.name for each in fields(ArtifactRecord)}
    said = {name: [value] for name, value in told["record"].items() if name in known}
    (record,) = from_columns(said, ArtifactRecord) or (Misfit({}, {}),)
    if isinstance(record, Misfit):
        raise ValueError(f"its manifest does not fit: {record}")
    return record


def _text(record: ArtifactRecord) -> str:
    # Most of them say the same as when nothing is said.
    told = {each.name: each.default for each in fields(ArtifactRecord)}
    said = {name: value for name, value in asdict(record).items() if value != told[name]}
    return json.dumps({"layout": LAYOUT, "record": said})
