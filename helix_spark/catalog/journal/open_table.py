"""The table of a journal as this process has it open: brought up to date and checked, then queried.

Upkeep of other processes may delete at any time what it replaced, so who meets that looks again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from helix_spark.catalog.journal.rows import RowType, other_types
from helix_spark.catalog.journal.table_files import LogEnd, StrangeFilesError, check_files, check_folder
from helix_spark.catalog.places.delta_log import DeltaLog
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.side_checksums import ChecksumError
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from deltalake import DeltaTable

T = TypeVar("T")

LOOKS = 3
"""Tries to read a table whose files or log entries vanish meanwhile."""


class OpenTable:
    """The Delta table in a folder. Several threads may share it: each holds it while it uses it (`held`)."""

    def __init__(self, folder: Place, row_type: type[RowType], log: LogEnd) -> None:
        self._folder, self._row_type, self._log = folder, row_type, log
        self._sound_files: set[str] = set()
        self._lock = threading.RLock()
        self._table: DeltaTable | None = None

    @contextmanager
    def held(self, done: Literal["read", "written"]) -> Iterator[None]:
        """Keep other threads from using it meanwhile; raise errors as `explained` does."""
        with self._lock, self.explained(done):
            yield

    @contextmanager
    def explained(self, done: Literal["read", "written"]) -> Iterator[None]:
        """Raise what is wrong with the table as CatalogError; the next use opens it anew."""
        try:
            yield
        except CatalogError:
            self.forget()
            raise
        except BaseException as error:
            if not _is_deltas(error):
                raise
            self.forget()
            raise self._failed(done, error) from error

    def forget(self) -> None:
        with self._lock:
            self._table = None

    def columns(self, sql: str) -> dict[str, list[Any]]:
        """Return the columns that a query gives, of files that were checked; none where there is no table."""
        with self.held("read"):
            return self._again(lambda: self._checked(self.newest(), sql))

    def newest(self) -> DeltaTable | None:
        """Return the table at its newest version; None where there is none. Call it while it is `held`."""
        return self._again(self._looked_at)

    def _again(self, look: Callable[[], T]) -> T:
        """Look again where upkeep elsewhere deleted what it replaced between listing and reading."""
        from deltalake.exceptions import DeltaError

        for _ in range(LOOKS - 1):
            with suppress(FileNotFoundError, DeltaError):
                return look()
            self._table = None
        return look()

    def _checked(self, table: DeltaTable | None, sql: str) -> dict[str, list[Any]]:
        try:
            if table is None:
                return {}
            check_files(self._folder, table, self._sound_files)
            return _answer(table, sql)
        except (ChecksumError, StrangeFilesError) as error:
            raise self._log.damaged(str(error)) from error

    def _looked_at(self) -> DeltaTable | None:
        from deltalake.exceptions import DeltaError

        # The head is read first: read later, it could name a commit that came after the table was read.
        head = self._log.head()
        if self._table is not None and not self._log.ends_at(self._table.version(), head):
            self._check_folder()
            try:
                self._table.update_incremental()
            except DeltaError:
                # The entries that lead from our version to the newest were cleaned up; the checkpoint has them.
                self._table = None
        if self._table is None:
            self._table = self._opened(head)
        if self._table is not None:
            self._log.check(self._table.version(), head)
        return self._table

    def _opened(self, head: int) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        if head < 0 and not DeltaLog(self._folder).folder.exists():
            return None
        self._check_folder()
        try:
            table = DeltaTable(self._folder.table_uri, storage_options=self._folder.table_options)
        except TableNotFoundError as error:
            if head < 0:
                # Being made by another process, which will have it whole in a moment.
                return None
            raise self._log.damaged("its log is gone") from error
        self._check_columns(table)
        return table

    def _check_folder(self) -> None:
        try:
            check_folder(self._folder)
        except StrangeFilesError as error:
            raise self._log.damaged(str(error)) from error

    def _check_columns(self, table: DeltaTable) -> None:
        try:
            odd = other_types(table.schema().to_json(), self._row_type)
        except (ValueError, KeyError, TypeError) as error:
            raise self._log.damaged("its schema is none") from error
        if odd:
            raise self._log.damaged(f"its columns have other types than records have: {', '.join(sorted(odd))}")

    def _failed(self, done: Literal["read", "written"], error: BaseException) -> CatalogError:
        from deltalake.exceptions import DeltaError

        odd = (DeltaError, FileNotFoundError, NotADirectoryError, IsADirectoryError)
        text = str(error)
        damaged = isinstance(self._folder, Path) and "Parquet error" in text and "os error" not in text
        if done == "read" and (damaged or isinstance(error, odd)):
            return self._log.damaged(f"they cannot be read ({_cause(error)})")
        what = f"the records {self._folder} cannot be {done}: {_cause(error)}"
        return CatalogError(what, exists=self._folder.room() or None)


_FIRST_ROWS, _PIECE, _MOST_LETTERS = 64, 16 << 20, 512 << 20
"""How many rows become Python's values at first, letters that are to become so at once, and those of an answer at most.
A text that a file has once may be in each of its rows."""


def _answer(table: DeltaTable, sql: str) -> dict[str, list[Any]]:
    """Return the columns that a query gives. Raises FileNotFoundError for a file that is gone, StrangeFilesError for
    more letters than records have, and what deltalake raises."""
    from deltalake import QueryBuilder

    try:
        result = QueryBuilder().register("journal", table).execute(sql).read_all()
    except BaseException as error:
        if _is_deltas(error) and "not found" in str(error):
            raise FileNotFoundError(str(error)) from error
        raise
    found: dict[str, list[Any]] = {name: [] for name in result.column_names}
    start, rows, letters = 0, _FIRST_ROWS, 0
    while start < result.num_rows:
        piece, before = result.slice(start, min(rows, result.num_rows - start)), letters
        for name in found:
            values = list(piece.column(name).to_pylist())
            letters += sum(len(one) for one in values if isinstance(one, str))
            found[name] += values
        if letters > _MOST_LETTERS:
            raise StrangeFilesError(f"it has more than {letters:,} letters in what was asked for")
        start += rows
        rows = max(1, min(rows * 4, _PIECE * rows // (letters - before + 1)))
    return found


def text_literal(value: str) -> str:
    """Return a text as it stands in a query.

    >>> text_literal("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def _is_deltas(error: BaseException) -> bool:
    """True if an error says that a table cannot be read or written. A stream's errors are bare `Exception`s; a damaged
    footer makes the reader panic, which is a `PanicException` that no package exports."""
    from deltalake.exceptions import DeltaError

    return isinstance(error, DeltaError | OSError) or type(error) is Exception or (
        type(error).__name__ == "PanicException"
    )


def _cause(error: BaseException) -> str:
    """Return the innermost cause: deltalake puts each layer's name before it, and a stack trace below."""
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return first_line.rsplit(" error: ", 1)[-1]
