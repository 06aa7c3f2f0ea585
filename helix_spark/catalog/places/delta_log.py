"""The files of a Delta table's log: what they are called, what is in an entry, read with limits, and what we write."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import Place, text_in

LONGEST_ENTRY = 64 << 20
"""Bytes of an entry at most. A record's takes some 1,500; of a stored table a file takes some 300, a column 100; one
that replaces ten thousand files has some ten million."""

_ENTRY, _CHECKPOINT = ".json", ".checkpoint.parquet"


@dataclass(frozen=True, slots=True)
class DeltaLog:
    """The log of the table in a folder. Everything that looks raises OSError where it cannot be reached."""

    table: Place

    @property
    def folder(self) -> Place:
        return self.table / "_delta_log"

    @property
    def pointer(self) -> Place:
        """The file that names the newest checkpoint."""
        return self.folder / "_last_checkpoint"

    def entry(self, version: int) -> Place:
        return self.folder / f"{version:020}{_ENTRY}"

    def checkpoint(self, version: int) -> Place:
        return self.folder / f"{version:020}{_CHECKPOINT}"

    def entries(self) -> dict[int, Place]:
        """All that lie there by version, in order."""
        return self.numbered()[0]

    def numbered(self) -> tuple[dict[int, Place], dict[int, Place]]:
        """All entries and all checkpoints that lie there, by version, in order; in one look."""
        found: tuple[dict[int, Place], dict[int, Place]] = {}, {}
        for path in sorted(self.folder.glob("*"), key=lambda path: path.name):
            for of_kind, ending in zip(found, (_ENTRY, _CHECKPOINT), strict=True):
                number = path.name.removesuffix(ending)
                if number != path.name and len(number) == 20 and number.isascii() and number.isdecimal():
                    of_kind[int(number)] = path
        return found

    def pointed(self) -> int:
        """The version that the pointer names. Raises OSError, ValueError, KeyError or TypeError where it names none."""
        return int(parsed(text_in(self.pointer))["version"])


def actions_in(entry: Place) -> Iterator[Mapping[str, Any]]:
    """The actions of an entry. Raises OSError, and what `actions_of` raises."""
    return actions_of(text_in(entry, LONGEST_ENTRY))


def actions_of(text: str) -> Iterator[Mapping[str, Any]]:
    """The actions of an entry. Raises ValueError for what is no JSON; who takes them looks whether they are actions."""
    for line in text.splitlines():
        if line.strip():
            yield parsed(line)


def entry_text(actions: Iterable[Mapping[str, Any]]) -> str:
    """An entry of these actions, a line each."""
    return "".join(f"{json.dumps(action)}\n" for action in actions)


def now() -> int:
    """The time as Delta has it: milliseconds since 1970."""
    return int(time.time() * 1000)


def information(operation: str, **more: Any) -> dict[str, Any]:
    """The action that says who commits, and what they do."""
    return {"commitInfo": {"timestamp": now(), "operation": operation, "engineInfo": "helix_spark", **more}}


def metadata(schema: str, configuration: Mapping[str, str]) -> dict[str, Any]:
    """What a new table is.

    Args:
        schema: as JSON.
    """
    return {
        "id": str(uuid.uuid4()), "format": {"provider": "parquet", "options": {}}, "schemaString": schema,
        "partitionColumns": [], "createdTime": now(), "configuration": dict(configuration),
    }


def protocol(schema: str) -> dict[str, Any]:
    """What a reader and a writer of such a table must know: of Delta's first version, and of times without a zone.

    >>> protocol('{"type": "long"}')["minReaderVersion"], protocol('{"type": "timestamp_ntz"}')["readerFeatures"]
    (1, ['timestampNtz'])
    """
    if '"timestamp_ntz"' not in schema:
        return {"minReaderVersion": 1, "minWriterVersion": 2}
    named = ["timestampNtz"]
    return {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": named, "writerFeatures": named}


def added(file: Place, statistics: Mapping[str, Any]) -> dict[str, Any]:
    """The action that adds a file of rows. Raises OSError."""
    status = file.stat()
    return {"add": {
        "path": quote(file.name), "partitionValues": {}, "size": status.st_size,
        "modificationTime": int(status.st_mtime * 1000), "dataChange": True, "stats": json.dumps(statistics),
    }}
