"""The records of a catalog in an SQLite database: a copy in the user's own cache, by which they are looked up.

The segments are what counts. Each process adds those that are new to it, whoever wrote them; all that is read from
them is checked once, on the way in. A database that is of another version, is damaged, or has what the segments do not
say is made anew.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helix_spark.catalog.segments.record_columns import (
    Record,
    RecordType,
    cells_of,
    columns_of,
    record_from_cells,
    record_of,
)
from helix_spark.catalog.segments.segment import Segment

TURN_BITS = 20
"""A row's `turn`, by which rows are ordered, is the number of its segment and, in so many bits, its place in it."""

_FORM = 2
"""Number of what is in a database besides its tables' columns: it grows where rows are held to stricter rules."""

_AT_ONCE = 1 << 20
"""Letters of rows that are inserted at once."""

_MOST_TOLD = 100
"""Rows that do not fit of which it is told why."""

_UNUSED_SECONDS = 30 * 24 * 3600.0
"""Seconds for which an index stays that nobody opens."""

_WAIT_SECONDS = 60.0
"""Seconds to wait for another process that writes to the same database."""


@dataclass(frozen=True, slots=True)
class RecordKind:
    """A kind of records.

    Attributes:
        name: of the kind in segments, and of its table.
        looked_up_by: columns by which its rows are looked up.
    """

    name: str
    record_type: type[RecordType]
    looked_up_by: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Position:
    """How far an index has read.

    Attributes:
        number: of the last segment; 0 for none.
        id: of that segment, which tells it from another one of this number; empty if it was damaged.
    """

    number: int = 0
    id: str = ""


class RecordIndex:
    """An index of records. Several threads and processes may use one at once.

    Args:
        file: of the database; None for one in memory.
    """

    def __init__(self, kinds: Sequence[RecordKind], file: Path | None) -> None:
        self._kinds = {one.name: one for one in kinds}
        self._names = {one.record_type: one.name for one in kinds}
        self._lock = threading.RLock()
        if file is not None:
            _make_room(file)
        self._database = sqlite3.connect(
            file or ":memory:", timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        if self._note("form") != self._form():
            self.clear()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    # Looking up -------------------------------------------------------------------------------------------------------

    def select(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query gives. Each kind of records is a table, with `turn` besides."""
        with self._lock, closing(self._database.execute(sql, values)) as found:
            return found.fetchall()

    def rows(self, record_type: type[Record], rest: str, values: Sequence[Any]) -> list[Record]:
        """Return records; `rest` is what follows the table's name in the query."""
        columns = columns_of(record_type)
        names = ", ".join(f'"{name}"' for name in columns)
        found = self.select(f"SELECT {names} FROM {self._names[record_type]} {rest}", values)
        return [record_from_cells(record_type, row) for row in found]

    def rejections(self) -> list[str]:
        """Return why records and segments were left out, in words."""
        return [why for (why,) in self.select("SELECT why FROM rejections ORDER BY turn, why LIMIT ?", [_MOST_TOLD])]

    def position(self) -> Position:
        """Return how far it has read."""
        number, _, name = self._note("position").partition(" ")
        return Position(int(number), name) if number else Position()

    @property
    def synced(self) -> int:
        """The number up to which all segments are known to survive a loss of power."""
        return int(self._note("synced") or 0)

    def note_synced(self, number: int) -> None:
        """Remember up to which number segments were synced."""
        with self._writing():
            self._set_note("synced", str(number))

    # Adding -----------------------------------------------------------------------------------------------------------

    def add(
        self, before: Position, segments: Iterable[Segment], last: int, lost: Mapping[int, str]
    ) -> Position | None:
        """Add the segments up to a number and say what is lost among them; return the new position. None if it is not
        at `before` any more, and nothing is added; or where what it has was written anew, and it forgets that. Nothing
        is either where reading segments raises."""
        with self._writing():
            if self.position() != before:
                return None
            name = self._add(segments, before)
            if name is None:
                self._make_anew()
                return None
            for number, why in lost.items():
                self._reject(number << TURN_BITS, why)
            self._set_note("position", f"{last} {name}")
        return Position(last, name)

    def clear(self) -> None:
        """Forget everything, as before the first segment."""
        with self._writing():
            self._make_anew()

    def _make_anew(self) -> None:
        for kind, name in self.select("SELECT type, name FROM sqlite_master WHERE type = 'table'"):
            self._database.execute(f'DROP {kind} "{name}"')
        self._database.execute("CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT)")
        self._database.execute("CREATE TABLE rejections (turn INTEGER, why TEXT)")
        for statement in self._tables():
            self._database.execute(statement)
        self._set_note("form", self._form())

    def _add(self, segments: Iterable[Segment], before: Position) -> str | None:
        """Insert the rows of segments after a position; return the id of the last segment, empty if there is none. None
        where the segment of that position has another id: it was written anew."""
        name, letters = "", 0
        waiting: dict[str, list[tuple[Any, ...]]] = {kind: [] for kind in self._kinds}
        for segment in segments:
            name = segment.id
            if segment.number == before.number and name != before.id:
                return None
            for place, (kind, said) in enumerate(segment.rows if segment.number > before.number else ()):
                turn = segment.number << TURN_BITS | place
                if kind not in waiting or place >> TURN_BITS:
                    continue  # of a later version
                try:
                    row = cells_of(record_of(said, self._kinds[kind].record_type))
                except ValueError as error:
                    self._reject(turn, f"{kind}: {error}")
                    continue
                waiting[kind].append((turn, *row))
                letters += sum(len(cell) for cell in row if type(cell) is str)
                if letters > _AT_ONCE:
                    self._insert(waiting)
                    letters = 0
        self._insert(waiting)
        return name

    def _insert(self, waiting: Mapping[str, list[tuple[Any, ...]]]) -> None:
        for kind, rows in waiting.items():
            if rows:
                self._database.executemany(f"INSERT INTO {kind} VALUES ({', '.join('?' * len(rows[0]))})", rows)
                rows.clear()

    def _reject(self, turn: int, why: str) -> None:
        self._database.execute("INSERT INTO rejections VALUES (?, ?)", (turn, why))

    def _tables(self) -> Iterator[str]:
        types = {"str": "TEXT", "int": "INTEGER", "float": "REAL", "bool": "INTEGER", "strs": "TEXT"}
        for kind in self._kinds.values():
            columns = ", ".join(f'"{name}" {types[one.plain]}' for name, one in columns_of(kind.record_type).items())
            yield f"CREATE TABLE {kind.name} (turn INTEGER PRIMARY KEY, {columns})"
            for place, looked_up in enumerate(kind.looked_up_by):
                yield f"CREATE INDEX {kind.name}_{place} ON {kind.name} ({', '.join(looked_up)})"

    def _form(self) -> str:
        """Return a digest that tells databases of other versions: of their tables and the number `_FORM`."""
        return hashlib.sha256("\n".join([str(_FORM), *self._tables()]).encode()).hexdigest()

    def _note(self, name: str) -> str:
        try:
            found = self.select("SELECT text FROM notes WHERE name = ?", [name])
        except sqlite3.OperationalError:  # there is no such table
            return ""
        return str(found[0][0]) if found else ""

    def _set_note(self, name: str, text: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, text))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold off other writers; what is written is there when the block has ended, or nothing of it."""
        with self._lock:
            if self._database.in_transaction:
                yield
                return
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")


def _make_room(file: Path) -> None:
    """Make the folder of an index; delete indexes there that were not used for long, as where a catalog is gone."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if file.exists():
        os.utime(file)
        return
    for other in file.parent.glob("*.sqlite"):
        with suppress(OSError):
            if time.time() - other.stat().st_mtime > _UNUSED_SECONDS:
                other.unlink()
