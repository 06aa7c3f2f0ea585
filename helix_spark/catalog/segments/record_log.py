"""The records of a catalog: appended as segments, each whole or not at all, and looked up in an index of them.

An append makes the file of the next number on the condition that it is not there, so of several processes none loses a
row. Each has an id, so one whose answer was lost is found and not made twice. What is appended is seen at once, and
reported as recorded once it is synced; one sync serves all appends since the last one.

A segment that cannot be read is left out, and told. One that an index has read before it was damaged is not missed.
"""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.places.place import Place, room
from helix_spark.catalog.segments.record_index import TURN_BITS, Position, Record, RecordIndex, RecordKind, fields_of
from helix_spark.catalog.segments.segment import Segment, SegmentError, SegmentFile, SegmentFolder, covering, pack
from helix_spark.errors import CatalogError

T = TypeVar("T")

LAST_NUMBER = 9_999_999_999
"""The greatest number that a file's name has room for."""

ATTEMPTS = 60
"""Tries of one append under contention. With four writers none needed more than a handful."""

_LOOKS = 100
"""Looks at a folder whose files change meanwhile."""

LONGEST_PAUSE = 0.25
"""Seconds between two tries at most."""

PAUSES = random.Random()
"""Draws pauses. `random`'s own generator is the author's."""


class RecordLog:
    """The records in one folder. Several threads and processes may use them at once.

    Args:
        folder: of the segments; made by the first append.
        index_file: where the index of the folder is, or goes; None for one of this process alone.
        older: gives records that are kept in another way, as long as these are all; None once they are not.

    Attributes:
        remarks: why records were left out besides those that do not fit, in words.
    """

    def __init__(
        self, folder: Place, kinds: Sequence[RecordKind], index_file: Callable[[], Path | None],
        older: Callable[[], Iterable[Segment] | None] = lambda: None,
    ) -> None:
        self.folder, self._kinds, self._index_file, self._older = folder, kinds, index_file, older
        self._segments = SegmentFolder(folder)
        self._names = {one.record_type: one.name for one in kinds}
        self._lock = threading.RLock()
        self._file: Path | None = None
        self._index_used: RecordIndex | None = None
        self._checked: Position | None = None
        self._checked_in: SegmentFile | None = None
        self._damaged: dict[str, str] = {}
        self._appended = 0
        self._is_held = False
        self.remarks: dict[str, None] = {}

    def rows(self, record_type: type[Record], rest: str = "", *values: Any, is_fresh: bool = True) -> list[Record]:
        """Return records of a kind; `rest` is what follows the table's name in a query of SQLite. Read first what was
        appended since the last look, where the answer has to be `is_fresh`."""
        return self._look_up(lambda index: index.rows(record_type, rest, values), is_fresh=is_fresh)

    def select(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what a query of SQLite gives; each kind is a table, in which `turn` orders all rows."""
        return self._look_up(lambda index: index.select(sql, values))

    def newest(self, record_type: type[Record]) -> int:
        """Return the number of the newest segment with a record of a kind; 0 if there is none."""
        ((turn,),) = self.select(f"SELECT max(turn) FROM {self._names[record_type]}")
        return (turn or 0) >> TURN_BITS

    @property
    def last(self) -> int:
        """The number of the newest segment; 0 if there is none."""
        return self._look_up(RecordIndex.position).number

    @contextmanager
    def one_look(self) -> Iterator[None]:
        """Look for what was appended once, and have all queries of the block answered as of then."""
        with self._lock:
            self._look_up(lambda index: None)
            self._is_held, held = True, self._is_held
            try:
                yield
            finally:
                self._is_held = held

    def hold(self) -> None:
        """Look for what was appended once, and have all queries answered as of then until the next call."""
        with self._lock:
            self._is_held = False
            self._look_up(lambda index: None)
            self._is_held = True

    @property
    def rejections(self) -> tuple[str, ...]:
        """Why records were left out, in words."""
        return (*self._look_up(RecordIndex.rejections, is_fresh=False), *self.remarks)

    def is_empty(self) -> bool:
        """Return whether no segment is there."""
        return self._older() is None and not self._segments.files()

    def append(self, records: Sequence[Record]) -> int:
        """Append records, also none, and return the number of their segment. Raises CatalogError."""
        return self._append(lambda: records, may_be_empty=True)[0]

    def decide_and_append(self, decide: Callable[[], Sequence[Record]]) -> Sequence[Record]:
        """Append what `decide` gives, which is called again if others append meanwhile; return these records."""
        return self._append(decide)[1]

    def _append(
        self, decide: Callable[[], Sequence[Record]], *, may_be_empty: bool = False
    ) -> tuple[int, Sequence[Record]]:
        name = uuid.uuid4().hex
        for attempt in range(ATTEMPTS):
            with self.one_look():
                last, before = self._look_up(RecordIndex.position)
                records = decide()
                rows = tuple((self._names[type(one)], fields_of(one)) for one in records)
            if not (rows or may_be_empty):
                return last, records
            if last >= LAST_NUMBER:  # readers would pass over what comes after it
                raise CatalogError(f"the records {self.folder} are full: a file of them has the last number",
                                   remedy="name another folder: no catalog comes that far by runs")
            if self._create(Segment(last + 1, name, rows, before)):
                self._appended = last + 1
                return last + 1, records
            time.sleep(PAUSES.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**attempt)))
        what = f"the records {self.folder} are written by others all the time: gave up after {ATTEMPTS} tries"
        raise CatalogError(what, remedy="run fewer workflows on this catalog at once, then try again")

    def _create(self, segment: Segment) -> bool:
        """Make the file of a segment; return whether it is in the log. If not, its number was taken."""
        try:
            content = pack([segment.lines()])
        except UnicodeEncodeError as error:
            raise CatalogError(f"a record holds characters that are not Unicode: {error}") from error
        except SegmentError as error:
            raise CatalogError(f"the records {self.folder} do not take so much at once: {error}") from error
        number, failure = segment.number, None
        file = SegmentFile(number, number, self.folder / f"{number:010}.segment")
        try:
            reach("log.appending")
            if number == 1:
                self.folder.make_folder(synced=True)
            file.place.write_new(content)
            reach("log.appended")
        except OSError as error:  # also that it is there: the answer to this try may have been lost
            failure = error
        try:
            is_made = failure is None or self._id_of(file) == segment.id
            folded, fills_gap = self._standing(segment)
            if is_made and (folded not in (None, segment.id) or fills_gap):
                file.place.unlink(missing_ok=True)
                return False
        except OSError as error:
            raise self._failed("written", error) from error
        if (is_made and folded is None) or folded == segment.id:
            return True
        if failure is None or isinstance(failure, FileExistsError):
            return False
        raise self._failed("written", failure) from failure

    def _standing(self, segment: Segment) -> tuple[str | None, bool]:
        """Return the id of the segment in the fold that has a number, empty where that has none, None where no fold
        has; and whether the segment was made where another one is lost. A writer that was stopped for long, before it
        made its file or after, finds there what counts."""
        number = segment.number
        for _ in range(_LOOKS):
            files = self._segments.files()
            folds = [one for one in files if one.is_fold and one.first <= number <= one.last]
            with suppress(FileNotFoundError):  # it was merged elsewhere, and deleted
                for fold in reversed(folds):
                    with suppress(SegmentError):
                        return next((one.was or one.id for one in fold.segments() if one.number == number), ""), False
                return ("", False) if folds else (None, _fills_gap(files, segment))
        return None, False

    def _id_of(self, file: SegmentFile) -> str:
        with suppress(FileNotFoundError):
            return file.last_id()
        return ""

    def sync(self) -> None:
        """Make all that any process appended survive a loss of power. Raises CatalogError."""
        why = "they change all the time"
        for _ in range(_LOOKS):
            # In this order: another thread may append while the folder is listed.
            appended, synced = self._appended, self._look_up(lambda index: index.synced)
            there = [one for one in self._segments.files() if one.last > synced]
            if appended > max((synced, *(one.last for one in there))):
                why = f"segment {appended} is gone"
                break
            files = [one for one in there if not one.is_fold]
            try:
                if files:
                    reach("log.syncing")
                    self.folder.sync([one.place for one in files])
                    self._look_up(partial(RecordIndex.note_synced, number=files[-1].last))
                return
            except FileNotFoundError:
                continue  # it was folded elsewhere, and deleted
            except OSError as error:
                why = str(error)
                break
        raise CatalogError(f"the records {self.folder} cannot be synced: {why}", exists=room(self.folder),
                           remedy="what was recorded last may be lost with the power")

    def forget_index(self) -> None:
        """Discard the index; the next use builds another one."""
        with self._lock:
            self._file = self._index_file()  # also where it was not looked at yet
            self._discard()
            self._damaged.clear()

    def _look_up(self, look: Callable[[RecordIndex], T], *, is_fresh: bool = True) -> T:
        """Look at the index once it has read all segments: at a new one if it is damaged, else at one in memory."""
        with self._lock:
            for attempt in range(3):
                try:
                    file = self._index_file()
                    if self._index_used is None or self._file != file:
                        self._file, self._checked = file, None
                        self._index_used = RecordIndex(self._kinds, ":memory:" if attempt == 2 else file)
                    if (is_fresh and not self._is_held) or self._checked is None:
                        self._refresh(self._index_used)
                    return look(self._index_used)
                except (sqlite3.DatabaseError, OSError):
                    if attempt == 2:
                        raise
                    self._discard()
            raise AssertionError("the last attempt returns or raises")

    def _discard(self) -> None:
        self._index_used, file = None, self._file
        for path in () if file is None else (file, *(file.with_name(f"{file.name}-{kind}") for kind in ("wal", "shm"))):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _refresh(self, index: RecordIndex) -> None:
        try:
            for _ in range(_LOOKS):
                with suppress(FileNotFoundError):  # what was listed is folded elsewhere, and deleted
                    if self._read_on(index):
                        return
        except OSError as error:
            raise self._failed("read", error) from error
        raise CatalogError(f"the records {self.folder} change all the time", remedy="try again")

    def _read_on(self, index: RecordIndex) -> bool:
        """Add what an index has not read; return whether it has all."""
        if (older := self._older()) is not None:
            if self._checked is None:
                try:
                    segments = list(older)
                except CatalogError:
                    if self._older() is None:  # another process has taken them over meanwhile
                        return False
                    raise
                self._checked = index.add(Position(), segments, len(segments), {})
            return self._older() is not None
        (files, far), at = self._segments.listing(), index.position()
        self.remarks |= {f"{file.place.name} is left out: its number is too far ahead": None for file in far}
        last = max((one for one in files if one.last == at.number), default=None)  # its own file, if that is there
        if at.number and (at != self._checked or last is None or last != self._checked_in):
            if last is None or last.last_id() != at.id:
                index.clear()  # it was rewritten, or another catalog, or an older copy of it, was put in this place
                return False
            self._checked = at
        self._checked_in = last
        newer = [one for one in files if one.last > at.number]
        for file in covering([one for one in newer if one.place.name not in self._damaged], at.number):
            try:
                added = index.add(at, file.segments(), file.last, self._lost(newer, at.number, file.first))
            except SegmentError as error:
                self._damaged[file.place.name] = str(error)
                if len(self._damaged) < _LOOKS // 2 and any(  # another file may have what this one had
                    one.first <= file.last and one.last >= file.first and one.place.name not in self._damaged
                    for one in newer if one.is_fold or file.is_fold
                ):
                    return False
                continue
            if added is None:
                return False
            at, self._checked, self._checked_in = added, added, file
        if (end := max((one.last for one in newer), default=0)) > at.number:
            self._checked = index.add(at, (), end, self._lost(newer, at.number, end + 1))
            return self._checked is not None
        return True

    def _lost(self, files: Sequence[SegmentFile], after: int, before: int) -> dict[int, str]:
        """Say what is lost between two numbers, by number."""
        if before <= after + 1:
            return {}
        damaged = {
            one.last: f"{one.place.name} is damaged, and left out: {self._damaged[one.place.name]}" for one in files
            if one.place.name in self._damaged and one.first < before and one.last > after
        }
        return damaged or {after + 1: f"segments {after + 1} to {before - 1} of the records are gone"}

    def _failed(self, done: str, error: OSError) -> CatalogError:
        what = f"the records {self.folder} cannot be {done}: {error.strerror or error}"
        remedy = "have `helix repair` move aside what lies there" if isinstance(error, NotADirectoryError) else None
        return CatalogError(what, exists=room(self.folder), remedy=remedy)


def _fills_gap(files: Sequence[SegmentFile], segment: Segment) -> bool:
    """Return whether the files after a segment follow another one, which is lost: readers may have read on."""
    later = [one for one in files if one.last > segment.number]
    with suppress(SegmentError):
        first = next((one for one in later[0].segments() if one.number > segment.number), None) if later else None
        return first is not None and (first.number > segment.number + 1 or first.after not in ("", segment.id))
    return False


def listed(texts: Iterable[str]) -> str:
    """Return texts as one value of a query, for ``json_each``."""
    return json.dumps(sorted(set(texts)))
