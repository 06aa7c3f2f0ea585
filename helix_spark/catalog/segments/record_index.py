"""An SQLite index of a catalog's records in the user's own cache.

The segments are authoritative. Each process adds the segments that the index lacks, and checks their records once, when
it adds them. A database of another version, or one that contradicts the segments, is built again.

A field's type gives its column: str, int (64 bit), float, bool and tuples of str; each may be None where the field
allows it. A field that an older writer did not write has its default. Records may come from anybody, so they are
checked by the rules of their types (`msgspec.Meta`).
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import Field, dataclass, fields
from functools import cache, lru_cache
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Meta

from helix_spark.catalog.places.json_text import as_type, parsed_as
from helix_spark.catalog.segments.segment import Segment

TURN_BITS = 20
"""Low bits of `turn`, which orders rows: they hold a row's position in its segment, the others the segment's number."""

_FORM = 2
"""Version of a database apart from its tables' columns. It grows when the rules for rows become stricter."""

_AT_ONCE = 1 << 20
"""Letters of the rows in one insertion."""


class RecordKind(NamedTuple):
    """A kind of records.

    Attributes:
        name: name in segments, and of the table.
        looked_up_by: groups of columns, each with an index.
        sparse_by: lookup column for the newest row that fills another column, if any. Each column that may be empty
            gets an index by it of the rows that fill the column.
    """

    name: str
    record_type: type[RecordType]
    looked_up_by: tuple[tuple[str, ...], ...]
    sparse_by: str = ""


class Position(NamedTuple):
    """The last segment that an index has read: its number, 0 for none, and its id, empty if it was damaged."""

    number: int = 0
    id: str = ""


class RecordIndex:
    """An index of records in a file (None: a temporary one) or in memory, for concurrent threads and processes."""

    def __init__(self, kinds: Sequence[RecordKind], file: Path | Literal[":memory:"] | None) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._lock = threading.RLock()
        if isinstance(file, Path):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if file.exists():
                os.utime(file)
            else:  # delete indexes that were not opened for a month
                for old_file in file.parent.glob("*.sqlite"):
                    with suppress(OSError):
                        if time.time() - old_file.stat().st_mtime > 30 * 24 * 3600:
                            old_file.unlink()
        # The timeout is for other processes that write to the same database.
        self._database = sqlite3.connect(file or "", 60.0, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        if self._note("form") != self._form():
            self.clear()

    def select(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query. Each kind of records is a table, with the additional column `turn`."""
        with self._lock, closing(self._database.execute(sql, values)) as cursor:
            return cursor.fetchall()

    def rows(self, record_type: type[Record], clause: str, values: Sequence[Any]) -> list[Record]:
        """Return records; `clause` follows the table's name in the query."""
        columns = ", ".join(f'"{name}"' for name in columns_of(record_type))
        table = next(name for name, kind in self._kinds.items() if kind.record_type is record_type)
        rows = self.select(f"SELECT {columns} FROM {table} {clause}", values)
        return [record_from_cells(record_type, row) for row in rows]

    def rejections(self) -> list[str]:
        """Return messages about rejected records and lost segments; at most a hundred."""
        return [why for (why,) in self.select("SELECT why FROM rejections ORDER BY turn, why LIMIT 100")]

    def position(self) -> Position:
        """Return the position of the last segment that was read."""
        number, _, name = self._note("position").partition(" ")
        return Position(int(number), name) if number else Position()

    @property
    def synced(self) -> int:
        """The number up to which all segments are synced."""
        return int(self._note("synced") or 0)

    def note_synced(self, number: int) -> None:
        """Record the number up to which all segments are synced."""
        with self._writing():
            self._set_note("synced", str(number))

    def add(self, before: Position, segments: Iterable[Segment], last: int, lost: Mapping[int, str]) -> Position | None:
        """Add the segments up to number `last`, and messages about `lost` ones; return the new position.

        Return None and add nothing if the index is no longer at `before`. Clear it and return None if the segment there
        was rewritten. If reading the segments raises an error, nothing is added.
        """
        with self._writing():
            if self.position() != before:
                return None
            name = self._add(segments, before)
            if name is None:
                self.clear()
                return None
            for number, why in lost.items():
                self._reject(number << TURN_BITS, why)
            self._set_note("position", f"{last} {name}")
        return Position(last, name)

    def clear(self) -> None:
        """Delete everything, so that the index is before the first segment."""
        with self._writing():
            for kind, name in self.select("SELECT type, name FROM sqlite_master WHERE type = 'table'"):
                self._database.execute(f'DROP {kind} "{name}"')
            self._database.execute("CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT)")
            self._database.execute("CREATE TABLE rejections (turn INTEGER, why TEXT)")
            for statement in self._tables():
                self._database.execute(statement)
            self._set_note("form", self._form())

    def _add(self, segments: Iterable[Segment], before: Position) -> str | None:
        """Insert the rows of segments after a position. Return the id of the last segment, empty if there is none; None
        if the segment at that position was rewritten, so that it has another id."""
        name, letters = "", 0
        waiting: dict[str, list[tuple[Any, ...]]] = {kind: [] for kind in self._kinds}
        for segment in segments:
            name = segment.id
            if segment.number == before.number and name != before.id:
                return None
            for at, (kind, values) in enumerate(segment.rows if segment.number > before.number else ()):
                turn = segment.number << TURN_BITS | at
                if kind not in waiting or at >> TURN_BITS:
                    continue  # from a later version
                try:
                    record = record_of(values, self._kinds[kind].record_type)
                except ValueError as error:
                    self._reject(turn, f"{kind}: {error}")
                    continue
                fields_in_order = (getattr(record, column) for column in columns_of(type(record)))
                row = [json.dumps(value) if isinstance(value, tuple) else value for value in fields_in_order]
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
            columns = columns_of(kind.record_type)
            definitions = ", ".join(f'"{name}" {types[column.plain]}' for name, column in columns.items())
            yield f"CREATE TABLE {kind.name} (turn INTEGER PRIMARY KEY, {definitions})"
            for number, names in enumerate(kind.looked_up_by):
                yield f"CREATE INDEX {kind.name}_{number} ON {kind.name} ({', '.join(names)})"
            for name, column in columns.items() if kind.sparse_by else ():
                if column.is_optional:
                    index = f"CREATE INDEX {kind.name}_{name} ON {kind.name} ({kind.sparse_by})"
                    yield f"{index} WHERE {is_filled(name, column)}"

    def _form(self) -> str:
        """Return the digest of the tables and `_FORM`, which identifies a database's version."""
        return hashlib.sha256("\n".join([str(_FORM), *self._tables()]).encode()).hexdigest()

    def _note(self, name: str) -> str:
        with suppress(sqlite3.OperationalError):  # there is no such table
            return next((str(text) for (text,) in self.select("SELECT text FROM notes WHERE name = ?", [name])), "")
        return ""

    def _set_note(self, name: str, text: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, text))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write the statements of the block in one transaction, excluding other writers."""
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


Plain = Literal["str", "int", "float", "bool", "strs"]


class RecordType(Protocol):
    """A frozen dataclass of plain fields."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Record = TypeVar("Record", bound=RecordType)


@dataclass(frozen=True, slots=True)
class Json:
    """Mark a text as JSON of a type, unless it is the field's default."""

    of: Any


class RecordColumn(NamedTuple):
    """A field as a column.

    Attributes:
        default: the field's default; MISSING if it has none.
        longest: maximum letters of a text for people, which is cut; None for other columns.
        json: type of the value of a JSON text; None for other columns.
    """

    plain: Plain
    default: Any
    longest: int | None
    json: Any

    @property
    def is_optional(self) -> bool:
        """True if it may be null, or, for a text, empty."""
        return self.default in (None, "")

    def value(self, cell: Any) -> Any:
        """Return the field's value from a cell."""
        if self.plain == "strs" and cell is not None:
            return tuple(json.loads(cell))
        return bool(cell) if self.plain == "bool" and cell is not None else cell


def is_filled(name: str, column: RecordColumn) -> str:
    """Return the SQL condition that a row fills a column; true for a column that is never empty."""
    if not column.is_optional:
        return "true"
    return f'"{name}" IS NOT NULL' if column.default is None else f"\"{name}\" <> ''"


@cache
def columns_of(record_type: type[RecordType]) -> Mapping[str, RecordColumn]:
    """Return the columns of a dataclass by name, in order.

    >>> @dataclass(frozen=True)
    ... class Seen:
    ...     name: str
    ...     seconds: float | None = None
    ...     inputs: tuple[str, ...] = ()
    >>> [(name, column.plain) for name, column in columns_of(Seen).items()]
    [('name', 'str'), ('seconds', 'float'), ('inputs', 'strs')]
    """
    names: dict[Any, Plain] = {str: "str", int: "int", float: "float", bool: "bool", Literal: "str", tuple: "strs"}
    hints, columns = get_type_hints(record_type, include_extras=True), dict[str, RecordColumn]()
    for field in fields(record_type):
        hint = hints[field.name]
        if get_origin(hint) in (UnionType, Union):
            (hint,) = (arg for arg in get_args(hint) if arg is not type(None))
        rules = getattr(hint, "__metadata__", ())
        type_ = getattr(hint, "__origin__", hint) if rules else hint
        plain = names[get_origin(type_) or type_]
        json_type = next((rule.of for rule in rules if isinstance(rule, Json)), None)
        prose = (rule for rule in rules if isinstance(rule, Meta) and not rule.pattern)
        longest = next((rule.max_length for rule in prose), None) if plain == "str" and json_type is None else None
        columns[field.name] = RecordColumn(plain, field.default, longest, json_type)
    return columns


def fields_of(record: RecordType) -> dict[str, Any]:
    """Return the fields of a record that differ from their defaults; cut texts for people to their longest size."""
    values = dict[str, Any]()
    for name, column in columns_of(type(record)).items():
        value = getattr(record, name)
        if value != column.default:
            values[name] = value if column.longest is None or value is None else value[: column.longest]
    return values


def record_of(values: Mapping[str, Any], record_type: type[Record]) -> Record:
    """Return the record with these fields, ignoring unknown ones. Raises ValueError for values that do not fit."""
    record = as_type(values, record_type)
    for name, column in columns_of(record_type).items():
        if column.json is not None and (text := getattr(record, name)) not in (None, column.default):
            try:
                _check_json(text, column.json)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
    return record


_check_json = lru_cache(maxsize=4096)(parsed_as)
"""Check a JSON text. Cached, as records of unchanged nodes repeat the same texts."""


def record_from_cells(record_type: type[Record], cells: Iterable[Any]) -> Record:
    """Return the record of a row's cells, in the order of its columns."""
    columns = columns_of(record_type).items()
    return record_type(**{name: column.value(cell) for (name, column), cell in zip(columns, cells, strict=True)})
