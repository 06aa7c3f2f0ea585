"""The files of a Delta table's log: what they are called, and what is in an entry, read with limits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import Place, text_in

LONGEST_ENTRY = 64 << 20
"""Bytes of an entry at most. A record's takes some 1,500; of a stored table a file takes some 300, a column 100; one
that replaces ten thousand files has some ten million."""

_ENTRY, _CHECKPOINT = ".json", ".checkpoint.parquet"


@dataclass(frozen=True, slots=True)
class DeltaLog:
    """The log of the table in a folder."""

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

    def numbered(self) -> tuple[dict[int, Place], dict[int, Place]]:
        """All entries and all checkpoints by version, in order; in one look."""
        found: tuple[dict[int, Place], dict[int, Place]] = {}, {}
        for path in sorted(self.folder.glob("*"), key=lambda path: path.name):
            for of_kind, ending in zip(found, (_ENTRY, _CHECKPOINT), strict=True):
                number = path.name.removesuffix(ending)
                if number != path.name and len(number) == 20 and number.isascii() and number.isdecimal():
                    of_kind[int(number)] = path
        return found


def actions_in(entry: Place) -> Iterator[Mapping[str, Any]]:
    """Yield what should be the actions of an entry. Raises OSError, and ValueError for what is no JSON."""
    for line in text_in(entry, LONGEST_ENTRY).splitlines():
        if line.strip():
            yield parsed(line)


def entry_text(actions: Iterable[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(action)}\n" for action in actions)


def now() -> int:
    """Return the time as Delta has it: milliseconds since 1970."""
    return int(time.time() * 1000)
