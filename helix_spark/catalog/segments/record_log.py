"""The records of a catalog: appended as segments, each whole or not at all, and looked up in an index.

An append creates the file of the next number only if it does not exist, so concurrent processes lose no row. Each
segment has an id, so an append whose answer was lost is recognized and not repeated. Appended records are visible at
once, and reported as recorded once they are synced; one sync serves all appends since the last one.

An unreadable segment is skipped and reported. If an index read it before the damage, nothing is missing.
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
"""The largest number that fits a file's name."""

ATTEMPTS = 60
"""Attempts of one append under contention. Four writers needed a handful."""

_LOOKS = 100
"""Maximum listings of a folder whose files change meanwhile."""

LONGEST_PAUSE = 0.25
"""Maximum seconds between two attempts."""

PAUSES = random.Random()
"""Generator of pauses. `random`'s own generator is the author's."""


class RecordLog:
    """The records in a folder, for concurrent threads and processes.

    Args:
        folder: folder of the segments; created by the first append.
        index_file: returns the path of the index; None for an index of this process alone.
        older: returns the records of an older layout until they are taken over; then None.

    Attributes:
        remarks: messages about files that were skipped for their number.
    """

    def __init__(
        self, folder: Place, kinds: Sequence[RecordKind], index_file: Callable[[], Path | None],
        older: Callable[[], Iterable[Segment] | None] = lambda: None,
    ) -> None:
        self.folder, self._kinds, self._index_file, self._older = folder, kinds, index_file, older
        self._segments = SegmentFolder(folder)
        self._names = {kind.record_type: kind.name for kind in kinds}
        self._lock = threading.RLock()
        self._file: Path | None = None
        self._index_used: RecordIndex | None = None
        self._checked: Position | None = None
        self._checked_in: SegmentFile | None = None
        self._damaged: dict[str, str] = {}
        self._appended = 0
        self._is_held = False
        self.remarks: dict[str, None] = {}

    def rows(self, record_type: type[Record], clause: str = "", *values: Any, is_fresh: bool = True) -> list[Record]:
        """Return records of a kind; `clause` ends the SQLite query. If `is_fresh`, read new segments first."""
        return self._look_up(lambda index: index.rows(record_type, clause, values), is_fresh=is_fresh)

    def select(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of an SQLite query; each kind is a table, ordered by `turn`."""
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
        """Read new segments once, and answer all queries of the block as of then."""
        with self._lock:
            self._look_up(lambda index: None)
            self._is_held, was_held = True, self._is_held
            try:
                yield
            finally:
                self._is_held = was_held

    def hold(self) -> None:
        """Read new segments once, and answer all queries as of then until the next call."""
        with self._lock:
            self._is_held = False
            self._look_up(lambda index: None)
            self._is_held = True

    @property
    def rejections(self) -> tuple[str, ...]:
        """Messages about rejected records and skipped files."""
        return (*self._look_up(RecordIndex.rejections, is_fresh=False), *self.remarks)

    def is_empty(self) -> bool:
        """Return whether there is no segment."""
        return self._older() is None and not self._segments.files()

    def append(self, records: Sequence[Record]) -> int:
        """Append records, or an empty segment, and return the segment's number. Raises CatalogError."""
        return self._append(lambda: records, may_be_empty=True)[0]

    def decide_and_append(self, decide: Callable[[], Sequence[Record]]) -> Sequence[Record]:
        """Append the records that `decide` returns, and return them. `decide` is called again if the log grew."""
        return self._append(decide)[1]

    def _append(
        self, decide: Callable[[], Sequence[Record]], *, may_be_empty: bool = False
    ) -> tuple[int, Sequence[Record]]:
        name = uuid.uuid4().hex
        for attempt in range(ATTEMPTS):
            with self.one_look():
                last, before = self._look_up(RecordIndex.position)
                records = decide()
                rows = tuple((self._names[type(record)], fields_of(record)) for record in records)
            if not (rows or may_be_empty):
                return last, records
            if last >= LAST_NUMBER:  # readers would skip larger numbers
                raise CatalogError(f"the records {self.folder} are full: a file has the last possible number",
                                   remedy="name another folder")
            if self._create(Segment(last + 1, name, rows, before)):
                self._appended = last + 1
                return last + 1, records
            time.sleep(PAUSES.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**attempt)))
        message = f"other processes keep writing the records {self.folder}: {ATTEMPTS} attempts to append failed"
        raise CatalogError(message, remedy="run fewer workflows on this catalog at once, then try again")

    def _create(self, segment: Segment) -> bool:
        """Create the file of a segment; return whether it is in the log. If not, its number was taken."""
        try:
            content = pack([segment.lines()])
        except UnicodeEncodeError as error:
            raise CatalogError(f"a record holds characters that are not Unicode: {error}") from error
        except SegmentError as error:
            raise CatalogError(f"too much for one append to the records {self.folder}: {error}") from error
        number, failure = segment.number, None
        file = SegmentFile(number, number, self.folder / f"{number:010}.segment")
        try:
            reach("log.appending")
            if number == 1:
                self.folder.make_folder(synced=True)
            file.place.write_new(content)
            reach("log.appended")
        except OSError as error:  # even if the file exists: this attempt may have created it and lost the answer
            failure = error
        try:
            is_created = failure is None or self._id_of(file) == segment.id
            folded, fills_gap = self._standing(segment)
            if is_created and (folded not in (None, segment.id) or fills_gap):
                file.place.unlink(missing_ok=True)
                return False
        except OSError as error:
            raise self._failed("written", error) from error
        if (is_created and folded is None) or folded == segment.id:
            return True
        if failure is None or isinstance(failure, FileExistsError):
            return False
        raise self._failed("written", failure) from failure

    def _standing(self, segment: Segment) -> tuple[str | None, bool]:
        """Return the id that the folds have for a segment's number: empty if they lack it, None if no fold spans it.
        Also return whether the segment took the number of a lost one. A writer that was suspended for long checks by
        this whether its segment counts."""
        number = segment.number
        for _ in range(_LOOKS):
            files = self._segments.files()
            folds = [file for file in files if file.is_fold and file.first <= number <= file.last]
            with suppress(FileNotFoundError):  # another process merged and deleted it
                for fold in reversed(folds):
                    with suppress(SegmentError):
                        ids = (copy.was or copy.id for copy in fold.segments() if copy.number == number)
                        return next(ids, ""), False
                return ("", False) if folds else (None, _fills_gap(files, segment))
        return None, False

    def _id_of(self, file: SegmentFile) -> str:
        with suppress(FileNotFoundError):
            return file.last_id()
        return ""

    def sync(self) -> None:
        """Make the segments of all processes survive a power loss. Raises CatalogError."""
        why = "they change all the time"
        for _ in range(_LOOKS):
            # In this order: another thread may append while the folder is listed.
            appended, synced = self._appended, self._look_up(lambda index: index.synced)
            newer = [file for file in self._segments.files() if file.last > synced]
            if appended > max((synced, *(file.last for file in newer))):
                why = f"segment {appended} is gone"
                break
            files = [file for file in newer if not file.is_fold]
            try:
                if files:
                    reach("log.syncing")
                    self.folder.sync([file.place for file in files])
                    self._look_up(partial(RecordIndex.note_synced, number=files[-1].last))
                return
            except FileNotFoundError:
                continue  # another process folded and deleted it
            except OSError as error:
                why = str(error)
                break
        raise CatalogError(f"the records {self.folder} cannot be synced: {why}", exists=room(self.folder),
                           remedy="a power loss may lose the newest records")

    def forget_index(self) -> None:
        """Discard the index; the next use builds another one."""
        with self._lock:
            self._file = self._index_file()  # it may not be open yet
            self._discard()
            self._damaged.clear()

    def _look_up(self, look: Callable[[RecordIndex], T], *, is_fresh: bool = True) -> T:
        """Query the index after it has read all segments. Replace a damaged index; the last attempt uses memory."""
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
                with suppress(FileNotFoundError):  # another process folded and deleted a listed file
                    if self._read_on(index):
                        return
        except OSError as error:
            raise self._failed("read", error) from error
        raise CatalogError(f"the records {self.folder} change all the time", remedy="try again")

    def _read_on(self, index: RecordIndex) -> bool:
        """Add the segments that an index has not read; return whether it has all."""
        if (older := self._older()) is not None:
            if self._checked is None:
                try:
                    segments = list(older)
                except CatalogError:
                    if self._older() is None:  # another process took them over meanwhile
                        return False
                    raise
                self._checked = index.add(Position(), segments, len(segments), {})
            return self._older() is not None
        (files, far), at = self._segments.listing(), index.position()
        self.remarks |= {f"{file.place.name} is skipped: its number is too far ahead": None for file in far}
        last = max((file for file in files if file.last == at.number), default=None)  # its own file sorts last
        if at.number and (at != self._checked or last is None or last != self._checked_in):
            if last is None or last.last_id() != at.id:
                index.clear()  # the log was rewritten, or replaced by another catalog or an older copy
                return False
            self._checked = at
        self._checked_in = last
        newer = [file for file in files if file.last > at.number]
        for file in covering([file for file in newer if file.place.name not in self._damaged], at.number):
            try:
                added = index.add(at, file.segments(), file.last, self._lost(newer, at.number, file.first))
            except SegmentError as error:
                self._damaged[file.place.name] = str(error)
                if len(self._damaged) < _LOOKS // 2 and any(  # another file may have the same segments
                    copy.first <= file.last and copy.last >= file.first and copy.place.name not in self._damaged
                    for copy in newer if copy.is_fold or file.is_fold
                ):
                    return False
                continue
            if added is None:
                return False
            at, self._checked, self._checked_in = added, added, file
        if (end := max((file.last for file in newer), default=0)) > at.number:
            self._checked = index.add(at, (), end, self._lost(newer, at.number, end + 1))
            return self._checked is not None
        return True

    def _lost(self, files: Sequence[SegmentFile], after: int, before: int) -> dict[int, str]:
        """Return messages about lost segments between two numbers, by number."""
        if before <= after + 1:
            return {}
        damaged = {
            file.last: f"{file.place.name} is damaged and skipped: {self._damaged[file.place.name]}" for file in files
            if file.place.name in self._damaged and file.first < before and file.last > after
        }
        return damaged or {after + 1: f"segments {after + 1} to {before - 1} of the records are gone"}

    def _failed(self, action: str, error: OSError) -> CatalogError:
        message = f"the records {self.folder} cannot be {action}: {error.strerror or error}"
        remedy = "run `helix repair`, which moves that file aside" if isinstance(error, NotADirectoryError) else None
        return CatalogError(message, exists=room(self.folder), remedy=remedy)


def _fills_gap(files: Sequence[SegmentFile], segment: Segment) -> bool:
    """Return whether the next segment in the files follows a lost one: readers may have read past the gap."""
    later = [file for file in files if file.last > segment.number]
    with suppress(SegmentError):
        segments = (candidate for file in later[:1] for candidate in file.segments())
        following = next((candidate for candidate in segments if candidate.number > segment.number), None)
        return following is not None and (
            following.number > segment.number + 1 or following.after not in ("", segment.id)
        )
    return False


def listed(texts: Iterable[str]) -> str:
    """Return texts as one query parameter, for ``json_each``."""
    return json.dumps(sorted(set(texts)))
