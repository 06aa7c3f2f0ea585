"""The records of a catalog in an SQLite database: a copy in the user's own cache, by which they are looked up.

The segments are what counts. Each process adds those that are new to it, whoever wrote them; all that is read from
them is checked once, on the way in. A database of another version, or one that the segments contradict, is made anew.

A field's type gives its column: str, int (64 bit), float, bool and tuples of str; each may be None where the field
allows it. A field that an older writer did not know has its default. Types have rules (`msgspec.Meta`), with which what
is read is compared: records may be from anybody.
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
"""A row's `turn`, by which rows are ordered, is the number of its segment and, in so many bits, its place in it."""

_FORM = 2
"""Number of what is in a database besides its tables' columns: it grows where rows are held to stricter rules."""

_AT_ONCE = 1 << 20
"""Letters of rows that are inserted at once."""


class RecordKind(NamedTuple):
    """A kind of records.

    Attributes:
        name: in segments and as a table.
        looked_up_by: groups of columns, each with an index.
        sparse_by: a column by which the newest row that fills another column is looked up, however many rows leave that
            empty: each column that may be empty has an index of the rows that fill it. Empty for none.
    """

    name: str
    record_type: type[RecordType]
    looked_up_by: tuple[tuple[str, ...], ...]
    sparse_by: str = ""


class Position(NamedTuple):
    """How far an index has read: the number of the last segment, 0 for none; and its id, empty if it was damaged."""

    number: int = 0
    id: str = ""


class RecordIndex:
    """An index of records in a file (None: its own) or in memory. Several threads and processes may use one at once."""

    def __init__(self, kinds: Sequence[RecordKind], file: Path | Literal[":memory:"] | None) -> None:
        self._kinds = {one.name: one for one in kinds}
        self._lock = threading.RLock()
        if isinstance(file, Path):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if file.exists():
                os.utime(file)
            else:  # those that nobody opened for a month make room
                for other in file.parent.glob("*.sqlite"):
                    with suppress(OSError):
                        if time.time() - other.stat().st_mtime > 30 * 24 * 3600:
                            other.unlink()
        # The timeout is for another process that writes to the same database.
        self._database = sqlite3.connect(file or "", 60.0, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        if self._note("form") != self._form():
            self.clear()

    def select(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query gives. Each kind of records is a table, with `turn` besides."""
        with self._lock, closing(self._database.execute(sql, values)) as found:
            return found.fetchall()

    def rows(self, record_type: type[Record], rest: str, values: Sequence[Any]) -> list[Record]:
        """Return records; `rest` is what follows the table's name in the query."""
        columns = ", ".join(f'"{name}"' for name in columns_of(record_type))
        table = next(name for name, kind in self._kinds.items() if kind.record_type is record_type)
        found = self.select(f"SELECT {columns} FROM {table} {rest}", values)
        return [record_from_cells(record_type, row) for row in found]

    def rejections(self) -> list[str]:
        """Return why records and segments were left out, in words; of a hundred at most."""
        return [why for (why,) in self.select("SELECT why FROM rejections ORDER BY turn, why LIMIT 100")]

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

    def add(self, before: Position, segments: Iterable[Segment], last: int, lost: Mapping[int, str]) -> Position | None:
        """Add the segments up to a number and say what is lost among them; return the new position. None if it is not
        at `before` any more, and nothing is added; or where what it has was written anew, and it forgets that. Nothing
        is either where reading segments raises."""
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
        """Forget everything, as before the first segment."""
        with self._writing():
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
                    record = record_of(said, self._kinds[kind].record_type)
                except ValueError as error:
                    self._reject(turn, f"{kind}: {error}")
                    continue
                values = (getattr(record, column) for column in columns_of(type(record)))
                row = [json.dumps(value) if isinstance(value, tuple) else value for value in values]
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
            for name, column in columns_of(kind.record_type).items() if kind.sparse_by else ():
                if column.default in (None, ""):
                    index = f"CREATE INDEX {kind.name}_{name} ON {kind.name} ({kind.sparse_by})"
                    yield f"{index} WHERE {is_filled(name, column)}"

    def _form(self) -> str:
        """Return a digest that tells databases of other versions: of their tables and the number `_FORM`."""
        return hashlib.sha256("\n".join([str(_FORM), *self._tables()]).encode()).hexdigest()

    def _note(self, name: str) -> str:
        with suppress(sqlite3.OperationalError):  # there is no such table
            return next((str(text) for (text,) in self.select("SELECT text FROM notes WHERE name = ?", [name])), "")
        return ""

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


Plain = Literal["str", "int", "float", "bool", "strs"]


class RecordType(Protocol):
    """A frozen dataclass of plain fields."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Record = TypeVar("Record", bound=RecordType)


@dataclass(frozen=True, slots=True)
class Json:
    """Says of a text that it is JSON of a type, unless it is the field's default."""

    of: Any


class RecordColumn(NamedTuple):
    """A field as a column.

    Attributes:
        default: of the field; MISSING where it has none.
        longest: letters to which a text for people is cut; None for others.
        json: the type of what a JSON text says; None for others.
    """

    plain: Plain
    default: Any
    longest: int | None
    json: Any

    def value(self, cell: Any) -> Any:
        """Return the value of the field that a cell holds."""
        if self.plain == "strs" and cell is not None:
            return tuple(json.loads(cell))
        return bool(cell) if self.plain == "bool" and cell is not None else cell


def is_filled(name: str, column: RecordColumn) -> str:
    """Return the condition in SQL that a row fills a column; true of one that no row leaves empty."""
    if column.default is None:
        return f'"{name}" IS NOT NULL'
    return f"\"{name}\" <> ''" if column.default == "" else "true"


@cache
def columns_of(record_type: type[RecordType]) -> Mapping[str, RecordColumn]:
    """Return the columns of a dataclass by name, in order.

    >>> @dataclass(frozen=True)
    ... class Seen:
    ...     name: str
    ...     seconds: float | None = None
    ...     inputs: tuple[str, ...] = ()
    >>> [(name, one.plain) for name, one in columns_of(Seen).items()]
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
        json_type = next((one.of for one in rules if isinstance(one, Json)), None)
        prose = (one for one in rules if isinstance(one, Meta) and not one.pattern)
        longest = next((one.max_length for one in prose), None) if plain == "str" and json_type is None else None
        columns[field.name] = RecordColumn(plain, field.default, longest, json_type)
    return columns


def fields_of(record: RecordType) -> dict[str, Any]:
    """Return the fields of a record that do not hold their default, texts for people as long as they may be."""
    found = dict[str, Any]()
    for name, column in columns_of(type(record)).items():
        value = getattr(record, name)
        if value != column.default:
            found[name] = value if column.longest is None or value is None else value[: column.longest]
    return found


def record_of(said: Mapping[str, Any], record_type: type[Record]) -> Record:
    """Return the record with these fields, without unknown ones. Raises ValueError for what does not fit."""
    record = as_type(said, record_type)
    for name, column in columns_of(record_type).items():
        if column.json is not None and (text := getattr(record, name)) not in (None, column.default):
            try:
                _check_json(text, column.json)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
    return record


_check_json = lru_cache(maxsize=4096)(parsed_as)
"""Checks what a JSON text says; records of unchanged nodes say the same again and again."""


def record_from_cells(record_type: type[Record], cells: Iterable[Any]) -> Record:
    """Return the record of a row's cells, in the order of its columns."""
    columns = columns_of(record_type)
    return record_type(**{name: one.value(cell) for (name, one), cell in zip(columns.items(), cells, strict=True)})
